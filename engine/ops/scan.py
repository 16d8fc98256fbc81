"""Scans: cumulative sums, products, extremes and log-sum-exps, differences and the trapezoid rule."""

from __future__ import annotations

from math import prod
from typing import Any

from .. import dtypes
from ..autograd.variable import Tensor
from ..graph.codegen import storage
from ..graph.library import reference
from ..graph.library.call import Int, KernelCall, Operand, Scratch
from ..graph.native import Native
from ..graph.scalar import c_type, short_name
from ..graph.spec import Spec
from .creation import FULL
from .join import cat
from .op import Op
from .pointwise import check_kind, wide
from .publish import function
from .reduce import named
from .scatter_kernel import load_save
from .views import wrap_dim

_WIDTH = 16
_STEPS = {"sum": "((acc)+(x))", "prod": "((acc)*(x))", "logsumexp": "eng_log_add_{t}((acc),(x))"}


def _options(dtype: dtypes.dtype, accumulator: str, **more: Any) -> tuple[str, ...]:
    load, save = load_save(dtype)
    fixed = {"T": storage(dtype), "C": c_type(dtype), "A": accumulator, "LOAD(x)": load, "SAVE(x)": save}
    return tuple(f"-D{name}={value}" for name, value in {**fixed, **more}.items())


def _geometry(shape: tuple[int, ...], dim: int) -> tuple[int, int, int]:
    return prod(shape[:dim]), shape[dim], prod(shape[dim + 1 :])


