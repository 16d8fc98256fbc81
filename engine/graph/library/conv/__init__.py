"""Convolutions: which hand-written kernels compute a problem on a device, as lists of ``KernelCall``."""

from engine.graph.library.conv.choose import (
    candidates,
    choose,
    conv_forward,
    conv_grad_input,
    conv_grad_weight,
)
from engine.graph.library.conv.problem import ConvProblem

__all__ = ["ConvProblem", "candidates", "choose", "conv_forward", "conv_grad_input", "conv_grad_weight"]
