"""Divergences between different families: the negative entropy of p less the expectation of log q under p."""

from __future__ import annotations

import math
from typing import Any

from ... import ops
from ...tensor import Tensor
from ..bernoulli import Bernoulli
from ..beta import Beta
from ..binomial import Binomial
from ..continuous_bernoulli import ContinuousBernoulli
from ..exponential import Exponential
from ..gamma import Gamma
from ..gumbel import Gumbel
from ..laplace import Laplace
from ..normal import Normal
from ..pareto import Pareto
from ..poisson import Poisson
from ..uniform import Uniform
from .registry import register_kl


def _infinite_like(x: Tensor) -> Tensor:
    return ops.full_like(x, math.inf)


def _x_log_x(x: Tensor) -> Tensor:
    return ops.xlogy(x, x)


# -- pairs where p puts weight outside the support of q ----------------------------------------------------------------
def _register_infinite() -> None:
    bounded = {
        Beta: (Pareto,), ContinuousBernoulli: (Pareto,), Exponential: (Beta, ContinuousBernoulli, Pareto, Uniform),
        Gamma: (Beta, ContinuousBernoulli, Pareto, Uniform),
        Gumbel: (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform),
        Laplace: (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform),
        Normal: (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform),
        Pareto: (Beta, ContinuousBernoulli, Uniform), Poisson: (Bernoulli, Binomial),
    }  # fmt: skip
    sample = {
        Beta: "concentration1", ContinuousBernoulli: "probs", Exponential: "rate", Gamma: "concentration",
        Gumbel: "loc", Laplace: "loc", Normal: "loc", Pareto: "scale", Poisson: "rate",
    }  # fmt: skip
    for p_type, q_types in bounded.items():

        def infinite(p: Any, q: Any, _name: str = sample[p_type]) -> Tensor:
            return _infinite_like(getattr(p, _name))

        for q_type in q_types:
            register_kl(p_type, q_type)(infinite)


_register_infinite()


# -- families of which only mean and variance enter --------------------------------------------------------------------
def _to_normal(p: Any, q: Normal) -> Tensor:
    second = (p.variance + (p.mean - q.loc).pow(2)) / (2 * q.scale.pow(2))
    return second - p.entropy() + q.scale.log() + 0.5 * math.log(2 * math.pi)


def _to_exponential(p: Any, q: Exponential) -> Tensor:
    return q.rate * p.mean - q.rate.log() - p.entropy()


def _to_continuous_bernoulli(p: Any, q: ContinuousBernoulli) -> Tensor:
    return -p.entropy() - p.mean * q.logits - ops.log1p(-q.probs) - q._cont_bern_log_norm()


for _type in (Beta, ContinuousBernoulli, Exponential, Gamma, Gumbel, Laplace, Pareto, Uniform):
    register_kl(_type, Normal)(_to_normal)
for _type in (Beta, ContinuousBernoulli, Gamma, Pareto):
    register_kl(_type, Exponential)(_to_exponential)
register_kl(Beta, ContinuousBernoulli)(_to_continuous_bernoulli)


@register_kl(Uniform, Exponential)
def _kl_uniform_exponential(p: Uniform, q: Exponential) -> Tensor:
    return _to_exponential(p, q).masked_fill(p.low < 0, math.inf)


@register_kl(Uniform, ContinuousBernoulli)
def _kl_uniform_continuous_bernoulli(p: Uniform, q: ContinuousBernoulli) -> Tensor:
    return _to_continuous_bernoulli(p, q).masked_fill((p.high > 1) | (p.low < 0), math.inf)


def _to_uniform(p: Any, q: Uniform) -> Tensor:
    """For p on [0, 1]."""
    return ((q.high - q.low).log() - p.entropy()).masked_fill((q.low > 0) | (q.high < 1), math.inf)


register_kl(Beta, Uniform)(_to_uniform)
register_kl(ContinuousBernoulli, Uniform)(_to_uniform)


@register_kl(Bernoulli, Poisson)
def _kl_bernoulli_poisson(p: Bernoulli, q: Poisson) -> Tensor:
    return q.rate - p.probs * q.rate.log() - p.entropy()


