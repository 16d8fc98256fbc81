"""torch.storage: the classes of the memory behind tensors."""

from .tensor import UntypedStorage

__all__ = ["UntypedStorage"]
