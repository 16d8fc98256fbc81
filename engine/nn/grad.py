"""Gradients of convolutions as functions (``torch.nn.grad``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import ops
from ..autograd import enable_grad, grad, is_grad_enabled
from ..tensor import Tensor

_CONVOLUTIONS = {1: ops.conv1d, 2: ops.conv2d, 3: ops.conv3d}


def _by_input(spatial: int) -> Callable[..., Tensor]:
    def input_gradient(
        input_size: Sequence[int], weight: Tensor, grad_output: Tensor, stride: Any = 1, padding: Any = 0,
        dilation: Any = 1, groups: int = 1,
    ) -> Tensor:  # fmt: skip
        keep = is_grad_enabled() and (weight.requires_grad or grad_output.requires_grad)
        with enable_grad():
            x = ops.zeros(tuple(input_size), dtype=weight.dtype, device=weight.device).requires_grad_()
            out = _CONVOLUTIONS[spatial](x, weight, None, stride, padding, dilation, groups)
        return grad(out, x, grad_output, create_graph=keep)[0]

    input_gradient.__name__ = input_gradient.__qualname__ = f"conv{spatial}d_input"
    input_gradient.__doc__ = f"Gradient of conv{spatial}d by its input of shape ``input_size``."
    return input_gradient


def _by_weight(spatial: int) -> Callable[..., Tensor]:
    def weight_gradient(
        input: Tensor, weight_size: Sequence[int], grad_output: Tensor, stride: Any = 1, padding: Any = 0,
        dilation: Any = 1, groups: int = 1,
    ) -> Tensor:  # fmt: skip
        keep = is_grad_enabled() and (input.requires_grad or grad_output.requires_grad)
        with enable_grad():
            weight = ops.zeros(tuple(weight_size), dtype=input.dtype, device=input.device).requires_grad_()
            out = _CONVOLUTIONS[spatial](input, weight, None, stride, padding, dilation, groups)
        return grad(out, weight, grad_output, create_graph=keep)[0]

    weight_gradient.__name__ = weight_gradient.__qualname__ = f"conv{spatial}d_weight"
    weight_gradient.__doc__ = f"Gradient of conv{spatial}d by its weight of shape ``weight_size``."
    return weight_gradient


conv1d_input, conv2d_input, conv3d_input = (_by_input(n) for n in (1, 2, 3))
conv1d_weight, conv2d_weight, conv3d_weight = (_by_weight(n) for n in (1, 2, 3))
