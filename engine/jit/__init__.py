"""torch.jit's names for programs that use them. There is no TorchScript: functions and modules stay Python.

The lazy graph gives what scripting is mostly used for, fused kernels; the decorators return what they are given.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

from ..nn.modules.module import Module

T = TypeVar("T")

__all__ = [
    "Attribute",
    "Final",
    "RecursiveScriptModule",
    "ScriptFunction",
    "ScriptModule",
    "annotate",
    "enable_onednn_fusion",
    "export",
    "fork",
    "freeze",
    "ignore",
    "interface",
    "is_scripting",
    "is_tracing",
    "isinstance",
    "load",
    "onednn_fusion_enabled",
    "optimize_for_inference",
    "optimized_execution",
    "run_frozen_optimizations",
    "save",
    "script",
    "script_if_tracing",
    "script_method",
    "set_fusion_strategy",
    "strict_fusion",
    "trace",
    "trace_module",
    "unused",
    "wait",
]

_NO_ARCHIVES = (
    "TorchScript archives are not supported: save the state_dict (torch.save(model.state_dict(), path)) and load it "
    "into the model's class instead"
)
_is_instance = isinstance


class ScriptModule(Module):
    """A base class for modules that declare themselves scripted; an ordinary module here."""


class RecursiveScriptModule(ScriptModule):
    """What scripting a module gives in torch. Nothing is an instance of it here."""


class ScriptFunction:
    """What scripting a function gives in torch. Nothing is an instance of it here."""


class CompilationUnit:
    """A container of scripted functions; empty here."""


class Error(RuntimeError):
    """An error raised by scripted code."""


class Attribute:
    """A value together with its declared type."""

    def __init__(self, value: Any, type: Any) -> None:
        self.value = value
        self.type = type


def script(obj: T, optimize: Any = None, _frames_up: int = 0, _rcb: Any = None, example_inputs: Any = None) -> T:
    """The function, module or class itself."""
    return obj


def trace(func: T | None = None, example_inputs: Any = None, *args: Any, **kwargs: Any) -> T:
    """The function or module itself. Raises RuntimeError without example inputs, as torch does."""
    if example_inputs is None and kwargs.get("example_kwarg_inputs") is None:
        raise RuntimeError("example_kwarg_inputs should be a dict")
    return func  # type: ignore[return-value]


def trace_module(mod: T, inputs: Any, *args: Any, **kwargs: Any) -> T:
    """The module itself."""
    return mod


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """Marks a method that scripting leaves alone; also used with arguments."""
    return drop if callable(drop) else lambda function: function


def _same(function: T) -> T:
    return function


unused = export = interface = script_method = script_if_tracing = _overload = _overload_method = _drop = _same


def freeze(mod: T, preserved_attrs: Any = None, optimize_numerics: bool = True) -> T:
    """The module itself. Raises RuntimeError in training mode, as torch does."""
    if getattr(mod, "training", False):
        raise RuntimeError(
            "Freezing is currently only implemented for modules in eval mode. Please call .eval() first."
        )
    return mod


def optimize_for_inference(mod: T, other_methods: Any = None) -> T:
    """The module itself."""
    return mod


def run_frozen_optimizations(mod: Module, optimize_numerics: bool = True, preserved_methods: Any = None) -> None:
    """Nothing to do."""


def is_scripting() -> bool:
    """False."""
    return False


def is_tracing() -> bool:
    """False."""
    return False


def annotate(the_type: Any, the_value: T) -> T:
    """The value."""
    return the_value


def isinstance(obj: Any, target_type: Any) -> bool:
    """The builtin's answer; containers are matched by their origin ("List[int]" as list)."""
    kinds = target_type if _is_instance(target_type, (tuple, list)) else (target_type,)
    return _is_instance(obj, tuple(getattr(kind, "__origin__", None) or kind for kind in kinds))


class Future:
    """The result of a forked call, which has run already."""

    def __init__(self, result: Any) -> None:
        self._result = result

    def wait(self) -> Any:
        """The result."""
        return self._result


def fork(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Future:
    """Runs the function now."""
    return Future(func(*args, **kwargs))


def wait(future: Future) -> Any:
    """The result of ``fork``."""
    return future.wait()


def set_fusion_strategy(strategy: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Nothing to choose; returns the former strategy, which is none."""
    return []


def enable_onednn_fusion(enabled: bool) -> None:
    """Nothing to choose."""


def onednn_fusion_enabled() -> bool:
    """False."""
    return False


@contextlib.contextmanager
def optimized_execution(should_optimize: bool) -> Iterator[None]:
    """No effect inside."""
    yield


class strict_fusion(contextlib.ContextDecorator):
    """No effect inside."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        pass


def save(m: Any, f: Any, _extra_files: Any = None) -> None:
    """Raises RuntimeError: there are no TorchScript archives."""
    raise RuntimeError(_NO_ARCHIVES)


def load(f: Any, map_location: Any = None, _extra_files: Any = None, _restore_shapes: bool = False) -> Any:
    """Raises RuntimeError: there are no TorchScript archives."""
    raise RuntimeError(_NO_ARCHIVES)
