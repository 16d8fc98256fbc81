"""Special functions: gamma, error, Bessel and Airy functions, zeta and orthogonal polynomials, element by element.

Formulas of the values: cl_kernels/special_real.cl, igamma_real.cl, bessel_real.cl, polynomial_real.cl. Where PyTorch
has no derivative, none is recorded.
"""

from __future__ import annotations

import math
from typing import Any

from ..autograd.variable import Tensor
from .op import Op
from .pointwise import binary, check_kind, check_tensor, compute, float_of, pointwise_spec, unary, wide
from .publish import function, registry

_ROOT_PI = math.sqrt(math.pi)


def _fn(name: str, grad: Any = None, *, saves_out: bool = False, **more: Any) -> Any:
    lower = more.pop("lower", lambda b, x: b.pw(name, x))
    return unary(name, lower, grad, saves_out=saves_out, allow="biuf", **more)


def _only(name: str, grad: Any = None, **more: Any) -> Any:
    """A function that lives in ``special`` alone."""
    grad_name = "Special" + "".join(part.capitalize() for part in name.split("_")) + "Backward0" if grad else None
    return _fn(
        name, grad, torch=False, method=False, inplace=False, special=True, grad_name=more.pop("grad_name", grad_name),
        **more,
    )  # fmt: skip


def _alias(name: str, call: Any) -> None:
    """``special``'s name for a function that has another one outside."""

    def renamed(*args: Any, **kwargs: Any) -> Any:
        return call(*args, **kwargs)

    renamed.__name__ = renamed.__qualname__ = name
    renamed.__doc__ = call.__doc__
    function(name, torch=False, method=False, special=True, out=True, gradcheck=False)(renamed)


# -- gamma functions --------------------------------------------------------------------------------------------------
lgamma = _fn("lgamma", lambda g, x, out: g * digamma(x))
digamma = _fn("digamma", lambda g, x, out: g * polygamma(1, x), special=True)
_alias("gammaln", lgamma)
_alias("psi", digamma)


def _polygamma_rule(x: Any, n: int) -> Any:
    check_kind("polygamma", x.dtype, "biuf")
    return pointwise_spec(float_of(x.dtype), x)


def _polygamma_lower(b: Any, x: Any, n: int) -> Any:
    """(-1)^(n + 1) n! zeta(n + 1, x) (Abramowitz and Stegun 6.4.10)."""
    dtype = float_of(x.dtype)
    y = compute(x.cast(wide(dtype)))
    if n == 0:
        return b.digamma(y).cast(dtype)
    size = float(math.factorial(n)) if n < 171 else math.inf
    return (b.pw("zeta", n + 1.0, y) * (size if n % 2 else -size)).cast(dtype)


_polygamma = Op(
    "polygamma", _polygamma_rule, _polygamma_lower,
    lambda ctx, g: (g * polygamma(ctx.static[0] + 1, ctx.inputs[0]),),
    saves=(0,), grad_name="PolygammaBackward0",
)  # fmt: skip


@function(inplace=True, out=True, special=True, gradcheck=False)
def polygamma(n: int, input: Tensor) -> Tensor:
    """The n-th derivative of digamma, n >= 0. As a method: ``x.polygamma(n)``.

    Raises RuntimeError for a negative order.
    """
    if isinstance(n, Tensor) and not isinstance(input, Tensor):
        n, input = input, n
    if isinstance(n, bool) or not isinstance(n, int):
        raise TypeError(f"polygamma(): argument 'n' (position 1) must be int, not {type(n).__name__}")
    check_tensor("polygamma", input, position=2)
    if n < 0:
        raise RuntimeError(f"polygamma(n, x) does not support negative n, got n = {n}")
    return _polygamma((input,), (n,))


@function(inplace=True, out=True)
def mvlgamma(input: Tensor, p: int) -> Tensor:
    """Logarithm of the multivariate gamma function of dimension ``p`` (Muirhead 1982, 2.1.12).

    Raises RuntimeError for p < 1.
    """
    check_tensor("mvlgamma", input)
    check_kind("mvlgamma", input._spec.dtype, "biuf")
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    total = lgamma(input)
    for j in range(1, p):
        total = total + lgamma(input - 0.5 * j)
    return total + p * (p - 1) / 4 * math.log(math.pi)


_alias("multigammaln", mvlgamma)


def _no_gradient(name: str, which: str) -> Any:
    def grad(*_: Any) -> Any:
        raise NotImplementedError(f"the derivative for '{which}' of {name} is not implemented")

    return grad


def _gamma_density(g: Tensor, a: Any, x: Any, out: Any) -> Tensor:
    """x^(a - 1) e^-x / gamma(a)."""
    if not isinstance(x, Tensor):
        return g * ((a - 1) * (math.log(x) if x > 0 else -math.inf) - x - lgamma(a)).exp()
    norm = lgamma(a) if isinstance(a, Tensor) else math.lgamma(a)
    return g * ((a - 1) * x.log() - x - norm).exp()


