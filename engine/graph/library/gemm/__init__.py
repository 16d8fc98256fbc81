"""Matrix products: which kernels of ``gemm_*.cl`` and ``gemv.cl`` to launch, with which options and sizes."""

from __future__ import annotations

from .build import gemm_calls
from .problem import DeviceCaps, Problem, Strides, Variant
from .table import candidates, choose
from .tuning import tuned

__all__ = ["DeviceCaps", "Problem", "Strides", "Variant", "candidates", "choose", "gemm_calls", "tuned"]
