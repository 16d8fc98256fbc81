"""In-place changes: putting a value into a tensor's memory."""

from __future__ import annotations

from typing import Any

from .. import dtypes
from ..autograd.inplace import check_inplace, rebase
from ..autograd.mode import mode
from ..autograd.records import edge_of
from ..autograd.variable import Tensor
from ..dtypes import scalar_type_name
from ..graph.log import log_of
from ..graph.node import Call, write_call
from ..graph.spec import Spec, spec


def assign(x: Tensor, value: Tensor, name: str = "copy_", steal: bool = False, checked: bool = False) -> Tensor:
    """Give ``x``, in place, the value (and the record) of ``value``; returns ``x``.

    ``steal``: nobody else holds ``value``, so its node may simply change hands. ``checked``: check_inplace was called.
    Raises RuntimeError for a leaf that requires grad, another shape, or a dtype that cannot be cast.
    """
    seen, new = x._spec, value._spec
    if not checked:
        check_inplace(x, name, value._rg)
    if new.shape != seen.shape:
        raise RuntimeError(f"output with shape {list(seen.shape)} doesn't match the broadcast shape {list(new.shape)}")
    if new.dtype is not seen.dtype and not dtypes.can_cast(new.dtype, seen.dtype):
        raise RuntimeError(
            f"result type {scalar_type_name(new.dtype)} can't be cast to the desired output type "
            f"{scalar_type_name(seen.dtype)}"
        )
    if new.dtype is not seen.dtype:
        value = CAST(value, seen.dtype)
        steal = True
    put(x, value, steal)
    return x


CAST: Any = None  # set by ops.creation: conversion as a tensor op


def put(x: Tensor, value: Tensor, steal: bool = False, overwrites: Any = False) -> None:
    """Move a value of ``x``'s shape and dtype into ``x``'s storage and connect the record.

    ``overwrites``: the value does not come from ``x``'s old one, which thus gets a zero gradient.
    """
    store(x, value, steal)
    if mode.grad and (x._rg or value._rg):
        rebase(x, edge_of(value), overwrites)


def store(x: Tensor, value: Tensor, steal: bool = False) -> None:
    """Make ``value`` the content of ``x``'s memory, without any record."""
    storage, seen = x._storage, x._spec
    graph = seen.device.graph or log_of(seen.device)
    node = value._storage.node
    new = value._spec
    if (
        seen.offset == 0
        and seen.numel == storage.node.call.out.numel
        and seen.dtype is storage.node.call.out.dtype
        and (new is seen or (new.stride == seen.stride and new.offset == 0))
        and _dense(seen)
        and new.numel == node.call.out.numel
        and value._storage is not storage
    ):
        if steal and node.buffer is None:
            storage.put(node)
        else:
            storage.put(graph.add(_alias_call(node.call.out), (node,)))
    elif not (mode.grad and (x._rg or value._rg)) and graph.write_part(storage, seen, node, new):
        storage.version += 1
    else:
        base = storage.node
        storage.put(graph.add(write_call(base.call.out, seen, new), (base, node)))
    if x._aside:
        storage.version -= 1
    if storage.pin is not None:
        graph.settle(storage)


_alias_calls: dict[Spec, Call] = {}


def _alias_call(flat: Spec) -> Call:
    call = _alias_calls.get(flat)
    if call is None:
        call = _alias_calls[flat] = Call(
            "alias", lambda b, refs, scalars, call: refs[0], (flat_of(flat),), flat_of(flat)
        )
    return call


def flat_of(s: Spec) -> Spec:
    """The whole storage of a dense tensor as a flat description."""
    return spec(s.dtype, s.device, (s.numel,))


def _dense(s: Spec) -> bool:
    if s.contiguous:
        return True
    step = 1
    for stride, size in sorted((st, n) for st, n in zip(s.stride, s.shape) if n != 1):
        if stride != step:
            return False
        step *= size
    return True
