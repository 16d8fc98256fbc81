"""Linear algebra: the ``torch.linalg`` namespace."""

from __future__ import annotations

from . import ops
from .errors import LinAlgError

_NAMES = (
    "cholesky", "cholesky_ex", "cond", "cross", "det", "diagonal", "eig", "eigh", "eigvals", "eigvalsh",
    "householder_product", "inv", "inv_ex", "ldl_factor", "ldl_factor_ex", "ldl_solve", "lstsq", "lu", "lu_factor",
    "lu_factor_ex", "lu_solve", "matrix_exp", "matrix_norm", "matrix_power", "matrix_rank", "multi_dot", "norm", "pinv",
    "qr", "slogdet", "solve", "solve_ex", "solve_triangular", "svd", "svdvals", "tensorinv", "tensorsolve", "vander",
    "vecdot",
)  # fmt: skip
globals().update({name: getattr(ops, f"linalg_{name}") for name in _NAMES})
matmul = ops.matmul
vector_norm = ops.vector_norm

__all__ = ["LinAlgError", "matmul", "vector_norm", *_NAMES]
