"""Reductions along dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

from .. import dtypes
from ..autograd.backward import Ops
from ..autograd.mode import mode
from ..autograd.variable import Tensor
from ..graph.spec import Spec
from .op import Op
from .pointwise import check_kind, compute, wide
from .publish import function
from .views import wrap_dim

_EMPTY_DIM = (
    "Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the 'dim' argument."
)


def dims_of(dim: Any, ndim: int) -> tuple[int, ...]:
    """Sorted dimensions of a ``dim`` argument (None or empty: all). Raises RuntimeError for a repeated one."""
    if dim is None:
        return tuple(range(ndim))
    if isinstance(dim, (tuple, list)):
        if not dim:
            return tuple(range(ndim))
        dims = [wrap_dim(d, ndim) for d in dim]
        if len(set(dims)) != len(dims):
            repeated = next(d for d in dims if dims.count(d) > 1)
            raise RuntimeError(f"dim {repeated} appears multiple times in the list of dims")
        return tuple(sorted(dims)) if ndim else ()
    return (wrap_dim(dim, ndim),) if ndim else ()


def reduced_shape(x: Spec, dims: tuple[int, ...], keepdim: bool) -> tuple[int, ...]:
    """Shape after reducing ``dims``."""
    if keepdim:
        return tuple(1 if d in dims else n for d, n in enumerate(x.shape))
    return tuple(n for d, n in enumerate(x.shape) if d not in dims)


def restore(g: Tensor, x: Spec, dims: tuple[int, ...], keepdim: bool) -> Tensor:
    """A reduced gradient or result with its dimensions back, of size 1."""
    if keepdim or not dims or not x.ndim:
        return g
    return g.reshape(tuple(1 if d in dims else n for d, n in enumerate(x.shape)))


# -- sum, mean, prod --------------------------------------------------------------------------------------------------
def _by_dims(name: str) -> Any:
    """The recorded function's name: torch's of a reduction to one number, or of one along dimensions."""

    def variant(specs: tuple, static: tuple) -> str:
        return f"{name}Backward{int(len(static[0]) != specs[0].ndim or static[1])}"

    return variant


def _sum_lower(b: Any, x: Any, dims: tuple, keepdim: bool, dtype: dtypes.dtype) -> Any:
    return b.sum(x.cast(wide(dtype)), dims, keepdim).cast(dtype)


_sum = Op(
    "sum",
    lambda x, dims, keepdim, dtype: (reduced_shape(x, dims, keepdim), dtype),
    _sum_lower,
    lambda ctx, g: (restore(g, ctx.specs[0], *ctx.static[:2]).expand(ctx.specs[0].shape),),
    variant=_by_dims("Sum"),
)


def _accumulated(x: Spec, dtype: Any) -> dtypes.dtype:
    if dtype is not None:
        return dtype
    return x.dtype if x.floating else dtypes.int64


@function(out=True)
def sum(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """Sum along ``dim`` (all by default). Integers sum in int64."""
    seen = input._spec
    return _sum((input,), (dims_of(dim, seen.ndim), keepdim, _accumulated(seen, dtype)))


def sum_to(x: Tensor, shape: Sequence[int]) -> Tensor:
    """Sum so that ``x``'s shape becomes ``shape``, from which it was broadcast (or expand to it)."""
    have = x._spec.shape
    lead = len(have) - len(shape)
    if lead < 0:
        return x.expand(*shape)
    dims = tuple(range(lead)) + tuple(d for d in range(lead, len(have)) if shape[d - lead] == 1 and have[d] != 1)
    out = _sum((x,), (dims, True, x._spec.dtype)) if dims else x
    if out._spec.shape != tuple(shape):
        out = (
            out.reshape(tuple(shape))
            if prod(shape) == out._spec.numel
            else out.reshape(out._spec.shape[lead:]).expand(*shape)
        )
    return out


Ops.sum_to = sum_to


@function(torch=False)
def sum_to_size(self: Tensor, *size: Any) -> Tensor:
    """Sum to a size from which this one can be broadcast."""
    shape = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size
    if not self._spec.floating and shape != tuple(self._spec.shape):  # integers sum in int64
        self = self.to(dtypes.int64)
    return sum_to(self, shape)


def _mean_lower(b: Any, x: Any, dims: tuple, keepdim: bool, dtype: dtypes.dtype) -> Any:
    count = prod(x.shape[d] for d in dims)
    total = b.sum(x.cast(wide(dtype)), dims, keepdim)
    return (total / float(count)).cast(dtype)


def _mean_rule(x: Spec, dims: tuple, keepdim: bool, dtype: dtypes.dtype) -> Any:
    if not (dtype.is_floating_point or dtype.is_complex):
        raise RuntimeError(
            f"mean(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. Got: "
            f"{_name(dtype)}"
        )
    return reduced_shape(x, dims, keepdim), dtype


