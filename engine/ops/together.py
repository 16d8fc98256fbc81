"""One op over many tensors: elementwise update rules, and the norm of all of them as one vector.

A rule is a pure function of one parameter:

    rule(p, g, *state tensors, **scalars, **flags) -> (new p, *new state tensors)

It uses arithmetic operators and the functions of ``expr`` only. Scalars are Python floats or 0-dim tensors, ready
made: a rule never combines two scalars, so that nothing is lost when they reach a kernel as float32 arguments (``1 -
beta2`` is a scalar of its own). Flags are Python bools and choose the formula.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from .. import dtypes
from ..autograd.mode import mode
from ..autograd.variable import Tensor, make
from ..graph.ir import Ref
from ..graph.log import log_of
from ..graph.spec import Spec
from .complex_numbers import view_as_real
from .creation import convert
from .op import Op
from .pointwise import wide
from .storing import store

Rule: TypeAlias = Callable[..., tuple[Tensor, ...]]


def as_scalar(value: Any) -> float | Tensor:
    """A rule's scalar from an option: a Python float, or a tensor in 0 dimensions."""
    if type(value) is float:
        return value
    if isinstance(value, Tensor):
        return value.reshape(()) if value.dim() else value
    return float(value)  # ints and NumPy's scalars


def apply_rule(
    rule: Rule,
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    states: Sequence[Sequence[Tensor]],
    scalars: Mapping[str, Any],
    flags: Mapping[str, bool],
) -> None:
    """Write ``rule`` of every parameter into the parameter and its state tensors.

    One op updates all of them, unless the update itself is recorded (grad mode on) or parameters are complex: then the
    rule runs on tensors, complex ones as pairs of reals.
    """
    if not mode.grad:
        found = {p._spec.dtype for p in params}
        for dtype in found:
            if dtype.is_floating_point:
                for at in range(0, len(params), _MOST):
                    part = slice(at, at + _MOST)
                    _apply_fused(
                        rule, *_of_dtype(dtype, found, params[part], grads[part], states[part]), scalars, flags
                    )
        if not any(dtype.is_complex for dtype in found):
            return
        params, grads, states = _chosen([p.is_complex() for p in params], params, grads, states)
    for p, grad, state in zip(params, grads, states):
        old = (p, *state)
        if p.is_complex():
            grad = view_as_real(grad)
            old = tuple(view_as_real(t) if t.is_complex() else t for t in old)
        new = rule(old[0], grad, *old[1:], **scalars, **flags)
        for target, value in zip(old, new):
            if value is not target:
                target.copy_(value)


_MOST = 256  # parameters updated by one op: bounds the size of a call's description


def _of_dtype(dtype: dtypes.dtype, found: set, *columns: Sequence) -> tuple[Sequence, ...]:
    """The entries whose parameter has that dtype, one of ``found``."""
    return columns if len(found) == 1 else _chosen([p._spec.dtype is dtype for p in columns[0]], *columns)


def _chosen(keep: Sequence[bool], *columns: Sequence) -> tuple[list, ...]:
    return tuple([x for x, wanted in zip(column, keep) if wanted] for column in columns)


def _apply_fused(
    rule: Rule,
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    states: Sequence[Sequence[Tensor]],
    scalars: Mapping[str, Any],
    flags: Mapping[str, bool],
) -> None:
    if not params:
        return
    numbers = tuple([k for k, v in scalars.items() if not isinstance(v, Tensor)])
    given = {k: v for k, v in scalars.items() if isinstance(v, Tensor)}
    targets = list(params)
    for column in zip(*states):
        targets += column
    operands = [*targets, *grads, *(convert(v, None, params[0].device) for v in given.values())]
    static = (rule, len(params), len(states[0]), numbers, tuple(given), tuple(flags.items()))
    specs = tuple([t._spec for t in operands])
    call = _update.calls.get((specs, static)) or _update.resolve(specs, static)
    device = specs[0].device
    graph = device.graph or log_of(device)
    node = graph.add(call, tuple([t._storage.node for t in operands]), tuple([scalars[k] for k in numbers]))
    for target, seen, value in zip(targets, call.outs, graph.add_parts(node)):
        storage = target._storage
        if target._spec is seen and storage.pin is None and storage.node.call.out.numel == seen.numel:
            storage.put(value)
        else:
            store(target, make(value, seen), True)


