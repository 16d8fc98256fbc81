"""Running a captured call again without its Python."""

from __future__ import annotations

from sys import getrefcount
from typing import Any

from .autograd.variable import Tensor, make
from .graph.node import Node, Storage, leaf, leaf_call
from .graph.provided import Stale
from .graph.steps import Launch, TableLaunch

MOVED = object()  # the answer of a steady run that did not take place
_OWN_REFERENCES = 4  # to a node: its storage, the list of kept nodes, the loop and getrefcount


class Replay:
    """A captured call ready to run again."""

    def __init__(self, recorded: Any) -> None:
        self.plan = recorded.plan
        self.log = recorded.log
        self.sources = recorded.sources
        self.targets = recorded.targets
        self.grads = recorded.grads
        self.grad_before = recorded.grad_before
        self.tensors = [(t, t._storage) for t, _ in recorded.grads]
        self.result = recorded.result
        self.returned = recorded.returned
        self.providers: list[Any] = []
        self.scalars: list[tuple] = []
        for value in recorded.scalars:
            source = getattr(value, "source", None)
            if source is None:
                self.scalars.append((-1, value))
                continue
            if source not in self.providers:
                self.providers.append(source)
            self.scalars.append((self.providers.index(source), value.item))
        inputs = {id(s[1]) for s in self.sources if s[0] == "storage"}
        self.steady: Steady | None = None
        self.reusable = [kind == "storage" and id(payload) not in inputs for kind, payload in self.targets]

    def holds(self) -> bool:
        """Whether gradients and parameters are as they were at the capture's start."""
        for t, empty in self.grad_before:
            if (t._grad is None) != empty:
                return False
        for t, storage in self.tensors:
            if t._storage is not storage:
                return False
        for (t, g), (_, empty) in zip(self.grads, self.grad_before):
            if not empty and t._grad is not g:
                return False
        return True

    def run(self, args: list[Tensor]) -> Any:
        """Enqueue the plan for new arguments; returns what the function returned."""
        with self.log.lock:
            return self._run(args)

    def _run(self, args: list[Tensor]) -> Any:
        log = self.log
        log.flush()
        scalars = self.numbers()
        ins = [
            payload.buffer if kind == "const" else (args[payload]._storage if kind == "arg" else payload).node.buffer
            for kind, payload in self.sources
        ]
        plan = self.plan
        outs = plan.buffers(ins, self._reused())
        plan.launch(ins, outs, scalars, log.arena(plan.arena_bytes))
        log.launches += len(plan.steps)
        made: dict[int, Node] = {}
        for (kind, payload), buffer in zip(self.targets, outs):
            if kind == "new":
                made[payload] = self._leaf(self.returned[payload]._storage, buffer)
                continue
            storage = args[payload]._storage if kind == "arg" else payload
            storage.version += 1
            if storage.node.buffer is not buffer:
                storage.node = self._leaf(storage, buffer)
                storage.node.owner = Storage.reference(storage)
                if storage.pin is not None:
                    log._to_pin(storage.node, storage)
        for t, g in self.grads:
            t._grad = g
        self.steady = Steady.of(self, scalars)
        return self._rebuild(self.result, made)

    def run_steady(self, args: tuple) -> Any:
        """The same for the case that nothing has moved since the last run; MOVED, with nothing done, otherwise."""
        steady = self.steady
        if steady is None:
            return MOVED
        try:
            with self.log.lock:
                made = steady.run(args)
        except Stale:  # the full run finds the same and says so
            return MOVED
        if made is MOVED:
            return MOVED
        return self._rebuild(self.result, made)

    def numbers(self) -> list:
        """The run-time numbers of the next run. Raises Stale, with nothing changed, if they no longer fit."""
        fresh = [p.refresh() for p in self.providers]
        return [value if at < 0 else fresh[at][value] for at, value in self.scalars]

    def _reused(self) -> list[Any]:
        """For each output its storage's present buffer if nothing else can see it, else None."""
        out = []
        for (_, storage), free in zip(self.targets, self.reusable):
            buffer = storage.node.buffer if free else None
            out.append(buffer if buffer is not None and getrefcount(buffer) <= 3 and storage.pin is None else None)
        return out

    def _leaf(self, storage: Storage, buffer: Any) -> Node:
        call = storage.node.call
        return leaf(buffer, call.out.dtype, self.log.device, call.out.numel)

    def _rebuild(self, value: Any, made: dict[int, Node]) -> Any:
        if isinstance(value, Tensor):
            for at, node in made.items():
                if self.returned[at] is value:
                    return make(node, value._spec)
            return value
        if isinstance(value, (list, tuple)):
            rebuilt = [self._rebuild(v, made) for v in value]
            if isinstance(value, tuple) and hasattr(value, "_fields"):
                return type(value)(*rebuilt)
            return type(value)(rebuilt)
        if isinstance(value, dict):
            return {k: self._rebuild(v, made) for k, v in value.items()}
        return value


