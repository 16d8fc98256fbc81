"""Forward mode under torch's names: dual tensors.

A dual tensor records like any other; its tangent is kept by the level. The tangent of a result is asked for at the end:
the backward pass from the result is linear in its seed, and the derivative of that by the seed, times the tangents of
the duals, is the forward product. Only what it needs is computed, as everything here is lazy.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .backward import Ops, grad
from .functional import _backward, settled
from .mode import _Decorator, enable_grad
from .variable import Tensor

__all__ = [
    "UnpackedDualTensor",
    "dual_level",
    "enter_dual_level",
    "exit_dual_level",
    "make_dual",
    "unpack_dual",
]


class _Level:
    """Duals made at one level, with their tangents."""

    def __init__(self) -> None:
        self.duals: list[tuple[Tensor, Tensor]] = []


class _Levels:
    def __init__(self) -> None:
        self.stack: list[_Level] = []
        self.enabled = True

    def at(self, level: int | None) -> _Level | None:
        number = len(self.stack) - 1 if level is None else level
        return self.stack[number] if 0 <= number < len(self.stack) else None


_levels = _Levels()


class UnpackedDualTensor(NamedTuple):
    """A dual tensor's value and tangent (None without one)."""

    primal: Tensor
    tangent: Tensor | None


def enter_dual_level() -> int:
    """Begin a level; returns its number. Raises RuntimeError within another one, as torch."""
    if _levels.stack:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    _levels.stack.append(_Level())
    return len(_levels.stack) - 1


def exit_dual_level(*, level: int | None = None) -> None:
    """End a level: its tangents are gone."""
    if not _levels.stack:
        raise RuntimeError("Trying to exit a forward AD level but no level is currently active")
    if level is not None and level != len(_levels.stack) - 1:
        raise RuntimeError(
            "Trying to exit a forward AD level that was not the last one that was created. This is not supported."
        )
    _levels.stack.pop()


def make_dual(tensor: Tensor, tangent: Tensor, *, level: int | None = None) -> Tensor:
    """``tensor`` with a tangent of its shape and dtype."""
    found = _levels.at(level)
    if found is None:
        raise RuntimeError(
            "Trying to create a dual Tensor for forward AD but no level exists, make sure to enter_dual_level() first."
        )
    if not tensor._spec.floating:
        raise ValueError(f"Expected primal to be floating point or complex, but got: {tensor.dtype}")
    if not tangent._spec.floating:
        raise ValueError(f"Expected tangent to be floating point or complex, but got: {tangent.dtype}")
    if tensor._spec.shape != tangent._spec.shape:
        raise RuntimeError(
            f"Expected tensor for 'tangent' to have the same size as the tensor for 'primal': {tangent.shape} against "
            f"{tensor.shape}"
        )
    with enable_grad():
        dual = Ops.alias(tensor) if tensor._rg else tensor.detach().requires_grad_()
    found.duals.append((dual, tangent))
    return dual


def unpack_dual(tensor: Tensor, *, level: int | None = None) -> UnpackedDualTensor:
    """Value and tangent of a dual tensor, or of a result of some; the tangent is None where none of them is
    involved.
    """
    found = _levels.at(level)
    if found is None:
        return UnpackedDualTensor(tensor, None)
    for dual, tangent in found.duals:
        if dual is tensor:
            return UnpackedDualTensor(settled(dual, [d for d, _ in found.duals]), tangent)
    tangent = _tangent(tensor, found)
    return UnpackedDualTensor(settled(tensor, [d for d, _ in found.duals]), tangent)


def _tangent(t: Tensor, level: _Level) -> Tensor | None:
    if not t._rg or not level.duals:
        return None
    duals = [d for d, _ in level.duals]
    with enable_grad():
        seed = Ops.zeros(t).requires_grad_()
        linear = _backward((t,), duals, (seed,), True)
        used = [(g, v) for g, (_, v) in zip(linear, level.duals) if g is not None]
        if not used:
            return None
        pairs = [(g, v) for g, v in used if g._rg]
        if not pairs:
            return Ops.zeros(t)
        (moved,) = grad([g for g, _ in pairs], [seed], [v for _, v in pairs], create_graph=True, allow_unused=True)
    return Ops.zeros(t) if moved is None else settled(moved, [*duals, seed])


class dual_level(_Decorator):
    """A level of forward mode: ``with dual_level():``."""

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, *exc: object) -> None:
        exit_dual_level()


class _set_fwd_grad_enabled(_Decorator):
    """Accepted for compatibility."""

    def __init__(self, mode: bool) -> None:
        self.mode = mode
        self._before = _levels.enabled
        _levels.enabled = mode

    def clone(self) -> Any:
        return _set_fwd_grad_enabled(self.mode)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        _levels.enabled = self._before
