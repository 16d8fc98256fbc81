"""The backward pass: walks recorded ops from the outputs to the leaves, newest first."""

from __future__ import annotations

import heapq
import sys
from collections.abc import Sequence
from typing import Any

from ..graph.provided import Capture
from .function import AccumulateGrad, GradFn, edge_of
from .mode import mode
from .variable import Tensor, view


class Ops:
    """Tensor ops the engine itself needs; filled in by the ops package, which lies above this one."""

    sum_to: Any = None
    ones_like: Any = None
    zeros: Any = None
    cast: Any = None
    clone: Any = None
    has_nan: Any = None
    stack: Any = None
    zeros_spec: Any = None
    arange_like: Any = None


def run(
    roots: Sequence[tuple[tuple[GradFn, int], Tensor]],
    keep: bool,
    create: bool,
    targets: dict[tuple[GradFn, int], int] | None,
    accumulate: bool,
) -> list[Tensor | None]:
    """Propagate gradients.

    Args:
        roots: (edge, gradient) pairs to start from. keep: leave saved tensors for another pass. create: record the
        pass itself. targets: edges whose gradients are wanted, numbered; with ``accumulate`` they are added to the
        leaves' ``.grad``, otherwise returned. None: accumulate into all leaves.
    """
    before = mode.grad
    mode.grad = create
    try:
        return _Pass(keep, targets, accumulate).run(roots)
    finally:
        mode.grad = before


class _Pass:
    def __init__(self, keep: bool, targets: dict | None, accumulate: bool) -> None:
        self.keep = keep
        self.targets = targets
        self.accumulate = accumulate
        self.grads: dict[GradFn, list] = {}
        self.found: list[Tensor | None] = [None] * (len(targets) if targets else 0)
        self.useful: set[GradFn] | None = None

    def run(self, roots: Sequence) -> list[Tensor | None]:
        waiting = self._dependencies([fn for (fn, _), _ in roots])
        if self.targets is not None:
            self._mark_useful([fn for (fn, _), _ in roots])
        grads = self.grads
        heap: list[tuple[int, int, GradFn]] = []
        for (fn, number), grad in roots:
            self._add(fn, number, grad)
        started = set()
        for (fn, _), _ in roots:
            if not waiting.get(fn) and fn not in started:
                started.add(fn)
                heapq.heappush(heap, (-fn.seq, id(fn), fn))
        useful = self.useful
        targets = self.targets
        while heap:
            fn = heapq.heappop(heap)[2]
            slots = grads.pop(fn, None)
            if slots is None:
                results: tuple = (None,) * len(fn.edges)
            else:
                if fn.pre_hooks or fn.retained:
                    self._before(fn, slots)
                if targets is not None:
                    for number, grad in enumerate(slots):
                        at = targets.get((fn, number))
                        if at is not None and grad is not None:
                            if not self.accumulate or type(fn) is not AccumulateGrad:
                                self.found[at] = grad
                if type(fn) is AccumulateGrad:
                    if self.accumulate and (targets is None or (fn, 0) in targets):
                        accumulate(fn, slots[0])
                    continue
                if useful is not None and fn not in useful:
                    results = (None,) * len(fn.edges)
                else:
                    results = self._apply(fn, slots)
            for edge, grad in zip(fn.edges, results):
                if edge is None:
                    continue
                nxt = edge[0]
                if grad is not None and (useful is None or nxt in useful):
                    self._add(nxt, edge[1], grad)
                left = waiting[nxt] = waiting[nxt] - 1
                if left == 0:
                    heapq.heappush(heap, (-nxt.seq, id(nxt), nxt))
            results = grad = slots = None  # a gradient still named here would look shared to accumulate()
        return self.found

    @staticmethod
    def _dependencies(roots: list[GradFn]) -> dict[GradFn, int]:
        """How many recorded uses each function still waits for."""
        waiting: dict[GradFn, int] = {}
        seen = set(roots)
        stack = list(seen)
        while stack:
            fn = stack.pop()
            for edge in fn.edges:
                if edge is not None:
                    nxt = edge[0]
                    if nxt in waiting:
                        waiting[nxt] += 1
                    else:
                        waiting[nxt] = 1
                    if nxt not in seen:
                        seen.add(nxt)
                        stack.append(nxt)
        return waiting

    def _mark_useful(self, roots: list[GradFn]) -> None:
        """Functions on a path from the roots to a target."""
        wanted = {fn for fn, _ in self.targets}
        useful: set[GradFn] = set()
        state: dict[GradFn, bool] = {}
        stack: list[tuple[GradFn, bool]] = [(fn, False) for fn in roots]
        while stack:
            fn, done = stack.pop()
            if done:
                if fn in wanted or any(e is not None and e[0] in useful for e in fn.edges):
                    useful.add(fn)
                continue
            if fn in state:
                continue
            state[fn] = True
            stack.append((fn, True))
            stack.extend((e[0], False) for e in fn.edges if e is not None and e[0] not in state)
        self.useful = useful

    def _add(self, fn: GradFn, number: int, grad: Tensor) -> None:
        slots = self.grads.get(fn)
        if slots is None:
            slots = self.grads[fn] = [None] * len(fn.outs)
        have = slots[number]
        slots[number] = grad if have is None else have + grad

    def _before(self, fn: GradFn, slots: list) -> None:
        """Hooks on the op's results, in order of registration; then on the op itself."""
        if fn.retained:
            for number, ref in fn.retained.items():
                t = ref()
                if t is None or slots[number] is None:
                    continue
                slots[number] = run_hooks(t, slots[number])
                if t._retain:
                    t._grad = slots[number] if t._grad is None else t._grad + slots[number]
        if fn.pre_hooks:
            for hook in list(fn.pre_hooks.values()):
                changed = hook(tuple(slots))
                if changed is not None:
                    slots[:] = changed if isinstance(changed, tuple) else (changed,)

    def _apply(self, fn: GradFn, slots: list) -> tuple:
        if fn.freed:
            from_start = fn.inputs  # raises the explanation
            del from_start
        results = fn.apply(tuple(slots))
        if type(results) is not tuple:
            results = (results,)
        results = self._fit(fn, results)
        if fn.hooks:
            for hook in list(fn.hooks.values()):
                changed = hook(results, tuple(slots))
                if changed is not None:
                    results = changed if isinstance(changed, tuple) else (changed,)
        if mode.anomaly:
            self._check(fn, results)
        if not self.keep:
            fn.release()
        return results

    @staticmethod
    def _fit(fn: GradFn, results: tuple) -> tuple:
        """Undo broadcasting and promotion: each gradient takes its input's shape and dtype."""
        edges = fn.edges
        out = None
        for i, grad in enumerate(results):
            if grad is None or i >= len(edges) or edges[i] is None:
                continue
            have = grad._spec
            want = edges[i][0].outs[edges[i][1]]
            if have is want:
                continue
            if have.shape != want.shape:
                if out is None:
                    out = list(results)
                out[i] = grad = Ops.sum_to(grad, want.shape)
                have = grad._spec
            if have.dtype is not want.dtype:
                if out is None:
                    out = list(results)
                out[i] = Ops.cast(grad, want.dtype)
        return results if out is None else tuple(out)

    @staticmethod
    def _check(fn: GradFn, results: tuple) -> None:
        if not mode.anomaly_check_nan:
            return
        for i, grad in enumerate(results):
            if grad is not None and grad._spec.floating and Ops.has_nan(grad):
                if fn.trace:
                    print(f"Error detected in {fn.name()}. Traceback of forward call that caused the error:\n{fn.trace}",
                          file=sys.stderr)  # fmt: skip
                raise RuntimeError(f"Function '{fn.name()}' returned nan values in its {i}th output.")


