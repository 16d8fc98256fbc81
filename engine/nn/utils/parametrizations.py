"""Ready-made parametrizations: orthogonal, weight_norm, spectral_norm."""

from __future__ import annotations

from enum import Enum, auto
from typing import Any

from engine import autograd, dtypes, linalg, ops
from engine.tensor import Tensor

from .. import functional as F
from ..modules.module import Module
from . import parametrize
from .spectral_norm import default_dim
from .weight_norm import norm_except_dim

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


def _is_orthogonal(q: Tensor, eps: float | None = None) -> bool:
    n, k = q.size(-2), q.size(-1)
    identity = ops.eye(k, dtype=q.dtype, device=q.device)
    eps = 10.0 * n * dtypes.finfo(q.dtype).eps if eps is None else eps
    return bool(ops.allclose(q.mH @ q, identity, rtol=0.0, atol=eps))


def _make_orthogonal(a: Tensor) -> Tensor:
    """The Q of a QR decomposition whose R has a positive diagonal: close to ``a`` when that is near orthogonal."""
    x, tau = ops.geqrf(a)
    q = ops.orgqr(x, tau)
    return q * x.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)


class _OrthMaps(Enum):
    matrix_exp = auto()
    cayley = auto()
    householder = auto()


class _Orthogonal(Module):
    """Maps a matrix (or a batch) to one with orthonormal columns, or rows when it is wide.

    Through the exponential or the Cayley transform of a skew matrix, or as a product of Householder reflections. With
    trivialization the result is multiplied by a base matrix, so that any orthogonal matrix can be assigned
    (Lezcano-Casado 2019).
    """

    base: Tensor | None

    def __init__(self, weight: Tensor, orthogonal_map: _OrthMaps, *, use_trivialization: bool = True) -> None:
        super().__init__()
        if weight.is_complex() and orthogonal_map == _OrthMaps.householder:
            raise ValueError("The householder parametrization does not support complex tensors.")
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, x: Tensor) -> Tensor:
        n, k = x.size(-2), x.size(-1)
        wide = n < k
        if wide:
            x, n, k = x.mT, k, n
        if self.orthogonal_map == _OrthMaps.householder:
            below = x.tril(-1)
            tau = 2.0 / (1.0 + (below * below).sum(-2))
            q = ops.orgqr(below, tau)
            # The diagonal holds the signs of the columns.
            q = q * x.diagonal(dim1=-2, dim2=-1).to(dtypes.int32).unsqueeze(-2)
        else:
            q = self._from_skew(x, n, k)
        if hasattr(self, "base"):
            q = self.base @ q
        return q.mT if wide else q

    def _from_skew(self, x: Tensor, n: int, k: int) -> Tensor:
        x = x.tril()
        if n != k:
            missing = ops.zeros((*x.shape[:-2], n, n - k), dtype=x.dtype, device=x.device)
            x = ops.cat([x, missing], -1)
        a = x - x.mH
        if self.orthogonal_map == _OrthMaps.matrix_exp:
            q = ops.matrix_exp(a)
        else:
            identity = ops.eye(n, dtype=a.dtype, device=a.device)
            q = linalg.solve(identity - 0.5 * a, identity + 0.5 * a)
        return q[..., :k] if n != k else q

    def right_inverse(self, q: Tensor) -> Tensor:
        with autograd.no_grad():
            if q.shape != self.shape:
                raise ValueError(
                    f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of shape {q.shape}."
                )
            given = q
            n, k = q.size(-2), q.size(-1)
            wide = n < k
            if wide:
                q, n, k = q.mT, k, n
            if not hasattr(self, "base"):
                return self._reflections_of(q, wide)
            if n == k:
                q = q.clone() if _is_orthogonal(q) else _make_orthogonal(q)
            else:
                # Complete the columns to a full basis.
                rest = ops.randn(*q.shape[:-2], n, n - k, dtype=q.dtype, device=q.device)
                q = _make_orthogonal(ops.cat([q, rest], -1))
            self.base = q
            # Every map takes this to the identity, so that the base alone is the value.
            negative = ops.zeros_like(given)
            negative.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
            return negative

    def _reflections_of(self, q: Tensor, wide: bool) -> Tensor:
        if self.orthogonal_map != _OrthMaps.householder:
            raise NotImplementedError(
                "It is not possible to assign to the matrix exponential or the Cayley parametrizations when "
                "use_trivialization=False."
            )
        a, tau = ops.geqrf(q)
        signs = a.diagonal(dim1=-2, dim2=-1).sign()
        # Columns that needed no reflection were multiplied by nothing, so their sign is the opposite.
        signs = ops.where(tau == 0, -signs, signs)
        a.diagonal(dim1=-2, dim2=-1).copy_(signs)
        return a.mT if wide else a


