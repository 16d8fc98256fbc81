"""Random numbers into tensors: in-place draws, and samples whose distribution a tensor describes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import dtypes, random
from ..autograd.inplace import check_inplace
from ..autograd.variable import Tensor
from ..dtypes import scalar_type_name
from ..graph.spec import spec
from . import creation
from .complex_numbers import view_as_real
from .creation import cast, draw, from_array
from .op import Op
from .pointwise import broadcast_shapes, check_kind, wide
from .publish import function
from .publish import registry as REGISTRY
from .storing import put
from .views import sizes_of

_NUMBERS = (dtypes.int64, dtypes.int64)


def _real(dtype: dtypes.dtype) -> dtypes.dtype:
    return dtypes.float64 if dtype is dtypes.float64 else dtypes.float32


def _open_uniform(b: Any, shape: tuple[int, ...], seed: Any, offset: Any, real: dtypes.dtype) -> Any:
    """Floats strictly between 0 and 1: midpoints of 2^23 (2^52) equal parts, which the dtype holds exactly."""
    digits = 52 if real is dtypes.float64 else 23
    return (creation.leading_bits(b, shape, seed, offset, digits).cast(real) + 0.5) * (2.0**-digits)


def _drawing(name: str, transform: Any, extra: int, uniform: Any = _open_uniform) -> Op:
    """An op that draws ``transform(b, uniform numbers, *parameters)``; static: shape, dtype, device."""

    def lower(b: Any, seed: Any, offset: Any, *args: Any) -> Any:
        *numbers, shape, dtype, device = args
        return transform(b, uniform(b, shape, seed, offset, _real(dtype)), *numbers).cast(dtype)

    return Op(
        name,
        lambda shape, dtype, device: spec(dtype, device, shape),
        lower,
        scalars=lambda shape, dtype, device: (*_NUMBERS, *(_real(dtype),) * extra),
    )


def _uniform_lower(b: Any, seed: Any, offset: Any, low: Any, span: Any, shape: Any, dtype: Any, device: Any) -> Any:
    u = creation.uniform(b, shape, seed, offset, dtype)
    return (u * span + low).cast(dtype)


_uniform = Op(
    "uniform", lambda shape, dtype, device: spec(dtype, device, shape), _uniform_lower,
    scalars=lambda shape, dtype, device: (*_NUMBERS, wide(dtype), wide(dtype)),
)  # fmt: skip
_exponential = _drawing("exponential", lambda b, u, rate: -b.log(u) / rate, 1)
_cauchy = _drawing("cauchy", lambda b, u, median, sigma: median + sigma * b.tan((u - 0.5) * math.pi), 2)
_geometric = _drawing("geometric", lambda b, u, scale: b.ceil(b.log(u) * scale), 1)
_below = _drawing("bernoulli", lambda b, u, p: b.lt(u, p), 1, creation.uniform)


def _fill(x: Tensor, op: Op, numbers: tuple, generator: Any, name: str) -> Tensor:
    check_inplace(x, name)
    seen = x._spec
    put(x, draw(op, seen.shape, seen.dtype, seen.device, generator, numbers), seen.contiguous)
    return x


def _only_float(name: str, x: Tensor) -> None:
    check_kind(name, x._spec.dtype, "f")


# -- in place ---------------------------------------------------------------------------------------------------------
@function(torch=False)
def uniform_(self: Tensor, *bounds: Any, generator: Any = None, **named: Any) -> Tensor:
    """Uniform numbers in [from, to) (``from=0, to=1``), in place."""
    low, high = _bounds(bounds, named, ("from", 0.0), ("to", 1.0), "uniform_")
    if self._spec.dtype.is_complex:
        uniform_(view_as_real(self), low, high, generator=generator)
        return self
    _only_float("check_uniform_bounds", self)
    if low > high:
        raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={low} > to={high}")
    return _fill(self, _uniform, (low, high - low), generator, "uniform_")


def _bounds(given: tuple, named: dict, first: tuple, second: tuple, name: str) -> tuple:
    values = list(given)
    for key, default in (first, second)[len(values) :]:
        values.append(named.pop(key, default))
    if named:
        raise TypeError(f"{name}() got an unexpected keyword argument '{next(iter(named))}'")
    return tuple(v.item() if isinstance(v, Tensor) else v for v in values)


@function(torch=False)
def normal_(self: Tensor, mean: float = 0, std: float = 1, *, generator: Any = None) -> Tensor:
    """Normal numbers of mean and standard deviation, in place."""
    check_kind("normal_kernel_cpu", self._spec.dtype, "fc")
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {float(std)}")
    check_inplace(self, "normal_")
    seen = self._spec
    value = draw(creation._randn, seen.shape, seen.dtype, seen.device, generator)
    if std != 1:
        value = value * std
    put(self, value + mean if mean != 0 else value, seen.contiguous)
    return self


@function(torch=False)
def random_(self: Tensor, *bounds: Any, generator: Any = None, **named: Any) -> Tensor:
    """Integers in [from, to) in place; by default all that the dtype holds exactly, from 0."""
    dtype = self._spec.dtype
    if len(bounds) == 1:
        bounds = (0, bounds[0])
    low, high = _bounds(bounds, named, ("from", 0), ("to", None), "random_")
    if high is None:
        high = _top(dtype)
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    return _fill(self, creation._randint, (int(low), min(int(high) - int(low), (1 << 63) - 1)), generator, "random_")


def _top(dtype: dtypes.dtype) -> int:
    if dtype is dtypes.bool:
        return 2
    if dtype.is_floating_point:
        return (1 << {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}[dtype.name]) + 1
    return dtypes.iinfo(dtype).max + (dtype is not dtypes.int64)


@function(torch=False)
def exponential_(self: Tensor, lambd: float = 1, *, generator: Any = None) -> Tensor:
    """Exponentially distributed numbers of rate ``lambd``, in place."""
    _only_float("exponential_kernel_cpu", self)
    if lambd <= 0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd}")
    return _fill(self, _exponential, (float(lambd),), generator, "exponential_")


@function(torch=False)
def cauchy_(self: Tensor, median: float = 0, sigma: float = 1, *, generator: Any = None) -> Tensor:
    """Cauchy distributed numbers, in place."""
    _only_float("cauchy", self)
    if sigma <= 0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma}")
    return _fill(self, _cauchy, (float(median), float(sigma)), generator, "cauchy_")


@function(torch=False)
def log_normal_(self: Tensor, mean: float = 1, std: float = 2, *, generator: Any = None) -> Tensor:
    """exp of normal numbers, in place."""
    _only_float("log_normal", self)
    if std <= 0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std}")
    check_inplace(self, "log_normal_")
    seen = self._spec
    value = draw(creation._randn, seen.shape, seen.dtype, seen.device, generator)
    put(self, (value * std + mean).exp(), seen.contiguous)
    return self


@function(torch=False)
def geometric_(self: Tensor, p: float, *, generator: Any = None) -> Tensor:
    """Number of trials up to the first success of probability ``p``, in place."""
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p}")
    check_kind("geometric", self._spec.dtype, "iuf")
    return _fill(self, _geometric, (1 / math.log1p(-p),), generator, "geometric_")


# -- bernoulli --------------------------------------------------------------------------------------------------------
def _probability(p: float) -> float:
    if not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p}")
    return float(p)


@function(torch=False)
def bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Any = None) -> Tensor:
    """Ones with probability ``p`` (a number or a tensor), in place."""
    if not isinstance(p, Tensor):
        return _fill(self, _below, (_probability(p),), generator, "bernoulli_")
    check_inplace(self, "bernoulli_")
    seen = self._spec
    put(self, cast(_chance(p.expand(*seen.shape), generator), seen.dtype), seen.contiguous)
    return self


def _chance(p: Tensor, generator: Any) -> Tensor:
    dtype = _real(p._spec.dtype)
    return draw(creation._rand, p._spec.shape, dtype, p._spec.device, generator) < p.detach()


@function(out=True)
def bernoulli(input: Tensor, p: float | None = None, *, generator: Any = None) -> Tensor:
    """Ones with the probabilities ``input`` (or all with probability ``p``)."""
    seen = input._spec
    if p is not None:
        return draw(_below, seen.shape, seen.dtype, seen.device, generator, (_probability(p),))
    check_kind("bernoulli_tensor_cpu_p_", seen.dtype, "f")
    return cast(_chance(input, generator), seen.dtype)


# -- normal -----------------------------------------------------------------------------------------------------------
@function(method=False, out=True)
def normal(
    mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Any = None, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Normal numbers: means and deviations are tensors (broadcast) or numbers, or numbers with a ``size``."""
    if not isinstance(std, Tensor) and std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {float(std)}")
    tensors = [t for t in (mean, std) if isinstance(t, Tensor)]
    if not tensors:
        shape = sizes_of((size,), "normal")
        z = draw(creation._randn, shape, dtype or dtypes.default.get(), device, generator)
        return creation.finish(z * std + mean, requires_grad)
    like = tensors[0]._spec
    check_kind("normal_kernel_cpu", like.dtype, "f")
    shape = broadcast_shapes(*(t._spec.shape for t in tensors))
    z = draw(creation._randn, shape, like.dtype, like.device, generator)
    mean, std = (t.detach() if isinstance(t, Tensor) else t for t in (mean, std))
    return z * std + mean


