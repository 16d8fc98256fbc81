"""torch.utils.data._utils.fetch."""

from ....data.fetch import _BaseDatasetFetcher, _IterableDatasetFetcher, _MapDatasetFetcher

__all__ = [
    "_BaseDatasetFetcher",
    "_IterableDatasetFetcher",
    "_MapDatasetFetcher",
]
