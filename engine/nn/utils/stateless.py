"""Calling a module with other parameters than its own."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from engine.tensor import Tensor

from ..modules.module import Module

__all__ = ["functional_call"]


def _tied_names(module: Module) -> list[set[str]]:
    """Groups of names that denote one and the same tensor."""
    groups: dict[int, set[str]] = {}
    for name, tensor in module.named_parameters(remove_duplicate=False):
        groups.setdefault(id(tensor), set()).add(name)
    for name, tensor in module.named_buffers(remove_duplicate=False):
        groups.setdefault(id(tensor), set()).add(name)
    return [names for names in groups.values() if len(names) > 1]


def _spread_over_ties(module: Module, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give a replacement for one of several tied names to all of them."""
    spread = dict(tensors)
    for names in _tied_names(module):
        given = [name for name in names if name in tensors]
        if not given:
            continue
        if len({id(tensors[name]) for name in given}) > 1:
            raise ValueError(
                f"functional_call got multiple values for keys {sorted(given)}, which are tied. Consider using "
                "tie_weights=False"
            )
        for name in names:
            spread[name] = tensors[given[0]]
    return spread


def _owner(module: Module, name: str) -> tuple[Module, str]:
    path, _, attribute = name.rpartition(".")
    return module.get_submodule(path), attribute


_ABSENT = object()


def _swap(owner: Module, attribute: str, value: Any) -> Any:
    """Put ``value`` where the member lives, without the checks of registration; returns what was there."""
    for table in (owner._parameters, owner._buffers):
        if attribute in table:
            old = table[attribute]
            table[attribute] = value
            return old
    old = getattr(owner, attribute, _ABSENT)
    if value is _ABSENT:
        del owner.__dict__[attribute]
    else:
        owner.__dict__[attribute] = value
    return old


@contextmanager
def _reparametrize_module(
    module: Module,
    parameters_and_buffers: dict[str, Tensor],
    tie_weights: bool = False,
    strict: bool = False,
    stack_weights: bool = False,
) -> Iterator[None]:
    """Within the context the module has the given tensors instead of its own."""
    tensors = _spread_over_ties(module, parameters_and_buffers) if tie_weights else dict(parameters_and_buffers)
    own = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    own |= {name for name, _ in module.named_buffers(remove_duplicate=False)}
    if strict:
        missing, unexpected = sorted(own - set(tensors)), sorted(set(tensors) - own)
        if missing or unexpected:
            problems = []
            if unexpected:
                problems.append("Unexpected key(s): " + ", ".join(map(repr, unexpected)) + ".")
            if missing:
                problems.append("Missing key(s): " + ", ".join(map(repr, missing)) + ".")
            raise RuntimeError(f"Error(s) in reparametrizing for {module._get_name()}:\n\t" + "\n\t".join(problems))
    places = {name: _owner(module, name) for name in tensors}
    saved: dict[str, Any] = {}
    try:
        for name, tensor in tensors.items():
            saved[name] = _swap(*places[name], tensor)
        yield
    finally:
        for name, original in saved.items():
            current = _swap(*places[name], original)
            # In-place replaced members (running statistics) are handed back to the caller's dictionary.
            if name in parameters_and_buffers:
                parameters_and_buffers[name] = current


def _functional_call(
    module: Module,
    parameters_and_buffers: dict[str, Tensor],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    args = () if args is None else args if isinstance(args, tuple) else (args,)
    with _reparametrize_module(module, parameters_and_buffers, tie_weights=tie_weights, strict=strict):
        return module(*args, **(kwargs or {}))


def functional_call(
    module: Module,
    parameters_and_buffers: dict[str, Tensor],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Deprecated place of ``func.functional_call``: ``module(*args, **kwargs)`` with the tensors given by name."""
    warnings.warn(
        "This API is deprecated as of PyTorch 2.0 and will be removed in a future version of PyTorch. Please use "
        "torch.func.functional_call instead which is a drop-in replacement for this API.",
        FutureWarning,
        stacklevel=2,
    )
    return _functional_call(module, parameters_and_buffers, args, kwargs, tie_weights=tie_weights, strict=strict)
