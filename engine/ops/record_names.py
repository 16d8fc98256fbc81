"""PyTorch's names for the records of published functions that are compositions here."""

from __future__ import annotations

from typing import Any

from ..autograd.labels import labelled
from ..autograd.variable import Tensor
from .publish import registry

_PLAIN = {
    "addbmm": "Addbmm", "addmm": "Addmm", "addmv": "Addmv", "addr": "Addr", "baddbmm": "Baddbmm",
    "block_diag": "BlockDiag", "cholesky": "Cholesky", "cholesky_inverse": "CholeskyInverse",
    "cholesky_solve": "CholeskySolve", "clamp_max": "ClampMax", "clamp_min": "ClampMin", "cross": "LinalgCross",
    "diag_embed": "DiagEmbed", "diagonal_scatter": "DiagonalScatter", "dist": "Dist", "index_add": "IndexAdd",
    "index_copy": "IndexCopy", "index_fill": "IndexFill", "index_select": "IndexSelect", "ldexp": "Ldexp",
    "linalg_cross": "LinalgCross", "linalg_householder_product": "LinalgHouseholderProduct",
    "linalg_lstsq": "LinalgLstsq", "linalg_lu": "LinalgLu", "linalg_lu_factor": "LinalgLuFactorEx",
    "linalg_lu_factor_ex": "LinalgLuFactorEx", "masked_scatter": "MaskedScatter", "masked_select": "MaskedSelect",
    "mode": "Mode", "mvlgamma": "Mvlgamma", "nansum": "Nansum", "narrow_copy": "NarrowCopy",
    "polar": "Polar", "put": "Put", "renorm": "Renorm", "repeat": "Repeat", "roll": "Roll", "rot90": "Rot90",
    "scatter_add": "ScatterAdd", "select_scatter": "SelectScatter", "slice_scatter": "SliceScatter",
    "stack": "Stack", "std_mean": "StdMean", "take": "Take", "tile": "Repeat", "trace": "Trace",
    "triangular_solve": "TriangularSolve", "var_mean": "VarMean", "vdot": "Vdot",
}  # fmt: skip


def _rsub(input: Tensor, other: Any, **_: Any) -> str:
    return "RsubBackward0" if isinstance(other, Tensor) else "RsubBackward1"


def _masked_fill(input: Tensor, mask: Tensor, value: Any) -> str:
    return "MaskedFillBackward1" if isinstance(value, Tensor) else "MaskedFillBackward0"


def _attention(query: Tensor, key: Tensor, value: Tensor, *rest: Any, dropout_p: float = 0.0, **_: Any) -> str | None:
    fused = query.ndim == key.ndim == value.ndim == 4 and not dropout_p and not rest[1:2]
    return "ScaledDotProductFlashAttentionForCpuBackward0" if fused else None


_CHOSEN = {
    "rsub": _rsub, "masked_fill": _masked_fill, "scaled_dot_product_attention": _attention,
}  # fmt: skip


def name_records() -> None:
    """Let the published functions show these names."""
    for name, shown in _PLAIN.items():
        registry[name].call = labelled(registry[name].call, f"{shown}Backward0")
    for name, choose in _CHOSEN.items():
        registry[name].call = labelled(registry[name].call, choose)
