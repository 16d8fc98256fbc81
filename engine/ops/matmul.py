"""Matrix products."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from .. import dtypes
from ..autograd.labels import shows
from ..autograd.mode import mode
from ..autograd.variable import Tensor
from ..dtypes import scalar_type_name
from ..graph.library import gemm
from ..graph.native import Native
from ..graph.spec import Spec
from .op import Op
from .pointwise import broadcast_shapes, wide
from .publish import function

_TINY = 1 << 15  # multiply-adds below which a product is a reduction that fuses with its neighbours
_TINY_ROW = 1 << 12  # the same for one of many products of a single row


def product_lower(b: Any, x: Any, y: Any) -> Any:
    """Batched product (batch, m, k) @ (batch, k, n) of operands of equal dtype; stride-0 batches are broadcast."""
    if b.lifts:
        return b.product(product_lower, x, y)
    batch, m, k = x.shape
    n = y.shape[2]
    dtype = x.dtype
    if k == 0 or batch * m * n == 0:
        return b.const(0, dtype, (batch, m, n)).contiguous()
    if batch * m * n * k <= _TINY or (m == 1 and n * k <= _TINY_ROW and dtype.is_floating_point):
        acc = wide(dtype)
        terms = x.cast(acc).unsqueeze(3) * y.cast(acc).unsqueeze(1)
        return b.sum(terms, [2]).cast(dtype)
    if dtype.is_complex:
        return _complex_product(b, x, y)
    x, y = _laid(x), _laid(y)

    def calls(caps: Any) -> list:
        return gemm.gemm_calls(
            caps, dtype.name, batch, m, n, k, gemm.Strides(*x.view.strides), gemm.Strides(*y.view.strides), n, m * n,
            epilogue=True, tuned=gemm.tuned(caps),
        )  # fmt: skip

    outputs = (((batch, m, n), dtype),)
    native = Native("gemm", ("a", "b"), ("out",), outputs, calls, reference=np.matmul, epilogue=(batch, m, n))
    return b.kernel(native, (x, y), native.outputs)[0]


def _complex_product(b: Any, x: Any, y: Any) -> Any:
    """Four real products."""
    real = x.dtype.to_real()
    (xr, xi), (yr, yi) = ((b.pw("real", v, dtype=real), b.pw("imag", v, dtype=real)) for v in (x, y))
    re = product_lower(b, xr, yr) - product_lower(b, xi, yi)
    im = product_lower(b, xr, yi) + product_lower(b, xi, yr)
    return b.pw("complex", re, im, dtype=x.dtype)


def _laid(x: Any) -> Any:
    """The operand with row or column stride 1 (copied where it has neither)."""
    (_, rows, cols), (_, rs, cs) = x.shape, x.view.strides
    if cs == 1 or rs == 1 or (rows == 1 and cols == 1):
        return x
    return x.contiguous()


def _bmm_rule(x: Spec, y: Spec) -> Any:
    _same_dtype("bmm", x, y)
    return (x.shape[0], x.shape[1], y.shape[2]), x.dtype


def _same_dtype(name: str, x: Spec, y: Spec) -> None:
    if x.dtype is not y.dtype:
        raise RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: {_c_name(x.dtype)} != {_c_name(y.dtype)}"
        )


def _c_name(dtype: dtypes.dtype) -> str:
    return {"float32": "float", "float64": "double", "int64": "long long", "int32": "int", "float16": "c10::Half",
            "bfloat16": "c10::BFloat16", "int16": "short", "int8": "signed char", "uint8": "unsigned char"}.get(
        dtype.name, dtype.name)  # fmt: skip


def _turned(x: Tensor) -> Tensor:
    """Conjugate transpose of the last two dimensions."""
    out = x.transpose(-2, -1)
    return out.conj() if x._spec.dtype.is_complex else out


def _conj(x: Tensor) -> Tensor:
    return x.conj() if x._spec.dtype.is_complex else x


_bmm = Op(
    "bmm",
    _bmm_rule,
    lambda b, x, y: product_lower(b, x, y),
    lambda ctx, g: (
        bmm(g, _turned(ctx.inputs[1])) if ctx.needs[0] else None,
        bmm(_turned(ctx.inputs[0]), g) if ctx.needs[1] else None,
    ),
    saves={0: (1,), 1: (0,)},
)
_mm = Op(
    "mm",
    lambda x, y: (_same_dtype("mm", x, y), ((x.shape[0], y.shape[1]), x.dtype))[1],
    lambda b, x, y: product_lower(b, x.unsqueeze(0), y.unsqueeze(0)).squeeze(0),
    lambda ctx, g: (
        mm(g, _turned(ctx.inputs[1])) if ctx.needs[0] else None,
        mm(_turned(ctx.inputs[0]), g) if ctx.needs[1] else None,
    ),
    saves={0: (1,), 1: (0,)},
)


@function(out=True)
def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """Product of matrices (n, m) @ (m, p)."""
    x, y = input._spec, mat2._spec
    if x.ndim != 2:
        raise RuntimeError("self must be a matrix")
    if y.ndim != 2:
        raise RuntimeError("mat2 must be a matrix")
    if x.shape[1] != y.shape[0]:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({x.shape[0]}x{x.shape[1]} and {y.shape[0]}x{y.shape[1]})"
        )
    return _mm((input, mat2))


@function(out=True)
def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """Batch of products (b, n, m) @ (b, m, p)."""
    x, y = input._spec, mat2._spec
    if x.ndim != 3 or y.ndim != 3:
        raise RuntimeError("batch1 must be a 3D tensor" if x.ndim != 3 else "batch2 must be a 3D tensor")
    if x.shape[0] != y.shape[0] or x.shape[2] != y.shape[1]:
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [{x.shape[0]}, {x.shape[2]}] but got: "
            f"[{y.shape[0]}, {y.shape[1]}]."
        )
    return _bmm((input, mat2))


@function(out=True)
@shows("MvBackward0")
def mv(input: Tensor, vec: Tensor) -> Tensor:
    """Matrix times vector."""
    x, y = input._spec, vec._spec
    if x.ndim != 2 or y.ndim != 1:
        raise RuntimeError(f"vector + matrix @ vector expected, got 1, {x.ndim}, {y.ndim}")
    if x.shape[1] != y.shape[0]:
        raise RuntimeError(
            f"size mismatch, got input ({x.shape[0]}), mat ({x.shape[0]}x{x.shape[1]}), vec ({y.shape[0]})"
        )
    return _mm((input, vec.unsqueeze(1))).squeeze(1)


_dot = Op(
    "dot",
    lambda x, y: ((), x.dtype),
    lambda b, x, y: b.sum(x.cast(wide(x.dtype)) * y.cast(wide(x.dtype)), [0]).cast(x.dtype),
    lambda ctx, g: (
        g * _conj(ctx.inputs[1]) if ctx.needs[0] else None,
        g * _conj(ctx.inputs[0]) if ctx.needs[1] else None,
    ),
    saves={0: (1,), 1: (0,)},
)


@function(out=True)
def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """Inner product of two vectors."""
    x, y = input._spec, tensor._spec
    if x.ndim != 1 or y.ndim != 1:
        raise RuntimeError(f"1D tensors expected, but got {x.ndim}D and {y.ndim}D tensors")
    if x.dtype is not y.dtype:
        raise RuntimeError(
            f"dot : expected both vectors to have same dtype, but found {scalar_type_name(x.dtype)} and "
            f"{scalar_type_name(y.dtype)}"
        )
    if x.shape != y.shape:
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor [{x.shape[0]}] and src [{y.shape[0]}] to have the same number "
            f"of "
            f"elements, but got {x.shape[0]} and {y.shape[0]} elements respectively"
        )
    return _dot((input, tensor))


@function(linalg=True, out=True)
def matmul(input: Tensor, other: Tensor) -> Tensor:
    """Product with broadcasting over leading dimensions; vectors are promoted to matrices."""
    x, y = input._spec, other._spec
    if not x.ndim or not y.ndim:
        raise RuntimeError(f"both arguments to matmul need to be at least 1D, but they are {x.ndim}D and {y.ndim}D")
    if x.ndim == 2 and y.ndim == 2:
        return mm(input, other)
    if x.ndim == 1 and y.ndim == 1:
        return dot(input, other)
    if x.ndim == 2 and y.ndim == 1:
        return mv(input, other)
    if x.ndim == 1:
        return matmul(input.unsqueeze(0), other).squeeze(-2)
    if y.ndim == 1:
        return matmul(input, other.unsqueeze(1)).squeeze(-1)
    if x.shape[-1] != y.shape[-2]:
        if x.ndim > 2 and y.ndim == 2:
            rows = prod(x.shape[:-1])
            raise RuntimeError(
                f"mat1 and mat2 shapes cannot be multiplied ({rows}x{x.shape[-1]} and {y.shape[0]}x{y.shape[1]})"
            )
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [{prod(y.shape[:-2])}, {x.shape[-1]}] "
            f"but got: "
            f"[{prod(y.shape[:-2])}, {y.shape[-2]}]."
        )
    if y.ndim == 2:
        return mm(input.reshape(prod(x.shape[:-1]), x.shape[-1]), other).reshape(*x.shape[:-1], y.shape[1])
    batch = broadcast_shapes(x.shape[:-2], y.shape[:-2])
    count = prod(batch)
    a = input.expand(*batch, *x.shape[-2:]).reshape(count, *x.shape[-2:])
    c = other.expand(*batch, *y.shape[-2:]).reshape(count, *y.shape[-2:])
    return bmm(a, c).reshape(*batch, x.shape[-2], y.shape[-1])


# -- with addition ----------------------------------------------------------------------------------------------------
def _linear_rule(x: Spec, w: Spec, bias: Spec | None = None) -> Any:
    if not x.ndim or x.shape[-1] != w.shape[-1]:
        rows = prod(x.shape[:-1])
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({rows}x{x.shape[-1] if x.ndim else 1} and "
            f"{w.shape[1]}x{w.shape[0]})"
        )
    for other in (w, bias):
        if other is not None and other.dtype is not x.dtype:
            raise RuntimeError(
                f"mat1 and mat2 must have the same dtype, but got {scalar_type_name(x.dtype)} and "
                f"{scalar_type_name(other.dtype)}"
            )
    return (*x.shape[:-1], w.shape[0]), x.dtype


def _linear_lower(b: Any, x: Any, w: Any, bias: Any = None) -> Any:
    rows = prod(x.shape[:-1])
    flat = x.reshape((rows, x.shape[-1])).unsqueeze(0)
    out = product_lower(b, flat, w.transpose(0, 1).unsqueeze(0)).reshape((*x.shape[:-1], w.shape[0]))
    return out if bias is None else (out.cast(wide(x.dtype)) + bias.cast(wide(x.dtype))).cast(x.dtype)


def _linear_back_rule(g: Spec, *args: Any) -> list:
    *_, x, w, needs = args
    return [(shape, g.dtype) for shape, wanted in zip((x, w, w[:1]), needs) if wanted]


def _linear_back_lower(b: Any, g: Any, *args: Any) -> list:
    """dx = g w, dw = g^T x, db = sum of g over the rows. Operands: x if dw is wanted, w if dx is."""
    *operands, x_shape, w_shape, needs = args
    operands = iter(operands)
    n, k = w_shape
    rows = prod(x_shape[:-1])
    flat = g.reshape((rows, n))
    x = next(operands).reshape((rows, k)) if needs[1] else None
    outs = []
    if needs[0]:
        outs.append(product_lower(b, flat.unsqueeze(0), next(operands).unsqueeze(0)).reshape(x_shape))
    if needs[1]:
        outs.append(product_lower(b, flat.transpose(0, 1).unsqueeze(0), x.unsqueeze(0)).squeeze(0))
    if len(needs) > 2 and needs[2]:
        outs.append(b.sum(flat.cast(wide(g.dtype)), [0]).cast(g.dtype))
    return outs


_linear_back = Op("linear_backward", _linear_back_rule, _linear_back_lower)


def _linear_grad(ctx: Any, g: Tensor) -> tuple:
    inputs = ctx.inputs
    x, w = (inputs[0], inputs[1]) if inputs else (None, None)  # nothing is saved if only the bias wants a gradient
    if mode.grad:
        return _linear_grad_recorded(ctx, g, x, w)
    needs = ctx.needs
    operands = [g]
    if needs[1]:
        operands.append(x)
    if needs[0]:
        operands.append(w)
    seen = ctx.call.specs
    made = _linear_back(operands, (seen[0].shape, seen[1].shape, needs))
    if False not in needs:
        return made
    found = iter(made)
    return tuple([next(found) if wanted else None for wanted in needs])


def _linear_grad_recorded(ctx: Any, g: Tensor, x: Tensor | None, w: Tensor | None) -> tuple:
    dx = dw = db = None
    if ctx.needs[0]:
        dx = matmul(g, _conj(w))
    n, k = ctx.specs[1].shape
    if ctx.needs[1]:
        dw = mm(g.reshape(-1, n).t(), _conj(x).reshape(-1, k))
    if len(ctx.specs) > 2:
        if ctx.needs[2]:
            db = g.sum(tuple(range(g._spec.ndim - 1))) if g._spec.ndim > 1 else g
        return dx, dw, db
    return dx, dw


_linear = Op("linear", _linear_rule, _linear_lower, _linear_grad, saves={0: (1,), 1: (0,)}, grad_name="AddmmBackward0",
             variant=lambda specs, static: _linear_name(specs))  # fmt: skip


_linear.shown = lambda edges, static: [*edges[2:], *edges[:2]]


def _linear_name(specs: tuple[Spec, ...]) -> str:
    if specs[0].ndim != 2:
        return "ViewBackward0" if len(specs) == 3 else "UnsafeViewBackward0"
    return "AddmmBackward0" if len(specs) == 3 else "MmBackward0"


@function(torch=False, method=False, functional=True)
def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``input @ weight.T + bias`` for input (..., in), weight (out, in), bias (out,)."""
    if weight._spec.ndim == 1:
        out = matmul(input, weight)
        return out if bias is None else out + bias
    return _linear((input, weight) if bias is None else (input, weight, bias))


