"""torch.autograd.function: what user-defined functions are written with."""

from .custom import (
    BackwardCFunction,
    Function,
    FunctionCtx,
    FunctionMeta,
    InplaceFunction,
    NestedIOFunction,
    SingleLevelFunction,
    once_differentiable,
    traceable,
)

__all__ = [
    "BackwardCFunction",
    "Function",
    "FunctionCtx",
    "FunctionMeta",
    "InplaceFunction",
    "NestedIOFunction",
    "SingleLevelFunction",
    "once_differentiable",
    "traceable",
]
