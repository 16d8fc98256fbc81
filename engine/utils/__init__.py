"""torch.utils: names of parts that live elsewhere in the library."""

from . import data

__all__ = ["data"]
