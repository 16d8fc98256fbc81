"""From a list of samples to one batch: tensors stacked, containers kept."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

from .. import dtypes, ops
from ..tensor import Tensor
from .transport import from_host_array, to_host_array
from .worker_info import get_worker_info

__all__ = ["collate", "default_collate", "default_collate_fn_map", "default_convert"]

CollateMap = dict[type | tuple[type, ...], Callable]

default_collate_err_msg_format = (
    "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"
)


def rebuild_mapping(like: Mapping, entries: dict) -> Any:
    """``entries`` in a mapping of the type of ``like`` (a copy of it, to keep its other state), else in a dict."""
    try:
        if isinstance(like, MutableMapping):
            clone = copy.copy(like)
            clone.update(entries)
            return clone
        return type(like)(entries)
    except TypeError:
        return entries


def rebuild_sequence(like: Sequence, entries: list) -> Any:
    """``entries`` in a sequence of the type of ``like`` (a copy of it, to keep its other state), else in a list."""
    try:
        if isinstance(like, MutableSequence):
            clone = copy.copy(like)
            for i, entry in enumerate(entries):
                clone[i] = entry
            return clone
        return type(like)(entries)
    except TypeError:
        return entries


def is_namedtuple(value: Any) -> bool:
    """Whether ``value`` is a tuple with named fields."""
    return isinstance(value, tuple) and hasattr(value, "_fields")


def _is_text_or_object(dtype: np.dtype) -> bool:
    return dtype.kind in "SUO"


def default_convert(data: Any) -> Any:
    """NumPy arrays and scalars anywhere in ``data`` as tensors, everything else as it is.

    The default ``collate_fn`` of a loader without batching. A plain tuple comes back as a list; text and object
    arrays stay arrays.
    """
    if isinstance(data, Tensor):
        return data
    if isinstance(data, np.ndarray):
        return data if _is_text_or_object(data.dtype) else ops.as_tensor(data)
    if isinstance(data, (np.bool_, np.number)):
        return ops.as_tensor(data)
    if isinstance(data, Mapping):
        return rebuild_mapping(data, {key: default_convert(data[key]) for key in data})
    if is_namedtuple(data):
        return type(data)(*map(default_convert, data))
    if isinstance(data, tuple):
        return [default_convert(item) for item in data]
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return rebuild_sequence(data, [default_convert(item) for item in data])
    return data


def collate(batch: Sequence, *, collate_fn_map: CollateMap | None = None) -> Any:
    """Collate ``batch`` by the type of its first element.

    ``collate_fn_map`` maps a type (or tuple of types) to ``fn(batch, *, collate_fn_map)``: the exact type is looked up
    first, then the entries in order with isinstance. Mappings, named tuples and sequences are collated field by field.
    Raises RuntimeError for sequences of unequal length and TypeError for a type that is not known.
    """
    first = batch[0]
    kind = type(first)
    if collate_fn_map is not None:
        if kind in collate_fn_map:
            return collate_fn_map[kind](batch, collate_fn_map=collate_fn_map)
        for known, function in collate_fn_map.items():
            if isinstance(first, known):
                return function(batch, collate_fn_map=collate_fn_map)
    if isinstance(first, Mapping):
        entries = {key: collate([item[key] for item in batch], collate_fn_map=collate_fn_map) for key in first}
        return rebuild_mapping(first, entries)
    if is_namedtuple(first):
        return kind(*(collate(column, collate_fn_map=collate_fn_map) for column in zip(*batch)))
    if isinstance(first, Sequence):
        size = len(first)
        if any(len(item) != size for item in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        columns = [collate(column, collate_fn_map=collate_fn_map) for column in zip(*batch)]
        return columns if isinstance(first, tuple) else rebuild_sequence(first, columns)
    raise TypeError(default_collate_err_msg_format.format(kind))


def _alike(batch: Sequence[Tensor]) -> bool:
    shape, dtype = batch[0].shape, batch[0].dtype
    return all(type(t) is Tensor and t.shape == shape and t.dtype == dtype and not t.requires_grad for t in batch)


def collate_tensor_fn(batch: Sequence[Tensor], *, collate_fn_map: CollateMap | None = None) -> Tensor:
    """Stack equally shaped tensors along a new first dimension."""
    if get_worker_info() is not None and _alike(batch):  # no device here: one copy on the host
        return from_host_array(np.stack([to_host_array(tensor) for tensor in batch]), batch[0].dtype)
    return ops.stack(tuple(batch), 0)


def collate_numpy_array_fn(batch: Sequence[np.ndarray], *, collate_fn_map: CollateMap | None = None) -> Any:
    """Stack numeric arrays into a tensor; TypeError for text and object arrays."""
    first = batch[0]
    if _is_text_or_object(first.dtype):
        raise TypeError(default_collate_err_msg_format.format(first.dtype))
    same = all(item.shape == first.shape and item.dtype == first.dtype for item in batch)
    replaced = collate_fn_map is None or collate_fn_map.get(Tensor) is not collate_tensor_fn
    if same and not replaced:  # one pass on the host instead of a tensor for each sample
        return ops.from_numpy(np.stack(batch))
    return collate([ops.as_tensor(item) for item in batch], collate_fn_map=collate_fn_map)


def collate_numpy_scalar_fn(batch: Sequence[np.generic], *, collate_fn_map: CollateMap | None = None) -> Tensor:
    """NumPy scalars as a 1-D tensor of their dtype."""
    return ops.as_tensor(np.asarray(batch))


def collate_float_fn(batch: Sequence[float], *, collate_fn_map: CollateMap | None = None) -> Tensor:
    """Python floats as a 1-D float64 tensor."""
    return ops.tensor(batch, dtype=dtypes.float64)


def collate_int_fn(batch: Sequence[int], *, collate_fn_map: CollateMap | None = None) -> Tensor:
    """Python ints (or bools) as a 1-D int64 (or bool) tensor."""
    return ops.tensor(batch)


def collate_str_fn(batch: Sequence[str | bytes], *, collate_fn_map: CollateMap | None = None) -> Sequence[str | bytes]:
    """Text and bytes stay as they are."""
    return batch


default_collate_fn_map: CollateMap = {
    Tensor: collate_tensor_fn,
    np.ndarray: collate_numpy_array_fn,
    (np.bool_, np.number, np.object_): collate_numpy_scalar_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}


def default_collate(batch: Sequence) -> Any:
    """Samples to a batch, by type: tensors, arrays and numbers become tensors with a new first dimension.

    float -> float64, int -> int64; str and bytes stay; mappings, named tuples and sequences are collated field by field
    and keep their type (a plain tuple becomes a list). Extend it through ``default_collate_fn_map``.
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)
