"""Adding methods to the tensor class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..autograd.mode import mode
from ..autograd.variable import Tensor


def method(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function a method of its name."""
    setattr(Tensor, function.__name__, function)
    return function


class quiet:
    """Inside, nothing is recorded (no_grad without its frills)."""

    def __enter__(self) -> None:
        self._before = mode.grad
        mode.grad = False

    def __exit__(self, *exc: object) -> None:
        mode.grad = self._before