def _name(dtype: dtypes.dtype) -> str:
    names = {"int64": "Long", "int32": "Int", "int16": "Short", "int8": "Char", "uint8": "Byte", "bool": "Bool"}
    return names.get(dtype.name, dtype.name)


_mean_back = Op(
    "mean_backward",
    lambda g, x, dims, keepdim: (tuple(x), g.dtype),
    lambda b, g, x, dims, keepdim: _spread_back(b, g, x, dims, keepdim),
)


def _spread_back(b: Any, g: Any, x: tuple, dims: tuple, keepdim: bool) -> Any:
    """A mean's gradient: g / N everywhere it came from."""
    if not keepdim:
        for d in dims:
            g = g.unsqueeze(d)
    count = prod(x[d] for d in dims)
    return (compute(g) / float(count or 1)).cast(g.dtype).expand(x).contiguous()


def _mean_grad(ctx: Any, g: Tensor) -> tuple:
    x, (dims, keepdim, _) = ctx.specs[0], ctx.static
    if not mode.grad:
        return (_mean_back((g,), (tuple(x.shape), dims, keepdim or not x.ndim)),)
    count = prod(x.shape[d] for d in dims)
    return ((restore(g, x, dims, keepdim) / (count or 1)).expand(x.shape),)


_mean = Op("mean", _mean_rule, _mean_lower, _mean_grad, variant=_by_dims("Mean"))


