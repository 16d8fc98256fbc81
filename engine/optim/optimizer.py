"""Base class of the optimizers: parameter groups, hooks, state dicts."""

import functools
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from copy import deepcopy
from itertools import chain
from typing import Any, TypeAlias

from ..dtypes import float32
from ..graph.log import flush_all
from ..graph.provided import Capture
from ..ops.together import apply_rule
from ..tensor import Tensor
from .hooks import (
    HookHandle,
    add_hook,
    global_step_hooks,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from .state import ParamState

__all__ = [
    "Optimizer",
    "ParamsT",
    "apply_rule",
    "register_optimizer_step_post_hook",
    "register_optimizer_step_pre_hook",
    "required",
]

ParamsT: TypeAlias = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]
StateDict: TypeAlias = dict[str, Any]


class _RequiredParameter:
    """Marks an option in `defaults` that every parameter group must give."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _RequiredParameter()

_HOOK_TABLES = (
    "_optimizer_step_pre_hooks",
    "_optimizer_step_post_hooks",
    "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks",
    "_optimizer_load_state_dict_pre_hooks",
    "_optimizer_load_state_dict_post_hooks",
)


def _listed(params: Any) -> list:
    """The parameters of a group as a list."""
    if isinstance(params, Tensor):
        return [params]
    if isinstance(params, set):
        raise TypeError(
            "optimizer parameters need to be organized in ordered collections, but the ordering of tensors in sets "
            "will change between runs. Please use a list instead."
        )
    return list(params)


def _split_names(params: list) -> tuple[list, list[str] | None]:
    """Separate ``(name, tensor)`` pairs into tensors and names; names are None where the tensors come bare."""
    named = [isinstance(item, tuple) for item in params]
    if not any(named):
        return params, None
    if not all(named):
        raise ValueError("all optimizer params should be with/without names. Some param names are missing")
    return [tensor for _, tensor in params], [name for name, _ in params]


class Optimizer:
    """Base of all optimizers.

    Args:
        params: tensors, ``(name, tensor)`` pairs, or dicts with "params" and options of that group.
        defaults: options of the groups that do not give them.
    """

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        for table in _HOOK_TABLES:
            setattr(self, table, OrderedDict())
        self._patch_step_function()
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, "
                f"but got {type(params).__name__}"
            )
        self.state: defaultdict[Tensor, Any] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for table in _HOOK_TABLES:
            self.__dict__.setdefault(table, OrderedDict())
        self._patch_step_function()

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for number, group in enumerate(self.param_groups):
            if number:
                lines.append("")
            lines.append(f"Parameter Group {number}")
            lines.extend(f"    {key}: {group[key]}" for key in sorted(group) if key != "params")
        return "\n".join([*lines, ")"])

    # -- steps -----------------------------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters once; `closure` evaluates the model again and returns the loss."""
        raise NotImplementedError

    @staticmethod
    def profile_hook_step(func: Callable) -> Callable:
        """Wrap a `step` method so that the step hooks run around it."""

        @functools.wraps(func)
        def wrapper(self: "Optimizer", *args: Any, **kwargs: Any) -> Any:
            if not (global_step_hooks.pre or self._optimizer_step_pre_hooks):
                result = func(self, *args, **kwargs)
            else:
                whole = (self, *args)
                for hook in chain(global_step_hooks.pre.values(), self._optimizer_step_pre_hooks.values()):
                    changed = hook(self, whole, kwargs)
                    if changed is None:
                        continue
                    if not (isinstance(changed, tuple) and len(changed) == 2):
                        raise RuntimeError(
                            f"{func} must return None or a tuple of (new_args, new_kwargs), but got {changed}."
                        )
                    whole, kwargs = changed
                args = whole[1:]
                result = func(*whole, **kwargs)
            for hook in chain(self._optimizer_step_post_hooks.values(), global_step_hooks.post.values()):
                hook(self, (self, *args), kwargs)
            flush_all()
            return result

        return wrapper

    def _cuda_graph_capture_health_check(self) -> None:
        """For optimizers written after PyTorch's own, which call this: nothing is captured behind their back here."""

    def _patch_step_function(self) -> None:
        self._zero_grad_profile_name = f"Optimizer.zero_grad#{type(self).__name__}.zero_grad"
        step = type(self).step
        if not getattr(step, "hooked", False):
            hooked = self.profile_hook_step(step)
            hooked.hooked = True
            type(self).step = hooked

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients, or set them to zero where `set_to_none` is False."""
        quiet = set_to_none and Capture.active is None
        for group in self.param_groups:
            for p in group["params"]:
                if quiet:
                    p._grad = None
                    continue
                grad = p.grad
                if grad is None:
                    continue
                if set_to_none:
                    p.grad = None
                else:
                    if grad.grad_fn is not None:
                        grad.detach_()
                    else:
                        grad.requires_grad_(False)
                    grad.zero_()

    # -- hooks -----------------------------------------------------------------------------------------------------

    def register_step_pre_hook(self, hook: Callable) -> HookHandle:
        """Call ``hook(optimizer, args, kwargs)`` before each step; it may return new ``(args, kwargs)``."""
        return add_hook(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable) -> HookHandle:
        """Call ``hook(optimizer, args, kwargs)`` after each step."""
        return add_hook(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> HookHandle:
        """Call ``hook(optimizer)`` before `state_dict` is made."""
        return add_hook(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> HookHandle:
        """Call ``hook(optimizer, state_dict)`` on the result of `state_dict`; it may return another one."""
        return add_hook(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> HookHandle:
        """Call ``hook(optimizer, state_dict)`` on what `load_state_dict` is given; it may return another one."""
        return add_hook(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> HookHandle:
        """Call ``hook(optimizer)`` after a state dict was loaded."""
        return add_hook(self._optimizer_load_state_dict_post_hooks, hook, prepend)

    # -- state dicts -----------------------------------------------------------------------------------------------

    def state_dict(self) -> StateDict:
        """State and groups in PyTorch's format: parameters are numbered in the order of the groups."""
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for p in group["params"]:
                numbers.setdefault(id(p), len(numbers))
            packed = {key: value for key, value in group.items() if key != "params"}
            packed["params"] = [numbers[id(p)] for p in group["params"]]
            groups.append(packed)
        state = {
            numbers[id(key)] if isinstance(key, Tensor) else key: (
                value.plain() if isinstance(value, ParamState) else value
            )
            for key, value in self.state.items()
        }
        result = {"state": state, "param_groups": groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            changed = hook(self, result)
            if changed is not None:
                result = changed
        return result

    @staticmethod
    def _process_value_according_to_param_policy(
        param: Tensor, value: Tensor, param_id: int, param_groups: list[dict[str, Any]], key: Hashable = None
    ) -> Tensor:
        """A loaded state tensor in the parameter's dtype and on its device; step counts keep theirs."""
        if key == "step":
            options = next((group for group in param_groups if param_id in group["params"]), {})
            if options.get("capturable") or options.get("fused"):
                return value.to(dtype=float32, device=param.device)
            return value
        if param.is_floating_point():
            return value.to(dtype=param.dtype, device=param.device)
        return value.to(device=param.device)

    def load_state_dict(self, state_dict: StateDict) -> None:
        """Take over the state and the options of a `state_dict`.

        Raises:
            ValueError: if the groups or the numbers of their parameters differ.
        """
        state_dict = state_dict.copy()
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            changed = hook(self, state_dict)
            if changed is not None:
                state_dict = changed
        saved_groups = deepcopy(state_dict["param_groups"])
        if len(saved_groups) != len(self.param_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        if any(len(new["params"]) != len(old["params"]) for new, old in zip(self.param_groups, saved_groups)):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of optimizer's group"
            )
        by_number = {
            number: p
            for old, new in zip(saved_groups, self.param_groups)
            for number, p in zip(old["params"], new["params"])
        }
        state: defaultdict[Any, Any] = defaultdict(dict)
        for key, value in state_dict["state"].items():
            if key in by_number:
                state[by_number[key]] = self._cast(by_number[key], value, key, state_dict["param_groups"])
            else:
                state[key] = value
        groups = [self._merged_group(new, old) for new, old in zip(self.param_groups, saved_groups)]
        self.__setstate__({"state": state, "param_groups": groups})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    @staticmethod
    def _merged_group(current: dict[str, Any], loaded: dict[str, Any]) -> dict[str, Any]:
        loaded["params"] = current["params"]
        if "param_names" in current and "param_names" not in loaded:
            loaded["param_names"] = current["param_names"]
        return loaded

    def _cast(self, param: Tensor, value: Any, param_id: int, groups: list, key: Hashable = None) -> Any:
        if isinstance(value, Tensor):
            return self._process_value_according_to_param_policy(param, value, param_id, groups, key)
        if isinstance(value, Mapping):
            return {name: self._cast(param, item, param_id, groups, name) for name, item in value.items()}
        if isinstance(value, Iterable) and not isinstance(value, str | bytes):
            return type(value)(self._cast(param, item, param_id, groups) for item in value)
        return value

    # -- groups ----------------------------------------------------------------------------------------------------

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters with its own options.

        Raises:
            TypeError: for anything but a dict of tensors in an ordered collection.
            ValueError: for non-leaf tensors, missing options, repeated parameters or partly missing names.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params, names = _split_names(_listed(param_group["params"]))
        param_group["params"] = params
        if names is not None:
            param_group["param_names"] = names
        for p in params:
            self._check_param(p)
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(f"parameter group didn't specify a value of required optimization parameter {name}")
            param_group.setdefault(name, default)
        self._check_group(param_group)
        self.param_groups.append(param_group)

    def _check_param(self, p: Any) -> None:
        if not isinstance(p, Tensor):
            raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {type(p).__name__}")
        if not self.defaults.get("differentiable") and not (p.is_leaf or p.retains_grad):
            raise ValueError("can't optimize a non-leaf Tensor")

    def _check_group(self, param_group: dict[str, Any]) -> None:
        ids = {id(p) for p in param_group["params"]}
        if len(ids) != len(param_group["params"]):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; in future, this will cause an error; "
                "see github.com/pytorch/pytorch/issues/40967 for more information",
                stacklevel=4,
            )
        named = "param_names" in param_group
        for group in self.param_groups:
            if ("param_names" in group) != named:
                raise ValueError(
                    "all optimizer param groups should be with/without names. "
                    f"cannot add param group {'with' if named else 'without'} names to the optimizer"
                )
            if not ids.isdisjoint(id(p) for p in group["params"]):
                raise ValueError("some parameters appear in more than one parameter group")
