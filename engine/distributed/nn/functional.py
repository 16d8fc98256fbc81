"""Collectives that gradients pass through, of the one process there is."""

from __future__ import annotations

from typing import Any

from ...tensor import Tensor
from .. import ReduceOp


def all_reduce(tensor: Tensor, op: ReduceOp = ReduceOp.SUM, group: Any = None) -> Tensor:
    """The combination of all processes' tensors: a copy of this one's."""
    return tensor.clone()


def reduce(tensor: Tensor, dst: int, op: ReduceOp = ReduceOp.SUM, group: Any = None) -> Tensor:
    """The combination at ``dst``."""
    return tensor.clone()


def broadcast(tensor: Tensor, src: int, group: Any = None) -> Tensor:
    """The tensor of ``src``."""
    return tensor.clone()


def all_gather(tensor: Tensor, group: Any = None) -> tuple[Tensor, ...]:
    """The tensors of all processes."""
    return (tensor.clone(),)


def gather(tensor: Tensor, dst: int = 0, group: Any = None) -> tuple[Tensor, ...]:
    """The tensors of all processes at ``dst``."""
    return (tensor.clone(),)


def scatter(tensors: list[Tensor], src: int = 0, group: Any = None) -> Tensor:
    """This process's part of ``src``'s list."""
    return tensors[0].clone()


def reduce_scatter(output: Tensor, input_list: list[Tensor], op: ReduceOp = ReduceOp.SUM, group: Any = None) -> Tensor:
    """This process's part of the combined lists."""
    return input_list[0].clone()


def all_to_all(output_tensor_list: list[Tensor], input_tensor_list: list[Tensor], group: Any = None) -> tuple:
    """What the processes send each other."""
    return tuple(t.clone() for t in input_tensor_list)