# -- choosing by weight -----------------------------------------------------------------------------------------------
@function(out=True)
def multinomial(input: Tensor, num_samples: int, replacement: bool = False, *, generator: Any = None) -> Tensor:
    """(..., num_samples) indices drawn with the probabilities (weights) of each row of a vector or matrix.

    Without replacement: the largest of ``weight / exponential`` (Efraimidis and Spirakis 2006). Raises RuntimeError
    for weights that are negative, not finite, or sum to zero.
    """
    p, seen = input.detach(), input._spec
    if not seen.dtype.is_floating_point:
        raise RuntimeError(
            f"multinomial only supports floating-point dtypes for input, got: {scalar_type_name(seen.dtype)}"
        )
    if not 0 < seen.ndim <= 2:
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    n = seen.shape[-1]
    if num_samples <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    if not replacement and num_samples > n:
        raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement")
    if n > 1 << 24:
        raise RuntimeError("number of categories cannot exceed 2^24")
    if not seen.numel:
        return creation.zeros_of((*seen.shape[:-1], num_samples), dtypes.int64, seen.device)
    total = p.sum(-1)
    # One read: 1 for a bad weight, 2 for an empty row.
    fault = int((((p < 0) | ~p.isfinite()).any().int() + (total <= 0).any().int() * 2).item())
    if fault & 1:
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if fault & 2:
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    if replacement and num_samples > 1:
        return _with_replacement(p, num_samples, generator)
    dtype = _real(seen.dtype)
    race = p.to(dtype) / draw(_exponential, seen.shape, dtype, seen.device, generator, (1.0,))
    if num_samples == 1:
        return race.argmax(-1, True)
    return race.topk(num_samples, -1)[1]


