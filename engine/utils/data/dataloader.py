"""torch.utils.data.dataloader."""

from ...data.collate import default_collate, default_convert
from ...data.dataset import Dataset, IterableDataset
from ...data.exceptions import ExceptionWrapper
from ...data.fetch import _DatasetKind
from ...data.iterators import _BaseDataLoaderIter, _MultiProcessingDataLoaderIter, _SingleProcessDataLoaderIter
from ...data.loader import DataLoader, _InfiniteConstantSampler
from ...data.sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler
from ...data.worker_info import get_worker_info

__all__ = [
    "BatchSampler",
    "DataLoader",
    "Dataset",
    "ExceptionWrapper",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "_BaseDataLoaderIter",
    "_DatasetKind",
    "_InfiniteConstantSampler",
    "_MultiProcessingDataLoaderIter",
    "_SingleProcessDataLoaderIter",
    "default_collate",
    "default_convert",
    "get_worker_info",
]
