"""Names for annotations, as in torch.types."""

from __future__ import annotations

import builtins
import os
from collections.abc import Sequence
from typing import TypeAlias

from .device import device as _device
from .graph.spec import Size
from .tensor import Tensor, UntypedStorage

Number: TypeAlias = builtins.int | builtins.float | builtins.bool
FileLike: TypeAlias = "str | os.PathLike[str]"
Device: TypeAlias = "_device | str | int | None"
Storage = UntypedStorage
_TensorOrTensors: TypeAlias = Tensor | Sequence[Tensor]
_TensorOrTensorsOrGradEdge: TypeAlias = Tensor | Sequence[Tensor]
_size: TypeAlias = Size | list[builtins.int] | tuple[builtins.int, ...]
_int = builtins.int
_float = builtins.float
_bool = builtins.bool
_complex = builtins.complex
_Number = (builtins.int, builtins.float, builtins.bool)

__all__ = ["Device", "FileLike", "Number", "Storage"]
