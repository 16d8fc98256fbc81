"""The generalized Pareto distribution."""

from __future__ import annotations

import math
from numbers import Number
from typing import Any

from .. import ops
from ..graph.spec import Size
from ..tensor import Tensor
from . import constraints
from .distribution import Distribution
from .utils import broadcast_all


class GeneralizedPareto(Distribution):
    """Tails above ``loc`` with ``scale`` and shape ``concentration`` (0: exponential, below 0: bounded)."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive, "concentration": constraints.real}
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale, self.concentration = broadcast_all(loc, scale, concentration)
        numbers = all(isinstance(v, Number) for v in (loc, scale, concentration))
        super().__init__(Size() if numbers else self.loc.size(), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> GeneralizedPareto:
        return self._expanded(GeneralizedPareto, batch_shape, _instance, loc=0, scale=0, concentration=0)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        return self.icdf(ops.rand(shape, dtype=self.loc.dtype, device=self.loc.device))

    def _z(self, x: Tensor) -> Tensor:
        return (x - self.loc) / self.scale

    def _shape(self) -> tuple[Tensor, Tensor]:
        """Whether the shape is 0, and a shape that is not."""
        zero = ops.isclose(self.concentration, ops.tensor(0.0, dtype=self.concentration.dtype))
        return zero, ops.where(zero, ops.ones_like(self.concentration), self.concentration)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        z = self._z(value)
        zero, c = self._shape()
        y = 1 / c + ops.ones_like(z)
        return -self.scale.log() - ops.where(zero, z, ops.where(y == 0, y, y * ops.log1p(c * z)))

    def log_survival_function(self, value: Tensor) -> Tensor:
        """log(1 - cdf)."""
        if self._validate_args:
            self._validate_sample(value)
        z = self._z(value)
        zero, c = self._shape()
        return ops.where(zero, -z, -ops.log1p(c * z) / c)

    def log_cdf(self, value: Tensor) -> Tensor:
        """log(cdf)."""
        if self._validate_args:
            self._validate_sample(value)
        return ops.log1p(-ops.exp(self.log_survival_function(value)))

    def cdf(self, value: Tensor) -> Tensor:
        return ops.exp(self.log_cdf(value))

    def icdf(self, value: Tensor) -> Tensor:
        zero, c = self._shape()
        log = ops.log1p(-value)
        return ops.where(zero, self.loc - self.scale * log, self.loc + self.scale * ops.expm1(-c * log) / c)

    @property
    def mean(self) -> Tensor:
        """NaN for shapes from 1 on."""
        finite = self.concentration < 1
        c = ops.where(finite, self.concentration, 0.5 * ops.ones_like(self.concentration))
        return (self.loc + self.scale / (1 - c)).masked_fill(~finite, math.nan)

    @property
    def variance(self) -> Tensor:
        """NaN for shapes from 1/2 on."""
        finite = self.concentration < 0.5
        c = ops.where(finite, self.concentration, 0.25 * ops.ones_like(self.concentration))
        return (self.scale**2 / ((1 - c) ** 2 * (1 - 2 * c))).masked_fill(~finite, math.nan)

    def entropy(self) -> Tensor:
        return ops.log(self.scale) + self.concentration + 1

    @property
    def mode(self) -> Tensor:
        return self.loc

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> constraints.Constraint:
        bounded = self.loc - self.scale / self.concentration
        upper = bounded.masked_fill(self.concentration >= 0, math.inf)
        return constraints.interval(self.loc, upper)
