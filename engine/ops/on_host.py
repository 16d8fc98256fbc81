"""What is known of a tensor's content without waiting for the device."""

from __future__ import annotations

import numpy as np

from ..autograd.variable import Tensor


def host_values(x: Tensor) -> np.ndarray | None:
    """The storage's elements where the host has them anyway (fresh from the host, never changed), else None."""
    held = x._storage
    if not held.host_fresh or held.version or held.node.buffer is None or not x._spec.numel:
        return None
    raw = held.node.buffer.host_array()
    if raw is None:
        return None
    return raw[: held.node.size * held.dtype.itemsize].view(held.dtype.numpy)
