"""torch.utils.data._utils: the parts of a loader that some programs reach for."""

from ....data.exceptions import ExceptionWrapper
from . import collate, fetch, pin_memory, worker

__all__ = ["ExceptionWrapper", "collate", "fetch", "pin_memory", "worker"]
