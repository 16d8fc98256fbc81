"""The LKJ distribution of Cholesky factors of correlation matrices (Lewandowski, Kurowicka and Joe 2009)."""

from __future__ import annotations

import math
from typing import Any

from .. import dtypes, ops
from ..autograd import no_grad
from ..graph.spec import Size
from ..tensor import Tensor
from . import constraints
from .beta import Beta
from .distribution import Distribution
from .utils import broadcast_all


class LKJCholesky(Distribution):
    """Factors L (..., dim, dim) with density of L L^T proportional to its determinant^(concentration - 1)."""

    arg_constraints = {"concentration": constraints.positive}
    support = constraints.corr_cholesky

    def __init__(self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None) -> None:
        if dim < 2:
            raise ValueError(f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}.")
        self.dim = dim
        (self.concentration,) = broadcast_all(concentration)
        # Squared lengths of the rows below the diagonal, by the onion method.
        options = {"dtype": self.concentration.dtype, "device": self.concentration.device}
        before = ops.cat([ops.zeros(1, **options), ops.arange(self.dim - 1, **options)])
        marginal = (self.concentration + 0.5 * (self.dim - 2)).unsqueeze(-1)
        self._beta = Beta(before + 0.5, marginal - 0.5 * before)
        super().__init__(self.concentration.size(), Size((dim, dim)), validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> LKJCholesky:
        new = self._expanded(LKJCholesky, batch_shape, _instance, concentration=0)
        new.dim = self.dim
        new._beta = self._beta.expand(Size(batch_shape) + (self.dim,))
        return new

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Rows in a random direction, of a beta distributed squared length; the diagonal completes them to 1."""
        with no_grad():
            length = self._beta.sample(sample_shape).unsqueeze(-1)
            shape = self._extended_shape(sample_shape)
            normal = ops.randn(shape, dtype=length.dtype, device=length.device).tril(-1)
            direction = normal / normal.norm(dim=-1, keepdim=True)
            direction[..., 0, :].fill_(0.0)
            w = ops.sqrt(length) * direction
            eps = dtypes.finfo(w.dtype).tiny
            return w + ops.diag_embed(ops.clamp(1 - (w**2).sum(-1), min=eps).sqrt())

    def log_prob(self, value: Tensor) -> Tensor:
        """sum of (dim - i + 2 (concentration - 1)) log L_ii over i >= 2, less the norm (LKJ 2009, page 1999)."""
        if self._validate_args:
            self._validate_sample(value)
        diagonal = value.diagonal(dim1=-1, dim2=-2)[..., 1:]
        row = ops.arange(2, self.dim + 1, device=self.concentration.device)
        power = 2 * (self.concentration - 1).unsqueeze(-1) + self.dim - row
        plain = (power * diagonal.log()).sum(-1)
        free = self.dim - 1
        alpha = self.concentration + 0.5 * free
        norm = 0.5 * free * math.log(math.pi) + ops.mvlgamma(alpha - 0.5, free) - ops.lgamma(alpha) * free
        return plain - norm
