"""torch.utils.data.distributed."""

from ...data.distributed import DistributedSampler

__all__ = [
    "DistributedSampler",
]