# -- gamma: the expectation of log x enters ----------------------------------------------------------------------------
def _to_gamma(p: Any, q: Gamma, mean_log: Tensor) -> Tensor:
    norm = q.concentration.lgamma() - q.concentration * q.rate.log()
    return norm - (q.concentration - 1) * mean_log + q.rate * p.mean - p.entropy()


@register_kl(Beta, Gamma)
def _kl_beta_gamma(p: Beta, q: Gamma) -> Tensor:
    total = p.concentration1 + p.concentration0
    return _to_gamma(p, q, p.concentration1.digamma() - total.digamma())


@register_kl(Exponential, Gamma)
def _kl_exponential_gamma(p: Exponential, q: Gamma) -> Tensor:
    return _to_gamma(p, q, ops.digamma(ops.ones_like(p.rate)) - p.rate.log())


@register_kl(Pareto, Gamma)
def _kl_pareto_gamma(p: Pareto, q: Gamma) -> Tensor:
    return _to_gamma(p, q, p.scale.log() + p.alpha.reciprocal())


def _mean_log(low: Tensor, high: Tensor) -> Tensor:
    """E[log x] of a uniform variate."""
    return (_x_log_x(high) - _x_log_x(low)) / (high - low) - 1


@register_kl(Uniform, Gamma)
def _kl_uniform_gamma(p: Uniform, q: Gamma) -> Tensor:
    return _to_gamma(p, q, _mean_log(p.low, p.high)).masked_fill(p.low < 0, math.inf)


@register_kl(Uniform, Beta)
def _kl_uniform_beta(p: Uniform, q: Beta) -> Tensor:
    a, b = q.concentration1, q.concentration0
    norm = a.lgamma() + b.lgamma() - (a + b).lgamma()
    logs = (a - 1) * _mean_log(p.low, p.high) + (b - 1) * _mean_log(1 - p.high, 1 - p.low)
    return (norm - logs - p.entropy()).masked_fill((p.high > 1) | (p.low < 0), math.inf)


@register_kl(Uniform, Pareto)
def _kl_uniform_pareto(p: Uniform, q: Pareto) -> Tensor:
    log_q = q.alpha.log() + q.alpha * q.scale.log() - (q.alpha + 1) * _mean_log(p.low, p.high)
    return (-p.entropy() - log_q).masked_fill(p.low < q.scale, math.inf)


# -- Gumbel: the expectation of exp(-x / scale) enters -----------------------------------------------------------------
def _to_gumbel(p: Any, q: Gumbel, log_tail: Tensor) -> Tensor:
    tail = ops.exp(q.loc / q.scale + log_tail)
    return (p.mean - q.loc) / q.scale + tail + q.scale.log() - p.entropy()


@register_kl(Exponential, Gumbel)
def _kl_exponential_gumbel(p: Exponential, q: Gumbel) -> Tensor:
    return _to_gumbel(p, q, -ops.log1p((p.rate * q.scale).reciprocal()))


@register_kl(Gamma, Gumbel)
def _kl_gamma_gumbel(p: Gamma, q: Gumbel) -> Tensor:
    return _to_gumbel(p, q, -p.concentration * ops.log1p((p.rate * q.scale).reciprocal()))


@register_kl(Normal, Gumbel)
def _kl_normal_gumbel(p: Normal, q: Gumbel) -> Tensor:
    return _to_gumbel(p, q, 0.5 * (p.scale / q.scale).pow(2) - p.loc / q.scale)


@register_kl(Uniform, Gumbel)
def _kl_uniform_gumbel(p: Uniform, q: Gumbel) -> Tensor:
    span = (p.high - p.low) / q.scale
    return _to_gumbel(p, q, ops.log(-ops.expm1(-span) / span) - p.low / q.scale)


@register_kl(Normal, Laplace)
def _kl_normal_laplace(p: Normal, q: Laplace) -> Tensor:
    """With the mean of a folded normal variate."""
    z = (p.loc - q.loc) / p.scale
    folded = p.scale * (math.sqrt(2 / math.pi) * ops.exp(-0.5 * z.pow(2)) + z * ops.erf(z / math.sqrt(2)))
    return (2 * q.scale).log() + folded / q.scale - p.entropy()
