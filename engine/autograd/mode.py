"""Grad mode, inference mode and anomaly mode: one object, thread-local, read on every op."""

from __future__ import annotations

import functools
import inspect
import threading
import warnings
from collections.abc import Callable
from typing import Any


class _Mode(threading.local):
    """Attributes: ``watch`` is set whenever anomaly mode is on or saved tensors have hooks: one look on the hot path.

    ``saved_hooks``: (pack, unpack) pairs; ``no_saved_hooks``: why they are disabled now. ``passes``: running backward
    passes, innermost last.
    """

    def __init__(self) -> None:
        self.grad = True
        self.inference = False
        self.anomaly = False
        self.anomaly_check_nan = True
        self.saved_hooks: list[tuple[Callable, Callable]] = []
        self.no_saved_hooks: str | None = None
        self.watch = False
        self.multithreading = True
        self.passes: list[Any] = []

    def look(self) -> None:
        """Bring ``watch`` up to date."""
        self.watch = self.anomaly or bool(self.saved_hooks)


mode = _Mode()


class _Decorator:
    """A context manager that also decorates functions, generator functions and (as torch still does) classes."""

    def clone(self) -> _Decorator:
        return self.__class__()

    def __call__(self, function: Any) -> Any:
        if inspect.isclass(function):
            warnings.warn(
                "Decorating classes is deprecated and will be disabled in future versions. You should only decorate "
                "functions "
                "or methods. To preserve the current behavior of class decoration, you can directly decorate the "
                "`__init__` "
                "method and nothing else.",
                FutureWarning,
                stacklevel=2,
            )
            function.__init__ = self(function.__init__)
            return function
        if inspect.isgeneratorfunction(function):
            return self._wrap_generator(function)

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self.clone():
                return function(*args, **kwargs)

        return wrapped

    def _wrap_generator(self, function: Callable) -> Callable:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            generator = function(*args, **kwargs)
            sent = None
            failure: BaseException | None = None
            while True:
                try:
                    with self.clone():
                        item = generator.send(sent) if failure is None else generator.throw(failure)
                except StopIteration as stop:
                    return stop.value
                failure = sent = None
                try:
                    sent = yield item
                except GeneratorExit:
                    generator.close()
                    raise
                except BaseException as raised:  # handed on to the generator, which decides
                    failure = raised

        return wrapped


class _GradMode(_Decorator):
    value = True

    def __new__(cls, function: Any = None) -> Any:
        made = object.__new__(cls)
        return made if function is None else made(function)

    def __init__(self, function: Any = None) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(mode.grad)
        mode.grad = self.value

    def __exit__(self, *exc: object) -> None:
        mode.grad = self._before.pop()


class no_grad(_GradMode):
    """Nothing is recorded for gradients inside; also a decorator."""

    value = False


class enable_grad(_GradMode):
    """Recording is on inside, also within no_grad; also a decorator."""


class set_grad_enabled(_Decorator):
    """Switch recording on or off, at once and until the context ends."""

    def __init__(self, mode: bool) -> None:
        self.mode = mode
        self._before = globals()["mode"].grad
        globals()["mode"].grad = bool(mode)

    def clone(self) -> set_grad_enabled:
        return set_grad_enabled(self.mode)

    def __call__(self, function: Any) -> Any:
        mode.grad = self._before
        return super().__call__(function)

    def __enter__(self) -> None:
        mode.grad = bool(self.mode)

    def __exit__(self, *exc: object) -> None:
        mode.grad = self._before


class inference_mode(_Decorator):
    """No recording, and tensors made inside never take part in gradients."""

    def __new__(cls, mode: Any = True) -> Any:
        made = object.__new__(cls)
        if callable(mode):
            made.__init__(True)
            return made(mode)
        return made

    def __init__(self, mode: bool = True) -> None:
        self.mode = mode
        self._before: list[tuple[bool, bool]] = []

    def clone(self) -> inference_mode:
        return inference_mode(self.mode)

    def __enter__(self) -> None:
        self._before.append((mode.grad, mode.inference))
        if self.mode:
            mode.grad = False
            mode.inference = True
        else:
            mode.inference = False
            mode.grad = True

    def __exit__(self, *exc: object) -> None:
        mode.grad, mode.inference = self._before.pop()


def is_grad_enabled() -> bool:
    """Whether ops are recorded."""
    return mode.grad


def is_inference_mode_enabled() -> bool:
    """Whether inference mode is on."""
    return mode.inference


class set_multithreading_enabled(_Decorator):
    """Accepted for compatibility: the backward pass runs in the calling thread."""

    def __init__(self, mode: bool) -> None:
        here = globals()["mode"]
        self.mode = mode
        self._before = here.multithreading
        here.multithreading = bool(mode)

    def clone(self) -> set_multithreading_enabled:
        return set_multithreading_enabled(self.mode)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        mode.multithreading = self._before


class set_detect_anomaly:
    """Anomaly mode on or off: record where each op was called and check gradients for NaN."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        here = globals()["mode"]
        self._before = (here.anomaly, here.anomaly_check_nan)
        _set_anomaly(bool(mode), check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        _set_anomaly(*self._before)


class detect_anomaly(_Decorator):
    """Context manager of anomaly mode; warns, as it makes programs slow."""

    def __init__(self, check_nan: bool = True) -> None:
        self.check_nan = check_nan
        self._before = (mode.anomaly, mode.anomaly_check_nan)
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should only be enabled for "
            "debugging.",
            stacklevel=2,
        )

    def clone(self) -> detect_anomaly:
        return detect_anomaly(self.check_nan)

    def __enter__(self) -> None:
        self._before = (mode.anomaly, mode.anomaly_check_nan)
        _set_anomaly(True, self.check_nan)

    def __exit__(self, *exc: object) -> None:
        _set_anomaly(*self._before)


def _set_anomaly(on: bool, check_nan: bool) -> None:
    mode.anomaly = on
    mode.anomaly_check_nan = check_nan
    mode.look()


def is_anomaly_enabled() -> bool:
    """Whether anomaly mode is on."""
    return mode.anomaly


def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly mode looks for NaN."""
    return mode.anomaly_check_nan


class force_original_view_tracking(_Decorator):
    """Accepted for compatibility: views are always tracked by geometry."""

    def __init__(self, mode: bool) -> None:
        self.mode = mode

    def clone(self) -> force_original_view_tracking:
        return force_original_view_tracking(self.mode)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        pass


class unsafe_preserve_version_counter(_Decorator):
    """In-place changes of ``tensors`` inside do not count: backward will not notice them."""

    def __init__(self, tensors: Any) -> None:
        self.tensors = tuple(tensors) if isinstance(tensors, (tuple, list)) else (tensors,)
        self._versions: list[int] = []

    def clone(self) -> unsafe_preserve_version_counter:
        return unsafe_preserve_version_counter(self.tensors)

    def __enter__(self) -> None:
        self._versions = [t._storage.version for t in self.tensors]

    def __exit__(self, *exc: object) -> None:
        for t, version in zip(self.tensors, self._versions):
            t._storage.version = version
