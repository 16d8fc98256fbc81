"""Edges of the recorded graph as values: what ``backward`` and ``grad`` accept in place of tensors."""

from __future__ import annotations

from typing import Any, NamedTuple

from .records import GradFn, edge_of
from .variable import Tensor


class GradientEdge(NamedTuple):
    """Output ``output_nr`` of the recorded function ``node``; ``ownership_token`` keeps what the node depends on
    alive.
    """

    node: GradFn
    output_nr: int
    ownership_token: Any = None


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """Where the gradient of ``tensor`` goes. Raises RuntimeError if it does not require grad."""
    if not tensor.requires_grad:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    node, number = edge_of(tensor)
    return GradientEdge(node, number, None)