def orthogonal(
    module: Module, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True
) -> Module:
    """Keep ``module.name`` (..., n, k) orthogonal: orthonormal columns when n >= k, rows otherwise.

    ``orthogonal_map``: "matrix_exp", "cayley" or "householder"; by default matrix_exp for square and complex
    matrices, householder for others.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if weight.dim() < 2:
        raise ValueError(f"Expected a matrix or batch of matrices. Got a tensor of {weight.dim()} dimensions.")
    if orthogonal_map is None:
        square = weight.size(-2) == weight.size(-1)
        orthogonal_map = "matrix_exp" if square or weight.is_complex() else "householder"
    if orthogonal_map not in _OrthMaps.__members__:
        raise ValueError(
            f'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: {orthogonal_map}'
        )
    parametrization = _Orthogonal(weight, _OrthMaps[orthogonal_map], use_trivialization=use_trivialization)
    parametrize.register_parametrization(module, name, parametrization, unsafe=True)
    return module


class _WeightNorm(Module):
    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return weight_v * (weight_g / norm_except_dim(weight_v, 2, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return norm_except_dim(weight, 2, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Split ``module.name`` into magnitude (original0, one a slice of ``dim``) and direction (original1)."""
    parametrize.register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def read_old_names(state_dict: Any, prefix: str, *rest: Any) -> None:
        old = (f"{prefix}{name}_g", f"{prefix}{name}_v")
        if all(key in state_dict for key in old):
            for i, key in enumerate(old):
                state_dict[f"{prefix}parametrizations.{name}.original{i}"] = state_dict.pop(key)

    module._register_load_state_dict_pre_hook(read_old_names)
    return module


class _SpectralNorm(Module):
    def __init__(self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        ndim = weight.dim()
        if dim >= ndim or dim < -ndim:
            raise IndexError(f"Dimension out of range (expected to be in range of [-{ndim}, {ndim - 1}] but got {dim})")
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.dim = dim if dim >= 0 else dim + ndim
        self.eps = eps
        if ndim > 1:
            # A vector is simply normalised and needs no iteration.
            self.n_power_iterations = n_power_iterations
            matrix = self._reshape_weight_to_matrix(weight)
            height, width = matrix.size()
            factory = {"dtype": matrix.dtype, "device": matrix.device}
            u = ops.empty(height, **factory).normal_(0, 1)
            v = ops.empty(width, **factory).normal_(0, 1)
            self.register_buffer("_u", F.normalize(u, dim=0, eps=eps))
            self.register_buffer("_v", F.normalize(v, dim=0, eps=eps))
            # Enough steps that the first use is close already.
            self._power_method(matrix, 15)

    def _reshape_weight_to_matrix(self, weight: Tensor) -> Tensor:
        if self.dim != 0:
            weight = weight.permute(self.dim, *(d for d in range(weight.dim()) if d != self.dim))
        return weight.flatten(1)

    def _power_method(self, matrix: Tensor, n_power_iterations: int) -> None:
        with autograd.no_grad():
            u, v = self._u, self._v
            for _ in range(n_power_iterations):
                u = F.normalize(matrix.mv(v), dim=0, eps=self.eps)
                v = F.normalize(matrix.mH.mv(u), dim=0, eps=self.eps)
            self._u.copy_(u)
            self._v.copy_(v)

    def forward(self, weight: Tensor) -> Tensor:
        if weight.dim() == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = self._reshape_weight_to_matrix(weight)
        if self.training:
            self._power_method(matrix, self.n_power_iterations)
        # Copies, so that a later update does not disturb this backward pass.
        u, v = self._u.clone(), self._v.clone()
        return weight / ops.vdot(u, matrix.mv(v))

    def right_inverse(self, value: Tensor) -> Tensor:
        return value


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """Divide ``module.name`` by its largest singular value (power iteration); ``dim`` is its output dimension."""
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    dim = default_dim(module) if dim is None else dim
    parametrize.register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))
    return module
