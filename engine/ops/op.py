"""How a primitive of the tensor language is declared and applied.

An ``Op`` has a rule (shape and dtype of the result), a lowering into the planner's array language and a derivative
written with tensor ops.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from .. import dtypes
from ..autograd.mode import mode
from ..autograd.records import GradFn, accumulator, edge_of, forward_trace, save_input, save_output, sequence
from ..autograd.variable import Tensor, make
from ..graph.log import log_of, open_logs
from ..graph.lower import refuse_double
from ..graph.node import Call, Storage
from ..graph.spec import Spec, spec
from ..graph.view import row_major

_new = object.__new__
_AFTER_DIGIT = re.compile(r"(?<=\d)[a-z]")
_MAX_CALLS = 20_000
_DOUBLE = (dtypes.float64, dtypes.complex128)

Out = tuple[tuple[int, ...], dtypes.dtype]


def camel(name: str) -> str:
    """AddmmBackward0 style: words joined by underscores, and letters after digits, become capitals."""
    joined = "".join(part[:1].upper() + part[1:] for part in name.split("_") if part)
    return _AFTER_DIGIT.sub(lambda m: m[0].upper(), joined)


class _Resolutions:
    """The caches of all ops. What they hold may follow from the default dtype (by way of Python numbers)."""

    def __init__(self) -> None:
        self.tables: list[dict] = []
        dtypes.default.before_change(self.forget)

    def add(self, table: dict) -> None:
        self.tables.append(table)

    def forget(self) -> None:
        """Another default dtype is coming: run what was made under the present one and resolve anew."""
        for log in open_logs():
            log.flush()
        for table in self.tables:
            table.clear()


_resolved = _Resolutions()


class Op:
    """A primitive.

    Args:
        name: as in error messages and profiles.
        rule: ``rule(*specs, *static) -> Spec | (shape, dtype) | list of them``; raises for operands that do not fit.
        lower: ``lower(b, *refs, *scalars, *static) -> Ref | sequence of Ref`` (b: graph.ir.Builder).
        grad: ``grad(ctx, *output_grads) -> gradient or tuple of them``, one a tensor operand, written with tensor ops.
            ctx: the GradFn, with ``inputs``, ``outputs`` (as far as saved), ``specs``, ``static``, ``scalars``,
            ``needs``. Gradients may have a broadcast shape and another float dtype: that is undone by the engine.
        saves: numbers of the operands that grad reads, or a dict from operand to those its own gradient reads.
        saves_out: numbers of the results that grad reads.
        grad_name: name of the recorded function, default ``<Name>Backward0``.
        scalars: dtypes of run-time numbers, or a function of the specs and static arguments that gives them.
        differentiable: numbers of results that carry a gradient (None: all floating ones).
        variant: ``variant(specs, static) -> name`` where torch's name of the recorded function depends on the operands.
    """

    shown: Callable[[Sequence, tuple], Sequence] | None = None  # ``next_functions`` from edges and static arguments

    def __init__(
        self,
        name: str,
        rule: Callable[..., Any],
        lower: Callable[..., Any],
        grad: Callable[..., Any] | None = None,
        *,
        saves: tuple[int, ...] | dict[int, tuple[int, ...]] = (),
        saves_out: tuple[int, ...] = (),
        grad_name: str | None = None,
        scalars: tuple[dtypes.dtype, ...] | Callable[..., tuple[dtypes.dtype, ...]] = (),
        differentiable: tuple[int, ...] | None = None,
        variant: Callable[[tuple, tuple], str] | None = None,
    ) -> None:
        self.name = name
        self.variant = variant
        self.variants: dict[str, type[GradFn]] = {}
        self.rule = rule
        self.lower = lower
        self.derivative = grad
        self.saves = saves
        self.saves_out = saves_out
        self.scalars = scalars
        self.differentiable = differentiable
        self.calls: dict[tuple, Call] = {}
        _resolved.add(self.calls)
        self.grad_class = type(
            grad_name or f"{camel(name.lstrip('_'))}Backward0", (GradFn,), {"op": self, "__module__": "torch.autograd"}
        )
        self.saves_all = tuple(sorted({i for k in saves.values() for i in k})) if type(saves) is dict else saves
        self.saves_some: dict[tuple[bool, ...], tuple[int, ...]] = {}  # by which operands have a gradient

    def __call__(self, tensors: Sequence[Tensor], static: tuple = (), scalars: tuple = ()) -> Any:
        """Apply to tensors (same device), static arguments (hashable) and run-time numbers."""
        try:
            specs = tuple([t._spec for t in tensors])
        except AttributeError:
            self._refuse(tensors)
            raise
        call = self.calls.get((specs, static))
        if call is None:
            if len(specs) > 1 and any([s.device is not specs[0].device for s in specs]):
                tensors = MIX(tensors)
                specs = tuple([t._spec for t in tensors])
            call = self.calls.get((specs, static)) or self.resolve(specs, static)
        out = call.out
        device = specs[0].device if specs else (out[0] if type(out) is tuple else out).device
        graph = device.graph or log_of(device)
        node = graph.add(call, tuple([t._storage.node for t in tensors]), scalars)
        if type(out) is tuple:
            results = tuple([make(part, seen) for part, seen in zip(graph.add_parts(node), out)])
        else:
            t = _new(Tensor)
            t._storage = Storage(node)
            t._spec = out
            results = (t,)
        if mode.grad and self.derivative is not None:
            for t in tensors:
                if t._rg:
                    self.record(call, tensors, results, static, scalars)
                    break
        elif mode.inference:
            for t in results:
                t._inference = True
        return results if type(out) is tuple else results[0]

    def _refuse(self, tensors: Sequence[Any]) -> None:
        """Raise TypeError for an operand that is not a tensor."""
        for i, t in enumerate(tensors):
            if not isinstance(t, Tensor):
                raise TypeError(f"{self.name}(): argument {i + 1} must be Tensor, not {type(t).__name__}")

    def record(
        self,
        call: Call,
        tensors: Sequence[Tensor],
        results: tuple[Tensor, ...],
        static: tuple,
        scalars: tuple,
        saves: Any = None,
    ) -> None:
        """Note the op for the backward pass (``saves``: other operands to save than declared)."""
        fn = _new(call.record or self._record_class(call))
        fn.seq = next(sequence)
        fn.call = call
        fn.outs = call.outs
        if scalars:
            fn.scalars = scalars
        fn.edges = edges = []
        for t in tensors:  # a loop, as a comprehension is a call of its own
            if not t._rg:
                edges.append(None)
            elif t._base is not None:
                edges.append(edge_of(t))
            else:
                made = t._grad_fn
                edges.append((accumulator(t), 0) if made is None else (made, t._out_nr))
        if mode.watch and mode.anomaly:
            fn.trace = forward_trace()
        if saves is None:
            saves = self.saves_all
            if saves and None in edges and self.saves_all is not self.saves:
                saves = self._saves_for(edges)
        if saves:
            saved = [None] * len(edges)
            versions = [0] * len(edges)
            for i in saves:
                t = tensors[i]
                versions[i] = t._storage.version
                saved[i] = save_input(t) if t._inference or mode.watch else t
            fn.saved_in = saved
            fn.versions = versions
        differentiable = self.differentiable
        if self.saves_out:
            kept = [None] * len(results)
            for i in self.saves_out:
                t = results[i]
                carries = t._spec.floating and (differentiable is None or i in differentiable)
                kept[i] = save_output(t, i if carries else None)
            fn.saved_out = kept
        if differentiable is None and len(results) == 1:
            t = results[0]
            if t._spec.floating:
                t._grad_fn = fn
                t._rg = True
            return
        for i, t in enumerate(results):
            if t._spec.floating and (differentiable is None or i in differentiable):
                t._grad_fn = fn
                t._rg = True
                if i:
                    t._out_nr = i

    def _saves_for(self, edges: Sequence) -> tuple[int, ...]:
        """Operands that the gradients of those with an edge read."""
        wanted = tuple([e is not None for e in edges])
        found = self.saves_some.get(wanted)
        if found is None:
            found = tuple(sorted({i for k, w in enumerate(wanted) if w for i in self.saves.get(k, ())}))
            self.saves_some[wanted] = found
        return found

    def _record_class(self, call: Call) -> type[GradFn]:
        """The class of a call's records, which the call keeps."""
        call.record = found = self.grad_class if self.variant is None else self._variant(call)
        return found

    def _variant(self, call: Call) -> type[GradFn]:
        name = self.variant(call.specs, call.static)
        found = self.variants.get(name)
        if found is None:
            found = self.variants[name] = type(name, (self.grad_class,), {"__module__": "torch.autograd"})
        return found

    def resolve(self, specs: tuple[Spec, ...], static: tuple) -> Call:
        """Work out everything that depends on descriptions only; kept for the next time."""
        device = _common_device(self.name, specs)
        out = self.rule(*specs, *static)
        if isinstance(out, list):
            outs: Any = tuple(_as_spec(o, device, specs) for o in out)
        else:
            outs = _as_spec(out, device, specs)
        scalars = self.scalars(*specs, *static) if callable(self.scalars) else self.scalars
        used = {s.dtype for s in (*specs, *(outs if type(outs) is tuple else (outs,)))}
        where = device or (outs[0] if type(outs) is tuple else outs).device
        if not used.isdisjoint(_DOUBLE) and where.kind != "meta":
            refuse_double(self.name, used, log_of(where).runtime.caps)
        call = Call(self.name, self._lower, specs, outs, static, tuple(scalars))
        call.op = self
        if len(self.calls) > _MAX_CALLS:
            self.calls.clear()
        self.calls[specs, static] = call
        return call

    def _lower(self, b: Any, refs: Sequence, scalars: Sequence, call: Call) -> Any:
        out = self.lower(b, *refs, *scalars, *call.static)
        if type(call.out) is not tuple:
            return _laid_out(out, call.out)
        return [_laid_out(r, o) for r, o in zip(out, call.out)]

    def __repr__(self) -> str:
        return f"<op {self.name}>"


