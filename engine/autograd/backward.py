"""The backward pass: walks recorded ops from the outputs to the leaves, newest first."""

from __future__ import annotations

import heapq
import itertools
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from ..graph.provided import Capture
from ..graph.spec import Spec
from .edges import GradientEdge
from .inplace import retain
from .mode import mode
from .records import AccumulateGrad, GradFn, edge_of
from .variable import Tensor, view


class Ops:
    """Tensor ops the engine itself needs; filled in by the ops package, which lies above this one."""

    sum_to: Any = None
    ones_spec: Any = None
    zeros: Any = None
    cast: Any = None
    clone: Any = None
    clone_like: Any = None
    has_nan: Any = None
    stack: Any = None
    zeros_spec: Any = None
    alias: Any = None
    arange_like: Any = None
    sum_first: Any = None
    from_array: Any = None
    one_hot: Any = None


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
    """One backward pass. ``callbacks`` run at its end; ``leaf_streams`` does not exist here: one queue keeps order."""

    def __init__(self, keep: bool, targets: dict | None, accumulate: bool) -> None:
        self.keep = keep
        self.targets = targets
        self.accumulate = accumulate
        self.grads: dict[GradFn, list] = {}
        self.found: list[Tensor | None] = [None] * (len(targets) if targets else 0)
        self.useful: set[GradFn] | None = None
        self.callbacks: list[Any] = []
        self.starts: list[GradFn] = []
        self.reached: dict[GradFn, int] = {}

    def run(self, roots: Sequence) -> list[Tensor | None]:
        """The pass itself; returns the gradients of the targets."""
        mode.passes.append(self)
        try:
            self._run(roots)
            while self.callbacks:
                self.callbacks.pop(0)()
        finally:
            mode.passes.pop()
        return self.found

    def _run(self, roots: Sequence) -> None:
        starts = self.starts = [fn for (fn, _), _ in roots]
        waiting = self._dependencies(starts)
        self.reached = waiting
        if self.targets is not None:
            self._mark_useful(starts)
        heap: list[tuple[int, int, GradFn]] = []
        for (fn, number), grad in roots:
            self._add(fn, number, grad)
        started = set()
        leaves: list[GradFn] = []
        for fn in starts:
            if not waiting[fn] and fn not in started:
                started.add(fn)
                self._ready(fn, heap, leaves)
        useful = self.useful
        grads = self.grads
        while True:
            if leaves:
                for fn in leaves:
                    self._leaf(fn)
                leaves.clear()
            if not heap:
                return
            fn = heapq.heappop(heap)[2]
            slots = grads.pop(fn, None)
            results: Sequence
            if slots is None:
                results = (None,) * len(fn.edges)
            else:
                if fn.tensor_hooks or fn.retained:
                    self._tensor_hooks(fn, slots)
                if self.targets is not None:
                    self._capture(fn, slots)
                if useful is not None and not any(e is not None and e[0] in useful for e in fn.edges):
                    results = (None,) * len(fn.edges)
                else:
                    results = self._apply(fn, slots)
            for edge, grad in zip(fn.edges, results):
                if edge is None:
                    continue
                nxt, number = edge
                is_leaf = type(nxt) is AccumulateGrad
                if grad is not None and (useful is None or nxt in useful):
                    want = nxt.variable._spec if is_leaf else nxt.outs[number]
                    if grad._spec is not want:
                        grad = _fitted(grad, want)
                    if nxt in grads:
                        self._add(nxt, number, grad)
                    else:
                        grads[nxt] = slots = [None] * (1 if is_leaf else len(nxt.outs))
                        slots[number] = grad
                left = waiting[nxt] = waiting[nxt] - 1
                if not left:
                    if is_leaf:
                        leaves.append(nxt)
                    else:
                        heapq.heappush(heap, (-nxt.seq, id(nxt), nxt))
            results = grad = slots = None  # a gradient still named here would look shared to accumulate()

    @staticmethod
    def _ready(fn: GradFn, heap: list, leaves: list) -> None:
        """All uses of ``fn`` are known: leaves come next, other functions newest first."""
        if type(fn) is AccumulateGrad:
            leaves.append(fn)
        else:
            heapq.heappush(heap, (-fn.seq, id(fn), fn))

    def _leaf(self, fn: AccumulateGrad) -> None:
        slots = self.grads.pop(fn, None)
        if slots is None:
            return
        if fn.tensor_hooks or fn.retained:
            self._tensor_hooks(fn, slots)
        if self.targets is not None:
            self._capture(fn, slots)
        if self.accumulate and (self.useful is None or fn in self.useful):
            accumulate(fn, slots)

    def will_run(self, fn: GradFn) -> bool:
        """Whether this pass gives ``fn`` a gradient (as far as the graph's shape tells)."""
        return fn in self.reached and (self.useful is None or fn in self.useful)

    @staticmethod
    def _dependencies(roots: list[GradFn]) -> dict[GradFn, int]:
        """How many recorded uses each function still waits for; none for roots that nothing else uses."""
        waiting = dict.fromkeys(roots, 0)
        stack = list(waiting)
        while stack:
            for edge in stack.pop().edges:
                if edge is not None:
                    nxt = edge[0]
                    uses = waiting.get(nxt)
                    if uses is None:
                        waiting[nxt] = 1
                        if type(nxt) is not AccumulateGrad:
                            stack.append(nxt)
                    else:
                        waiting[nxt] = uses + 1
        return waiting

    def _mark_useful(self, roots: list[GradFn]) -> None:
        """Functions on a path from the roots to a target."""
        wanted = {fn for fn, _ in self.targets}
        useful: set[GradFn] = set()
        state: set[GradFn] = set()
        stack: list[tuple[GradFn, bool]] = [(fn, False) for fn in roots]
        while stack:
            fn, done = stack.pop()
            if done:
                if fn in wanted or any(e is not None and e[0] in useful for e in fn.edges):
                    useful.add(fn)
                continue
            if fn in state:
                continue
            state.add(fn)
            stack.append((fn, True))
            stack.extend([(e[0], False) for e in fn.edges if e is not None and e[0] not in state])
        self.useful = useful

    def _add(self, fn: GradFn, number: int, grad: Tensor) -> None:
        slots = self.grads.get(fn)
        if slots is None:
            slots = self.grads[fn] = [None] * len(fn.outs)
        have = slots[number]
        slots[number] = grad if have is None else have + grad

    def _capture(self, fn: GradFn, slots: list) -> None:
        """Note gradients that were asked for."""
        targets = self.targets
        for number, grad in enumerate(slots):
            if grad is not None:
                at = targets.get((fn, number))
                if at is not None:
                    self.found[at] = grad

    @staticmethod
    def _tensor_hooks(fn: GradFn, slots: list) -> None:
        """Hooks of the tensors that the function made, in order of registration; keeping their gradients comes last."""
        if fn.tensor_hooks:
            for number, hooks in fn.tensor_hooks.items():
                grad = slots[number]
                if grad is not None:
                    slots[number] = run_hooks(hooks, grad)
        if fn.retained:
            for number, ref in list(fn.retained.items()):
                t, grad = ref(), slots[number]
                if t is None or grad is None:
                    continue
                t._grad = Ops.clone(grad) if t._grad is None else t._grad + grad

    def _apply(self, fn: GradFn, slots: list) -> Sequence:
        if fn.pre_hooks:
            for hook in list(fn.pre_hooks.values()):
                changed = hook(tuple(slots))
                if changed is not None:
                    slots[:] = changed if isinstance(changed, tuple) else (changed,)
        if fn.trace is not None and mode.anomaly:
            results = _traced(fn, slots)
        else:
            results = fn.apply(tuple(slots))
        if fn.unpacked is not None:
            fn.unpacked = None
        if type(results) is not tuple:
            results = tuple(results) if isinstance(results, (tuple, list)) else (results,)
        if fn.hooks:
            results = _run_node_hooks(fn, _fit(fn, results), tuple(slots))
        if mode.anomaly:
            results = _fit(fn, results)
            _check_nan(fn, results)
        if not self.keep:
            fn.release()
        return results


