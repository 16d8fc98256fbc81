"""Recurrent cells and layers.

A layer is one op over all its steps (ops.recurrent). The unrolled form, one matmul for the input projection of all
steps and then a step after the other in tensor ops, serves what that op does not: derivatives of derivatives and vmap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from engine import dtypes, ops
from engine.amp.cast import autocast_call, cached_cast
from engine.amp.state import autocast_kind, autocast_state
from engine.device import device as Device
from engine.ops import recurrent
from engine.tensor import Tensor

from .dropout import dropout as apply_dropout
from .linear import linear

__all__ = [
    "gru",
    "gru_cell",
    "lstm",
    "lstm_cell",
    "rnn_relu",
    "rnn_relu_cell",
    "rnn_tanh",
    "rnn_tanh_cell",
    "run_layers",
]


def lstm_pointwise(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """(h', c') from the summed gates (N, 4 H) in the order input, forget, cell, output (Hochreiter 1997, Gers 2000)."""
    i, f, g, o = gates.chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def gru_pointwise(from_input: Tensor, from_hidden: Tensor, h: Tensor) -> Tensor:
    """h' from the two projections (N, 3 H) in the order reset, update, new (Cho et al. 2014)."""
    xr, xz, xn = from_input.chunk(3, -1)
    hr, hz, hn = from_hidden.chunk(3, -1)
    z = (xz + hz).sigmoid()
    n = (xn + (xr + hr).sigmoid() * hn).tanh()
    return n + z * (h - n)


class LayerWeights(NamedTuple):
    """Parameters of one layer in one direction."""

    w_ih: Tensor
    w_hh: Tensor
    b_ih: Tensor | None
    b_hh: Tensor | None
    w_hr: Tensor | None


State = tuple[Tensor, ...]
Step = Callable[[Tensor, State], State]


def _lstm_step(weights: LayerWeights) -> Step:
    w_hh = weights.w_hh.t()
    w_hr = None if weights.w_hr is None else weights.w_hr.t()

    def step(projected: Tensor, state: State) -> State:
        h, c = lstm_pointwise(ops.addmm(projected, state[0], w_hh), state[1])
        return (h if w_hr is None else h.mm(w_hr)), c

    return step


def _gru_step(weights: LayerWeights) -> Step:
    def step(projected: Tensor, state: State) -> State:
        return (gru_pointwise(projected, linear(state[0], weights.w_hh, weights.b_hh), state[0]),)

    return step


def _plain_step(activation: Callable[[Tensor], Tensor]) -> Callable[[LayerWeights], Step]:
    def make(weights: LayerWeights) -> Step:
        w_hh = weights.w_hh.t()

        def step(projected: Tensor, state: State) -> State:
            return (activation(ops.addmm(projected, state[0], w_hh)),)

        return step

    return make


_STEPS: dict[str, Callable[[LayerWeights], Step]] = {
    "LSTM": _lstm_step,
    "GRU": _gru_step,
    "RNN_TANH": _plain_step(ops.tanh),
    "RNN_RELU": _plain_step(ops.relu),
}


def _project_input(mode: str, x: Tensor, weights: LayerWeights) -> Tensor:
    """Input projection of all steps. Where both biases are simply added, this is the place for both."""
    bias = weights.b_ih
    if bias is not None and mode != "GRU":
        bias = bias + weights.b_hh
    return linear(x, weights.w_ih, bias)


def _scan(step: Step, projected: Tensor, state: State, reverse: bool) -> tuple[Tensor, State]:
    """Run over (T, N, G); returns (T, N, H) and the last state."""
    steps = projected.unbind(0)
    outputs = []
    for x in reversed(steps) if reverse else steps:
        state = step(x, state)
        outputs.append(state[0])
    if reverse:
        outputs.reverse()
    return ops.stack(outputs), state


def _scan_packed(
    step: Step, projected: Tensor, batch_sizes: Sequence[int], state: State, reverse: bool
) -> tuple[Tensor, State]:
    """Run over packed rows, longest sequence first, so that step t concerns the first ``batch_sizes[t]`` sequences."""
    chunks = projected.split(list(batch_sizes))
    if reverse:
        return _scan_packed_backwards(step, chunks, state)
    outputs, finished = [], []
    for x in chunks:
        size, running = x.size(0), state[0].size(0)
        if size < running:
            finished.append(tuple(s[size:] for s in state))
            state = tuple(s[:size] for s in state)
        state = step(x, state)
        outputs.append(state[0])
    pieces = [state, *reversed(finished)]
    return ops.cat(outputs), tuple(ops.cat(parts) for parts in zip(*pieces, strict=True))


