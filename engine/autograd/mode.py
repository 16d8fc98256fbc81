"""Grad mode, inference mode and anomaly mode: one object, thread-local, read on every op."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any


class _Mode(threading.local):
    def __init__(self) -> None:
        self.grad = True
        self.inference = False
        self.anomaly = False
        self.anomaly_check_nan = True
        self.saved_hooks: list[tuple[Callable, Callable]] = []
        self.multithreading = True


mode = _Mode()


class _Decorator:
    """A context manager that also decorates functions and generator functions."""

    def clone(self) -> _Decorator:
        return self.__class__()

    def __call__(self, function: Any) -> Any:
        if inspect.isclass(function):
            raise TypeError("decorating a class is not supported: decorate its methods")
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


class set_detect_anomaly:
    """Anomaly mode on or off: record where each op was called and check gradients for NaN."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        here = globals()["mode"]
        self._before = (here.anomaly, here.anomaly_check_nan)
        here.anomaly = bool(mode)
        here.anomaly_check_nan = check_nan

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        mode.anomaly, mode.anomaly_check_nan = self._before


class detect_anomaly(set_detect_anomaly):
    """Context manager of anomaly mode."""

    def __init__(self, check_nan: bool = True) -> None:
        super().__init__(True, check_nan)
        mode.anomaly, mode.anomaly_check_nan = self._before
        self._check = check_nan

    def __enter__(self) -> None:
        self._before = (mode.anomaly, mode.anomaly_check_nan)
        mode.anomaly = True
        mode.anomaly_check_nan = self._check