def _run_node_hooks(fn: GradFn, results: tuple, slots: tuple) -> tuple:
    """Hooks after a function, which see its input gradients as torch counts them (``next_functions``)."""
    shown = fn.op.shown if fn.op is not None else None
    order = list(range(len(results))) if shown is None else list(shown(list(range(len(results))), fn.static))
    for hook in list(fn.hooks.values()):
        changed = hook(tuple([None if i is None else results[i] for i in order]), slots)
        if changed is not None:
            new = list(results)
            for i, value in zip(order, changed if isinstance(changed, tuple) else (changed,)):
                if i is not None:
                    new[i] = value
            results = tuple(new)
    return results


def _traced(fn: GradFn, slots: list) -> Any:
    try:
        return fn.apply(tuple(slots))
    except Exception:
        _warn_trace(fn)
        raise


def _warn_trace(fn: GradFn) -> None:
    if fn.trace is not None:
        text = f"Error detected in {fn.name()}. Traceback of forward call that caused the error:\n{fn.trace}"
    else:
        text = (
            f"Error detected in {fn.name()}. No forward pass information available. Enable detect anomaly during "
            f"forward "
            f"pass for more information."
        )
    warnings.warn(text, stacklevel=2)


def _fit(fn: GradFn, results: tuple) -> tuple:
    """Undo broadcasting and promotion: each gradient takes its input's shape and dtype."""
    return tuple(
        [
            grad if grad is None or edge is None else _fitted(grad, edge[0].outs[edge[1]])
            for grad, edge in itertools.zip_longest(results, fn.edges[: len(results)])
        ]
    )