class Steady:
    """A replay whose kernels have their arguments from the last run, for as long as all it works on stays in place.

    Parameters, state and gradients are then written where they are; only arguments of the call, results that are made
    anew and numbers are set. This is what makes the replay of a small step cheap.

    A plan may serve other calls of the same form, a second model's step perhaps. Each of their runs counts in
    ``plan.runs`` and leaves the kernels with other arguments: then the replay has to run in full again.
    """

    def __init__(self, replay: Replay, scalars: list) -> None:
        self.replay = replay
        self.runs = replay.plan.runs
        self.queue = replay.plan.runtime.queue
        self.alloc = replay.plan.runtime.memory.alloc
        self.inline = replay.plan.inline
        self.launches: list[Launch] = replay.plan.active
        self.bound = [launch.bound for launch in self.launches]
        self.arena = replay.log.arena(replay.plan.arena_bytes)
        self.scalars = scalars
        places = self._places()
        self.args = [
            (payload, places.get((0, i), [])) for i, (kind, payload) in enumerate(replay.sources) if kind == "arg"
        ]
        self.fresh = []
        for i, (kind, payload) in enumerate(replay.targets):
            if kind == "new":
                made = replay.returned[payload]._storage.node.call.out
                call = leaf_call(made.dtype, replay.log.device, made.numel)
                self.fresh.append((payload, replay.plan.outs[i][0], places.get((1, i), []), call))
        self.holders = [(t, storage, g) for (t, storage), (_, g) in zip(replay.tensors, replay.grads)]
        self.grads_held = not any(empty for _, empty in replay.grad_before)
        self.written = [payload for kind, payload in replay.targets if kind == "storage"]
        self.overwritten = [
            (payload, payload.node) for (kind, payload), free in zip(replay.targets, replay.reusable) if free
        ]
        seen = {id(s) for s, _ in self.overwritten}
        self.kept = [
            (payload, payload.node)
            for kind, payload in (*replay.sources, *replay.targets)
            if kind == "storage" and not (id(payload) in seen or seen.add(id(payload)))
        ]

    @staticmethod
    def of(replay: Replay, scalars: list) -> Steady | None:
        """The steady form of a replay that just ran; None if what it works on changes place with each run."""
        plan = replay.plan
        if plan.restless or replay.log.trace is not None or not all(isinstance(s, Launch) for s in plan.active):
            return None
        if any(step.bound.inline is not plan.inline for step in plan.active):  # the next run goes to the other queue
            return None
        changing = {i for i, (kind, _) in enumerate(replay.sources) if kind == "arg"}
        made = {i for i, (kind, _) in enumerate(replay.targets) if kind == "new"}
        for step in plan.active:
            if isinstance(step, TableLaunch) and not (changing.isdisjoint(step.ins) and made.isdisjoint(step.outs)):
                return None

        def stays(storage: Storage, donor: int) -> bool:
            source = replay.sources[donor]
            return source[0] == "storage" and source[1] is storage

        for (kind, payload), free, (_, donor) in zip(replay.targets, replay.reusable, plan.outs):
            if kind == "arg" or (donor is not None and kind == "new"):
                return None
            if kind == "storage" and (
                payload.pin is not None or not (free if donor is None else stays(payload, donor))
            ):
                return None
        return Steady(replay, scalars)

    def _places(self) -> dict[tuple[int, int], list[tuple[Launch, int, int]]]:
        """Where inputs (0, number) and outputs (1, number) of the plan are arguments of kernels."""
        found: dict[tuple[int, int], list[tuple[Launch, int, int]]] = {}
        for launch in self.launches:
            for i, (arg, kind, number) in enumerate(launch.buffers):
                found.setdefault((kind, number), []).append((launch, i, arg))
        return found

    def _unmoved(self) -> bool:
        replay = self.replay
        log, plan, queue = replay.log, replay.plan, self.queue
        if plan.runs != self.runs or log.entries or log.trace is not None:
            return False
        if log.arena(plan.arena_bytes) is not self.arena:
            return False
        if self.inline and not queue.is_idle():
            return False
        for storage, node in self.kept:
            if storage.node is not node or storage.pin is not None:
                return False
        for storage, node in self.overwritten:
            if storage.node is not node or storage.pin is not None or getrefcount(node) > _OWN_REFERENCES:
                return False
        if not self.grads_held:
            return replay.holds()
        for t, storage, grad in self.holders:
            if t._storage is not storage or t._grad is not grad:
                return False
        return True

    def run(self, args: tuple) -> Any:
        """Enqueue; returns the nodes of new results by their place among the returned, or MOVED."""
        if not self._unmoved():
            return MOVED
        replay = self.replay
        for k, places in self.args:
            buffer = args[k]._storage.node.buffer
            if buffer is None:
                return MOVED
            _set(places, buffer.mem)
        made: dict[int, Node] = {}
        for payload, size, places, call in self.fresh:
            buffer = self.alloc(size)
            _set(places, buffer.mem)
            node = made[payload] = Node(call, ())
            node.buffer = buffer
        if replay.providers:
            scalars = replay.numbers()
            if scalars != self.scalars:
                self._set_numbers(scalars)
        for storage in self.written:
            storage.version += 1
        for bound in self.bound:
            bound.enqueue()
        replay.log.launches += len(self.bound)
        return made

    def _set_numbers(self, scalars: list) -> None:
        self.scalars = scalars
        for launch in self.launches:
            if isinstance(launch, TableLaunch) and launch.cells:
                launch.fill(self.replay.plan, scalars)
            launch.set_numbers(scalars)


def _set(places: list[tuple[Launch, int, int]], mem: Any) -> None:
    for launch, i, arg in places:
        last = launch.last
        if last[i] is not mem:
            launch.bound.kernel.set_arg(arg, mem)
            last[i] = mem
