"""All ops. Each is declared once, in the file of its family; this module is their namespace."""

from __future__ import annotations

from typing import Any

from ..autograd.backward import Ops
from ..autograd.inplace import Before, Overwrite
from . import (
    activation,
    arithmetic,
    attention,
    buffers,
    complex_numbers,
    contraction,
    conv,
    creation,
    cross_entropy,
    distance,
    dropout,
    elementary,
    embedding,
    factories,
    floats,
    fourier,
    gamma_draws,
    indexing,
    join,
    linalg_eigen,
    linalg_factor,
    linalg_matrix,
    linalg_solve,
    loss,
    matmul,
    movement,
    norm,
    pad,
    pool,
    random_ops,
    reduce,
    resample,
    scan,
    scattering,
    search,
    select,
    softmax,
    sort,
    special,
    statistics,
    ternary,
    triangular,
    view_copies,
    views,
    windows,
)
from .publish import out_of, registry
from .record_names import name_records

name_records()

Ops.cast = creation.cast
Ops.clone = lambda x: creation.copy_in_order(x, None)
Ops.clone_like = lambda x, like: creation.copy_in_order(x, creation._order_of(like))
Ops.ones_spec = lambda s: creation.ONES((), (s,))
Ops.zeros = lambda x: creation.zeros_of(tuple(x._spec.shape), x._spec.dtype, x._spec.device)
Ops.zeros_spec = lambda s: creation.zeros_of(tuple(s.shape), s.dtype, s.device)
Ops.has_nan = lambda x: bool(arithmetic.isnan(x).any().item())
Ops.stack = join.stack
Ops.sum_first = lambda x: reduce.sum(x, (0,))
Ops.from_array = lambda array, device: creation.from_array(array, None, device)
Ops.one_hot = lambda n, i, s: (factories.arange(n, device=s.device) == i).to(s.dtype)
Ops.alias = views.alias_of
Overwrite.zeros = staticmethod(lambda g: creation.zeros_of(tuple(g._spec.shape), g._spec.dtype, g._spec.device))
Before.copy = staticmethod(Ops.clone)


def _arange_like(x: Any, dim: int) -> Any:
    shape = [1] * x.ndim
    shape[dim] = -1
    return factories.arange(x.shape[dim], device=x.device).reshape(shape)


Ops.arange_like = _arange_like


def _publish() -> tuple[dict[str, Any], list[str]]:
    """All functions by name, and the names that belong in the flat namespace."""
    functions: dict[str, Any] = {}
    flat: list[str] = []
    for public in registry.values():
        call = out_of(public.call, public.name) if public.out else public.call
        for name in (public.name, *public.aliases):
            functions[name] = call
            if public.torch:
                flat.append(name)
    return functions, flat


_functions, __all__ = _publish()
globals().update(_functions)