def _fitted(grad: Tensor, want: Spec) -> Tensor:
    """A gradient in the shape and dtype of what it belongs to."""
    if grad._spec.shape != want.shape:
        grad = Ops.sum_to(grad, want.shape)
    return grad if grad._spec.dtype is want.dtype else Ops.cast(grad, want.dtype)


def _check_nan(fn: GradFn, results: Sequence) -> None:
    if not mode.anomaly_check_nan:
        return
    for i, grad in enumerate(results):
        if grad is not None and grad._spec.floating and Ops.has_nan(grad):
            _warn_trace(fn)
            raise RuntimeError(f"Function '{fn.name()}' returned nan values in its {i}th output.")


def run_hooks(hooks: dict, grad: Tensor) -> Tensor:
    """Apply gradient hooks in order."""
    for hook in list(hooks.values()):
        changed = hook(grad)
        if changed is not None:
            if not isinstance(changed, Tensor):
                raise TypeError(f"hook's return value must be None or a Tensor, not {type(changed).__name__}")
            if changed._spec.shape != grad._spec.shape:
                raise RuntimeError(f"hook '{getattr(hook, '__name__', repr(hook))}' has changed the size of value")
            grad = changed
    return grad


def accumulate(fn: AccumulateGrad, slots: list) -> None:
    """Add the gradient in ``slots`` to a leaf's ``.grad``."""
    if fn.pre_hooks:
        for hook in list(fn.pre_hooks.values()):
            changed = hook(tuple(slots))
            if changed is not None:
                slots[:] = changed if isinstance(changed, tuple) else (changed,)
    grad = slots.pop()
    if grad is None:
        return
    t = fn.variable
    if t._grad_dtype is not Tensor and t._grad_dtype is not None:
        grad = Ops.cast(grad, t._grad_dtype)
    have = t._grad
    if Capture.active is not None:
        Capture.active.touch(t)
    if have is None:
        spec = grad._spec
        if mode.grad:
            t._grad = grad if spec is t._spec or spec.whole else Ops.clone(grad)
        else:
            # Nobody else may hold the gradient, or .grad would alias it. Held here: by this frame and getrefcount's
            # argument; its storage by the tensor and the argument.
            alone = (
                spec.whole
                and sys.getrefcount(grad) <= 2
                and sys.getrefcount(grad._storage) <= 2
                and grad._storage.node.call.out.numel == spec.numel
                and t._spec.contiguous
            )
            if not alone:
                grad = _laid_like(grad, t)
            elif grad._base is not None or grad._rg or type(grad) is not Tensor:
                grad = view(grad, spec)
            t._grad = grad
    elif mode.grad:
        t._grad = have + grad
    else:
        have += grad
    if fn.hooks:
        for hook in list(fn.hooks.values()):
            hook((), (grad,))
    if fn.post_hooks:
        for hook in list(fn.post_hooks.values()):
            hook(t)