def _with_replacement(p: Tensor, count: int, generator: Any) -> Tensor:
    seen = p._spec
    dtype = _real(seen.dtype)
    steps = p.to(dtype).cumsum(-1)
    u = draw(creation._rand, (*seen.shape[:-1], count), dtype, seen.device, generator) * steps[..., -1:]
    # The last category with weight bounds the result where rounding would go past it.
    last = (p > 0).to(dtypes.int64).mul(REGISTRY["arange"].call(seen.shape[-1], device=seen.device)).amax(-1, True)
    return REGISTRY["searchsorted"].call(steps, u, right=True).minimum(last)


# -- on the host ------------------------------------------------------------------------------------------------------
def host_generator(generator: Any, count: int) -> np.random.Generator:
    """A NumPy generator that continues the stream of ``generator`` (for distributions that reject samples)."""
    seed, offset = (generator or random.default_generator).take(2 * count)
    return np.random.Generator(np.random.Philox(key=[seed, offset]))


def host_sample(like: Tensor, sample: Any, generator: Any) -> Tensor:
    """``sample(NumPy generator) -> array`` as a tensor of ``like``'s dtype and device."""
    seen = like._spec
    values = sample(host_generator(generator, max(seen.numel, 1)))
    np_dtype = np.float32 if seen.dtype is dtypes.bfloat16 else seen.dtype.numpy
    return from_array(dtypes.to_storage(np.asarray(values).astype(np_dtype), seen.dtype), seen.dtype, seen.device)


def _values(t: Tensor) -> np.ndarray:
    t = t.detach().cpu()
    return t.to(dtypes.float64).numpy()


@function(method=False)
def poisson(input: Tensor, generator: Any = None) -> Tensor:
    """Poisson distributed numbers of rates ``input``."""
    check_kind("poisson_cpu", input._spec.dtype, "f")
    rate = _values(input)
    if (rate < 0).any():
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    return host_sample(input, lambda source: source.poisson(rate), generator)


@function(method=False)
def binomial(count: Tensor, prob: Tensor, generator: Any = None) -> Tensor:
    """Binomially distributed numbers."""
    shape = broadcast_shapes(count._spec.shape, prob._spec.shape)
    n, p = _values(count), _values(prob)
    return host_sample(prob.expand(*shape), lambda source: source.binomial(n.astype(np.int64), p, shape), generator)
