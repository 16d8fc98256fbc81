"""The von Mises distribution of angles."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import dtypes, ops
from ..autograd import no_grad
from ..graph.spec import Size
from ..ops.random_ops import host_sample
from ..tensor import Tensor
from . import constraints
from .distribution import Distribution
from .utils import broadcast_all


def _log_bessel(x: Tensor, order: int) -> Tensor:
    """log I_order(x) for x > 0, without overflow."""
    return (ops.i0e(x) if order == 0 else ops.i1e(x)).log() + x


class VonMises(Distribution):
    """Angles in radians around ``loc``; ``concentration`` is the inverse of a variance."""

    arg_constraints = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real
    has_rsample = False

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.concentration = broadcast_all(loc, concentration)
        super().__init__(self.loc.shape, Size(), validate_args=validate_args)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        height = self.concentration * ops.cos(value - self.loc)
        return height - math.log(2 * math.pi) - _log_bessel(self.concentration, 0)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Angles from -pi to pi, drawn on the host by rejection (Best and Fisher 1979)."""
        shape = self._extended_shape(sample_shape)
        with no_grad():
            loc, concentration = (
                t.detach().cpu().to(dtypes.float64).expand(shape).numpy() for t in (self.loc, self.concentration)
            )
            turned = (loc + np.pi) % (2 * np.pi) - np.pi
            return host_sample(self.loc.expand(shape), lambda source: source.vonmises(turned, concentration), None)

    def expand(self, batch_shape: Any, _instance: Any = None) -> VonMises:
        return self._expanded(VonMises, batch_shape, _instance, loc=0, concentration=0)

    @property
    def mean(self) -> Tensor:
        """The direction of the mean."""
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        """The circular variance 1 - I1 / I0."""
        return 1 - ops.i1e(self.concentration) / ops.i0e(self.concentration)