def _laid_like(grad: Tensor, t: Tensor) -> Tensor:
    """A copy of a gradient in the memory order of its leaf."""
    if t._spec.contiguous or t._spec.shape != grad._spec.shape:
        return Ops.clone(grad)
    return Ops.clone_like(grad, t)


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """Accumulate the gradients of ``tensors`` into the leaves (or into ``inputs`` only), as torch.autograd.backward.

    Raises RuntimeError for a non-scalar without its gradient, a tensor without a record, a second pass over a freed
    graph.
    """
    if grad_variables is not None:
        warnings.warn("`grad_variables` is deprecated. Use `grad_tensors` instead.", FutureWarning, stacklevel=2)
        if grad_tensors is not None:
            raise RuntimeError(
                "`grad_tensors` and `grad_variables` (deprecated) arguments both passed to `backward()`. Please only "
                "use "
                "`grad_tensors`."
            )
        grad_tensors = grad_variables
    if inputs is not None and not isinstance(inputs, (Tensor, GradientEdge)) and len(inputs) == 0:
        raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    outputs = _sequence(tensors)
    given = _as_tuple(grad_tensors, len(outputs))
    keep = create_graph if retain_graph is None else retain_graph
    targets: dict[Any, int] | None = None
    if inputs is not None:
        targets = {}
        for i, t in enumerate(_sequence(inputs)):
            edge = _target(t, i)
            if isinstance(t, Tensor) and t._grad_fn is not None and not t._retain:
                t._retain = True
                retain(t)
            targets.setdefault(edge, len(targets))
    run(_roots(outputs, given), keep, create_graph, targets, True)


def _sequence(values: Any) -> tuple:
    return (values,) if isinstance(values, (Tensor, GradientEdge)) else tuple(values)


def _target(t: Any, number: int) -> tuple:
    """Where the gradient of an input arrives. Raises RuntimeError if none can."""
    if type(t) is GradientEdge:
        return (t.node, t.output_nr)
    if not isinstance(t, Tensor):
        raise TypeError(f"inputs can be either Tensors or GradientEdges, but got {type(t).__name__}")
    edge = edge_of(t)
    if edge is None:
        raise RuntimeError("One of the differentiated Tensors does not require grad")
    return edge


def _as_tuple(grads: Any, count: int) -> tuple:
    if grads is None:
        return (None,) * count
    given = (grads,) if isinstance(grads, Tensor) else tuple(grads)
    if len(given) != count:
        raise RuntimeError(f"got {count} tensors and {len(given)} gradients")
    return given