def _update_rule(*args: Any) -> list[Spec]:
    *specs, _rule, count, kept, numbers, given, flags = args
    return list(specs[: count * (1 + kept)])


def _update_lower(b: Any, *args: Any) -> list[Any]:
    *refs, rule, count, kept, numbers, given, flags = args
    scalars = refs[len(refs) - len(numbers) :]
    refs = refs[: len(refs) - len(numbers)]
    held = count * (1 + kept)
    compute = wide(refs[0].dtype)
    named = dict(zip(numbers, scalars))
    named.update(zip(given, (r.cast(compute) for r in refs[held + count :])))
    rows = []
    for i in range(count):
        p, *state = (refs[i + k * count].cast(compute) for k in range(1 + kept))
        g = refs[held + i].cast(compute)
        rows.append(rule(p, g, *state, **named, **dict(flags)))
    out = []
    for k in range(1 + kept):
        for i in range(count):
            value = rows[i][k] if k < len(rows[i]) else refs[i + k * count]
            old = refs[i + k * count]
            out.append(value.expand(old.shape).cast(old.dtype))
    return out


_update = Op(
    "optimizer_step",
    _update_rule,
    _update_lower,
    scalars=lambda *args: (wide(args[0].dtype),) * len(args[-3]),
)


# -- norms ------------------------------------------------------------------------------------------------------------
_PIECE = 1 << 14  # elements of a tensor that are summed by themselves: one work-item's part
_PIECES = 64
_FAN = 12  # numbers added by one kernel: each is a buffer of its own


def total_norm(tensors: Sequence[Tensor], order: float) -> Tensor | None:
    """The ``order``-norm of all tensors as one vector (0-D) in a few launches; None where that is not provided for:
    other orders than 1, 2 and infinity, other dtypes than float32 and float64, several devices, empty tensors."""
    first = tensors[0]._spec
    if order not in (1.0, 2.0, float("inf")) or first.dtype not in (dtypes.float32, dtypes.float64):
        return None
    for t in tensors:
        seen = t._spec
        if seen.dtype is not first.dtype or seen.device is not first.device or not seen.numel:
            return None
    return _total(tuple(tensors), (order,))


def _total_rule(*args: Any) -> tuple:
    return (), args[0].dtype


def _total_lower(b: Any, *args: Any) -> Ref:
    *refs, order = args
    join = b.max if order == float("inf") else b.sum
    parts = [_measured(b, x, order, join) for x in refs]
    while len(parts) > 1:
        groups = [parts[at : at + _FAN] for at in range(0, len(parts), _FAN)]
        parts = [_joined(b, group, order) for group in groups]
    return b.sqrt(parts[0]) if order == 2.0 else parts[0]


def _measured(b: Any, x: Ref, order: float, join: Callable) -> Ref:
    """The part of one tensor: sum of squares or of absolute values, or their maximum."""
    pieces = next((k for k in range(min(_PIECES, x.size // _PIECE), 1, -1) if x.size % k == 0), 1)
    if pieces > 1 and x.val.size == x.size:
        x = x.contiguous().reshape((pieces, x.size // pieces))
        return b.kept(join(b.kept(join(_weight(b, x, order), [1])), [0]))
    return b.kept(join(_weight(b, x, order), range(x.ndim)))


def _weight(b: Any, x: Ref, order: float) -> Ref:
    return x * x if order == 2.0 else b.abs(x)


def _joined(b: Any, parts: Sequence[Ref], order: float) -> Ref:
    while len(parts) > 1:  # in pairs: rounding errors grow with the logarithm
        pairs = list(zip(parts[::2], parts[1::2]))
        made = [b.pw("max", x, y) if order == float("inf") else x + y for x, y in pairs]
        parts = made + ([parts[-1]] if len(parts) % 2 else [])
    return b.kept(parts[0])


_total = Op("total_norm", _total_rule, _total_lower)
