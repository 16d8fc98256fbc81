"""The sampler that gives each of several training processes its own part of a dataset."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sized

from .. import ops
from ..random import Generator
from .sampler import Sampler

__all__ = ["DistributedSampler"]


class DistributedSampler(Sampler[int]):
    """Every ``num_replicas``-th index, from ``rank`` on, of an order that all replicas share.

    With ``shuffle`` the order depends on ``seed`` and the epoch set with :meth:`set_epoch` only. The order is padded by
    repetition to equal parts, or cut with ``drop_last``. There is no process group to ask here, so ``num_replicas`` and
    ``rank`` must be given (RuntimeError otherwise); ValueError for a rank outside ``[0, num_replicas)``.
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if num_replicas is None or rank is None:
            raise RuntimeError("Requires distributed package to be available, or num_replicas and rank to be given")
        if not 0 <= rank < num_replicas:
            raise ValueError(f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]")
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0
        self.drop_last = drop_last
        whole, rest = divmod(len(dataset), num_replicas)
        self.num_samples = whole if drop_last or not rest else whole + 1
        self.total_size = self.num_samples * num_replicas
        self.shuffle = shuffle
        self.seed = seed

    def __iter__(self) -> Iterator[int]:
        size = len(self.dataset)
        if self.shuffle:
            generator = Generator()
            generator.manual_seed(self.seed + self.epoch)
            order = ops.randperm(size, generator=generator).tolist()
        else:
            order = list(range(size))
        if size < self.total_size:
            order = (order * math.ceil(self.total_size / size))[: self.total_size]
        return iter(order[self.rank : self.total_size : self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Choose the shuffled order of ``epoch``; call it before each epoch, or all have the same order."""
        self.epoch = epoch
