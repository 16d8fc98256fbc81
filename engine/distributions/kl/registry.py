"""Which function computes the Kullback-Leibler divergence of which pair of distributions."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from ...tensor import Tensor
from ..distribution import Distribution

_KL_REGISTRY: dict[tuple[type, type], Callable] = {}
_KL_MEMOIZE: dict[tuple[type, type], Any] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Callable], Callable]:
    """A decorator that enters ``function(p, q)`` for a pair of types, used for subclasses too.

    Raises TypeError for types that are not distributions.
    """
    for name, kind in (("type_p", type_p), ("type_q", type_q)):
        if not isinstance(kind, type) or not issubclass(kind, Distribution):
            raise TypeError(f"Expected {name} to be a Distribution subclass but got {kind}")

    def enter(function: Callable) -> Callable:
        _KL_REGISTRY[type_p, type_q] = function
        _KL_MEMOIZE.clear()
        return function

    return enter


def _distance(kinds: tuple[type, type], pair: tuple[type, type], order: int) -> tuple[int, ...]:
    """How far up the classes of ``kinds`` those of ``pair`` are; the first (order 1) or second (-1) weighs most."""
    steps = tuple(k.__mro__.index(p) for k, p in zip(kinds, pair))
    return steps[::order]


def _dispatch_kl(type_p: type, type_q: type) -> Any:
    """The function of the nearest registered pair of base classes; NotImplemented for none."""
    kinds = (type_p, type_q)
    matches = [pair for pair in _KL_REGISTRY if issubclass(type_p, pair[0]) and issubclass(type_q, pair[1])]
    if not matches:
        return NotImplemented
    left = min(matches, key=lambda pair: _distance(kinds, pair, 1))
    right = min(matches, key=lambda pair: _distance(kinds, pair, -1))
    if _KL_REGISTRY[left] is not _KL_REGISTRY[right]:
        warnings.warn(
            f"Ambiguous kl_divergence({type_p.__name__}, {type_q.__name__}). Please register_kl({left[0].__name__}, "
            f"{right[1].__name__})",
            RuntimeWarning,
            stacklevel=3,
        )
    return _KL_REGISTRY[left]


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """KL(p || q) = E_p[log p(x) - log q(x)], of the batch shape.

    Raises NotImplementedError for pairs without a registered formula.
    """
    key = type(p), type(q)
    function = _KL_MEMOIZE.get(key)
    if function is None:
        function = _KL_MEMOIZE[key] = _dispatch_kl(*key)
    if function is NotImplemented:
        raise NotImplementedError(
            f"No KL(p || q) is implemented for p type {p.__class__.__name__} and q type {q.__class__.__name__}"
        )
    return function(p, q)