@function(inplace=True, out=True)
def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """``beta * input + alpha * mat1 @ mat2``."""
    out = mm(mat1, mat2)
    return _combine(input, out, beta, alpha)


def _combine(input: Tensor, out: Tensor, beta: Any, alpha: Any) -> Tensor:
    if out._spec.dtype is dtypes.bool:
        alpha, beta = bool(alpha), bool(beta)
    elif not out._spec.floating:  # numbers take the integers' dtype
        alpha, beta = int(alpha), int(beta)
    if alpha != 1:
        out = out * alpha
    if beta == 0:
        return out
    return out + (input if beta == 1 else input * beta)


@function(inplace=True, out=True)
def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """``beta * input + alpha * mat @ vec``."""
    return _combine(input, mv(mat, vec), beta, alpha)


@function(inplace=True, out=True)
def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """``beta * input + alpha * batch1 @ batch2``."""
    return _combine(input, bmm(batch1, batch2), beta, alpha)


@function(inplace=True, out=True)
def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """``beta * input + alpha * sum over the batch of batch1 @ batch2``."""
    return _combine(input, bmm(batch1, batch2).sum(0, dtype=batch1.dtype), beta, alpha)


@function(out=True, aliases=("ger",))
def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """Outer product of two vectors."""
    if input._spec.ndim != 1 or vec2._spec.ndim != 1:
        raise RuntimeError(
            f"outer: Expected 1-D argument self and vec2, but got {input._spec.ndim}-D and {vec2._spec.ndim}-D"
        )
    return input.unsqueeze(1) * vec2


@function(inplace=True, out=True)
def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """``beta * input + alpha * outer(vec1, vec2)``."""
    return _combine(input, outer(vec1, vec2), beta, alpha)
