"""Layers of recurrent networks: a layer of RNN, GRU or LSTM over all steps, in one or both directions, is one op.

Operands in order: x (steps, batch, inputs), or packed rows (rows, inputs) followed by their ``rows_of`` table; with
first states h (directions, batch, width) and, for an LSTM, c (directions, batch, hidden); for each direction w_ih,
w_hh, with biases b_ih and b_hh, and w_hr where the state is projected.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import dtypes
from ..autograd.backward import grad as gradient
from ..autograd.mode import enable_grad, mode
from ..autograd.records import restore_output
from ..autograd.variable import Tensor
from ..graph.library import reference
from ..graph.library import rnn as library
from ..graph.native import Native
from ..graph.spec import Spec
from .creation import from_array
from .matmul import product_lower
from .op import Op
from .pointwise import wide

__all__ = ["Recurrent", "layer", "rows_of"]


@dataclass(frozen=True, slots=True)
class Recurrent:
    """What distinguishes layers besides their operands' shapes.

    ``kind``: LSTM, GRU, TANH or RELU. ``steps``, ``batch``: of packed rows (None: x has them as dimensions).
    ``unrolled``: the same written with tensor ops, ``unrolled(this, operands) -> (y, h, [c])``, for derivatives of
    derivatives.
    """

    kind: str
    directions: int
    bias: bool
    state: bool
    projected: bool
    steps: int | None
    batch: int | None
    unrolled: Callable[[Recurrent, Sequence[Tensor]], tuple[Tensor, ...]]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the operands."""
        found = ["x"] + ["off"] * self.packed
        if self.state:
            found += ["h0", "c0"] if self.kind == "LSTM" else ["h0"]
        for d in range(self.directions):
            found += [f"w_ih{d}", f"w_hh{d}"]
            found += [f"b_ih{d}", f"b_hh{d}"] * self.bias
            found += [f"w_hr{d}"] * self.projected
        return tuple(found)

    @property
    def packed(self) -> bool:
        """Whether sequences end at different steps."""
        return self.steps is not None

    def layer(self, specs: dict[str, Any]) -> library.Layer:
        """With the sizes of the operands."""
        shape = tuple(specs["x"].shape)
        steps, batch = (self.steps, self.batch) if self.packed else shape[:2]
        gates, width = specs["w_hh0"].shape
        return library.Layer(
            self.kind, steps, batch, shape[0] if self.packed else steps * batch, gates // library.GATES[self.kind],
            width, self.directions, self.bias, self.state, self.packed,
        )  # fmt: skip


def rows_of(batch_sizes: Sequence[int], device: Any) -> Tensor:
    """Table of packed rows: where each step starts (and the end), then for each direction and row the row before it in
    time, counted on past the last row into the first states where there is none."""
    counts = np.asarray(batch_sizes, np.int64)
    starts = np.concatenate([[0], np.cumsum(counts)])
    total = int(starts[-1])
    rank = np.arange(total) - np.repeat(starts[:-1], counts)
    step = np.repeat(np.arange(len(counts)), counts)
    earlier = np.where(step > 0, starts[np.maximum(step - 1, 0)] + rank, total + rank)
    following = np.append(counts, 0)[step + 1]
    later = np.where(rank < following, starts[np.minimum(step + 1, len(counts))] + rank, total + rank)
    return from_array(np.concatenate([starts, earlier, later]), dtypes.int64, device)


# -- forward ----------------------------------------------------------------------------------------------------------
def _shapes(r: Recurrent, specs: dict[str, Any], keep: bool) -> list[tuple[int, ...]]:
    n = r.layer(specs)
    y = (*tuple(specs["x"].shape)[:-1], n.directions * n.width)
    found = [y, (n.directions, n.batch, n.width)]
    if n.kind == "LSTM":
        found.append((n.directions, n.batch, n.hidden))
    if keep and n.kept:
        found.append((n.directions, n.rows, n.kept))
    if keep and n.projected:
        found.append((n.directions, n.rows, n.hidden))
    return found


