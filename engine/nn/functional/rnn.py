"""Recurrent cells and the loops over time, layers and directions.

The input projection of all time steps is one matmul. A step is then one matmul with the hidden weights and one
pointwise cell; the cells are separate functions so that a fused operation can take their place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from engine import ops
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


def run_layers(
    mode: str,
    input: Tensor,
    hx: State,
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
    shape (layers * directions, N, H), one, or two for LSTM. params: for each layer and direction w_ih, w_hh,
    [b_ih, b_hh], [w_hr]. Returns the output and the final states.
    """
    directions = 2 if bidirectional else 1
    per_layer = len(params) // (num_layers * directions)
    has_projection = per_layer == (5 if has_biases else 3)
    finals = []
    for layer in range(num_layers):
        outputs = []
        for direction in range(directions):
            index = layer * directions + direction
            own = list(params[index * per_layer : (index + 1) * per_layer])
            w_hr = own.pop() if has_projection else None
            w_ih, w_hh, *biases = own
            weights = LayerWeights(w_ih, w_hh, *(biases if has_biases else (None, None)), w_hr)
            state = tuple(s[index] for s in hx)
            projected = _project_input(mode, input, weights)
            step = _STEPS[mode](weights)
            if batch_sizes is None:
                output, state = _scan(step, projected, state, direction == 1)
            else:
                output, state = _scan_packed(step, projected, batch_sizes, state, direction == 1)
            outputs.append(output)
            finals.append(state)
        input = outputs[0] if directions == 1 else ops.cat(outputs, -1)
        if dropout and train and layer < num_layers - 1:
            input = apply_dropout(input, dropout, True)
    return input, tuple(ops.stack(parts) for parts in zip(*finals, strict=True))


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
    weights = LayerWeights(w_ih, w_hh, b_ih, b_hh, None)
    return _STEPS[mode](weights)(_project_input(mode, input, weights), state)


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
