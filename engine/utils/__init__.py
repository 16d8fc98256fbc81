"""torch.utils: names of parts that live elsewhere in the library."""

from . import _pytree, data, hooks, model_zoo

__all__ = ["_pytree", "data", "hooks", "model_zoo"]
