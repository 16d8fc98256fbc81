"""Gamma and Dirichlet draws that carry the gradient of the sample by its parameters, at a fixed quantile.

Formulas: cl_kernels/gamma_draw_real.cl.
"""

from __future__ import annotations

from typing import Any

from .. import dtypes, random
from ..autograd.variable import Tensor
from ..graph.spec import Spec
from .creation import random_numbers
from .op import Op
from .pointwise import check_kind, compute, pointwise_spec
from .publish import function

_NUMBERS = (dtypes.int64, dtypes.int64)
_TINY = {"float64": 2.2250738585072014e-308, "float32": 1.1754943508222875e-38, "bfloat16": 1.1754943508222875e-38,
         "float16": 6.103515625e-05}  # fmt: skip


def _elementwise(name: str, fn: str) -> Op:
    """An op of one scalar function of floats, without derivative."""

    def rule(*specs: Spec) -> Spec:
        check_kind(name, specs[0].dtype, "f")
        return pointwise_spec(specs[0].dtype, *specs)

    return Op(name, rule, lambda b, *refs: b.pw(fn, *[compute(r) for r in refs]).cast(refs[0].dtype))


_gamma_grad = _elementwise("_standard_gamma_grad", "gamma_sample_grad")
_beta_grad = _elementwise("_dirichlet_grad", "beta_sample_grad")


@function("_standard_gamma_grad", method=False)
def standard_gamma_grad(input: Tensor, output: Tensor) -> Tensor:
    """d output / d input of gamma samples ``output`` of shapes ``input``."""
    return _gamma_grad((input, output))


@function("_dirichlet_grad", method=False)
def dirichlet_grad(x: Tensor, alpha: Tensor, total: Tensor) -> Tensor:
    """(d x / d alpha) / (1 - x) of the components of Dirichlet samples, each by its own ``alpha``."""
    return _beta_grad((x, alpha, total - alpha))


def _log_draw(b: Any, a: Any, seed: Any, offset: Any) -> Any:
    a = compute(a)
    return b.pw("log_gamma_draw", a, random_numbers(b, "philox64", a.shape, seed, offset), dtype=a.dtype)


def _gamma_rule(a: Spec) -> Spec:
    check_kind("gamma_cpu", a.dtype, "f")
    return pointwise_spec(a.dtype, a)


def _gamma_lower(b: Any, a: Any, seed: Any, offset: Any) -> Any:
    return b.pw("max", b.exp(_log_draw(b, a, seed, offset)), _TINY[a.dtype.name]).cast(a.dtype)


_standard_gamma = Op(
    "standard_gamma", _gamma_rule, _gamma_lower,
    lambda ctx, g: (g * _gamma_grad((ctx.inputs[0], ctx.outputs[0])),),
    saves=(0,), saves_out=(0,), scalars=_NUMBERS,
)  # fmt: skip


@function("_standard_gamma", method=False)
def standard_gamma(input: Tensor, generator: Any = None) -> Tensor:
    """Gamma variates of the shapes ``input`` (> 0) and scale 1, never below the smallest normal number."""
    return _standard_gamma((input,), (), (generator or random.default_generator).take(input._spec.numel))


def _dirichlet_rule(a: Spec) -> Spec:
    check_kind("dirichlet", a.dtype, "f")
    return pointwise_spec(a.dtype, a)


def _dirichlet_lower(b: Any, a: Any, seed: Any, offset: Any) -> Any:
    """Gamma variates divided by their sum, by way of their logarithms: tiny shapes give tiny variates."""
    logs = _log_draw(b, a, seed, offset)
    parts = b.exp(logs - b.max(logs, (-1,), True))
    share = b.div(parts, b.sum(parts, (-1,), True))
    return b.pw("max", share, _TINY[a.dtype.name]).cast(a.dtype)


def _dirichlet_back(ctx: Any, g: Tensor) -> tuple[Tensor]:
    x, a = ctx.outputs[0], ctx.inputs[0]
    own = dirichlet_grad(x, a, a.sum(-1, True).expand_as(a))
    return (own * (g - (x * g).sum(-1, True)),)


_dirichlet = Op(
    "sample_dirichlet", _dirichlet_rule, _dirichlet_lower, _dirichlet_back, saves=(0,), saves_out=(0,),
    scalars=_NUMBERS, grad_name="SampleDirichletBackward0",
)  # fmt: skip


@function("_sample_dirichlet", method=False)
def sample_dirichlet(input: Tensor, generator: Any = None) -> Tensor:
    """Dirichlet variates of the concentrations ``input`` (..., k), which sum to 1 over the last dimension."""
    return _dirichlet((input,), (), (generator or random.default_generator).take(input._spec.numel))