def _as_spec(out: Any, device: Any, specs: tuple[Spec, ...]) -> Spec:
    if type(out) is Spec:
        device = device or out.device
        if out.whole and out.device is device:
            return out
        order = memory_order([out])
        return spec(out.dtype, device, out.shape, dense_strides(out.shape, order))
    shape, dtype, *rest = out
    return spec(dtype, rest[0] if rest else device, tuple(shape))


def _laid_out(ref: Any, out: Spec) -> Any:
    """The result in the order in which it lies in memory (results may be dense without being row-major)."""
    if out.contiguous:
        return ref
    order = sorted(range(out.ndim), key=lambda d: (-out.stride[d], d))
    return ref.permute(*order)


def memory_order(specs: Sequence[Spec]) -> list[int] | None:
    """The order of dimensions, outermost first, that a result should have so as to follow its operands' layout.

    None for row-major: where all operands are contiguous or their orders differ ambiguously (as torch's iterator does,
    the first operand decides).
    """
    ndim = max(s.ndim for s in specs)
    if ndim < 2 or all(s.contiguous for s in specs):
        return None
    full = [s for s in specs if s.ndim == ndim]
    order = list(range(ndim))[::-1]  # innermost first

    def compare(a: int, b: int) -> int:
        for s in full:
            sa, sb = s.stride[a], s.stride[b]
            if sa == 0 or sb == 0:
                continue
            if sa != sb:
                return -1 if sa < sb else 1
            if s.shape[a] > s.shape[b]:
                return 1
        return 0

    for i in range(1, ndim):  # insertion sort: the comparison is not a total order
        at = i
        for j in range(i - 1, -1, -1):
            result = compare(order[j], order[at])
            if result > 0:
                order[j], order[at] = order[at], order[j]
                at = j
            elif result < 0:
                break
    outer_first = order[::-1]
    return None if outer_first == list(range(ndim)) else outer_first


def dense_strides(shape: Sequence[int], order: list[int] | None) -> tuple[int, ...]:
    """Strides of a gap-free array whose dimensions lie in memory in ``order`` (outermost first)."""
    if order is None:
        return row_major(tuple(shape))
    strides = [0] * len(shape)
    step = 1
    for d in reversed(order):
        strides[d] = step
        step *= max(shape[d], 1)
    return tuple(strides)


def _common_device(name: str, specs: tuple[Spec, ...]) -> Any:
    if not specs:
        return None
    device = specs[0].device
    for s in specs:
        if s.device is not device:
            raise RuntimeError(
                f"Expected all tensors to be on the same device, but found at least two devices, {device} and "
                f"{s.device}! "
                f"(when checking arguments of {name})"
            )
    return device


MIX: Callable[[Sequence[Tensor]], Sequence[Tensor]] = (
    list  # set by ops.pointwise: operands of several devices brought together
)