igamma = binary(
    "igamma", lambda b, a, x: b.igamma(a, x), _no_gradient("igamma", "input"), _gamma_density, dy="xy",
    result="float", allow="biuf", gradcheck=False,
)  # fmt: skip
igammac = binary(
    "igammac", lambda b, a, x: b.igammac(a, x), _no_gradient("igammac", "input"),
    lambda g, a, x, out: -_gamma_density(g, a, x, out), dy="xy", result="float", allow="biuf", gradcheck=False,
)  # fmt: skip
_alias("gammainc", igamma)
_alias("gammaincc", igammac)


def _zeta_other(g: Tensor, x: Any, q: Any, out: Any) -> Tensor:
    return g * (zeta(x + 1, q) * -x)


zeta = binary(
    "zeta", lambda b, x, q: b.zeta(x, q), _no_gradient("zeta", "input"), _zeta_other, dy="xy", result="float",
    allow="biuf", torch=False, method=False, inplace=False, special=True, gradcheck=False,
    grad_name="SpecialZetaBackward0",
)  # fmt: skip

# -- error functions and the normal distribution ----------------------------------------------------------------------
erfinv = _fn("erfinv", lambda g, x, out: g * ((out * out).exp() * (_ROOT_PI / 2)), saves_out=True, special=True)
erfcx = _only("erfcx", lambda g, x, out: g * (x * out * 2 - 2 / _ROOT_PI), saves_out=True)
ndtri = _only("ndtri", lambda g, x, out: g * ((out * out * 0.5).exp() * math.sqrt(2 * math.pi)), saves_out=True)
ndtr = _only("ndtr", lambda g, x, out: g * ((x * x * -0.5).exp() / math.sqrt(2 * math.pi)), grad_name="MulBackward1")
log_ndtr = _only("log_ndtr", lambda g, x, out: g / (erfcx(x * -math.sqrt(0.5)) * math.sqrt(math.pi / 2)))
_alias("expit", registry["sigmoid"].call)


def _entr_lower(b: Any, x: Any) -> Any:
    inside = b.where(b.eq(x, 0), 0.0, b.where(b.lt(x, 0), -math.inf, -x * b.log(x)))
    return b.where(b.is_nan(x), x, inside)


entr = _only("entr", lambda g, x, out: g * -(x.log() + 1), lower=_entr_lower)


def _xlog1py_lower(b: Any, x: Any, y: Any) -> Any:
    return b.where(b.is_nan(y), y, b.where(b.eq(x, 0), 0.0, x * b.log1p(y)))


def _xlog1py_dx(g: Tensor, x: Any, y: Any, out: Any) -> Tensor:
    if isinstance(y, Tensor):
        return (g * y.log1p()).masked_fill((x == 0) & (y <= -1), 0)
    log = math.log1p(y) if y > -1 else (-math.inf if y == -1 else math.nan)
    return (g * log).masked_fill(x == 0, 0) if y <= -1 else g * log


xlog1py = binary(
    "xlog1py", _xlog1py_lower, _xlog1py_dx, lambda g, x, y, out: g * (x / (y + 1)), dx="xy", dy="xy", result="float",
    allow="biuf", torch=False, method=False, inplace=False, special=True, grad_name="SpecialXlog1PyBackward0",
)  # fmt: skip


# -- Bessel and Airy functions ----------------------------------------------------------------------------------------
def _at_zero(x: Tensor, value: Tensor) -> Tensor:
    """``value`` with the limit 1/2 where x is 0."""
    return value.masked_fill(x == 0, 0.5)


i0 = _fn("i0", lambda g, x, out: g * i1(x), special=True, grad_name="I0Backward0")
i0e = _only("i0e", lambda g, x, out: g * (i1e(x) - x.sgn() * out), saves_out=True, grad_name="SpecialI0EBackward0")
i1 = _only("i1", lambda g, x, out: g * _at_zero(x, i0(x) - out / x), saves_out=True, grad_name="SpecialI1Backward0")
i1e = _only(
    "i1e", lambda g, x, out: g * _at_zero(x, i0e(x) - out * (x.sgn() + 1 / x)), saves_out=True,
    grad_name="SpecialI1EBackward0",
)  # fmt: skip
for _name in (
    "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "modified_bessel_i0", "modified_bessel_i1",
    "modified_bessel_k0", "modified_bessel_k1", "scaled_modified_bessel_k0", "scaled_modified_bessel_k1",
    "spherical_bessel_j0", "airy_ai",
):  # fmt: skip
    _only(_name)


# -- orthogonal polynomials: p_n(x), n truncated to an integer, 0 for negative n --------------------------------------
def _polynomial(name: str, shifted: bool = False) -> None:
    recurrence = name.removeprefix("shifted_")

    def lower(b: Any, x: Any, n: Any) -> Any:
        return b.pw(recurrence, x * 2.0 - 1.0 if shifted else x, n)

    binary(name, lower, result="float", allow="biuf", torch=False, method=False, inplace=False, special=True)


for _name in "tuvw":
    _polynomial(f"chebyshev_polynomial_{_name}")
    _polynomial(f"shifted_chebyshev_polynomial_{_name}", shifted=True)
for _name in ("hermite_polynomial_h", "hermite_polynomial_he", "laguerre_polynomial_l", "legendre_polynomial_p"):
    _polynomial(_name)
