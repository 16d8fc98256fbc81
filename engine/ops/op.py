"""How an op is declared and applied.

An ``Op`` is a primitive of the tensor language: a rule (shape and dtype of the result), a lowering into the planner's
array language and a derivative written with tensor ops. A ``ViewOp`` only makes another view. ``function`` publishes
a Python function with torch's signature, from which the method, the in-place twin and the ``out=`` form follow.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from sys import getrefcount
from typing import Any
from weakref import ref

from .. import dtypes
from ..amp.cast import autocast_call
from ..amp.policy import POLICIES
from ..amp.state import autocast_state
from ..autograd.inplace import INFERENCE, MULTI, NO_GRAD, Before, check_inplace, note_view, rebase
from ..autograd.mode import mode
from ..autograd.records import GradFn, accumulator, edge_of, forward_trace, save_input, save_output, sequence
from ..autograd.variable import Tensor, make, view
from ..dtypes import scalar_type_name
from ..graph.log import log_of, open_logs
from ..graph.lower import refuse_double
from ..graph.node import Call, Storage, write_call
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


class ViewOp:
    """An op that only changes how a storage is seen.

    Args:
        rule: ``rule(spec, *static) -> Spec`` over the same storage.
        grad: ``grad(ctx, g) -> gradient``; ctx has ``specs`` and ``static``. None: the general rule by geometry.
    """

    shown = None

    def __init__(
        self, name: str, rule: Callable[..., Spec], grad: Callable[..., Any] | None, grad_name: str | None = None
    ) -> None:
        self.name = name
        self.rule = rule
        self.derivative = grad
        self.calls: dict[tuple, Call] = {}
        self.grad_class = type(
            grad_name or f"{camel(name)}Backward0", (GradFn,), {"op": self, "__module__": "torch.autograd"}
        )

    def __call__(self, x: Tensor, static: tuple = ()) -> Tensor:
        """The view of ``x``."""
        seen = x._spec
        call = self.calls.get((seen, static))
        if call is None:
            if len(self.calls) > _MAX_CALLS:
                self.calls.clear()
            call = self.calls[seen, static] = Call(self.name, None, (seen,), self.rule(seen, *static), static)
        t = _new(Tensor)  # alias(x, call.out), written out: views are made often
        storage = t._storage = x._storage
        t._spec = call.out
        t._seen = storage.version
        base = x._base
        if base is None:
            t._base = base = x
        else:
            t._base = base
            t._made = x._made
        if x._inference or x._aside or not mode.grad:
            _special(x, t)
        elif x._rg:
            fn = _new(self.grad_class)
            fn.seq = next(sequence)
            fn.call = call
            fn.outs = call.outs
            fn.edges = (edge_of(x),)
            if mode.watch and mode.anomaly:
                fn.trace = forward_trace()
            t._grad_fn = fn
            t._rg = True
        elif seen.floating:
            views = base._views
            if views is None:
                base._views = [ref(t)]
            elif len(views) & 63:
                views.append(ref(t))
            else:
                note_view(base, t)
        return t


def _special(x: Tensor, t: Tensor) -> None:
    """Marks of a view ``t`` of ``x`` made in inference or no_grad mode, or of ``.data``."""
    if x._aside:
        t._aside = True
    if x._inference:
        t._inference = True
    elif not mode.grad:
        t._made = INFERENCE if mode.inference else NO_GRAD


def alias(x: Tensor, seen: Spec) -> Tensor:
    """A view of ``x``, without a record of its own."""
    t = view(x, seen)
    t._seen = x._storage.version
    base = t._base = x if x._base is None else x._base
    t._made = x._made
    if x._inference or x._aside or not mode.grad:
        _special(x, t)
    elif not base._rg and seen.floating:
        note_view(base, t)
    return t


class MultiViewOp:
    """Several views at once under one record (unbind, split); torch forbids changing those in place.

    Args:
        rule: ``rule(spec, *static) -> list of Spec`` over the same storage.
        grad: ``grad(ctx, *gs) -> gradient``; gs has None where no gradient arrived.
    """

    shown = None

    def __init__(self, name: str, rule: Callable[..., list[Spec]], grad: Callable[..., Any], grad_name: str) -> None:
        self.name = name
        self.rule = rule
        self.derivative = grad
        self.calls: dict[tuple, Call] = {}
        self.grad_class = type(grad_name, (GradFn,), {"op": self, "__module__": "torch.autograd"})

    def __call__(self, x: Tensor, static: tuple = ()) -> tuple[Tensor, ...]:
        """The views of ``x``."""
        seen = x._spec
        call = self.calls.get((seen, static))
        if call is None:
            if len(self.calls) > _MAX_CALLS:
                self.calls.clear()
            call = self.calls[seen, static] = Call(self.name, None, (seen,), tuple(self.rule(seen, *static)), static)
        views = tuple([alias(x, out) for out in call.outs])
        recording = x._rg and mode.grad
        if recording:
            fn = self.grad_class((edge_of(x),), call.outs)
            fn.call = call
        for i, t in enumerate(views):
            if mode.grad:
                t._made = MULTI
            if recording:
                t._grad_fn, t._out_nr, t._rg = fn, i, True
        return views


# -- in place ---------------------------------------------------------------------------------------------------------
def assign(x: Tensor, value: Tensor, name: str = "copy_", steal: bool = False, checked: bool = False) -> Tensor:
    """Give ``x``, in place, the value (and the record) of ``value``; returns ``x``.

    ``steal``: nobody else holds ``value``, so its node may simply change hands. ``checked``: check_inplace was called.
    Raises RuntimeError for a leaf that requires grad, another shape, or a dtype that cannot be cast.
    """
    seen, new = x._spec, value._spec
    if not checked:
        check_inplace(x, name, value._rg)
    if new.shape != seen.shape:
        raise RuntimeError(f"output with shape {list(seen.shape)} doesn't match the broadcast shape {list(new.shape)}")
    if new.dtype is not seen.dtype and not dtypes.can_cast(new.dtype, seen.dtype):
        raise RuntimeError(
            f"result type {scalar_type_name(new.dtype)} can't be cast to the desired output type "
            f"{scalar_type_name(seen.dtype)}"
        )
    if new.dtype is not seen.dtype:
        value = CAST(value, seen.dtype)
        steal = True
    put(x, value, steal)
    return x


CAST: Any = None  # set by ops.creation: conversion as a tensor op


def put(x: Tensor, value: Tensor, steal: bool = False, overwrites: Any = False) -> None:
    """Move a value of ``x``'s shape and dtype into ``x``'s storage and connect the record.

    ``overwrites``: the value does not come from ``x``'s old one, which thus gets a zero gradient.
    """
    store(x, value, steal)
    if mode.grad and (x._rg or value._rg):
        rebase(x, edge_of(value), overwrites)


def store(x: Tensor, value: Tensor, steal: bool = False) -> None:
    """Make ``value`` the content of ``x``'s memory, without any record."""
    storage, seen = x._storage, x._spec
    graph = seen.device.graph or log_of(seen.device)
    node = value._storage.node
    new = value._spec
    if (
        seen.offset == 0
        and seen.numel == storage.node.call.out.numel
        and seen.dtype is storage.node.call.out.dtype
        and (new is seen or (new.stride == seen.stride and new.offset == 0))
        and _dense(seen)
        and new.numel == node.call.out.numel
        and value._storage is not storage
    ):
        if steal and node.buffer is None:
            storage.put(node)
        else:
            storage.put(graph.add(_alias_call(node.call.out), (node,)))
    elif not (mode.grad and (x._rg or value._rg)) and graph.write_part(storage, seen, node, new):
        storage.version += 1
    else:
        base = storage.node
        storage.put(graph.add(write_call(base.call.out, seen, new), (base, node)))
    if x._aside:
        storage.version -= 1
    if storage.pin is not None:
        graph.settle(storage)


