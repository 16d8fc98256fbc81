"""``engine.data`` under torch's name, with torch's submodule names."""

from ... import data
from ...data import *
from . import _utils, dataloader, dataset, distributed, sampler

__all__ = [*data.__all__, "_utils", "dataloader", "dataset", "distributed", "sampler"]