def _results(kind: str, projected: bool, keep: bool) -> list[str]:
    found = ["y", "hn"] + ["cn"] * (kind == "LSTM")
    return found + ["kept"] * (keep and library.KEPT[kind] > 0) + ["m"] * (keep and projected)


def _check(r: Recurrent, named: dict[str, Spec]) -> None:
    n = r.layer(named)
    if n.steps == 0:
        raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
    wanted = {"h0": (n.directions, n.batch, n.width), "c0": (n.directions, n.batch, n.hidden)}
    inputs = named["x"].shape[-1]
    for d in range(n.directions):
        wanted |= {f"w_ih{d}": (n.gates, inputs), f"w_hh{d}": (n.gates, n.width), f"b_ih{d}": (n.gates,)}
        wanted |= {f"b_hh{d}": (n.gates,), f"w_hr{d}": (n.width, n.hidden)}
    for name, seen in named.items():
        if name in wanted and tuple(seen.shape) != wanted[name]:
            raise RuntimeError(f"{r.kind}: expected {name} of shape {wanted[name]}, got {tuple(seen.shape)}")


def _rule(keep: bool) -> Callable[..., list]:
    def rule(*operands: Any) -> list:
        *specs, r = operands
        dtype = specs[0].dtype
        named = dict(zip(r.names, specs, strict=True))
        _check(r, named)
        outs = zip(_results(r.kind, r.projected, keep), _shapes(r, named, keep), strict=True)
        return [(shape, wide(dtype) if name in ("kept", "m") else dtype) for name, shape in outs]

    return rule


def _lower(keep: bool) -> Callable[..., list]:
    def lower(b: Any, *operands: Any) -> list:
        *refs, r = operands
        named = dict(zip(r.names, refs, strict=True))
        n = r.layer(named)
        dtype, compute = refs[0].dtype, wide(refs[0].dtype)
        shapes, results = _shapes(r, named, keep), _results(r.kind, r.projected, keep)
        stored = [compute if name in ("kept", "m") else dtype for name in results]
        if not n.rows:
            return [b.const(0, t, shape).contiguous() for shape, t in zip(shapes, stored, strict=True)]
        named = {name: ref if name == "off" else ref.cast(compute) for name, ref in named.items()}
        given = r.state and n.steps == 1 and not n.packed
        inputs, strides = _projected(b, r, n, named, given)
        for name in ("h0", "c0", "off"):
            if name in named:
                inputs[name] = named[name]
        for d in range(r.directions):
            wanted = (["w_hr"] if given else ["w_hh", "w_hr"]) + ["b_ih", "b_hh"] * (not given)
            for name in wanted:
                if f"{name}{d}" in named:
                    inputs[f"{name}{d}"] = named[f"{name}{d}"]
        native = Native(
            "recurrent", tuple(inputs), tuple(results), tuple((shape, compute) for shape in shapes),
            lambda caps: library.forward(caps, compute.name, n, strides, keep, given), False, ("math.cl",),
            reference.recurrent(n, tuple(inputs), strides, keep, given),
        )  # fmt: skip
        made = b.kernel(native, [_dense(ref) for ref in inputs.values()], native.outputs)
        return [out.cast(t) for out, t in zip(made, stored, strict=True)]

    return lower


def _dense(ref: Any) -> Any:
    return ref if ref.view.contiguous and ref.val.kind not in ("const", "scalar") else ref.contiguous()