def scan(b: Any, x: Any, dim: int, how: str, reverse: bool = False) -> Any:
    """Inclusive scan of ``x`` along ``dim`` with "sum", "prod" or "logsumexp"; same dtype."""
    dtype, shape = x.dtype, x.shape
    if not x.ndim or not x.size:
        return x
    outer, n, inner = _geometry(shape, dim)

    def calls(caps: Any) -> list[KernelCall]:
        acc = c_type(dtype)
        if dtype is dtypes.float32 and caps.fp64 and how != "logsumexp":
            acc = "double"  # as torch: rounding errors of long rows stay below the element's own
        if dtype is dtypes.bool:
            acc = "int"
        short = {"float": "f32", "double": "f64"}.get(acc, "")
        step = _STEPS[how].format(t=short)
        start = {"sum": "0", "prod": "1"}.get(how, f"(({acc})(-INFINITY))")
        if dtype.is_complex and how == "prod":
            step, start = f"eng_cmul_{short_name(dtype)}((acc),(x))", f"(({acc})(1,0))"
        options = _options(
            dtype, acc, KIND=0, START=start, REVERSE=int(reverse),
            WIDTH=_WIDTH,
            **{"STEP(acc,x)": step, "JOIN(acc,x)": step},
        )  # fmt: skip
        if inner > 1:
            strips = -(-inner // _WIDTH)
            args = (Operand("out"), Operand("in"), Int(n), Int(inner), Int(strips))
            return [KernelCall("scan.cl", "eng_scan_columns", (outer * strips,), (1,), args, options)]
        units = max(1, caps.compute_units) * (32 if caps.kind == "gpu" else 1)
        blocks = min(max(1, units // outer), max(1, n // 256)) if outer < units else 1
        block = -(-n // blocks)
        size = 8 if acc in ("double", "long", "ulong") else 4
        totals = Scratch("totals", max(outer * blocks * size, 64), size)
        sizes = (Int(n), Int(blocks), Int(block))
        row = KernelCall(
            "scan.cl", "eng_scan_row", (outer * blocks,), (1,), (Operand("out"), Operand("in"), totals, *sizes), options
        )
        if blocks == 1:
            return [row]
        first = KernelCall(
            "scan.cl", "eng_scan_totals", (outer * blocks,), (1,), (totals, Operand("in"), *sizes), options
        )
        return [first, row]

    native = Native(
        "scan", ("in",), ("out",), ((shape, dtype),), calls, False, ("math.cl",), reference.scan(dim, how, reverse)
    )
    return b.kernel(native, (x.contiguous(),), native.outputs)[0]


def _lines(caps: Any, count: int, n: int) -> tuple[int, int]:
    """(groups, lines a group) for kernels in which a work-item runs whole lines."""
    groups = count if caps.kind == "gpu" else min(count, caps.compute_units if count * n > 4096 else 1)
    return -(-count // -(-count // groups)), -(-count // groups)


# -- cumsum, cumprod --------------------------------------------------------------------------------------------------
def _result_dtype(x: Spec, dtype: Any) -> dtypes.dtype:
    return dtype or (x.dtype if x.floating else dtypes.int64)


def _cum_rule(x: Spec, dim: int, dtype: dtypes.dtype, reverse: bool = False) -> Any:
    return tuple(x.shape), dtype


_cumsum = Op(
    "cumsum",
    _cum_rule,
    lambda b, x, dim, dtype, reverse: scan(b, x.cast(dtype), dim, "sum", reverse),
    lambda ctx, g: (_cumsum((g,), (ctx.static[0], g._spec.dtype, not ctx.static[2])),),
)
_cumprod = Op(
    "cumprod",
    _cum_rule,
    lambda b, x, dim, dtype: scan(b, x.cast(dtype), dim, "prod"),
    lambda ctx, g: (_cumprod_grad(ctx, g),),
    saves=(0,),
)


def _shifted(x: Tensor, dim: int, by: int, fill: float) -> Tensor:
    """Elements moved by one place along ``dim``; the free place holds ``fill``."""
    n = x._spec.shape[dim]
    edge = FULL((*x._spec.shape[:dim], 1, *x._spec.shape[dim + 1 :]), fill, x._spec.dtype, x._spec.device)
    return cat([edge, x.narrow(dim, 0, n - 1)], dim) if by > 0 else cat([x.narrow(dim, 1, n - 1), edge], dim)


def _cumprod_grad(ctx: Any, g: Tensor) -> Tensor:
    """(product before k) r_k with r_k = g_k + x_{k+1} r_{k+1}: no division, so zeros need no care."""
    x = ctx.inputs[0].to(g._spec.dtype)
    x = x.conj() if x._spec.dtype.is_complex else x
    dim = ctx.static[0]
    if not x._spec.ndim or not x._spec.numel:
        return g
    before = _shifted(x, dim, 1, 1).cumprod(dim)
    return before * _recurrence((_shifted(x, dim, -1, 0), g), (dim, True))


def _recurrence_lower(b: Any, a: Any, c: Any, dim: int, reverse: bool) -> Any:
    dtype, shape = c.dtype, c.shape
    if not c.size:
        return c
    outer, n, inner = _geometry(shape, dim)

    def calls(caps: Any) -> list[KernelCall]:
        acc = "double" if dtype is dtypes.float32 and caps.fp64 else c_type(dtype)
        groups, block = _lines(caps, outer * inner, n)
        args = (Operand("out"), Operand("a"), Operand("b"), Int(n), Int(inner), Int(outer * inner), Int(block))
        times = f"eng_cmul_{short_name(dtype)}((a),(b))" if dtype.is_complex else "((a)*(b))"
        options = _options(dtype, acc, KIND=2, REVERSE=int(reverse), **{"TIMES(a,b)": times})
        return [KernelCall("scan.cl", "eng_recurrence", (groups,), (1,), args, options)]

    native = Native(
        "recurrence",
        ("a", "b"),
        ("out",),
        ((shape, dtype),),
        calls,
        False,
        ("math.cl",),
        reference.recurrence(dim, reverse),
    )
    return b.kernel(native, (a.contiguous(), c.contiguous()), native.outputs)[0]


def _recurrence_grad(ctx: Any, h: Tensor) -> tuple:
    """The adjoint of a linear recurrence is one in the other direction."""
    a, y = ctx.inputs[0], ctx.outputs[0]
    if a._spec.dtype.is_complex:
        a, y = a.conj(), y.conj()
    dim, reverse = ctx.static
    s = _recurrence((_shifted(a, dim, 1 if reverse else -1, 0), h), (dim, not reverse))
    return s * _shifted(y, dim, -1 if reverse else 1, 0), s


_recurrence = Op(
    "recurrence",
    lambda a, c, dim, reverse: (tuple(c.shape), c.dtype),
    _recurrence_lower,
    _recurrence_grad,
    saves=(0,),
    saves_out=(0,),
)


@function(inplace=True, out=True)
def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Running sum along ``dim``. Integers sum in int64."""
    seen = input._spec
    return _cumsum((input,), (wrap_dim(dim, seen.ndim), _result_dtype(seen, dtype), False))


@function(inplace=True, out=True)
def cumprod(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Running product along ``dim``. Integers multiply in int64."""
    seen = input._spec
    return _cumprod((input,), (wrap_dim(dim, seen.ndim), _result_dtype(seen, dtype)))


# -- logcumsumexp -----------------------------------------------------------------------------------------------------
def _lcse_lower(b: Any, x: Any, dim: int) -> Any:
    return scan(b, x.cast(wide(x.dtype)), dim, "logsumexp").cast(x.dtype)


def _lcse_grad(ctx: Any, g: Tensor) -> tuple:
    """exp(x_k - y_k) r_k with r_k = g_k + exp(y_k - y_{k+1}) r_{k+1}; no exponent is positive."""
    x, y = ctx.inputs[0], ctx.outputs[0]
    (dim,) = ctx.static
    if not x._spec.ndim:
        return (g,)
    if not x._spec.numel:
        return (g,)
    ratio = (y - _shifted(y, dim, -1, float("inf"))).exp()
    ratio = ratio.masked_fill(y == -float("inf"), 0)
    share = (x - y).exp().masked_fill(x == -float("inf"), 0)
    return (share * _recurrence((ratio, g), (dim, True)),)


def _lcse_rule(x: Spec, dim: int) -> Any:
    check_kind("logcumsumexp_out_cpu", x.dtype, "f")
    return tuple(x.shape), x.dtype


_logcumsumexp = Op("logcumsumexp", _lcse_rule, _lcse_lower, _lcse_grad, saves=(0,), saves_out=(0,))


@function(out=True)
def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """log of the running sum of exp along ``dim``, without overflow."""
    return _logcumsumexp((input,), (wrap_dim(dim, input._spec.ndim),))


# -- cummax, cummin ---------------------------------------------------------------------------------------------------
_BETTER = {"max": ">=", "min": "<="}


def _extreme_lower(b: Any, x: Any, dim: int, how: str) -> list:
    dtype, shape = x.dtype, x.shape
    if not x.ndim or not x.size:
        return [x, b.const(0, dtypes.int64, shape).contiguous()]
    outer, n, inner = _geometry(shape, dim)
    better = f"((x){_BETTER[how]}(acc))"
    if dtype.is_floating_point:
        better = f"((x)!=(x)||((acc)==(acc)&&{better}))"

    def calls(caps: Any) -> list[KernelCall]:
        groups, block = _lines(caps, outer * inner, n)
        args = (Operand("out"), Operand("index"), Operand("in"), Int(n), Int(inner), Int(outer * inner), Int(block))
        options = _options(dtype, c_type(dtype), KIND=1, **{"BETTER(x,acc)": better})
        return [KernelCall("scan.cl", "eng_scan_extreme", (groups,), (1,), args, options)]

    native = Native(
        "scan_extreme",
        ("in",),
        ("out", "index"),
        ((shape, dtype), (shape, dtypes.int64)),
        calls,
        False,
        ("math.cl",),
        reference.running_extreme(dim, how),
    )
    return b.kernel(native, (x.contiguous(),), native.outputs)


def _extreme_grad(ctx: Any, g: Tensor, _: Any = None) -> tuple:
    x, index = ctx.specs[0], ctx.outputs[1]
    if not x.ndim or not x.numel:
        return (g,)
    return (FULL(x.shape, 0, g._spec.dtype, x.device).scatter_add(ctx.static[0], index, g),)


def _cumulative(name: str, how: str) -> Any:
    op = Op(
        name,
        lambda x, dim, how: [(tuple(x.shape), x.dtype), (tuple(x.shape), dtypes.int64)],
        _extreme_lower,
        _extreme_grad,
        saves_out=(1,),
        differentiable=(0,),
    )
    kind = named(name, "values indices")

    def call(input: Tensor, dim: int) -> Any:
        check_kind(f"{name}_cpu", input._spec.dtype, "biuf")
        return kind(*op((input,), (wrap_dim(dim, input._spec.ndim), how)))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"(values, indices) of the running {how}imum along ``dim``; of equal elements the last."
    return function(out=True)(call)


cummax, cummin = _cumulative("cummax", "max"), _cumulative("cummin", "min")


# -- differences and integrals ----------------------------------------------------------------------------------------
@function(out=True)
def diff(
    input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """Differences of neighbours along ``dim``, ``n`` times."""
    seen = input._spec
    if not seen.ndim:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    d = wrap_dim(dim, seen.ndim)
    if not n:
        return input.clone()
    parts = [t for t in (prepend, input, append) if t is not None]
    out = cat(parts, d) if len(parts) > 1 else input
    for _ in range(min(n, out._spec.shape[d])):
        size = out._spec.shape[d]
        a, b = out.narrow(d, 1, max(size - 1, 0)) if size else out, out.narrow(d, 0, max(size - 1, 0))
        out = a.logical_xor(b) if out._spec.dtype is dtypes.bool else a - b
    return out


def _trapezoids(y: Tensor, x: Any, dx: Any, dim: int) -> Tensor:
    d = wrap_dim(dim, y._spec.ndim)
    n = y._spec.shape[d]
    right, left = y.narrow(d, 1, n - 1), y.narrow(d, 0, n - 1)
    if x is None:
        return (right + left) * (dx / 2)
    if x._spec.ndim == 1:
        if x._spec.shape[0] != n:
            raise RuntimeError("trapezoid: There must be one `x` value for each sample point")
        shape = [1] * y._spec.ndim
        shape[d] = -1
        return (right + left) * x.diff().reshape(shape) / 2.0
    missing = y._spec.ndim - x._spec.ndim
    x = x.reshape((1,) * missing + tuple(x._spec.shape)) if missing > 0 else x
    return (right + left) * x.diff(dim=dim) / 2.0


def _integral(name: str, combine: Any, aliases: tuple[str, ...] = ()) -> Any:
    def call(y: Tensor, x: Tensor | None = None, *, dx: Any = 1, dim: int = -1) -> Tensor:
        d = wrap_dim(dim, y._spec.ndim)
        if y._spec.dtype is dtypes.bool or (x is not None and x._spec.dtype is dtypes.bool):
            raise RuntimeError(f"{name}: received a bool input for `y` or `x`, but bool is not supported")
        if y._spec.shape[d] == 0:
            shape = list(y._spec.shape)
            if name == "trapezoid":
                del shape[d]
            return FULL(shape, 0, y._spec.dtype, y._spec.device)
        if x is not None and x._spec.ndim > 1 and x._spec.shape[-1 if x._spec.ndim < y._spec.ndim else d] == 0:
            raise RuntimeError(f"{name}: There must be one `x` value for each sample point")
        return combine(_trapezoids(y, x, dx, dim), d)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = "The trapezoid rule along ``dim``, for samples at positions ``x`` or ``dx`` apart."
    return function(method=False, aliases=aliases)(call)


trapezoid = _integral("trapezoid", lambda t, d: t.sum(d), ("trapz",))
cumulative_trapezoid = _integral("cumulative_trapezoid", lambda t, d: t.cumsum(d))


@function(method=False)
def gradient(input: Tensor, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1) -> list[Tensor]:
    """Second-order accurate central differences along dimensions; one-sided of ``edge_order`` at the ends."""
    seen = input._spec
    dims = list(range(seen.ndim)) if dim is None else [dim] if isinstance(dim, int) else list(dim)
    dims = [wrap_dim(d, seen.ndim) for d in dims]
    for d in dims:
        if dims.count(d) > 1:
            raise RuntimeError(f"dim {d} appears multiple times in the list of dims")
    spacing = 1 if spacing is None else spacing
    if edge_order not in (1, 2):
        raise RuntimeError("torch.gradient only supports edge_order=1 and edge_order=2.")
    if isinstance(spacing, (list, tuple)) or (isinstance(spacing, Tensor) and spacing._spec.ndim):
        spaces = list(spacing) if isinstance(spacing, (list, tuple)) else [spacing]
        if len(spaces) != len(dims):
            raise RuntimeError(
                "torch.gradient expected spacing to be unspecified, a scalar, or it's length to be equal to "
                "'len(dim)', "
                f"but got {len(spaces)}"
            )
    else:
        spaces = [spacing] * len(dims)
    for d in dims:
        if seen.shape[d] < edge_order + 1:
            raise RuntimeError("torch.gradient expected each dimension size to be at least edge_order+1")
    return [_gradient(input, s, d, edge_order) for s, d in zip(spaces, dims)]


def _gradient(x: Tensor, space: Any, d: int, edge_order: int) -> Tensor:
    n = x._spec.shape[d]

    def at(start: int, count: int) -> Tensor:
        return x.narrow(d, start, count)

    if isinstance(space, Tensor) and space._spec.ndim:
        shape = [1] * x._spec.ndim
        shape[d] = -1
        h = space.diff().reshape(shape)
    else:
        real = x._spec.dtype if x._spec.floating else dtypes.default.get()
        h = FULL([n - 1 if k == d else 1 for k in range(x._spec.ndim)], 1, real, x._spec.device) * space

    def step(start: int, count: int) -> Tensor:
        return h.narrow(d, start, count)

    slope = (at(1, n - 1) - at(0, n - 1)) / h
    first, last = slope.narrow(d, 0, 1), slope.narrow(d, n - 2, 1)
    if n < 3:
        return cat([first, last], d)
    left, right = step(0, n - 2), step(1, n - 2)
    s0, s1 = slope.narrow(d, 0, n - 2), slope.narrow(d, 1, n - 2)
    inner = (s0 * right + s1 * left) / (left + right)
    if edge_order == 2:
        a, b = step(0, 1), step(1, 1)
        first = first + (slope.narrow(d, 0, 1) - slope.narrow(d, 1, 1)) * a / (a + b)
        a, b = step(n - 2, 1), step(n - 3, 1)
        last = last + (slope.narrow(d, n - 2, 1) - slope.narrow(d, n - 3, 1)) * a / (a + b)
    return cat([first, inner, last], d)
