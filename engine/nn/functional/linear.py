"""Linear maps: linear and bilinear."""

from __future__ import annotations

from engine import ops
from engine.tensor import Tensor

__all__ = ["bilinear", "linear"]

linear = ops.linear


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y[..., k] = x1 W[k] x2 + b[k].

    Shapes: input1 (*, in1), input2 (*, in2), weight (out, in1, in2), bias (out), result (*, out).
    """
    if input1.dim() != input2.dim() or input1.shape[:-1] != input2.shape[:-1]:
        raise RuntimeError(
            f"bilinear(): input batch dimensions do not match: got {tuple(input1.shape)} and {tuple(input2.shape)}"
        )
    if input1.size(-1) != weight.size(1) or input2.size(-1) != weight.size(2):
        raise RuntimeError(
            f"bilinear(): input sizes do not match weight size: got {input1.size(-1)} and {input2.size(-1)} but "
            f"expected {weight.size(1)} and {weight.size(2)}"
        )
    if bias is not None and bias.size(0) != weight.size(0):
        raise RuntimeError(
            f"bilinear(): bias size does not match weight size: got {bias.size(0)} but expected {weight.size(0)}"
        )
    out, in1, in2 = weight.shape
    left = input1.reshape(-1, in1)
    right = input2.reshape(-1, in2)
    # One matmul x2 W^T over all outputs, then a weighted sum over in1.
    mixed = right.matmul(weight.reshape(out * in1, in2).t()).reshape(-1, out, in1)
    result = (mixed * left.unsqueeze(1)).sum(-1)
    if bias is not None:
        result = result + bias
    return result.reshape(*input1.shape[:-1], out)
