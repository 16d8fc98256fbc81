"""The functions update rules use besides operators, on tensors and on the planner's values alike.

A rule runs either on tensors (differentiable mode, complex parameters) or, once per plan, on ``Ref``s while it is
lowered into one fused kernel.
"""

from __future__ import annotations

from typing import Any

from .. import ops
from ..graph.ir import Ref


def _b(*values: Any) -> Any:
    return next((v.b for v in values if isinstance(v, Ref)), None)


def sqrt(x: Any) -> Any:
    """Square root."""
    b = _b(x)
    return b.sqrt(x) if b is not None else ops.sqrt(x)


def absolute(x: Any) -> Any:
    """Absolute value."""
    b = _b(x)
    return b.abs(x) if b is not None else ops.abs(x)


def maximum(x: Any, y: Any) -> Any:
    """The larger of two, NaN if either is."""
    b = _b(x, y)
    return b.pw("max", x, y) if b is not None else ops.maximum(x, y)


def where(condition: Any, x: Any, y: Any) -> Any:
    """``x`` where the condition holds, else ``y``."""
    b = _b(condition)
    return b.where(condition, x, y) if b is not None else ops.where(condition, x, y)