_alias_calls: dict[Spec, Call] = {}


def _alias_call(flat: Spec) -> Call:
    call = _alias_calls.get(flat)
    if call is None:
        call = _alias_calls[flat] = Call(
            "alias", lambda b, refs, scalars, call: refs[0], (flat_of(flat),), flat_of(flat)
        )
    return call


def flat_of(s: Spec) -> Spec:
    """The whole storage of a dense tensor as a flat description."""
    return spec(s.dtype, s.device, (s.numel,))


def _dense(s: Spec) -> bool:
    if s.contiguous:
        return True
    step = 1
    for stride, size in sorted((st, n) for st, n in zip(s.stride, s.shape) if n != 1):
        if stride != step:
            return False
        step *= size
    return True


# -- publishing -------------------------------------------------------------------------------------------------------
@dataclass
class Public:
    """A published function: where it appears and sample inputs for tests.

    ``samples``: a function of a tensor maker that yields (args, kwargs); ``grad_samples`` likewise for gradient checks.
    """

    name: str
    call: Callable[..., Any]
    torch: bool = True
    method: bool = True
    inplace: bool = False
    functional: bool = False
    out: bool = False
    special: bool = False
    linalg: bool = False
    aliases: tuple[str, ...] = ()
    samples: Callable[..., Any] | None = None
    gradcheck: bool = True
    ref: Callable[..., Any] | None = None
    extra: dict[str, Any] = field(default_factory=dict)