def _scan_packed_backwards(step: Step, chunks: Sequence[Tensor], initial: State) -> tuple[Tensor, State]:
    outputs = []
    state = tuple(s[:0] for s in initial)
    for x in reversed(chunks):
        size, running = x.size(0), state[0].size(0)
        if size > running:
            state = tuple(ops.cat([s, s0[running:size]]) for s, s0 in zip(state, initial, strict=True))
        state = step(x, state)
        outputs.append(state[0])
    outputs.reverse()
    return ops.cat(outputs), state


_KINDS = {"LSTM": "LSTM", "GRU": "GRU", "RNN_TANH": "TANH", "RNN_RELU": "RELU"}
_MODES = {kind: mode for mode, kind in _KINDS.items()}


def _unrolled(r: recurrent.Recurrent, operands: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """A layer in tensor ops; arguments and results as those of ``recurrent.layer``."""
    named = dict(zip(r.names, operands, strict=True))
    sizes = None
    if r.steps is not None:
        starts = named["off"][: r.steps + 1].tolist()
        sizes = [int(b - a) for a, b in zip(starts, starts[1:])]
    states = [named[name] for name in ("h0", "c0") if name in named]
    if not states:
        w = named["w_hh0"]
        rows = named["x"].size(1)
        gates = {"LSTM": 4, "GRU": 3}.get(r.kind, 1)
        widths = [w.size(1)] + [w.size(0) // gates] * (r.kind == "LSTM")
        states = [ops.zeros((r.directions, rows, n), dtype=w.dtype, device=w.device) for n in widths]
    outputs, finals = [], []
    for d in range(r.directions):
        parts = [named.get(f"{name}{d}") for name in ("w_ih", "w_hh", "b_ih", "b_hh", "w_hr")]
        output, last = _direction(
            _MODES[r.kind], named["x"], LayerWeights(*parts), [s[d] for s in states], sizes, d == 1
        )
        outputs.append(output)
        finals.append(last)
    y = outputs[0] if len(outputs) == 1 else ops.cat(outputs, -1)
    return y, *[ops.stack(parts) for parts in zip(*finals, strict=True)]


def _direction(
    mode: str, x: Tensor, weights: LayerWeights, state: Sequence[Tensor], sizes: Sequence[int] | None, reverse: bool
) -> tuple[Tensor, State]:
    projected = _project_input(mode, x, weights)
    step = _STEPS[mode](weights)
    if sizes is None:
        return _scan(step, projected, tuple(state), reverse)
    return _scan_packed(step, projected, sizes, tuple(state), reverse)


_FLOATS = (dtypes.float32, dtypes.float64, dtypes.float16, dtypes.bfloat16)


def _one_op(operands: Sequence[Tensor]) -> bool:
    """Whether a layer of these operands can be one op."""
    first = operands[0]
    dtype, device = first.dtype, first.device
    if dtype not in _FLOATS or type(device) is not Device:
        return False
    return all([t.dtype is dtype and t.device is device for t in operands])


def run_layers(
    mode: str,
    input: Tensor,
    hx: State | None,
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_sizes: Sequence[int] | None = None,
) -> tuple[Tensor, State]:
    """Run a stack of recurrent layers.

    mode: LSTM, GRU, RNN_TANH or RNN_RELU. input (T, N, I), or packed rows (sum of batch_sizes, I). hx: states of
    shape (layers * directions, N, H), one, or two for LSTM; None for zeros, if the input is not packed. params: for
    each layer and direction w_ih, w_hh, [b_ih, b_hh], [w_hr]. Returns the output and the final states.
    """
    if autocast_state.active:
        return _autocast(mode, input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_sizes)
    directions = 2 if bidirectional else 1
    per_layer = len(params) // num_layers
    projected = per_layer == (5 if has_biases else 3) * directions
    packed = batch_sizes is not None
    sizes = (len(batch_sizes), int(batch_sizes[0])) if packed else (None, None)
    r = recurrent.Recurrent(_KINDS[mode], directions, bool(has_biases), hx is not None, projected, *sizes, _unrolled)
    table = [recurrent.rows_of(batch_sizes, input.device)] if packed else []
    finals = []
    for k in range(num_layers):
        states = [] if hx is None else hx if num_layers == 1 else [s.narrow(0, k * directions, directions) for s in hx]
        own = [*states, *params[k * per_layer : (k + 1) * per_layer]]
        run = recurrent.layer if _one_op([input, *own]) else _unrolled
        input, *last = run(r, [input, *table, *own])
        finals.append(last)
        if dropout and train and k < num_layers - 1:
            input = apply_dropout(input, dropout, True)
    if num_layers == 1:
        return input, tuple(finals[0])
    return input, tuple(ops.cat(parts) for parts in zip(*finals, strict=True))


def _autocast(mode: str, input: Tensor, hx: State | None, params: Sequence[Tensor], *options: object) -> tuple:
    """``run_layers`` in an autocast region. On CPUs a GRU's state stays as it is, as the sum of two dtypes."""
    slot = autocast_state.slots["cpu"]
    if mode != "GRU" or not slot.enabled or autocast_kind(input.device.type) != "cpu":
        return autocast_call(mode.lower(), run_layers, (mode, input, hx, params, *options), {})
    dtype = input.dtype if hx is None else hx[0].dtype
    lowered = [cached_cast(t, slot.dtype).to(dtype) if t.dtype in _FLOATS else t for t in (input, *params)]
    autocast_state.active = False
    try:
        return run_layers(mode, lowered[0], hx, lowered[1:], *options)
    finally:
        autocast_state.active = True


def _run(mode: str, arguments: tuple) -> tuple[Tensor, ...]:
    """torch's two call forms: (input, hx, params, ..., batch_first) and (data, batch_sizes, hx, params, ...)."""
    if isinstance(arguments[2], (Tensor, tuple, list)) and isinstance(arguments[3], (tuple, list)):
        data, batch_sizes, hx, params, has_biases, num_layers, dropout, train, bidirectional = arguments
        states = tuple(hx) if mode == "LSTM" else (hx,)
        output, finals = run_layers(
            mode,
            data,
            states,
            params,
            has_biases,
            num_layers,
            dropout,
            train,
            bidirectional,
            [int(b) for b in batch_sizes.tolist()],
        )
        return (output, *finals)
    input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first = arguments
    states = tuple(hx) if mode == "LSTM" else (hx,)
    x = input.transpose(0, 1) if batch_first else input
    output, finals = run_layers(mode, x, states, params, has_biases, num_layers, dropout, train, bidirectional)
    return (output.transpose(0, 1) if batch_first else output, *finals)


def lstm(*arguments: object) -> tuple[Tensor, ...]:
    """(output, h_n, c_n); see :func:`_run` for the two forms of arguments."""
    return _run("LSTM", arguments)


def gru(*arguments: object) -> tuple[Tensor, ...]:
    """(output, h_n); see :func:`_run` for the two forms of arguments."""
    return _run("GRU", arguments)


def rnn_tanh(*arguments: object) -> tuple[Tensor, ...]:
    """(output, h_n); see :func:`_run` for the two forms of arguments."""
    return _run("RNN_TANH", arguments)


def rnn_relu(*arguments: object) -> tuple[Tensor, ...]:
    """(output, h_n); see :func:`_run` for the two forms of arguments."""
    return _run("RNN_RELU", arguments)


def _cell(
    mode: str, input: Tensor, state: State, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None, b_hh: Tensor | None
) -> State:
    """A step is a layer of one step, where the operands fit that (torch's cells broadcast and promote)."""
    weights = [w_ih, w_hh] if b_ih is None or b_hh is None else [w_ih, w_hh, b_ih, b_hh]
    rows = (input.size(0), w_hh.size(1)) if input.dim() == 2 and w_hh.dim() == 2 else None
    whole = (b_ih is None) == (b_hh is None) and all([tuple(s.shape) == rows for s in state])
    if not whole or autocast_state.active or not _one_op([input, *state, *weights]):
        return _STEPS[mode](LayerWeights(w_ih, w_hh, b_ih, b_hh, None))(
            _project_input(mode, input, LayerWeights(w_ih, w_hh, b_ih, b_hh, None)), state
        )
    r = recurrent.Recurrent(_KINDS[mode], 1, b_ih is not None, True, False, None, None, _unrolled)
    operands = [input.unsqueeze(0), *[s.unsqueeze(0) for s in state], *weights]
    return tuple([s.squeeze(0) for s in recurrent.layer(r, operands)[1:]])


def lstm_cell(
    input: Tensor,
    hx: tuple[Tensor, Tensor],
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """One LSTM step: input (N, I), h and c (N, H); (h', c')."""
    return _cell("LSTM", input, tuple(hx), w_ih, w_hh, b_ih, b_hh)


def gru_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> Tensor:
    """One GRU step: input (N, I), h (N, H); h'."""
    return _cell("GRU", input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]


def rnn_tanh_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> Tensor:
    """One Elman step with tanh."""
    return _cell("RNN_TANH", input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]


def rnn_relu_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> Tensor:
    """One Elman step with ReLU."""
    return _cell("RNN_RELU", input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]
