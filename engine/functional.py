"""torch.functional: some of the top-level functions under their other name."""

from __future__ import annotations

from . import ops

__all__ = [
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "block_diag",
    "broadcast_shapes",
    "broadcast_tensors",
    "cartesian_prod",
    "cdist",
    "chain_matmul",
    "einsum",
    "meshgrid",
    "norm",
    "split",
    "stft",
    "tensordot",
    "unique",
    "unique_consecutive",
]

globals().update({name: getattr(ops, name) for name in __all__ if hasattr(ops, name)})
