"""torch.utils.hooks: the handle that registering a hook returns."""

from ..autograd.function import RemovableHandle

__all__ = ["RemovableHandle"]
