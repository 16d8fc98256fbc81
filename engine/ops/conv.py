"""Convolutions: three linear maps (forward, gradients of input and weight), each the derivative of the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any

from ..autograd.variable import Tensor
from ..dtypes import scalar_type_name
from ..graph.library import conv as library
from ..graph.library.conv import reference
from ..graph.native import Native
from ..graph.spec import Spec
from ..settings import settings
from .op import Op
from .pointwise import compute
from .publish import function
from .publish import registry as REGISTRY

Sizes = tuple[int, ...]


# -- the three maps ---------------------------------------------------------------------------------------------------
# Static arguments: stride, padding ((before, after) a dimension), dilation, groups, and the spatial size that the
# operands do not determine (of the input, or of the kernel), and whether Winograd kernels may be used.
def _problem(x: Sequence[int], w: Sequence[int], static: tuple) -> library.ConvProblem:
    stride, padding, dilation, groups = static[:4]
    return library.ConvProblem(x[0], w[1] * groups, w[0], tuple(x[2:]), tuple(w[2:]), stride, padding, dilation, groups)


def _in_memory(x: Any) -> Any:
    return x if x.view.contiguous else x.contiguous()


def _launch(b: Any, which: str, operands: Sequence[Any], p: Any, shape: Sizes, winograd: bool) -> Any:
    dtype = operands[0].dtype
    if not all(operand.size for operand in operands) or not prod(shape):
        return b.const(0, dtype, shape).contiguous()
    operands = [_in_memory(x) for x in operands]
    build, names, reference = _MAPS[which]
    options = {"winograd": winograd}
    space = None
    if which == "forward" and dtype.itemsize >= 4:
        options["epilogue"], space = True, (shape[0], shape[1], prod(shape[2:]))
    native = Native(
        f"conv_{which}", names, ("out",), ((shape, dtype),), lambda caps: build(caps, dtype, p, **options),
        reference=partial(reference, p), epilogue=space,
    )  # fmt: skip
    return b.kernel(native, operands, native.outputs)[0]


_MAPS: dict[str, tuple[Callable[..., list], tuple[str, ...], Callable[..., Any]]] = {
    "forward": (library.conv_forward, ("x", "w"), reference.forward),
    "grad_input": (library.conv_grad_input, ("dy", "w"), reference.grad_input),
    "grad_weight": (library.conv_grad_weight, ("x", "dy"), reference.grad_weight),
}


def _biased(out: Any, bias: Sequence[Any]) -> Any:
    if not bias:
        return out
    row = compute(bias[0]).reshape((-1,) + (1,) * (out.ndim - 2))
    return (compute(out) + row).cast(out.dtype)


def _conv_rule(x: Spec, w: Spec, *args: Any) -> Any:
    p = _problem(x.shape, w.shape, args[-6:])
    return (x.shape[0], w.shape[0], *p.out_size), x.dtype


def _conv_lower(b: Any, x: Any, w: Any, *args: Any) -> Any:
    *bias, stride, padding, dilation, groups, _, winograd = args
    p = _problem(x.shape, w.shape, (stride, padding, dilation, groups))
    shape = (x.shape[0], w.shape[0], *p.out_size)
    return _biased(_launch(b, "forward", (x, w), p, shape, winograd), bias)


def _input_shape(dy: Sequence[int], w: Sequence[int], static: tuple) -> Sizes:
    return (dy[0], w[1] * static[3], *static[4])


def _input_lower(b: Any, dy: Any, w: Any, *args: Any) -> Any:
    bias, static = args[:-6], args[-6:]
    shape = _input_shape(dy.shape, w.shape, static)
    p = _problem(shape, w.shape, static)
    return _biased(_launch(b, "grad_input", (dy, w), p, shape, static[5]), bias)


def _weight_shape(x: Sequence[int], dy: Sequence[int], static: tuple) -> Sizes:
    return (dy[1], x[1] // static[3], *static[4])


def _weight_lower(b: Any, x: Any, dy: Any, *static: Any) -> Any:
    shape = _weight_shape(x.shape, dy.shape, static)
    p = _problem(x.shape, shape, static)
    return _launch(b, "grad_weight", (x, dy), p, shape, static[5])


def _bias_grad(ctx: Any, g: Tensor) -> tuple:
    if len(ctx.specs) < 3:
        return ()
    return (g.sum((0, *range(2, g._spec.ndim))) if ctx.needs[2] else None,)


def _conv_grad(ctx: Any, g: Tensor) -> tuple:
    x, w = ctx.inputs[:2]
    static, winograd = ctx.static[:4], ctx.static[5]
    xs, ws = ctx.specs[:2]
    return (
        _conv_input((g, w), (*static, tuple(xs.shape[2:]), winograd)) if ctx.needs[0] else None,
        _conv_weight((x, g), (*static, tuple(ws.shape[2:]), winograd)) if ctx.needs[1] else None,
        *_bias_grad(ctx, g),
    )


def _input_grad(ctx: Any, h: Tensor) -> tuple:
    dy, w = ctx.inputs[:2]
    static, winograd = ctx.static[:4], ctx.static[5]
    return (
        _conv((h, w), (*static, (), winograd)) if ctx.needs[0] else None,
        _conv_weight((h, dy), (*static, tuple(ctx.specs[1].shape[2:]), winograd)) if ctx.needs[1] else None,
        *_bias_grad(ctx, h),
    )


def _weight_grad(ctx: Any, h: Tensor) -> tuple:
    x, dy = ctx.inputs
    static, winograd = ctx.static[:4], ctx.static[5]
    return (
        _conv_input((dy, h), (*static, tuple(ctx.specs[0].shape[2:]), winograd)) if ctx.needs[0] else None,
        _conv((x, h), (*static, (), winograd)) if ctx.needs[1] else None,
    )


_SAVES = {0: (1,), 1: (0,)}
_conv = Op("convolution", _conv_rule, _conv_lower, _conv_grad, saves=_SAVES)
_conv_input = Op(
    "convolution_input", lambda dy, w, *args: (_input_shape(dy.shape, w.shape, args[-6:]), dy.dtype), _input_lower,
    _input_grad, saves=_SAVES, grad_name="ConvolutionBackward0",
)  # fmt: skip
_conv_weight = Op(
    "convolution_weight", lambda x, dy, *static: (_weight_shape(x.shape, dy.shape, static), x.dtype), _weight_lower,
    _weight_grad, saves=_SAVES, grad_name="ConvolutionBackward0",
)  # fmt: skip


# -- arguments --------------------------------------------------------------------------------------------------------
def _sizes(value: Any, n: int, name: str) -> Sizes:
    """``n`` numbers from a number, a sequence of one or of ``n``."""
    if isinstance(value, (tuple, list)):
        out = tuple(int(v) for v in value)
        if len(out) == 1:
            return out * n
        if len(out) != n:
            raise RuntimeError(
                f"expected {name} to be a single integer value or a list of {n} values to match the convolution "
                f"dimensions, but got {name}={list(out)}"
            )
        return out
    return (int(value),) * n


def _check(
    x: Spec, w: Spec, bias: Tensor | None, stride: Sizes, padding: Sequence[int], dilation: Sizes, groups: int,
    transposed: bool,
) -> None:  # fmt: skip
    n = len(stride)
    if w.ndim != n + 2:
        raise RuntimeError(
            f"expected {n + 2}-dimensional weight for {n + 2}-dimensional input, but got {w.ndim}-dimensional weight "
            f"of size {list(w.shape)} instead"
        )
    if any(s <= 0 for s in stride):
        raise RuntimeError("non-positive stride is not supported")
    if any(p < 0 for p in padding):
        raise RuntimeError("negative padding is not supported")
    if any(d <= 0 for d in dilation):
        raise RuntimeError("non-positive dilation is not supported")
    if groups <= 0:
        raise RuntimeError("non-positive groups is not supported")
    if w.shape[0] % groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, but got weight of "
            f"size [{list(w.shape)}] instead"
        )
    want = w.shape[0] if transposed else w.shape[1] * groups
    if x.shape[1] != want:
        given = "transposed=1" if transposed else f"groups={groups}"
        raise RuntimeError(
            f"Given {given}, weight of size {list(w.shape)}, expected input{list(x.shape)} to have {want} channels, "
            f"but got {x.shape[1]} channels instead"
        )
    if x.dtype is not w.dtype:
        raise RuntimeError(f"expected scalar type {scalar_type_name(x.dtype)} but found {scalar_type_name(w.dtype)}")
    if bias is not None:
        _check_bias(x, w, bias._spec, w.shape[1] * groups if transposed else w.shape[0], transposed)


def _check_bias(x: Spec, w: Spec, b: Spec, want: int, transposed: bool) -> None:
    if b.ndim != 1 or b.shape[0] != want:
        given = "transposed=1, " if transposed else ""
        raise RuntimeError(
            f"Given {given}weight of size {list(w.shape)}, expected bias to be 1-dimensional with {want} elements, but "
            f"got bias of size {list(b.shape)} instead"
        )
    if b.dtype is not x.dtype:
        names = {"Float": "float", "Double": "double", "Half": "c10::Half", "BFloat16": "c10::BFloat16"}
        kinds = (names.get(scalar_type_name(d), scalar_type_name(d)) for d in (x.dtype, b.dtype))
        raise RuntimeError("Input type ({}) and bias type ({}) should be the same".format(*kinds))


def _padding(value: Any, n: int, kernel: Sizes, stride: Sizes, dilation: Sizes) -> tuple[tuple[int, int], ...]:
    """(before, after) a dimension. Raises RuntimeError for unknown words and for "same" with a stride."""
    if isinstance(value, str):
        if value == "valid":
            return ((0, 0),) * n
        if value != "same":
            raise RuntimeError(f"Invalid padding string: '{value}'")
        if any(s != 1 for s in stride):
            raise RuntimeError("padding='same' is not supported for strided convolutions")
        totals = (d * (k - 1) for k, d in zip(kernel, dilation, strict=True))
        return tuple((total // 2, total - total // 2) for total in totals)
    return tuple((p, p) for p in _sizes(value, n, "padding"))


def _batched(input: Tensor, n: int, name: str) -> tuple[Tensor, bool]:
    seen = input._spec
    if seen.ndim == n + 2:
        return input, True
    if seen.ndim != n + 1:
        raise RuntimeError(
            f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to {name}, but got input of size: "
            f"{list(seen.shape)}"
        )
    return input.unsqueeze(0), False


def _by_parts(convolve: Any, n: int, x: Tensor, w: Tensor, bias: Tensor | None) -> Tensor:
    """A convolution of complex numbers from those of their real and imaginary parts."""
    real = convolve(x.real, w.real) - convolve(x.imag, w.imag)
    imag = convolve(x.real, w.imag) + convolve(x.imag, w.real)
    out = REGISTRY["complex"].call(real, imag)
    return out if bias is None else out + bias.reshape(-1, *(1,) * n)


def _convolve(
    n: int, input: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, dilation: Any, groups: int
) -> Tensor:
    if input._spec.dtype.is_complex and weight._spec.dtype.is_complex:
        rest = (None, stride, padding, dilation, groups)
        return _by_parts(lambda x, w: _convolve(n, x, w, *rest), n, input, weight, bias)
    x, batched = _batched(input, n, f"conv{n}d")
    stride, dilation = _sizes(stride, n, "stride"), _sizes(dilation, n, "dilation")
    seen, w = x._spec, weight._spec
    kernel = tuple(w.shape[2:]) if w.ndim == n + 2 else (1,) * n
    pads = _padding(padding, n, kernel, stride, dilation)
    _check(seen, w, bias, stride, [p for pair in pads for p in pair], dilation, groups, False)
    padded = [s + a + c for s, (a, c) in zip(seen.shape[2:], pads, strict=True)]
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    if any(s < k for s, k in zip(padded, spans, strict=True)):
        raise RuntimeError(
            f"Calculated padded input size per channel: ({' x '.join(map(str, padded))}). Kernel size: "
            f"({' x '.join(map(str, spans))}). Kernel size can't be greater than actual input size"
        )
    operands = (x, weight) if bias is None else (x, weight, bias)
    out = _conv(operands, (stride, pads, dilation, groups, (), settings.conv_winograd))
    return out if batched else out.squeeze(0)


def _convolve_transposed(
    n: int, input: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, output_padding: Any,
    groups: int, dilation: Any,
) -> Tensor:  # fmt: skip
    if input._spec.dtype.is_complex and weight._spec.dtype.is_complex:
        rest = (None, stride, padding, output_padding, groups, dilation)
        return _by_parts(lambda x, w: _convolve_transposed(n, x, w, *rest), n, input, weight, bias)
    x, batched = _batched(input, n, f"conv_transpose{n}d")
    stride, dilation = _sizes(stride, n, "stride"), _sizes(dilation, n, "dilation")
    pads, extra = _sizes(padding, n, "padding"), _sizes(output_padding, n, "output_padding")
    seen, w = x._spec, weight._spec
    _check(seen, w, bias, stride, pads, dilation, groups, True)
    _check_output_padding(extra, stride, dilation)
    size = tuple(
        (s - 1) * t - 2 * p + d * (k - 1) + e + 1
        for s, t, p, d, k, e in zip(seen.shape[2:], stride, pads, dilation, w.shape[2:], extra, strict=True)
    )
    if any(s <= 0 for s in size):
        raise RuntimeError(
            f"Given input size per channel: ({' x '.join(map(str, seen.shape[2:]))}). Calculated output size per "
            f"channel: ({' x '.join(map(str, size))}). Output size is too small"
        )
    # The gradient of a convolution that maps the result's shape back to the input's: its stride skips output padding
    # below the stride, and what is above (allowed up to the dilation) is taken from the padding after.
    both = tuple((p, p - e if e >= t else p) for p, e, t in zip(pads, extra, stride, strict=True))
    operands = (x, weight) if bias is None else (x, weight, bias)
    out = _conv_input(operands, (stride, both, dilation, groups, size, settings.conv_winograd))
    return out if batched else out.squeeze(0)


def _check_output_padding(extra: Sizes, stride: Sizes, dilation: Sizes) -> None:
    if any(e < 0 for e in extra):
        raise RuntimeError("negative output_padding is not supported")
    if any(e >= s and e >= d for e, s, d in zip(extra, stride, dilation, strict=True)):
        names = ("depth", "height", "width")[-max(2, len(extra)) :]
        lead = (0, 1, 1) if len(extra) == 1 else None
        values = [((lead[k],) if lead else ()) + v for k, v in enumerate((extra, stride, dilation))]
        words = ("output_padding", "stride", "dilation")
        text = " ".join(f"{word}_{d}: {v}" for word, part in zip(words, values) for d, v in zip(names, part))
        raise RuntimeError(f"output padding must be smaller than either stride or dilation, but got {text}")


# -- public -----------------------------------------------------------------------------------------------------------
def _publish(n: int) -> None:
    dims = ("L", "H, W", "D, H, W")[n - 1]

    def conv(
        input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:  # fmt: skip
        return _convolve(n, input, weight, bias, stride, padding, dilation, groups)

    def transposed(
        input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
        output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
    ) -> Tensor:  # fmt: skip
        return _convolve_transposed(n, input, weight, bias, stride, padding, output_padding, groups, dilation)

    conv.__name__ = conv.__qualname__ = f"conv{n}d"
    conv.__doc__ = f"""Cross-correlation of (N, C, {dims}) or (C, {dims}) with weights (out, C / groups, {dims}).

        ``padding``: zeros on both sides, a number or one a dimension, "valid" (none) or "same" (stride 1 only).
        Raises RuntimeError for shapes, strides or groups that do not fit.
        """
    transposed.__name__ = transposed.__qualname__ = f"conv_transpose{n}d"
    transposed.__doc__ = f"""Transposed convolution of (N, C, {dims}) or (C, {dims}), weights (C, out / groups, {dims}).

        It is the gradient of a convolution by its input; ``output_padding`` picks among the sizes this could have had.
        """
    function(method=False)(conv)
    function(method=False)(transposed)


for _n in (1, 2, 3):
    _publish(_n)


@function(method=False)
def convolution(
    input: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, dilation: Any, transposed: bool,
    output_padding: Any, groups: int,
) -> Tensor:  # fmt: skip
    """All convolutions in one function, by the weight's number of dimensions."""
    n = weight._spec.ndim - 2
    if transposed:
        return _convolve_transposed(n, input, weight, bias, stride, padding, output_padding, groups, dilation)
    return _convolve(n, input, weight, bias, stride, padding, dilation, groups)