def _projected(b: Any, r: Recurrent, n: library.Layer, named: dict, given: bool) -> tuple[dict[str, Any], tuple]:
    """Projections of the input (and of the first state if ``given``), and where element (t, r) of the former lies."""
    x = named["x"]
    strides = (n.gates, n.gates)
    if not n.packed:
        strides = (n.batch * n.gates, n.gates)
        turned = x.permute(1, 0, 2)
        if not x.view.contiguous and turned.view.contiguous:  # batch_first: the product in the order of memory
            x, strides = turned, (n.gates, n.steps * n.gates)
    x = x.reshape((n.rows, x.shape[-1]))
    found = {}
    for d in range(r.directions):
        pairs = [("x", x, "ih")] + ([("s", named["h0"].select(0, d), "hh")] if given else [])
        for name, value, weights in pairs:
            w = named[f"w_{weights}{d}"]
            out = product_lower(b, value.unsqueeze(0), w.transpose(0, 1).unsqueeze(0)).squeeze(0)
            found[f"{name}{d}"] = out + named[f"b_{weights}{d}"] if given and r.bias else out
    return found, strides


# -- backward ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class _Back:
    """Static argument of the backward op: operands' names, shape of x, and names of the gradients that are wanted."""

    layer: Recurrent
    names: tuple[str, ...]
    shape: tuple[int, ...]
    wanted: tuple[str, ...]


def _back_rule(*operands: Any) -> list:
    *specs, s = operands
    named = dict(zip(s.names, specs, strict=True))
    dtype = named["w_hh0"].dtype
    n = s.layer.layer(named | {"x": _Shaped(s.shape)})
    shapes: dict[str, tuple[int, ...]] = {"x": s.shape, "h0": (n.directions, n.batch, n.width)}
    shapes["c0"] = (n.directions, n.batch, n.hidden)
    for d in range(n.directions):
        shapes |= {f"w_ih{d}": tuple(named[f"w_ih{d}"].shape), f"w_hh{d}": (n.gates, n.width)}
        shapes |= {f"b_ih{d}": (n.gates,), f"b_hh{d}": (n.gates,), f"w_hr{d}": (n.width, n.hidden)}
    return [(shapes[name], dtype) for name in s.wanted]


@dataclass(frozen=True, slots=True)
class _Shaped:
    shape: tuple[int, ...]


def _back_lower(b: Any, *operands: Any) -> list:
    *refs, s = operands
    r = s.layer
    named = dict(zip(s.names, refs, strict=True))
    n = r.layer(named | {"x": _Shaped(s.shape)})
    dtype, compute = named["w_hh0"].dtype, wide(named["w_hh0"].dtype)
    if not n.rows:
        outs = _back_rule(*refs, s)
        return [b.const(0, t, shape).contiguous() for shape, t in outs]
    named = {name: ref if name == "off" else ref.cast(compute) for name, ref in named.items()}
    grads = _sweep(b, r, n, named, s.wanted)
    return [_gradient(b, name, r, n, named, grads, s.shape).cast(dtype) for name in s.wanted]


def _sweep(b: Any, r: Recurrent, n: library.Layer, named: dict, wanted: tuple[str, ...]) -> dict[str, Any]:
    """The way back through the steps: gradients of the projections and of the first states, by the kernel's names."""
    names = ["h0", "c0", "off", "y", "kept", "dy", "dhn", "dcn"]
    names += [f"{w}{d}" for w in ("w_hh", "w_hr") for d in range(r.directions)]
    inputs = {name: named[name] for name in names if name in named}
    dy = inputs.get("dy")
    strides = None
    if dy is not None:
        if dy.view.strides[-1] != 1 and dy.shape[-1] > 1 or dy.val.kind in ("const", "scalar"):
            dy = inputs["dy"] = dy.contiguous()
        strides = (dy.view.strides[0], dy.view.strides[0 if n.packed else 1])
    finish = "h0" in wanted and (n.steps > 1 or n.packed)
    flags = ("dhn" in inputs, "dcn" in inputs, finish)
    compute = inputs["w_hh0"].dtype
    state, cell = (n.directions, n.batch, n.width), (n.directions, n.batch, n.hidden)
    outs = {f"dg{d}": (n.rows, n.gates) for d in range(r.directions)}
    if r.kind == "GRU":
        outs |= {f"ds{d}": (n.rows, n.gates) for d in range(r.directions)}
    outs["dh"] = state
    if r.kind == "LSTM":
        outs["dc"] = cell
    if r.projected:
        outs["dm"] = (n.directions, n.rows, n.width)
    native = Native(
        "recurrent_backward", tuple(inputs), tuple(outs), tuple((shape, compute) for shape in outs.values()),
        lambda caps: library.backward(caps, compute.name, n, strides, flags), False, ("math.cl",),
    )  # fmt: skip
    operands = [ref if name == "dy" else _dense(ref) for name, ref in inputs.items()]
    return dict(zip(outs, b.kernel(native, operands, native.outputs), strict=True))


