"""The .safetensors format, by the safetensors library where it is installed (`pip install engine[safetensors]`)."""

from __future__ import annotations

import importlib
import itertools
import json
import os
from types import ModuleType
from typing import Any

import numpy as np

from engine import dtypes

from . import bridge
from .archive import read_exactly
from .files import replacing
from .locations import Restorer
from .rebuild import contiguous_strides, tensor_from_storage
from .storages import LoadedStorage

_DTYPES = {
    "BOOL": dtypes.bool_,
    "U8": dtypes.uint8,
    "I8": dtypes.int8,
    "I16": dtypes.int16,
    "U16": dtypes.uint16,
    "F16": dtypes.float16,
    "BF16": dtypes.bfloat16,
    "I32": dtypes.int32,
    "U32": dtypes.uint32,
    "F32": dtypes.float32,
    "F64": dtypes.float64,
    "I64": dtypes.int64,
    "U64": dtypes.uint64,
    "C64": dtypes.complex64,
}


def _library() -> ModuleType:
    try:
        return importlib.import_module("safetensors")
    except ImportError as error:
        raise ImportError(
            "The safetensors library is not installed. Install it with: pip install engine[safetensors]"
        ) from error


def _header(path: str) -> tuple[dict[str, Any], int]:
    """The parsed header and where the data starts. Checked by the library before."""
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        return json.loads(file.read(size)), 8 + size


def load_file(filename: str | os.PathLike, device: Any = "cpu") -> dict[str, Any]:
    """The tensors of a .safetensors file by name, on `device`.

    Raises ImportError without the safetensors library, its SafetensorError for damaged files, RuntimeError for dtypes
    that this library does not have.
    """
    path = os.fspath(filename)
    library = _library()
    with library.safe_open(path, framework="numpy"):
        header, start = _header(path)
    restore = Restorer(str(device))
    tensors: dict[str, Any] = {}
    with open(path, "rb") as file:
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            dtype = _DTYPES.get(entry["dtype"])
            if dtype is None:
                raise RuntimeError(f"{path}: tensor {name!r} has the dtype {entry['dtype']}, which is not supported")
            first, last = entry["data_offsets"]
            data, owner = bridge.empty_host(last - first, restore.expected("cpu"))
            file.seek(start + first)
            read_exactly(file, data, f"tensor {name!r}")
            shape = tuple(entry["shape"])
            tensors[name] = tensor_from_storage(
                restore(LoadedStorage(data, dtype, owner=owner), "cpu"), 0, shape, contiguous_strides(shape)
            )
    return tensors


def _refuse_overlaps(parts_by_name: dict[str, bridge.TensorParts]) -> None:
    """RuntimeError if two tensors have bytes in common."""
    spans: list[tuple[int, int, int, str]] = []
    owners: dict[Any, int] = {}
    for name, parts in parts_by_name.items():
        if 0 in parts.shape:
            continue
        first = parts.offset
        last = first + sum((n - 1) * s for n, s in zip(parts.shape, parts.strides, strict=True))
        spans.append(
            (
                owners.setdefault(parts.storage.key, len(owners)),
                first * parts.dtype.itemsize,
                (last + 1) * parts.dtype.itemsize,
                name,
            )
        )
    spans.sort()
    for (key, _, end, name), (next_key, start, _, next_name) in itertools.pairwise(spans):
        if key == next_key and start < end:
            raise RuntimeError(f"Some tensors share memory, which safetensors cannot express: {name!r}, {next_name!r}")


def save_file(tensors: dict[str, Any], filename: str | os.PathLike, metadata: dict[str, str] | None = None) -> None:
    """Write tensors to a .safetensors file, made contiguous; metadata: text by name.

    Raises ImportError without the safetensors library, ValueError for what is no tensor or has a dtype that the format
    does not have, RuntimeError if tensors share memory, which the format cannot express.
    """
    library = _library()
    described: dict[str, bridge.TensorParts] = {}
    for name, tensor in tensors.items():
        if not bridge.is_tensor(tensor):
            raise ValueError(f"Key `{name}` is invalid, expected torch.Tensor but received {type(tensor)}")
        parts = described[name] = bridge.describe(tensor)
        if parts.storage is None or parts.dtype not in _DTYPES.values():
            raise ValueError(f"Key `{name}` cannot be saved: dtype {parts.dtype} on device {tensor.device}")
    _refuse_overlaps(described)
    contents = {name: bridge.contiguous_bytes(tensor) for name, tensor in tensors.items()}
    records = {name: _record(library, described[name], data) for name, data in contents.items()}
    with replacing(os.fspath(filename)) as file:
        library.serialize_file(records, file.name, metadata)


def _record(library: ModuleType, parts: bridge.TensorParts, data: np.ndarray) -> Any:
    """One tensor as the installed version of the library wants it."""
    spec = getattr(library, "TensorSpec", None)
    if spec is None:
        return {"dtype": parts.dtype.name, "shape": list(parts.shape), "data": data.tobytes()}
    return spec(dtype=parts.dtype.name, shape=parts.shape, data_ptr=data.ctypes.data, data_len=data.nbytes)
