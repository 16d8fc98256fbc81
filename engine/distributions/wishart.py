"""The Wishart distribution of positive definite matrices."""

from __future__ import annotations

import math
import warnings
from numbers import Number
from typing import Any

from .. import dtypes, ops
from ..autograd import no_grad
from ..graph.spec import Size
from ..tensor import Tensor
from . import constraints
from .exp_family import ExponentialFamily
from .gamma import Gamma
from .multivariate_normal import _half_log_det, _precision_to_scale_tril
from .utils import lazy_property


def _mvdigamma(x: Tensor, p: int) -> Tensor:
    """The derivative of the multivariate log-gamma function."""
    return ops.digamma(x.unsqueeze(-1) - ops.arange(p, dtype=x.dtype, device=x.device) / 2).sum(-1)


def _clamp_above_eps(x: Tensor) -> Tensor:
    return x.clamp(min=dtypes.finfo(x.dtype).eps)


class Wishart(ExponentialFamily):
    """Sums of ``df`` outer products of normal vectors: matrices (..., n, n) of mean df covariance.

    Exactly one of ``covariance_matrix``, ``precision_matrix`` and ``scale_tril`` is given, each (..., n, n). Raises
    ValueError for df <= n - 1.
    """

    support = constraints.positive_definite
    has_rsample = True
    _mean_carrier_measure = 0

    @property
    def arg_constraints(self) -> dict[str, constraints.Constraint]:
        return {
            "covariance_matrix": constraints.positive_definite, "precision_matrix": constraints.positive_definite,
            "scale_tril": constraints.lower_cholesky, "df": constraints.greater_than(self.event_shape[-1] - 1),
        }  # fmt: skip

    def __init__(
        self, df: Any, covariance_matrix: Tensor | None = None, precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None, validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        given = {"covariance_matrix": covariance_matrix, "scale_tril": scale_tril, "precision_matrix": precision_matrix}
        given = {name: value for name, value in given.items() if value is not None}
        if len(given) != 1:
            raise ValueError("Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.")
        ((name, matrix),) = given.items()
        if matrix.dim() < 2:
            raise ValueError("scale_tril must be at least two-dimensional, with optional leading batch dimensions")
        if isinstance(df, Number):
            batch_shape = Size(matrix.shape[:-2])
            self.df = ops.tensor(df, dtype=matrix.dtype, device=matrix.device)
        else:
            batch_shape = ops.broadcast_shapes(matrix.shape[:-2], df.shape)
            self.df = df.expand(batch_shape)
        event_shape = matrix.shape[-2:]
        if self.df.le(event_shape[-1] - 1).any():
            raise ValueError(f"Value of df={df} expected to be greater than ndim - 1 = {event_shape[-1] - 1}.")
        setattr(self, name, matrix.expand(batch_shape + (-1, -1)))
        self._event_shape = event_shape  # read by arg_constraints
        super().__init__(batch_shape, event_shape, validate_args=validate_args)
        if self.df.lt(event_shape[-1]).any():
            warnings.warn(
                "Low df values detected. Singular samples are highly likely to occur for ndim - 1 < df < ndim.",
                stacklevel=2,
            )
        if name == "scale_tril":
            self._unbroadcasted_scale_tril = scale_tril
        elif name == "covariance_matrix":
            self._unbroadcasted_scale_tril = ops.linalg_cholesky(covariance_matrix)
        else:
            self._unbroadcasted_scale_tril = _precision_to_scale_tril(precision_matrix)
        self._make_chi2()

    def _make_chi2(self) -> None:
        """Gamma distributions of the squared diagonal of Bartlett's factor: chi2 of df, df - 1, ..."""
        n = self._event_shape[-1]
        less = ops.arange(n, dtype=self._unbroadcasted_scale_tril.dtype, device=self._unbroadcasted_scale_tril.device)
        df = self.df.expand(self._batch_shape).unsqueeze(-1) - less.expand(self._batch_shape + (n,))
        self._dist_chi2 = Gamma(0.5 * df, 0.5 * ops.ones_like(df), validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Wishart:
        new = self._expanded(
            Wishart, batch_shape, _instance, df=0, covariance_matrix=2, scale_tril=2, precision_matrix=2
        )
        new._unbroadcasted_scale_tril = self._unbroadcasted_scale_tril.expand(Size(batch_shape) + self._event_shape)
        new._make_chi2()
        return new

    def _full(self, matrix: Tensor) -> Tensor:
        return matrix.expand(self._batch_shape + self._event_shape)

    @lazy_property
    def scale_tril(self) -> Tensor:
        return self._full(self._unbroadcasted_scale_tril)

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        return self._full(self._unbroadcasted_scale_tril @ self._unbroadcasted_scale_tril.mT)

    @lazy_property
    def precision_matrix(self) -> Tensor:
        return self._full(ops.cholesky_inverse(self._unbroadcasted_scale_tril))

    def _wide(self) -> Tensor:
        """df with two more dimensions."""
        return self.df.reshape(self.df.shape + (1, 1)).expand(self._batch_shape + (1, 1))

    @property
    def mean(self) -> Tensor:
        return self._wide() * self.covariance_matrix

    @property
    def mode(self) -> Tensor:
        """NaN for df up to n + 1."""
        factor = self._wide() - self.covariance_matrix.shape[-1] - 1
        return factor.masked_fill(factor <= 0, math.nan) * self.covariance_matrix

    @property
    def variance(self) -> Tensor:
        v = self.covariance_matrix
        diagonal = v.diagonal(dim1=-2, dim2=-1)
        return self._wide() * (v.pow(2) + diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2))

    def _bartlett_sampling(self, sample_shape: Any = ()) -> Tensor:
        """L A A^T L^T, A lower triangular with roots of chi2 on its diagonal and normals below (Bartlett 1933)."""
        n = self._event_shape[-1]
        root = _clamp_above_eps(self._dist_chi2.rsample(sample_shape).sqrt())
        below = ops.randn(root.shape + (n,), dtype=root.dtype, device=root.device).tril(-1)
        a = below + root.diag_embed(dim1=-2, dim2=-1)
        chol = self._unbroadcasted_scale_tril @ a
        return chol @ chol.mT

    def rsample(self, sample_shape: Any = (), max_try_correction: int | None = None) -> Tensor:
        """Matrices; those that rounding made singular are drawn again up to ``max_try_correction`` times (None: 3 for
        single and 10 for larger batches)."""
        if max_try_correction is None:
            max_try_correction = 3 if self._unbroadcasted_scale_tril.dim() == 2 else 10
        sample_shape = Size(sample_shape)
        sample = self._bartlett_sampling(sample_shape)
        singular = self._singular(sample)
        if not singular.any():
            return sample
        warnings.warn("Singular sample detected.", stacklevel=2)
        for _ in range(max_try_correction):
            sample = ops.where(singular[..., None, None], self._bartlett_sampling(sample_shape), sample)
            singular = self._singular(sample)
            if not singular.any():
                break
        return sample

    def _singular(self, sample: Tensor) -> Tensor:
        with no_grad():
            return ~self.support.check(sample)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        n = self._event_shape[-1]
        half = self.df / 2
        norm = half * n * math.log(2) + 2 * half * _half_log_det(self._unbroadcasted_scale_tril)
        norm = norm + ops.mvlgamma(half, p=n)
        log_det = ops.linalg_slogdet(value)[1]
        solved = ops.cholesky_solve(value, self._unbroadcasted_scale_tril)
        trace = solved.diagonal(dim1=-2, dim2=-1).sum(-1)
        return (self.df - n - 1) / 2 * log_det - trace / 2 - norm

    def entropy(self) -> Tensor:
        n = self._event_shape[-1]
        half = self.df / 2
        first = (n + 1) * (_half_log_det(self._unbroadcasted_scale_tril) + n * math.log(2) / 2)
        return first + ops.mvlgamma(half, p=n) - (self.df - n - 1) / 2 * _mvdigamma(half, p=n) + half * n

    @property
    def _natural_params(self) -> tuple[Tensor, Tensor]:
        return self.df / 2, -self.precision_matrix / 2

    def _log_normalizer(self, x: Tensor, y: Tensor) -> Tensor:
        n = y.shape[-1]
        return x * (-ops.linalg_slogdet(-2 * y)[1] + n * math.log(2)) + ops.mvlgamma(x, p=n)