@function(out=True)
def mean(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """Arithmetic mean along ``dim`` (all by default)."""
    seen = input._spec
    return _mean((input,), (dims_of(dim, seen.ndim), keepdim, dtype or seen.dtype))


def _prod_lower(b: Any, x: Any, dims: tuple, keepdim: bool, dtype: dtypes.dtype) -> Any:
    return b.reduce("prod", x.cast(wide(dtype)), dims, keepdim).cast(dtype)


def _prod_grad(ctx: Any, g: Tensor) -> tuple:
    """g times the product of the others: exclusive products from both ends, exact also where elements are zero."""
    x = ctx.inputs[0]
    (dims, keepdim, _), seen = ctx.static, ctx.specs[0]
    if not seen.ndim:
        return (g,)
    g = restore(g, seen, dims, keepdim)
    kept = [d for d in range(seen.ndim) if d not in dims]
    rows = x.permute(*kept, *dims).reshape([seen.shape[d] for d in kept] + [-1])
    ones = rows.new_ones(rows.shape[:-1] + (1,))
    left = CAT([ones, rows[..., :-1]], -1).cumprod(-1)
    right = CAT([ones, rows.flip(-1)[..., :-1]], -1).cumprod(-1).flip(-1)
    others = (left * right).reshape([seen.shape[d] for d in (*kept, *dims)])
    order = [(*kept, *dims).index(d) for d in range(seen.ndim)]
    others = others.permute(order)
    return (g * (others.conj() if seen.dtype.is_complex else others),)


CAT: Any = None  # set by join
_prod = Op(
    "prod",
    lambda x, dims, keepdim, dtype: (reduced_shape(x, dims, keepdim), dtype),
    _prod_lower,
    _prod_grad,
    saves=(0,),
    variant=_by_dims("Prod"),
)


@function(out=True, name="prod")
def product(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """Product along ``dim`` (all by default). Integers multiply in int64."""
    seen = input._spec
    return _prod((input,), (dims_of(dim, seen.ndim), keepdim, _accumulated(seen, dtype)))


# -- extremes ---------------------------------------------------------------------------------------------------------
def _need_elements(name: str, x: Spec, dims: tuple[int, ...], given: bool = True) -> None:
    for d in dims:
        if x.ndim and x.shape[d] == 0:
            if not given:
                raise RuntimeError(f"{name}(): {_EMPTY_DIM}")
            raise IndexError(f"{name}(): Expected reduction dim {d} to have non-zero size.")


def _ext_lower(fn: str) -> Any:
    return lambda b, x, dims, keepdim: b.reduce(fn, compute(x), dims, keepdim).cast(x.dtype)


def _ext_grad(ctx: Any, g: Tensor) -> tuple:
    """Equal shares for elements that tie."""
    x, out = ctx.inputs[0], ctx.outputs[0]
    dims, keepdim = ctx.static
    hit = (x == restore(out, ctx.specs[0], dims, keepdim)).to(g._spec.dtype)
    if not ctx.specs[0].ndim:
        return (g * hit,)
    return (hit * (restore(g, ctx.specs[0], dims, keepdim) / hit.sum(dims, True)),)


def _extreme(name: str, fn: str, grad_name: str | None = None) -> Op:
    def rule(x: Spec, dims: tuple, keepdim: bool) -> Any:
        check_kind(name, x.dtype, "biuf")
        return reduced_shape(x, dims, keepdim), x.dtype

    return Op(name, rule, _ext_lower(fn), _ext_grad, saves=(0,), saves_out=(0,), grad_name=grad_name)


_amax, _amin = _extreme("amax", "max"), _extreme("amin", "min")
_max_all, _min_all = _extreme("max", "max", "MaxBackward1"), _extreme("min", "min", "MinBackward1")


@function(out=True)
def amax(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    """Largest element along ``dim``; the gradient is shared equally by elements that tie."""
    dims = dims_of(dim, input._spec.ndim)
    _need_elements("amax", input._spec, dims, dim != ())
    return _amax((input,), (dims, keepdim))


@function(out=True)
def amin(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    """Smallest element along ``dim``; the gradient is shared equally by elements that tie."""
    dims = dims_of(dim, input._spec.ndim)
    _need_elements("amin", input._spec, dims, dim != ())
    return _amin((input,), (dims, keepdim))


def arg_lower(b: Any, x: Any, fn: str, dim: int, keepdim: bool) -> tuple[Any, Any]:
    """Extreme and the position of the first element equal to it (the first NaN where there is one)."""
    x = compute(x)
    best = b.reduce(fn, x, [dim], True)
    hit = b.eq(x, best)
    if x.dtype.is_floating_point:
        hit = hit | b.is_nan(x)
    n = x.shape[dim]
    position = b.where(hit, b.iota(x.shape, dim), b.const(n, dtypes.int64))
    index = b.reduce("min", position, [dim], keepdim)
    return (best if keepdim else best.squeeze(dim)), index


def _arg_op(name: str, fn: str) -> Op:
    def rule(x: Spec, dim: int, keepdim: bool) -> list:
        check_kind(name, x.dtype, "biuf")
        shape = reduced_shape(x, (dim,), keepdim) if x.ndim else ()
        return [(shape, x.dtype), (shape, dtypes.int64)]

    def lower(b: Any, x: Any, dim: int, keepdim: bool) -> list:
        if not x.ndim:
            return [x, b.const(0, dtypes.int64).contiguous()]
        best, index = arg_lower(b, x, fn, dim, keepdim)
        return [best.cast(x.dtype), index]

    return Op(
        name, rule, lower, _pick_grad, saves_out=(1,), grad_name=f"{fn.capitalize()}Backward0", differentiable=(0,)
    )


def _pick_grad(ctx: Any, g: Tensor, _: Any = None) -> tuple:
    """The gradient goes to the chosen element."""
    x, (dim, keepdim, *_rest) = ctx.specs[0], ctx.static
    if not x.ndim:
        return (g,)
    index = ctx.outputs[1]
    if not keepdim:
        g, index = g.unsqueeze(dim), index.unsqueeze(dim)
    where = Ops.arange_like(x, dim) == index
    return (g * where,)


_max_dim, _min_dim = _arg_op("max", "max"), _arg_op("min", "min")


def named(name: str, fields: str) -> type:
    """A named tuple type that prints as torch.return_types does."""
    made = NamedTuple(name, [(f, Any) for f in fields.split()])

    def show(self: tuple) -> str:
        body = ",\n".join(f"{f}={v!r}" for f, v in zip(made._fields, self))
        return f"torch.return_types.{name}(\n{body})"

    made.__repr__ = show
    return made


MaxResult, MinResult = named("max", "values indices"), named("min", "values indices")


def _minmax(name: str, reduce_all: Op, along: Op, elementwise: Any, kind: type) -> Any:
    def call(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
        if isinstance(dim, Tensor) or other is not None:
            return elementwise(input, dim if other is None else other)
        seen = input._spec
        if dim is None:
            if seen.numel == 0:
                raise RuntimeError(f"{name}(): {_EMPTY_DIM}")
            return reduce_all((input,), (tuple(range(seen.ndim)), False))
        d = wrap_dim(dim, seen.ndim)
        _need_elements(name, seen, (d,))
        return kind(*along((input,), (d, keepdim)))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"``{name}`` of all elements, along ``dim`` (values, indices), or of two tensors elementwise."
    return function(out=True)(call)


def _binary(name: str) -> Any:
    return lambda x, y: REGISTRY[name].call(x, y)


from .publish import registry as REGISTRY  # noqa: E402

max = _minmax("max", _max_all, _max_dim, _binary("maximum"), MaxResult)
min = _minmax("min", _min_all, _min_dim, _binary("minimum"), MinResult)


def _argext(name: str, fn: str) -> Any:
    def rule(x: Spec, dim: int, keepdim: bool) -> Any:
        check_kind(name, x.dtype, "iuf")
        return (reduced_shape(x, (dim,), keepdim) if x.ndim else ()), dtypes.int64

    def lower(b: Any, x: Any, dim: int, keepdim: bool) -> Any:
        if not x.ndim:
            return b.const(0, dtypes.int64).contiguous()
        return arg_lower(b, x, fn, dim, keepdim)[1]

    op = Op(name, rule, lower)

    def call(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
        seen = input._spec
        if dim is None:
            if seen.numel == 0:
                raise IndexError(f"{name}(): {_EMPTY_DIM}")
            flat = op((input.reshape(-1),), (0, False))
            return flat.reshape((1,) * seen.ndim) if keepdim else flat
        d = wrap_dim(dim, seen.ndim)
        _need_elements(name, seen, (d,))
        return op((input,), (d, keepdim))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = (
        f"Index of the {fn} element along ``dim`` (of the flattened tensor by default); the first one on ties."
    )
    return function(out=True)(call)


argmax, argmin = _argext("argmax", "max"), _argext("argmin", "min")


# -- truth ------------------------------------------------------------------------------------------------------------
def _truth(name: str, fn: str) -> Any:
    def rule(x: Spec, dims: tuple, keepdim: bool) -> Any:
        return reduced_shape(x, dims, keepdim), dtypes.uint8 if x.dtype is dtypes.uint8 else dtypes.bool

    def lower(b: Any, x: Any, dims: tuple, keepdim: bool) -> Any:
        out = b.reduce(fn, x.cast(dtypes.bool), dims, keepdim)
        return out.cast(dtypes.uint8) if x.dtype is dtypes.uint8 else out

    op = Op(name, rule, lower)

    def call(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
        return op((input,), (dims_of(dim, input._spec.ndim), keepdim))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"Whether {name} elements along ``dim`` are true."
    return function(out=True)(call)


any_, all_ = _truth("any", "max"), _truth("all", "min")


# -- variance ---------------------------------------------------------------------------------------------------------
def _var_lower(b: Any, x: Any, correction: float, dims: tuple, keepdim: bool, root: bool) -> Any:
    v = compute(x)
    count = prod(x.shape[d] for d in dims)
    mean_ = b.sum(v, dims, True) / float(count)
    d = v - mean_
    total = b.sum(d * d, dims, keepdim)
    divisor = b.pw("max", b.const(float(count), v.dtype) - correction.cast(v.dtype), 0.0)
    out = total / divisor
    return (b.sqrt(out) if root else out).cast(x.dtype)


def _var_grad(ctx: Any, g: Tensor) -> tuple:
    x = ctx.inputs[0]
    (dims, keepdim, root), (correction,) = ctx.static, ctx.scalars
    count = prod(ctx.specs[0].shape[d] for d in dims)
    g = restore(g, ctx.specs[0], dims, keepdim)
    centred = x - x.mean(dims, True) if x._spec.ndim else x - x
    left = count - correction
    scale = 2.0 / left if left > 0 else (float("nan") if left == 0 else float("inf"))
    if root:
        out = restore(ctx.outputs[0], ctx.specs[0], dims, keepdim)
        g = (g / (out * 2)).masked_fill(out == 0, 0)
    return (centred * (g * scale),)


def _var_rule(x: Spec, dims: tuple, keepdim: bool, root: bool) -> Any:
    if not x.floating:
        raise RuntimeError("std and var only support floating point and complex dtypes")
    return reduced_shape(x, dims, keepdim), x.dtype


_var = Op("var", _var_rule, _var_lower, _var_grad, saves=(0,), saves_out=(0,), scalars=(dtypes.float32,),
          variant=lambda specs, static: "StdBackward0" if static[2] else "VarBackward0")  # fmt: skip


def _spread(name: str, root: bool) -> Any:
    def call(
        input: Tensor, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None
    ) -> Tensor:
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        if correction is None:
            correction = 1 if unbiased is None or unbiased else 0
        dims = dims_of(dim, input._spec.ndim)
        if input._spec.dtype.is_complex:
            parts = [_var((part,), (dims, keepdim, False), (float(correction),)) for part in (input.real, input.imag)]
            return (parts[0] + parts[1]).sqrt() if root else parts[0] + parts[1]
        return _var((input,), (dims, keepdim, root), (float(correction),))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"``{name}`` along ``dim`` with divisor N - correction."
    return function(out=True)(call)


var, std = _spread("var", False), _spread("std", True)


@function(method=False)
def var_mean(
    input: Tensor, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None
) -> tuple:
    """(variance, mean) along ``dim``."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    return var(input, dim, unbiased, keepdim, correction=correction), mean(input, dim, keepdim)


@function(method=False)
def std_mean(
    input: Tensor, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None
) -> tuple:
    """(standard deviation, mean) along ``dim``."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    return std(input, dim, unbiased, keepdim, correction=correction), mean(input, dim, keepdim)
