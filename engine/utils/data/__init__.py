"""``engine.data`` under torch's name, with torch's submodule names."""

from ... import data as _data
from ...data import *
from . import _utils, dataloader, dataset, distributed, sampler

_DatasetKind = _data._DatasetKind

__all__ = ["_utils", "dataloader", "dataset", "distributed", "sampler"]
__all__ += _data.__all__
