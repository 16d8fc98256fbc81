"""Pooling over windows of (N, C, *spatial) or (C, *spatial): maximum and average, with given or adaptive windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any

from .. import dtypes
from ..autograd.mode import mode
from ..autograd.variable import Tensor
from ..graph.library import pool as library
from ..graph.library import pool_reference as reference
from ..graph.native import Native
from ..graph.spec import Spec
from .op import Op
from .pointwise import check_kind
from .publish import function

Sizes = tuple[int, ...]


# -- ops --------------------------------------------------------------------------------------------------------------
# Static argument: a PoolProblem with planes 0, which tells kernel, stride and so on and the spatial input size.
def _with_planes(shape: Sequence[int], p: library.PoolProblem) -> library.PoolProblem:
    return library.PoolProblem(
        prod(shape[: len(shape) - len(p.in_size)]), p.in_size, p.kernel, p.stride, p.padding, p.dilation, p.ceil_mode,
        p.count_include_pad, p.divisor, p.adaptive_out,
    )  # fmt: skip


def _out_shape(x: Sequence[int], p: library.PoolProblem) -> Sizes:
    return (*x[: len(x) - len(p.in_size)], *p.out_size)


def _in_shape(y: Sequence[int], p: library.PoolProblem) -> Sizes:
    return (*y[: len(y) - len(p.in_size)], *p.in_size)


def _launch(
    b: Any, name: str, operands: dict[str, Any], outs: dict[str, tuple], calls: Any, reference: Callable[..., Any]
) -> list:  # fmt: skip
    if any(not r.size for r in operands.values()) or not all(prod(shape) for shape, _ in outs.values()):
        return [b.const(0, dtype, shape).contiguous() for shape, dtype in outs.values()]
    refs = [r if r.view.contiguous else r.contiguous() for r in operands.values()]
    native = Native(name, tuple(operands), tuple(outs), tuple(outs.values()), calls, reference=reference)
    return b.kernel(native, refs, native.outputs)


def _max_lower(b: Any, x: Any, p: library.PoolProblem) -> list:
    full, shape = _with_planes(x.shape, p), _out_shape(x.shape, p)
    return _launch(
        b, "max_pool", {"x": x}, {"out": (shape, x.dtype), "indices": (shape, dtypes.int64)},
        lambda caps: library.max_pool_forward(caps, x.dtype, full), partial(reference.max_forward, full),
    )  # fmt: skip


def _max_value_lower(b: Any, x: Any, p: library.PoolProblem) -> Any:
    full = _with_planes(x.shape, p)
    return _launch(
        b, "max_pool", {"x": x}, {"out": (_out_shape(x.shape, p), x.dtype)},
        lambda caps: library.max_pool_forward(caps, x.dtype, full, indices=False),
        lambda x: reference.max_forward(full, x)[0],
    )[0]  # fmt: skip


def _max_back_lower(b: Any, g: Any, indices: Any, p: library.PoolProblem) -> Any:
    shape = _in_shape(g.shape, p)
    full = _with_planes(shape, p)
    return _launch(
        b, "max_pool_backward", {"dy": g, "indices": indices}, {"out": (shape, g.dtype)},
        lambda caps: library.max_pool_backward(caps, g.dtype, full), partial(reference.max_backward, full),
    )[0]  # fmt: skip


def _pick_lower(b: Any, h: Any, indices: Any, p: library.PoolProblem) -> Any:
    """The element of each plane that won its window."""
    n = len(p.in_size)
    planes = prod(h.shape[:-n])
    flat = indices.reshape((planes, prod(p.out_size)))
    return b.take(h, flat + b.iota(flat.shape, 0) * prod(p.in_size)).reshape(indices.shape)


def _max_ops(name: str, grad_name: str) -> Op:
    return Op(
        name, lambda x, p: [(_out_shape(x.shape, p), x.dtype), (_out_shape(x.shape, p), dtypes.int64)], _max_lower,
        lambda ctx, g, _: (_max_back((g, ctx.outputs[1]), ctx.static),), saves_out=(1,), grad_name=grad_name,
    )  # fmt: skip


_max_value = Op("max_pool", lambda x, p: (_out_shape(x.shape, p), x.dtype), _max_value_lower)
_max_back = Op(
    "max_pool_backward", lambda g, indices, p: (_in_shape(g.shape, p), g.dtype), _max_back_lower,
    lambda ctx, h: (_pick((h, ctx.inputs[1]), ctx.static), None), saves=(1,),
)  # fmt: skip
_pick = Op(
    "max_pool_pick", lambda h, indices, p: (tuple(indices.shape), h.dtype), _pick_lower,
    lambda ctx, g: (_max_back((g, ctx.inputs[1]), ctx.static), None), saves=(1,),
)  # fmt: skip


def _avg_lower(b: Any, x: Any, p: library.PoolProblem) -> Any:
    full = _with_planes(x.shape, p)
    return _launch(
        b, "avg_pool", {"x": x}, {"out": (_out_shape(x.shape, p), x.dtype)},
        lambda caps: library.avg_pool_forward(caps, x.dtype, full), partial(reference.average_forward, full),
    )[0]  # fmt: skip


def _avg_back_lower(b: Any, g: Any, p: library.PoolProblem) -> Any:
    shape = _in_shape(g.shape, p)
    full = _with_planes(shape, p)
    return _launch(
        b, "avg_pool_backward", {"dy": g}, {"out": (shape, g.dtype)},
        lambda caps: library.avg_pool_backward(caps, g.dtype, full), partial(reference.average_backward, full),
    )[0]  # fmt: skip


def _avg_ops(name: str, grad_name: str) -> Op:
    return Op(
        name, lambda x, p: (_out_shape(x.shape, p), x.dtype), _avg_lower, lambda ctx, g: (_avg_back((g,), ctx.static),),
        grad_name=grad_name,
    )  # fmt: skip


_avg_back = Op(
    "avg_pool_backward", lambda g, p: (_in_shape(g.shape, p), g.dtype), _avg_back_lower,
    lambda ctx, h: (_avg((h,), ctx.static),),
)  # fmt: skip
_avg = _avg_ops("avg_pool", "AvgPoolBackward0")


# -- arguments --------------------------------------------------------------------------------------------------------
_WORDS = {1: "one int", 2: "two ints", 3: "three ints"}


def _sizes(value: Any, n: int, name: str, argument: str) -> Sizes:
    if isinstance(value, (tuple, list)):
        out = tuple(int(v) for v in value)
        if len(out) == 1:
            return out * n
        if len(out) != n:
            if n == 1:
                raise RuntimeError(
                    f"{name}() {argument} must be an int, list of ints or tuple of ints of size 1 but got size "
                    f"{len(out)}"
                )
            raise RuntimeError(f"{name}: {argument} must either be a single int, or a tuple of {_WORDS[n]}")
        return out
    return (int(value),) * n


def _problem(
    name: str, x: Spec, n: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool, **more: Any
) -> library.PoolProblem:
    """The pooling problem of an input. Raises RuntimeError as torch for what cannot be."""
    _check_dims(name, x, n)
    kernel = _sizes(kernel_size, n, name, "kernel_size")
    empty = stride is None or (isinstance(stride, (tuple, list)) and not stride)
    steps = kernel if empty else _sizes(stride, n, name, "stride")
    pads, spread = _sizes(padding, n, name, "padding"), _sizes(dilation, n, name, "dilation")
    if any(k <= 0 for k in kernel):
        raise RuntimeError(f"{name}() kernel_size must be greater than zero, but got {min(kernel)}")
    if any(s == 0 for s in steps):
        raise RuntimeError("stride should not be zero" if n > 1 else _positive(name, "stride", steps))
    if any(s < 0 for s in steps):
        raise RuntimeError(_positive(name, "stride", steps))
    if any(d <= 0 for d in spread):
        raise RuntimeError(_positive(name, "dilation", spread))
    for k, p, d in zip(kernel, pads, spread, strict=True):
        if p < 0:
            raise RuntimeError(f"pad must be non-negative, but got pad: {p}")
        if p > ((k - 1) * d + 1) // 2:
            raise RuntimeError(
                f"pad should be at most half of effective kernel size, but got pad={p}, kernel_size={k} and "
                f"dilation={d}"
            )
    problem = library.PoolProblem(0, tuple(x.shape[x.ndim - n :]), kernel, steps, pads, spread, bool(ceil_mode), **more)
    out = problem.out_size
    if any(o < 1 for o in out):
        lead = x.shape[x.ndim - n - 1]
        raise RuntimeError(
            f"Given input size: ({lead}x{'x'.join(map(str, problem.in_size))}). Calculated output size: "
            f"({lead}x{'x'.join(map(str, out))}). Output size is too small"
        )
    return problem


def _positive(name: str, argument: str, values: Sizes) -> str:
    return f"{name}() {argument} must be greater than zero, but got {min(values)}"


def _check_dims(name: str, x: Spec, n: int) -> None:
    if x.ndim not in (n + 1, n + 2) or any(s == 0 for s in x.shape[1:]):
        raise RuntimeError(
            f"{name}: Expected {n + 1}D or {n + 2}D (batch mode) tensor with optional 0 dim batch size for input, but "
            f"got:{list(x.shape)}"
        )


def _adaptive(name: str, x: Spec, n: int, output_size: Any) -> library.PoolProblem:
    if x.ndim not in (n + 1, n + 2):
        raise RuntimeError(f"{name}(): Expected {n + 1}D or {n + 2}D tensor, but got {list(x.shape)}")
    for d in range(1, x.ndim) if x.ndim == n + 2 else range(x.ndim):
        if not x.shape[d]:
            raise RuntimeError(
                f"{name}(): Expected input to have non-zero size for non-batch dimensions, but input has sizes "
                f"{list(x.shape)} with dimension {d} being empty"
            )
    sizes = tuple(x.shape[x.ndim - n :])
    if isinstance(output_size, (tuple, list)):
        wanted = list(output_size) * n if len(output_size) == 1 else list(output_size)
    else:
        wanted = [output_size] * n
    if len(wanted) != n:
        raise RuntimeError(f"{name}: internal error: output_size.size() must be {n}")
    out = tuple(s if w is None else int(w) for w, s in zip(wanted, sizes, strict=True))
    if any(o < 0 for o in out):
        listed = ", ".join(map(str, out))
        raise RuntimeError(
            f"{name}: elements of output_size must be greater than or equal to 0 but received {{{listed}}}"
        )
    return library.PoolProblem(0, sizes, adaptive_out=out)


# -- public -----------------------------------------------------------------------------------------------------------
def _publish_max(n: int) -> None:
    name = f"max_pool{n}d"
    op = _max_ops(f"{name}_with_indices", f"MaxPool{n}DWithIndicesBackward0")
    adaptive_name = f"adaptive_max_pool{n}d"
    adaptive_op = _max_ops(adaptive_name, f"AdaptiveMaxPool{n}DBackward0")
    allow = "iuf" if n > 1 else "f"

    def with_indices(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
    ) -> tuple[Tensor, Tensor]:
        x = input._spec
        check_kind(name, x.dtype, allow)
        return op((input,), (_problem(name, x, n, kernel_size, stride, padding, dilation, ceil_mode),))

    def values(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
    ) -> Tensor:
        x = input._spec
        check_kind(name, x.dtype, allow)
        problem = _problem(name, x, n, kernel_size, stride, padding, dilation, ceil_mode)
        if input._rg and mode.grad:
            return op((input,), (problem,))[0]
        return _max_value((input,), (problem,))

    def adaptive(input: Tensor, output_size: Any) -> tuple[Tensor, Tensor]:
        check_kind(adaptive_name, input._spec.dtype, "f")
        return adaptive_op((input,), (_adaptive(adaptive_name, input._spec, n, output_size),))

    with_indices.__name__ = with_indices.__qualname__ = f"{name}_with_indices"
    with_indices.__doc__ = "(maxima over windows, their int64 positions in the flattened spatial plane)."
    values.__name__ = values.__qualname__ = name
    values.__doc__ = "Maxima over windows; NaN wins. ``stride`` defaults to the kernel size."
    adaptive.__name__ = adaptive.__qualname__ = adaptive_name
    adaptive.__doc__ = "(maxima, their int64 positions) over ``output_size`` nearly equal windows."
    function(torch=n == 1, method=False)(with_indices)
    function(method=False)(values)
    function(torch=n == 1, method=False)(adaptive)


def _publish_avg(n: int) -> None:
    name = f"avg_pool{n}d"
    op = _avg_ops(name, f"AvgPool{n}DBackward0")
    adaptive_name = f"adaptive_avg_pool{n}d"
    adaptive_op = _avg_ops(adaptive_name, f"AdaptiveAvgPool{n}DBackward0")

    def average(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Tensor:
        x = input._spec
        if x.dtype is not dtypes.int64:
            check_kind("avg_pool2d", x.dtype, "f")
        if divisor_override == 0:
            raise RuntimeError("divisor must be not zero")
        problem = _problem(
            name, x, n, kernel_size, stride, padding, 1, ceil_mode, count_include_pad=bool(count_include_pad),
            divisor=divisor_override or 0,
        )  # fmt: skip
        return op((input,), (problem,))

    def average1d(
        input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> Tensor:  # fmt: skip
        return average(input, kernel_size, stride, padding, ceil_mode, count_include_pad)

    def adaptive(input: Tensor, output_size: Any) -> Tensor:
        check_kind("adaptive_avg_pool2d", input._spec.dtype, "f")
        return adaptive_op((input,), (_adaptive(adaptive_name, input._spec, n, output_size),))

    public = average1d if n == 1 else average
    public.__name__ = public.__qualname__ = name
    public.__doc__ = (
        "Means over windows. ``count_include_pad``: padding counts as zeros; ``divisor_override`` replaces the count."
    )
    adaptive.__name__ = adaptive.__qualname__ = adaptive_name
    adaptive.__doc__ = "Means over ``output_size`` nearly equal windows."
    function(torch=n == 1, method=False, functional=True)(public)
    function(torch=n == 1, method=False, functional=True)(adaptive)


for _n in (1, 2, 3):
    _publish_max(_n)
    _publish_avg(_n)