def _roots(outputs: Sequence[Any], grads: Sequence[Tensor | None]) -> list:
    roots = []
    for i, (t, grad) in enumerate(zip(outputs, grads)):
        if type(t) is GradientEdge:
            edge, seen = (t.node, t.output_nr), t.node.outs[t.output_nr]
        else:
            edge, seen = edge_of(t), t._spec
            if edge is None:
                raise RuntimeError(f"element {i} of tensors does not require grad and does not have a grad_fn")
        if Capture.active is not None:
            Capture.active.roots.add(edge[0])
        if grad is None:
            if seen.numel != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            if not seen.dtype.is_floating_point:
                raise RuntimeError(f"grad can be implicitly created only for real scalar outputs but got {seen.dtype}")
            grad = Ops.ones_spec(seen)
        else:
            _check_given(i, grad, seen)
            if grad._spec.dtype is not seen.dtype:
                grad = Ops.cast(grad, seen.dtype)
        roots.append((edge, grad))
    return roots


def _check_given(i: int, grad: Any, seen: Any) -> None:
    if not isinstance(grad, Tensor):
        raise TypeError(f"gradients can be either Tensors or None, but got {type(grad).__name__}")
    have = grad._spec
    if have.shape != seen.shape:
        raise RuntimeError(
            f"Mismatch in shape: grad_output[{i}] has a shape of {have.shape} and output[{i}] has a shape of "
            f"{seen.shape}."
        )
    if have.dtype.is_complex != seen.dtype.is_complex:
        raise RuntimeError(
            f"For complex Tensors, both grad_output and output are required to have the same dtype. Mismatch in dtype: "
            f"grad_output[{i}] has a dtype of {have.dtype} and output[{i}] has a dtype of {seen.dtype}."
        )


def grad(
    outputs: Any,
    inputs: Any,
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
    if materialize_grads and allow_unused is False:
        raise ValueError("Expected allow_unused to be True or not passed when materialize_grads=True, but got: False.")
    if allow_unused is None:
        allow_unused = materialize_grads
    if not only_inputs:
        warnings.warn(
            "only_inputs argument is deprecated and is ignored now (defaults to True). To accumulate gradient for "
            "other parts "
            "of the graph, please use torch.autograd.backward.",
            FutureWarning,
            stacklevel=2,
        )
    outs, ins = _sequence(outputs), _sequence(inputs)
    given = _as_tuple(grad_outputs, len(outs))
    if is_grads_batched:
        return _batched(outs, ins, given, create_graph, allow_unused, materialize_grads)
    keep = create_graph if retain_graph is None else retain_graph
    targets: dict[Any, int] = {}
    edges = [_target(t, i) for i, t in enumerate(ins)]
    for edge in edges:
        targets.setdefault(edge, len(targets))
    found = run(_roots(outs, given), keep, create_graph, targets, False)
    result = []
    for i, edge in enumerate(edges):
        g = found[targets[edge]]
        if g is None:
            if not allow_unused:
                raise RuntimeError(
                    f"The differentiated Tensor at index {i} appears to not have been used in the graph. Set "
                    f"allow_unused=True if this is the desired behavior."
                )
            if materialize_grads:
                g = Ops.zeros_spec(edge[0].outs[edge[1]])
        result.append(g)
    return tuple(result)


def _batched(outs: tuple, ins: tuple, given: tuple, create: bool, allow_unused: bool, materialize: bool) -> tuple:
    """One pass for each entry along the gradients' first dimension; results stacked."""
    for i, (t, g) in enumerate(zip(outs, given)):
        if g is None:
            raise RuntimeError("grad can be implicitly created only for scalar outputs")
        if g._spec.shape[1:] != t._spec.shape:
            raise RuntimeError(
                f"If `is_grads_batched=True`, we interpret the first dimension of each grad_output as the batch "
                f"dimension. The "
                f"sizes of the remaining dimensions are expected to match the shape of corresponding output, but a "
                f"mismatch "
                f"was detected: grad_output[{i}] has a shape of {g._spec.shape} and output[{i}] has a shape of "
                f"{t._spec.shape}."
            )
    rows = [
        grad(outs, ins, [g[i] for g in given], True, create, True, allow_unused, False, materialize)
        for i in range(given[0]._spec.shape[0])
    ]
    return tuple([None if col[0] is None else Ops.stack(list(col)) for col in zip(*rows)])
