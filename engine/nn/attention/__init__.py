"""torch.nn.attention: which implementation scaled_dot_product_attention may use."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterator, Sequence

__all__ = ["SDPBackend", "sdpa_kernel"]


class SDPBackend(enum.IntEnum):
    """Implementations of attention by torch's names. Here the shapes and the device choose, not the program."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


@contextlib.contextmanager
def sdpa_kernel(backends: SDPBackend | Sequence[SDPBackend], set_priority: bool = False) -> Iterator[None]:
    """Accepted for torch's sake; attention computes the same inside. TypeError for what is no SDPBackend."""
    wanted = [backends] if isinstance(backends, SDPBackend) else list(backends)
    if not wanted or not all(isinstance(b, SDPBackend) for b in wanted):
        raise TypeError("backends must be an instance of SDPBackend or a non-empty list of SDPBackend instances")
    yield
