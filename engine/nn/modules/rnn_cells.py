"""Single-step recurrent cells."""

from __future__ import annotations

import math
from typing import Any

from engine import ops
from engine.tensor import Tensor

from .. import init
from ..functional import rnn as F_rnn
from ..parameter import Parameter
from .module import Module

__all__ = ["GRUCell", "LSTMCell", "RNNCell", "RNNCellBase"]


class RNNCellBase(Module):
    """A cell with ``num_chunks`` gates: weight_ih, weight_hh, bias_ih, bias_hh, U(-k, k) with k = 1 / sqrt(H)."""

    __constants__ = ["input_size", "hidden_size", "bias"]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        factory = {"device": device, "dtype": dtype}
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        self.weight_ih = Parameter(ops.empty((num_chunks * hidden_size, input_size), **factory))
        self.weight_hh = Parameter(ops.empty((num_chunks * hidden_size, hidden_size), **factory))
        if bias:
            self.bias_ih = Parameter(ops.empty(num_chunks * hidden_size, **factory))
            self.bias_hh = Parameter(ops.empty(num_chunks * hidden_size, **factory))
        else:
            self.register_parameter("bias_ih", None)
            self.register_parameter("bias_hh", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters anew."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        if getattr(self, "nonlinearity", "tanh") != "tanh":
            text += f", nonlinearity={self.nonlinearity}"
        return text

    def _batched_input(self, input: Tensor) -> Tensor:
        if input.dim() not in (1, 2):
            raise ValueError(f"{self._get_name()}: Expected input to be 1D or 2D, got {input.dim()}D instead")
        x = input if input.dim() == 2 else input.unsqueeze(0)
        if x.size(1) != self.input_size:
            raise RuntimeError(f"input has inconsistent input_size: got {x.size(1)} expected {self.input_size}")
        return x

    def _batched_state(self, x: Tensor, state: Tensor | None, label: str, batched: bool) -> Tensor:
        """The state with a batch dimension, zeros when not given; RuntimeError where it does not fit."""
        if state is None:
            return ops.zeros((x.size(0), self.hidden_size), dtype=x.dtype, device=x.device)
        if state.dim() not in (1, 2):
            raise ValueError(f"{self._get_name()}: Expected hidden to be 1D or 2D, got {state.dim()}D instead")
        state = state if batched else state.unsqueeze(0)
        if state.size(0) != x.size(0):
            raise RuntimeError(f"Input batch size {x.size(0)} doesn't match hidden{label} batch size {state.size(0)}")
        if state.size(-1) != self.hidden_size:
            raise RuntimeError(
                f"hidden{label} has inconsistent hidden_size: got {state.size(-1)}, expected {self.hidden_size}"
            )
        return state

    def _weights(self) -> tuple[Any, Any, Any, Any]:
        return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh


class RNNCell(RNNCellBase):
    """One Elman step: (N, I) or (I,) and an optional state (N, H) or (H,)."""

    __constants__ = ["input_size", "hidden_size", "bias", "nonlinearity"]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, num_chunks=1, device=device, dtype=dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        x = self._batched_input(input)
        h = self._batched_state(x, hx, "0", input.dim() == 2)
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        cell = F_rnn.rnn_tanh_cell if self.nonlinearity == "tanh" else F_rnn.rnn_relu_cell
        new = cell(x, h, *self._weights())
        return new if input.dim() == 2 else new.squeeze(0)


class LSTMCell(RNNCellBase):
    """One LSTM step: (N, I) or (I,) and an optional state (h, c); (h', c')."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, num_chunks=4, device=device, dtype=dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        x = self._batched_input(input)
        batched = input.dim() == 2
        h, c = (None, None) if hx is None else hx
        states = (self._batched_state(x, h, "0", batched), self._batched_state(x, c, "1", batched))
        h, c = F_rnn.lstm_cell(x, states, *self._weights())
        return (h, c) if batched else (h.squeeze(0), c.squeeze(0))


class GRUCell(RNNCellBase):
    """One GRU step: (N, I) or (I,) and an optional state (N, H) or (H,)."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, num_chunks=3, device=device, dtype=dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        x = self._batched_input(input)
        h = self._batched_state(x, hx, "0", input.dim() == 2)
        new = F_rnn.gru_cell(x, h, *self._weights())
        return new if input.dim() == 2 else new.squeeze(0)
