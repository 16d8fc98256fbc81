"""torch.mtia: a vendor's devices, of which there are none; those that OpenCL reaches are in ``cuda``."""

from __future__ import annotations

from .random import manual_seed as _manual_seed


def is_available() -> bool:
    """False."""
    return False


def device_count() -> int:
    """0."""
    return 0


def manual_seed(seed: int) -> None:
    """Seed the generator of all devices."""
    _manual_seed(seed)


def empty_cache() -> None:
    """Nothing to give back."""


def synchronize(device: object = None) -> None:
    """Nothing to wait for."""