registry: dict[str, Public] = {}
AUTOCAST_NAMES = frozenset(name for table in POLICIES.values() for name in table)


def function(
    name: str | None = None,
    *,
    torch: bool = True,
    method: bool = True,
    inplace: bool = False,
    functional: bool = False,
    out: bool = False,
    special: bool = False,
    linalg: bool = False,
    aliases: tuple[str, ...] = (),
    samples: Callable[..., Any] | None = None,
    gradcheck: bool = True,
    ref: Callable[..., Any] | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Publish a function ``f(input, ...)``.

    Args:
        torch, method, functional, special, linalg: appears in the top namespace, as a Tensor method, in nn.functional,
            in special, in linalg.
        inplace: also as ``name_`` method (result assigned to self). out: accepts ``out=``.
        aliases: further names (with the same in-place twins). samples: sample inputs. ref: NumPy reference.
    """

    def publish(call: Callable[..., Any]) -> Callable[..., Any]:
        public = name or call.__name__
        if public in AUTOCAST_NAMES:
            call = _autocasting(public, call)
        registry[public] = Public(
            public, call, torch, method, inplace, functional, out, special, linalg, aliases, samples, gradcheck, ref
        )
        return call

    return publish


def _autocasting(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """A function that autocast may run in another precision."""

    @functools.wraps(call)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if autocast_state.active:
            return autocast_call(name, call, args, kwargs)
        return call(*args, **kwargs)

    return wrapped


def inplace_of(call: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The in-place twin of a function."""

    @functools.wraps(call)
    def twin(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if mode.grad and (self._rg or _any_rg(args, kwargs)):
            return _recorded_twin(call, name, self, args, kwargs)
        check_inplace(self, name)
        value = call(self, *args, **kwargs)
        alone = getrefcount(value) <= 2 and getrefcount(value._storage) <= 2
        return assign(self, value, name, alone, True)

    twin.__name__ = twin.__qualname__ = name
    twin.__doc__ = f"In-place version of ``{call.__name__}``: the result replaces the content of this tensor."
    return twin


def _any_rg(args: tuple, kwargs: dict) -> bool:
    for a in args:
        if isinstance(a, Tensor) and a._rg:
            return True
    return bool(kwargs) and any(isinstance(a, Tensor) and a._rg for a in kwargs.values())


def _recorded_twin(call: Callable[..., Any], name: str, x: Tensor, args: tuple, kwargs: dict) -> Tensor:
    """In place with a record: computed from the old value set apart, which the derivative may need."""
    check_inplace(x, name, True)
    before = Before(x)
    try:
        assign(x, call(before.old, *args, **kwargs), name, False, True)
    finally:
        before.done()
    return x


# Functions whose ``out=`` must have the dtype of the result, by the form of PyTorch's message.
_EXACT = dict.fromkeys(
    """addmm addmv baddbmm bmm mm cross diag gather index_add index_copy index_reduce linalg_cholesky linalg_cross
    linalg_det linalg_eigvalsh linalg_inv linalg_ldl_solve linalg_lu_solve linalg_solve linalg_svdvals vector_norm
    log_softmax lu_solve msort renorm scatter scatter_add scatter_reduce softmax take_along_dim tril triu""".split(),
    "Expected out tensor to have dtype {want}, but got {got} instead",
) | dict.fromkeys(
    "abs ceil conj_physical floor frac neg round sgn sign trunc".split(), "Found dtype {Got} but expected {Want}"
)  # fmt: skip
_C_NAMES = {"float32": "float", "float64": "double", "int64": "long", "int32": "int", "int16": "short",
            "int8": "signed char", "uint8": "unsigned char", "float16": "c10::Half", "bfloat16": "c10::BFloat16",
            "complex64": "c10::complex<float>", "complex128": "c10::complex<double>"}  # fmt: skip


def _check_exact(message: str, want: dtypes.dtype, got: dtypes.dtype) -> None:
    if want is not got:
        names = {"want": _C_NAMES.get(want.name, want.name), "got": _C_NAMES.get(got.name, got.name)}
        raise RuntimeError(message.format(**names, Want=scalar_type_name(want), Got=scalar_type_name(got)))


def out_of(call: Callable[..., Any], name: str = "") -> Callable[..., Any]:
    """The form of a function that takes ``out=``."""
    exact = _EXACT.get(name)

    @functools.wraps(call)
    def wrapped(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        if out is None:
            return call(*args, **kwargs)
        outs = out if isinstance(out, (tuple, list)) else (out,)
        if mode.grad and any(isinstance(a, Tensor) and a._rg for a in (*args, *kwargs.values(), *outs)):
            raise RuntimeError(
                f"{call.__name__}(): functions with out=... arguments don't support automatic differentiation, but "
                f"one of "
                f"the arguments requires grad."
            )
        for target in outs:
            _check_overlap(target, (*args, *kwargs.values()))
        result = call(*args, **kwargs)
        results = result if isinstance(result, tuple) else (result,)
        for target, value in zip(outs, results):
            if exact is not None:
                _check_exact(exact, value._spec.dtype, target._spec.dtype)
            write_out(target, value)
        return out

    return wrapped


def _check_overlap(target: Any, operands: Sequence[Any]) -> None:
    """Raise RuntimeError for an ``out=`` tensor that overlaps an operand partly (it may be that operand)."""
    if not isinstance(target, Tensor):
        raise TypeError(f"argument 'out' must be Tensor, not {type(target).__name__}")
    seen = target._spec
    for x in operands:
        if not isinstance(x, Tensor) or x._storage is not target._storage or x._spec is seen:
            continue
        first, second = _extent(x._spec), _extent(seen)
        dense = x._spec.contiguous and seen.contiguous
        if dense and first[0] < second[1] and second[0] < first[1] and x._spec.shape == seen.shape:
            raise RuntimeError(
                "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single "
                "memory location. Please clone() the tensor before performing the operation."
            )


def _extent(s: Spec) -> tuple[int, int]:
    """First and last memory position, the last one excluded."""
    if not s.numel:
        return s.offset, s.offset
    return s.offset, s.offset + sum((n - 1) * st for n, st in zip(s.shape, s.stride)) + 1


def write_out(target: Tensor, value: Tensor) -> None:
    """Store a result in an ``out=`` tensor, resizing it if need be.

    Raises RuntimeError for a dtype that cannot be cast and for a tensor of which elements share memory.
    """
    seen, new = target._spec, value._spec
    if any(stride == 0 and size > 1 for stride, size in zip(seen.stride, seen.shape)):
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory "
            "location. Please clone() the tensor before performing the operation."
        )
    if not dtypes.can_cast(new.dtype, seen.dtype):
        raise RuntimeError(
            f"result type {scalar_type_name(new.dtype)} can't be cast to the desired output type "
            f"{scalar_type_name(seen.dtype)}"
        )
    if seen.shape != new.shape:
        RESIZE(target, tuple(new.shape))
    if new.dtype is not target._spec.dtype:
        value = CAST(value, target._spec.dtype)
    store(target, value)


RESIZE: Any = None  # set by ops.creation: resize_ as a tensor op
MIX: Callable[[Sequence[Tensor]], Sequence[Tensor]] = (
    list  # set by ops.pointwise: operands of several devices brought together
)


__all__ = [
    "MultiViewOp",
    "Op",
    "Out",
    "Public",
    "ViewOp",
    "assign",
    "check_inplace",
    "function",
    "registry",
    "store",
    "view",
]
