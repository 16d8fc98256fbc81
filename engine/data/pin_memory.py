"""Page-locked copies of the tensors of a batch, for faster transfers to an accelerator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .collate import is_namedtuple, rebuild_mapping, rebuild_sequence


def pin_memory(data: Any, device: Any = None) -> Any:
    """``data`` with every tensor, and every object that has a ``pin_memory`` method, replaced by its pinned copy."""
    if hasattr(data, "pin_memory"):
        return data.pin_memory()
    if isinstance(data, (str, bytes)):
        return data
    if isinstance(data, Mapping):
        return rebuild_mapping(data, {key: pin_memory(item, device) for key, item in data.items()})
    if is_namedtuple(data):
        return type(data)(*(pin_memory(item, device) for item in data))
    if isinstance(data, tuple):
        return type(data)(pin_memory(item, device) for item in data)
    if isinstance(data, Sequence):
        return rebuild_sequence(data, [pin_memory(item, device) for item in data])
    return data
