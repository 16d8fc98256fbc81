"""Random state: a seed and a position in the Philox stream.

Element ``i`` of a draw has a word (32 bits) or two of Philox 4x32-10 (Salmon et al., SC 2011) under the key ``seed``.
In tiles of 16 counters from ``offset`` on all first words come before all second ones and so on (cl_kernels/random.cl).
A draw of n elements moves the offset on by whole tiles, so the stream is the same on every device.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from .device import device as Device
from .graph.provided import Capture, Source, provide

_MASK = 0xFFFFFFFFFFFFFFFF


class Generator:
    """A source of random numbers: ``manual_seed``, ``seed``, ``initial_seed``, ``get_state``, ``set_state``."""

    def __init__(self, device: Any = "cpu") -> None:
        self._device = Device(device)
        self._seed = 67280421310721
        self._offset = 0

    @property
    def device(self) -> Device:
        """The device it was made for (the stream does not depend on it)."""
        return self._device

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of ``seed`` (any int of 64 bits; negative ones wrap)."""
        seed = int(seed)
        if not -(1 << 63) <= seed <= _MASK:
            raise RuntimeError("Overflow when unpacking long")
        self._seed = seed & _MASK
        self._offset = 0
        return self

    def seed(self) -> int:
        """Start the stream of a seed from the system's entropy; returns it."""
        self.manual_seed(int.from_bytes(os.urandom(8), "little") >> 1 or time.time_ns())
        return self._seed

    def initial_seed(self) -> int:
        """The seed of the present stream."""
        return self._seed

    def take(self, count: int) -> tuple[int, int]:
        """(seed, offset) for a draw of ``count`` elements; moves the stream on."""
        at = self._offset
        self._offset = (at + 16 * -(-count // 32)) & _MASK  # as if each element took two words
        if Capture.active is not None:
            source = _Draw(self, count)
            return provide(self._seed, source, 0), provide(at, source, 1)
        return self._seed, at

    def state_array(self) -> np.ndarray:
        """The state as 16 bytes."""
        return np.array([self._seed, self._offset], np.uint64).view(np.uint8)

    def load_state_array(self, state: np.ndarray) -> None:
        """Restore a state. Raises RuntimeError for one of another size."""
        if state.size != 16:
            raise RuntimeError(f"RNG state is wrong size: expected 16 bytes, got {state.size}")
        seed, offset = np.ascontiguousarray(state, np.uint8).view(np.uint64).tolist()
        self._seed, self._offset = int(seed), int(offset)

    def get_state(self) -> Any:
        """The state as a uint8 tensor."""
        return MAKE_TENSOR(self.state_array())

    def set_state(self, state: Any) -> Generator:
        """Restore a state that get_state gave."""
        self.load_state_array(np.asarray(state.cpu().numpy() if hasattr(state, "cpu") else state))
        return self

    def clone_state(self) -> Generator:
        """A generator of its own with the same state."""
        copy = Generator(self._device)
        copy._seed, copy._offset = self._seed, self._offset
        return copy

    def __getstate__(self) -> dict:
        return {"device": str(self._device), "seed": self._seed, "offset": self._offset}

    def __setstate__(self, state: dict) -> None:
        self._device = Device(state["device"])
        self._seed, self._offset = state["seed"], state["offset"]


class _Draw(Source):
    """A draw that a captured call makes again at each replay."""

    def __init__(self, generator: Generator, count: int) -> None:
        self.generator = generator
        self.count = count

    def refresh(self) -> tuple[int, int]:
        return self.generator.take(self.count)


MAKE_TENSOR: Any = None  # set by ops.creation: a uint8 tensor from an array
default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Seed the default generator (all devices share it)."""
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Seed the default generator from the system's entropy; returns the seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """Seed of the default generator."""
    return default_generator.initial_seed()


def get_rng_state(device: Any = None) -> Any:
    """State of the default generator."""
    return default_generator.get_state()


def set_rng_state(new_state: Any, device: Any = None) -> None:
    """Restore the default generator's state."""
    default_generator.set_state(new_state)


@contextlib.contextmanager
def fork_rng(devices: Any = None, enabled: bool = True, device_type: str = "cuda", **_: Any) -> Iterator[None]:
    """Restore the default generator's state on leaving."""
    if not enabled:
        yield
        return
    before = default_generator.state_array()
    try:
        yield
    finally:
        default_generator.load_state_array(before)
