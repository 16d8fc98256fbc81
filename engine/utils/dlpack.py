"""torch.utils.dlpack: exchange of arrays with other libraries without copying, where the memory is the host's."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops import creation
from ..tensor import Tensor

__all__ = ["from_dlpack", "to_dlpack"]


class _Holder:
    """What NumPy reads a bare capsule from."""

    def __init__(self, capsule: Any) -> None:
        self.capsule = capsule

    def __dlpack__(self, **options: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


def to_dlpack(tensor: Tensor) -> Any:
    """A DLPack capsule of a tensor."""
    return tensor.__dlpack__()


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor over the memory of anything with ``__dlpack__`` (or of a capsule), if it is the host's; else a copy."""
    if isinstance(ext_tensor, Tensor):
        out = ext_tensor.detach()
        return out.clone() if copy else out
    source = ext_tensor if hasattr(ext_tensor, "__dlpack__") else _Holder(ext_tensor)
    array = np.from_dlpack(source)
    if copy:
        array = array.copy()
    if not array.flags.writeable:
        array = np.lib.stride_tricks.as_strided(array, array.shape, array.strides, writeable=False).copy()
    made = creation.share_array(array, "cpu")
    return made if device is None else made.to(device)