def _product(b: Any, x: Any, y: Any) -> Any:
    return product_lower(b, x.unsqueeze(0), y.unsqueeze(0)).squeeze(0)


def _gradient(b: Any, name: str, r: Recurrent, n: library.Layer, named: dict, grads: dict, shape: tuple) -> Any:
    """The gradient of one operand from those of the projections."""
    if name == "x":
        parts = [_product(b, grads[f"dg{d}"], named[f"w_ih{d}"]) for d in range(r.directions)]
        return (parts[0] if len(parts) == 1 else parts[0] + parts[1]).reshape(shape)
    if name == "c0":
        return grads["dc"]
    if name == "h0":
        return _first_state(b, r, n, named, grads)
    what, d = name[:-1], int(name[-1])
    of_input = grads[f"dg{d}"]
    of_state = grads.get(f"ds{d}", of_input)
    if what == "w_ih":
        return _product(b, of_input.transpose(0, 1), named["x"].reshape((n.rows, shape[-1])))
    if what == "w_hh":
        return _hidden_weights(b, r, n, named, of_state, d)
    if what == "w_hr":
        return _product(b, grads["dm"].select(0, d).transpose(0, 1), named["m"].select(0, d))
    total = b.sum(of_state if what == "b_hh" else of_input, [0])
    return b.pw("id", total) if what == "b_hh" else total  # a result of its own


def _first_state(b: Any, r: Recurrent, n: library.Layer, named: dict, grads: dict) -> Any:
    if n.steps > 1 or n.packed:
        return grads["dh"]
    whole = b.empty((n.directions * n.batch * n.width,), grads["dh"].dtype)
    for d in range(r.directions):
        part = _product(b, grads.get(f"ds{d}", grads[f"dg{d}"]), named[f"w_hh{d}"])
        if r.kind == "GRU":
            part = part + grads["dh"].select(0, d)
        whole = b.write(whole, part, grads["dh"].select(0, d).view)
    return whole.reshape((n.directions, n.batch, n.width))


def _hidden_weights(b: Any, r: Recurrent, n: library.Layer, named: dict, grad: Any, d: int) -> Any:
    """The sum over all steps of each row's gradient times the state before it."""
    y = named["y"]
    width = n.width
    own = y.slice(y.ndim - 1, d * width, width)
    if n.packed:
        return _product(b, grad.transpose(0, 1), _states_before(b, n, named, own, d))
    rest = (n.steps - 1) * n.batch
    total = None
    if rest:
        states = own.slice(0, d, n.steps - 1).reshape((rest, width))
        total = _product(b, grad.slice(0, 0 if d else n.batch, rest).transpose(0, 1), states)
    if r.state:
        first = grad.slice(0, rest if d else 0, n.batch).transpose(0, 1)
        part = _product(b, first, named["h0"].select(0, d))
        total = part if total is None else total + part
    return b.const(0, y.dtype, (n.gates, width)).contiguous() if total is None else total


def _states_before(b: Any, n: library.Layer, named: dict, own: Any, d: int) -> Any:
    """For each packed row the state it started from."""
    before = named["off"].slice(0, n.steps + 1 + d * n.rows, n.rows).unsqueeze(1).expand((n.rows, n.width))
    column = b.iota((n.rows, n.width), 1)
    first = before >= n.rows
    inside = b.where(first, before * 0, before) * n.width + column
    outside = b.where(first, before - n.rows, before * 0) * n.width + column
    return b.where(first, b.take(named["h0"].select(0, d), outside), b.take(own, inside))


