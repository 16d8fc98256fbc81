"""Modules as functions of their parameters, and stacks of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from ..autograd.backward import Ops
from ..autograd.variable import Tensor
from ..nn import Module
from ..nn.modules.batchnorm import _BatchNorm
from ..nn.utils.stateless import _functional_call


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: dict[str, Tensor] | Sequence[dict[str, Tensor]],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """``module(*args, **kwargs)`` with other parameters and buffers than its own, from one dictionary or several."""
    if isinstance(parameter_and_buffer_dicts, dict):
        given = parameter_and_buffer_dicts
    elif isinstance(parameter_and_buffer_dicts, Sequence):
        for d in parameter_and_buffer_dicts:
            if not isinstance(d, dict):
                raise ValueError(
                    "Expected all elements of parameter_and_buffer_dicts to be dictionaries, but they were of type "
                    f"{type(d)}."
                )
        keys = [k for d in parameter_and_buffer_dicts for k in d]
        repeated = {k for k in keys if keys.count(k) > 1}
        if repeated:
            raise ValueError(
                f"{sorted(repeated)} appeared in multiple dictionaries; behavior of functional call is ambiguous"
            )
        given = {k: v for d in parameter_and_buffer_dicts for k, v in d.items()}
    else:
        raise ValueError(
            f"Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got "
            f"{type(parameter_and_buffer_dicts)}"
        )
    return _functional_call(module, given, args, kwargs, tie_weights=tie_weights, strict=strict)


def stack_module_state(models: Sequence[Module]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(parameters, buffers) of models of one architecture, stacked along a new first dimension, as leaves."""
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if not (all(m.training for m in models) or all(not m.training for m in models)):
        raise RuntimeError("stack_module_state: Expected all models to have the same training/eval mode.")
    if any(type(m) is not type(models[0]) for m in models):
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    parameters = {
        name: _stacked([dict(m.named_parameters())[name] for m in models]) for name, _ in models[0].named_parameters()
    }
    buffers = {name: _stacked([dict(m.named_buffers())[name] for m in models]) for name, _ in models[0].named_buffers()}
    return parameters, buffers


def _stacked(tensors: list[Tensor]) -> Tensor:
    leaves = all(t.is_leaf for t in tensors)
    if not leaves and not all(not t.is_leaf for t in tensors):
        raise RuntimeError("Either all tensors must be leaves or none")
    made = Ops.stack(tensors)
    return made.detach().requires_grad_(tensors[0].requires_grad) if leaves else made


def replace_all_batch_norm_modules_(root: Module) -> Module:
    """Make batch norms use batch statistics only, in place: what per-example transformations need. Returns ``root``."""
    for module in (root, *root.modules()):
        if isinstance(module, _BatchNorm):
            module.running_mean = module.running_var = module.num_batches_tracked = None
            module.track_running_stats = False
    return root


def make_functional(model: Module, disable_autograd_tracking: bool = False) -> tuple[Callable, tuple]:
    """(function of parameters and inputs, parameters): functorch's older interface."""
    call, parameters, _ = make_functional_with_buffers(model, disable_autograd_tracking)
    return (lambda p, *args, **kwargs: call(p, (), *args, **kwargs)), parameters


def make_functional_with_buffers(
    model: Module, disable_autograd_tracking: bool = False
) -> tuple[Callable, tuple, tuple]:
    """(function of parameters, buffers and inputs, parameters, buffers)."""
    empty = copy.deepcopy(model)
    names = [n for n, _ in model.named_parameters()]
    buffer_names = [n for n, _ in model.named_buffers()]
    parameters = tuple(p.detach() if disable_autograd_tracking else p for p in model.parameters())

    def call(given: Any, buffers: Any, *args: Any, **kwargs: Any) -> Any:
        state = {**dict(zip(names, given)), **dict(zip(buffer_names, buffers))}
        return _functional_call(empty, state, args, kwargs)

    return call, parameters, tuple(model.buffers())