def run_hooks(t: Tensor, grad: Tensor) -> Tensor:
    """Apply a tensor's gradient hooks."""
    if t._hooks:
        for hook in list(t._hooks.values()):
            changed = hook(grad)
            if changed is not None:
                grad = changed
    return grad


def accumulate(fn: AccumulateGrad, grad: Tensor | None) -> None:
    """Add a gradient to a leaf's ``.grad``."""
    if grad is None:
        return
    t = fn.variable
    if t._hooks:
        grad = run_hooks(t, grad)
    have = t._grad
    if Capture.active is not None:
        Capture.active.touch(t)
    if have is None:
        spec = grad._spec
        if mode.grad:
            t._grad = grad if spec.whole or not spec.numel else Ops.clone(grad)
        else:
            # Nobody else may hold the gradient, or .grad would alias it. Held here: by the slot list, this frame and
            # getrefcount's argument; its storage by the tensor and the argument.
            alone = (
                spec.whole
                and sys.getrefcount(grad) <= 3
                and sys.getrefcount(grad._storage) <= 2
                and grad._storage.size == spec.numel
            )
            if alone:
                t._grad = view(grad, spec)
            else:
                t._grad = Ops.clone(grad)
    elif mode.grad:
        t._grad = have + grad
    else:
        have += grad
    if fn.post_hooks:
        for hook in list(fn.post_hooks.values()):
            hook(t)


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Accumulate the gradients of ``tensors`` into the leaves (or into ``inputs`` only), as torch.autograd.backward.

    Raises RuntimeError for a non-scalar without its gradient, a tensor without a record, a second pass over a freed
    graph.
    """
    outputs = (tensors,) if isinstance(tensors, Tensor) else tuple(tensors)
    given = _as_tuple(grad_tensors if grad_tensors is not None else grad_variables, len(outputs))
    if inputs is not None:
        wanted = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
        if not wanted:
            raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    keep = create_graph if retain_graph is None else retain_graph
    targets = None
    if inputs is not None:
        targets = {}
        for t in wanted:
            edge = edge_of(t)
            if edge is None:
                raise RuntimeError("One of the differentiated Tensors does not require grad")
            targets.setdefault(edge, len(targets))
    roots = _roots(outputs, given, create_graph)
    found = run(roots, keep, create_graph, targets, True)
    if targets is not None:
        for t in wanted:
            edge = edge_of(t)
            grad = found[targets[edge]]
            if grad is not None and type(edge[0]) is not AccumulateGrad:
                t._grad = grad if t._grad is None else t._grad + grad


def _as_tuple(grads: Any, count: int) -> tuple:
    if grads is None:
        return (None,) * count
    given = (grads,) if isinstance(grads, Tensor) else tuple(grads)
    if len(given) != count:
        raise RuntimeError(f"got {count} tensors and {len(given)} gradients")
    return given


def _roots(outputs: Sequence[Tensor], grads: Sequence[Tensor | None], create: bool) -> list:
    roots = []
    for i, (t, grad) in enumerate(zip(outputs, grads)):
        edge = edge_of(t)
        if edge is not None and Capture.active is not None:
            Capture.active.roots.add(edge[0])
        if edge is None:
            raise RuntimeError(f"element {i} of tensors does not require grad and does not have a grad_fn")
        if grad is None:
            if t._spec.numel != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            if not t._spec.floating:
                raise RuntimeError(
                    f"grad can be implicitly created only for real scalar outputs but got {t._spec.dtype}"
                )
            grad = Ops.ones_like(t)
        else:
            if not isinstance(grad, Tensor):
                raise TypeError(f"gradients can be either Tensors or None, but got {type(grad).__name__}")
            if grad._spec.shape != t._spec.shape:
                raise RuntimeError(
                    f"Mismatch in shape: grad_output[{i}] has a shape of {grad._spec.shape} and output[{i}] has a shape "
                    f"of {t._spec.shape}."
                )
            if grad._spec.dtype is not t._spec.dtype and t._spec.floating and not grad._spec.floating:
                raise RuntimeError(
                    f"Expected a floating point gradient for output[{i}] of {t._spec.dtype}, got {grad._spec.dtype}"
                )
        roots.append((edge, grad))
    return roots


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """Sum of the gradients of ``outputs`` with respect to each of ``inputs``, as torch.autograd.grad.

    Raises RuntimeError for an input that is not part of the graph unless ``allow_unused`` (then None) or
    ``materialize_grads`` (then zeros).
    """
    outs = (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
    ins = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    if allow_unused is None:
        allow_unused = materialize_grads
    elif not allow_unused and materialize_grads:
        raise ValueError("Expected allow_unused to be True or not passed when materialize_grads=True, but got: False.")
    given = _as_tuple(grad_outputs, len(outs))
    if is_grads_batched:
        return _batched(outs, ins, given, create_graph, allow_unused, materialize_grads)
    keep = create_graph if retain_graph is None else retain_graph
    targets: dict[Any, int] = {}
    for t in ins:
        if not t._rg:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
        targets.setdefault(edge_of(t), len(targets))
    found = run(_roots(outs, given, create_graph), keep, create_graph, targets, False)
    result = []
    for t in ins:
        g = found[targets[edge_of(t)]]
        if g is None:
            if not allow_unused:
                raise RuntimeError(
                    "One of the differentiated Tensors appears to not have been used in the graph. Set allow_unused=True "
                    "if this is the desired behavior."
                )
            if materialize_grads:
                g = Ops.zeros(t)
        elif t._hooks and t._grad_fn is None:
            g = run_hooks(t, g)
        result.append(g)
    return tuple(result)


def _batched(outs: tuple, ins: tuple, given: tuple, create: bool, allow_unused: bool, materialize: bool) -> tuple:
    """One pass for each entry along the gradients' first dimension; results stacked."""
    count = next(g for g in given if g is not None)._spec.shape[0]
    rows = []
    for i in range(count):
        each = tuple(None if g is None else g[i] for g in given)
        rows.append(grad(outs, ins, each, True, create, True, allow_unused, False, materialize))
    return tuple(None if col[0] is None else Ops.stack(list(col)) for col in zip(*rows))