_back = Op("recurrent_backward", _back_rule, _back_lower)


def _grad(ctx: Any, *grads: Tensor | None) -> tuple:
    (r,) = ctx.static
    names, needs = r.names, ctx.needs
    wanted = tuple([name for name, need in zip(names, needs, strict=True) if need])
    own = _results(r.kind, r.projected, True)
    given = {f"d{name}": g for name, g in zip(own[: 2 + (r.kind == "LSTM")], grads) if g is not None}
    if not given:
        return (None,) * len(names)
    inputs = ctx.inputs
    if mode.grad:
        return _grad_recorded(r, inputs, needs, given)
    named = {name: t for name, t in zip(names, inputs, strict=True) if not name.startswith("b_")}
    kept = dict(zip(own, _kept(ctx, r, inputs)))
    named |= {name: kept[name] for name in ("y", "kept", "m") if name in kept}
    named |= given
    shape = tuple(ctx.specs[0].shape)
    found = iter(_back(list(named.values()), (_Back(r, tuple(named), shape, wanted),)))
    return tuple([next(found) if need else None for need in needs])


def _kept(ctx: Any, r: Recurrent, inputs: tuple) -> list[Tensor | None]:
    """The saved results. An output that the program changed in place, as it may, is computed anew."""
    saved = ctx.saved_out
    if type(saved[0]) is not tuple or saved[0][0].version == saved[0][2]:
        return list(ctx.outputs)
    return [_value(inputs, (r,))[0], *[None if s is None else restore_output(s, ctx) for s in saved[1:]]]


def _grad_recorded(r: Recurrent, inputs: tuple, needs: tuple, given: dict[str, Tensor]) -> tuple:
    """The gradients as functions that can be differentiated again, by way of the unrolled form."""
    with enable_grad():
        aliases = [t.view_as(t) if need else t for t, need in zip(inputs, needs, strict=True)]
        outs = dict(zip(("dy", "dhn", "dcn"), r.unrolled(r, aliases)))
        targets = [t for t, need in zip(aliases, needs, strict=True) if need]
        found = iter(
            gradient(
                [outs[name] for name in given], targets, list(given.values()), create_graph=True, allow_unused=True
            )
        )
    return tuple([next(found) if need else None for need in needs])


def _variant(specs: tuple[Spec, ...], static: tuple) -> str:
    return f"{static[0].kind.capitalize() if static[0].kind in ('TANH', 'RELU') else static[0].kind}LayerBackward0"


class _Training(Op):
    """The op with its derivative, which saves every operand: the unrolled form needs them."""

    def record(self, call: Any, tensors: Any, results: Any, static: tuple, scalars: tuple, saves: Any = None) -> None:
        super().record(call, tensors, results, static, scalars, range(len(tensors)))


def _training(kind: str, projected: bool) -> Op:
    results = _results(kind, projected, True)
    return _Training(
        "recurrent", _rule(True), _lower(True), _grad, differentiable=tuple(range(2 + (kind == "LSTM"))),
        saves_out=tuple(i for i, name in enumerate(results) if name not in ("hn", "cn")), variant=_variant,
    )  # fmt: skip


_value = Op("recurrent", _rule(False), _lower(False))
_with_grad = {(kind, projected): _training(kind, projected) for kind in library.GATES for projected in (False, True)}


def layer(r: Recurrent, operands: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """(y, h, and for an LSTM c): output of all steps, last states (directions, batch, .).

    Raises RuntimeError where sizes do not fit together.
    """
    if not (mode.grad and any([t._rg for t in operands])):
        return _value(operands, (r,))
    return _with_grad[r.kind, r.projected](operands, (r,))[: 2 + (r.kind == "LSTM")]
