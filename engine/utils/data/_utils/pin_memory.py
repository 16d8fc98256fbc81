"""torch.utils.data._utils.pin_memory."""

from ....data.pin_memory import pin_memory

__all__ = [
    "pin_memory",
]
