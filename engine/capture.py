"""``compile``: run a function's Python once or twice, then replay what it did.

A captured call is one plan: its inputs are argument tensors, long-lived storages (parameters, optimizer state, buffers)
and constants; its outputs go back into storages or are returned. Numbers that change from call to call (learning
rates, step counts, random offsets) are asked of their sources at each replay. Two captures in a row must agree before
anything is replayed; what cannot be captured (reads on the host, several devices, outputs that need a gradient) runs
normally, with one warning where that is not what was asked for.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from . import dtypes
from .amp.state import autocast_state
from .autograd.mode import mode
from .autograd.variable import Tensor
from .graph.log import DeviceLog, open_logs
from .graph.node import Node, Storage
from .graph.plan import Plan
from .graph.provided import Capture, Stale
from .nn import Module
from .nn.modules._compiler import compiler
from .replay import MOVED, Replay

_TRIES = 6  # captures that may differ before a signature is given up
_MAX_SIGNATURES = 32


class Uncapturable(Exception):
    """Why a call cannot be replayed."""


# -- signatures -------------------------------------------------------------------------------------------------------
def flatten(value: Any, tensors: list[Tensor]) -> Hashable:
    """A hashable form of nested arguments with the tensors pulled out."""
    if isinstance(value, Tensor):
        tensors.append(value)
        return (value._spec, value._rg, value._storage.size)
    if isinstance(value, (int, float, bool, str, bytes, type(None), complex, dtypes.dtype)):
        return (type(value), value)
    if isinstance(value, (list, tuple)):
        return (type(value), *(flatten(v, tensors) for v in value))
    if isinstance(value, dict):
        return (dict, *((k, flatten(v, tensors)) for k, v in value.items()))
    return (type(value), id(value))


def _surroundings(function: Callable) -> tuple[list[Module], list[Callable[[], Any]]]:
    """Modules a function can reach by name, and readers of the plain values it can see."""
    modules: list[Module] = []
    readers: list[Callable[[], Any]] = []
    code = getattr(function, "__code__", None)
    owner = getattr(function, "__self__", None)
    places: list[Any] = [owner] if owner is not None else []
    places += [c.cell_contents for c in function.__closure__ or () if _filled(c)] if code else []
    if code is not None:
        scope = function.__globals__
        for name in code.co_names:
            if name in scope:
                value = scope[name]
                if isinstance(value, (int, float, bool, str)):
                    readers.append(functools.partial(scope.get, name))
                else:
                    places.append(value)
        for cell in function.__closure__ or ():
            if _filled(cell) and isinstance(cell.cell_contents, (int, float, bool, str)):
                readers.append(functools.partial(getattr, cell, "cell_contents", None))
    for place in places:
        if isinstance(place, Module):
            modules.extend(m for m in place.modules() if m not in modules)
        elif isinstance(place, (list, tuple)):
            for m in place:
                if isinstance(m, Module):
                    modules.extend(m.modules())
    return modules, readers


def _modes() -> tuple:
    """Settings of the thread and the process that change what the same call does."""
    return mode.grad, mode.inference, autocast_state.active, dtypes.default.get()


def _filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018 (reading an empty cell raises)
    except ValueError:
        return False
    return True


# -- captures ---------------------------------------------------------------------------------------------------------
class _Recorded:
    """One captured call, described so that two can be compared and the second replayed."""

    def __init__(
        self, capture: Capture, log: DeviceLog, args: list[Tensor], before: dict[int, Any], result: Any, others: list
    ) -> None:
        if capture.reads:
            raise Uncapturable("it reads values on the host (.item(), printing, control flow on a tensor)")
        if any(o.entries for o in others):
            raise Uncapturable("it works on several devices")
        if len(capture.flushes) != 1:
            raise Uncapturable("it leaves nothing to compute" if not capture.flushes else "it runs in several parts")
        self.plan: Plan
        self.plan, leaves, outs, scalars, self.key = capture.flushes[0]
        self.log = log
        self.args = args
        self.result = result
        self.scalars = scalars
        self.before = before  # storage of each argument by identity of its node at the start
        self.sources = [self._source(x, capture) for x in leaves]
        self.grad_before = list(capture.touched.values())
        self.grads = [(t, t._grad) for t, _ in self.grad_before]
        self.returned: list[Tensor] = []
        self._collect(result)
        for t in self.returned:
            if t._rg and t._grad_fn is not None and t._grad_fn not in capture.roots:
                raise Uncapturable("")  # its result takes part in a gradient: no fault, but Python must record it
        self.targets = [self._target(node) for node in outs]

    def _source(self, node: Node, capture: Capture) -> tuple:
        if node in capture.made:
            return ("const", node)
        at = self.before.get(id(node))
        if at is not None:
            return ("arg", at)
        storage = node.owner() if node.owner is not None else None
        if storage is None:
            raise Uncapturable("it uses a value that is made anew outside the call each time")
        return ("storage", storage)

    def _collect(self, value: Any) -> None:
        if isinstance(value, Tensor):
            self.returned.append(value)
        elif isinstance(value, (list, tuple)):
            for v in value:
                self._collect(v)
        elif isinstance(value, dict):
            for v in value.values():
                self._collect(v)

    def _target(self, node: Node) -> tuple:
        storage = node.owner()
        for k, t in enumerate(self.args):
            if t._storage is storage:
                return ("arg", k)
        if any(t._storage is storage for t in self.returned) and storage.version == 0 and not self._held(storage):
            return ("new", next(i for i, t in enumerate(self.returned) if t._storage is storage))
        return ("storage", storage)

    def _held(self, storage: Storage) -> bool:
        return any(g is not None and g._storage is storage for _, g in self.grads)

    def agrees(self, other: _Recorded) -> bool:
        """Whether two captures did the same."""
        if self.key != other.key or len(self.scalars) != len(other.scalars):
            return False
        for a, b in zip(self.sources, other.sources):
            if a[0] != b[0] or (a[0] == "arg" and a[1] != b[1]) or (a[0] == "storage" and a[1] is not b[1]):
                return False
            if a[0] == "const" and not self._same_content(a[1], b[1]):
                return False
        for a, b in zip(self.scalars, other.scalars):
            if (getattr(a, "source", None) is None) != (getattr(b, "source", None) is None):
                return False
            if getattr(a, "source", None) is None and a != b and not (a != a and b != b):
                return False
        return True

    def _same_content(self, a: Node, b: Node) -> bool:
        return bool(np.array_equal(self.log.read(a).view(np.uint8), self.log.read(b).view(np.uint8)))


class _Signature:
    """The state of one kind of call: captures until two agree, then a replay."""

    def __init__(self) -> None:
        self.last: _Recorded | None = None
        self.replay: Replay | None = None
        self.tries = 0
        self.given_up = False


class _Quick:
    """The signature of the last replayed call in a form that is quick to compare with the next call."""

    def __init__(self, replay: Replay, args: list[Tensor], modules: list[Module], readers: list) -> None:
        self.replay = replay
        self.args = [(t._spec, t._rg, t._storage.size) for t in args]
        self.modules = [(m.__dict__, m.training) for m in modules]
        self.readers = [(read, read()) for read in readers]
        self.modes = _modes()

    def matches(self, args: tuple) -> bool:
        """Whether a call with these positional arguments has the same signature."""
        known = self.args
        if len(args) != len(known):
            return False
        for t, (spec, rg, size) in zip(args, known):
            if not isinstance(t, Tensor) or t._spec is not spec or t._rg is not rg or t._storage.size != size:
                return False
        for state, training in self.modules:
            if state["training"] is not training:
                return False
        for read, value in self.readers:
            if read() != value:
                return False
        return self.modes == _modes()


class Compiled:
    """A function that is captured and replayed."""

    def __init__(self, function: Callable, fullgraph: bool = False) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._fullgraph = fullgraph
        self._signatures: dict[Hashable, _Signature] = {}
        self._modules, self._readers = _surroundings(inspect.unwrap(function))
        self._warned = False
        self._quick: _Quick | None = None

    def __get__(self, instance: Any, owner: Any) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        quick = self._quick
        if quick is not None and not kwargs and quick.matches(args):
            result = quick.replay.run_steady(args)
            if result is not MOVED:
                return result
        tensors: list[Tensor] = []
        key = self._key(args, kwargs, tensors)
        signature = self._signatures.get(key)
        if signature is None:
            if len(self._signatures) >= _MAX_SIGNATURES:
                self._signatures.clear()
            signature = self._signatures[key] = _Signature()
        replay = signature.replay
        if replay is not None and replay.holds():
            try:
                result = replay.run(tensors)
                self._quick = self._quick_check(args, tensors, replay) if not kwargs else None
                return result
            except Stale:
                signature.replay, signature.last, signature.tries = None, None, 0
                self._quick = None
        if signature.given_up or Capture.active is not None:
            return self._function(*args, **kwargs)
        return self._capture(signature, tensors, args, kwargs)

    def _key(self, args: tuple, kwargs: dict, tensors: list[Tensor]) -> Hashable:
        modules = list(self._modules)
        for a in (*args, *kwargs.values()):
            if isinstance(a, Module):
                modules.extend(a.modules())
        return (
            flatten(args, tensors),
            flatten(kwargs, tensors) if kwargs else (),
            tuple([m.training for m in modules]),
            tuple([read() for read in self._readers]),
            _modes(),
        )

    def _quick_check(self, args: tuple, tensors: list[Tensor], replay: Replay) -> _Quick | None:
        """A cheap test for the next call being like this one, where all arguments are tensors."""
        if len(tensors) != len(args) or replay.steady is None:
            return None
        return _Quick(replay, tensors, self._modules, self._readers)

    def _capture(self, signature: _Signature, tensors: list[Tensor], args: tuple, kwargs: dict) -> Any:
        logs = open_logs()
        for log in logs:
            log.flush()
        own = [log for log in logs if isinstance(log, DeviceLog)]
        main = next((t._spec.device.graph for t in tensors if isinstance(t._spec.device.graph, DeviceLog)), None)
        main = main or (own[0] if own else None)
        if main is None or any(t._spec.device.kind == "meta" for t in tensors):
            return self._function(*args, **kwargs)
        before = {id(t._storage.node): k for k, t in reversed(list(enumerate(tensors)))}
        capture = Capture()
        Capture.active = capture
        main.recording = capture
        try:
            result = self._function(*args, **kwargs)
            main.flush()
        finally:
            Capture.active = None
            main.recording = None
        try:
            recorded = _Recorded(capture, main, tensors, before, result, [o for o in own if o is not main])
        except Uncapturable as reason:
            self._refuse(signature, str(reason))
            return result
        last = signature.last
        if last is not None and recorded.agrees(last):
            signature.replay = Replay(recorded)
            signature.last = None
        else:
            recorded.args, recorded.result, recorded.returned = [], None, []
            signature.last = recorded
            signature.tries += 1
            if signature.tries > _TRIES:
                self._refuse(signature, "it does something else each time it is called")
        return result

    def _refuse(self, signature: _Signature, reason: str) -> None:
        signature.given_up = True
        signature.last = None
        if reason and self._fullgraph:
            raise RuntimeError(f"engine.compile(fullgraph=True): {self._function!r} cannot be captured: {reason}")
        if reason and not self._warned:
            self._warned = True
            name = getattr(self._function, "__qualname__", repr(self._function))
            warnings.warn(f"engine.compile: '{name}' runs uncompiled, because {reason}", stacklevel=4)


class OptimizedModule(Module):
    """A module whose forward is compiled; parameters and attributes are the original's."""

    def __init__(self, module: Module, fullgraph: bool) -> None:
        super().__init__()
        self._orig_mod = module
        object.__setattr__(self, "_compiled", Compiled(module, fullgraph))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the original, captured where that can be."""
        return self._compiled(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("_orig_mod"), name)


def compile(  # noqa: A001
    model: Any = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = "inductor",
    mode: str | None = None,
    options: dict | None = None,
    disable: bool = False,
) -> Any:
    """torch.compile's interface: a function or module that is replayed without its Python once it is known.

    ``fullgraph=True`` raises RuntimeError where a call cannot be captured instead of running it normally. ``dynamic``,
    ``backend``, ``mode`` and ``options`` are accepted and choose nothing. As a decorator with arguments it returns one.
    """
    if model is None:
        return functools.partial(compile, fullgraph=fullgraph, disable=disable)
    if disable:
        return model
    if isinstance(model, Module):
        return OptimizedModule(model, fullgraph)
    return Compiled(model, fullgraph)


compiler.function = compile
