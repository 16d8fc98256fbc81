"""Recurrent layers as lists of ``KernelCall`` (rnn.cl): all steps of a layer in one launch, or a launch a step.

A work-item with all columns of its rows runs all steps by itself. That leaves units idle where there are few rows, and
every unit reads all weights in every step; so large weights, and GPUs, get a launch a step with the columns split too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.graph.library.call import Int, KernelCall, Operand, Scratch
from engine.settings import settings

SOURCE = "rnn.cl"
GATES = {"LSTM": 4, "GRU": 3, "TANH": 1, "RELU": 1}
KEPT = {"LSTM": 5, "GRU": 4, "TANH": 0, "RELU": 0}
_CL = {"float32": ("float", "f32", 4), "float64": ("double", "f64", 8)}
_MOST_ROWS = 64  # a work-item's: their states stay in its cache
_SPLIT_BYTES = 1 << 20  # weights beyond which each unit gets its own columns
_GPU_ROWS = 4  # of a work-item
_GPU_GROUP = 64


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer, of one or two directions.

    ``kind``: LSTM, GRU, TANH or RELU. ``rows``: of all steps together (steps * batch unless ``packed``: then step t has
    rows off[t] to off[t + 1], longest sequences first). ``width``: size of the state that goes round, smaller than
    ``hidden`` if ``projected``. ``state``: there are first states; they are zero otherwise.
    """

    kind: str
    steps: int
    batch: int
    rows: int
    hidden: int
    width: int
    directions: int
    bias: bool
    state: bool
    packed: bool

    @property
    def projected(self) -> bool:
        """Whether the state is a projection of the cells' output."""
        return self.width != self.hidden

    @property
    def gates(self) -> int:
        """Size of a row of gates."""
        return GATES[self.kind] * self.hidden

    @property
    def kept(self) -> int:
        """Size of what a row keeps for the backward pass."""
        return KEPT[self.kind] * self.hidden


def _up(a: int, b: int) -> int:
    return -(-a // b)


@dataclass(frozen=True, slots=True)
class _Tile:
    """``mr`` rows times ``nb`` vectors of ``vw`` units (of every gate). ``lanes``: the form for GPUs."""

    vw: int
    mr: int
    nb: int
    lanes: bool

    def panels(self, units: int) -> int:
        return units if self.lanes else _up(units, self.vw * self.nb)


class _Launches:
    """The launches of one pass over a layer."""

    def __init__(self, caps: Any, dtype: str, layer: Layer) -> None:
        self.caps = caps
        self.layer = layer
        self.type, self.suffix, self.itemsize = _CL[dtype]
        schedule = settings.schedule if settings.schedule != "auto" else caps.schedule
        self.gpu = schedule == "gpu"
        units = max(1, caps.compute_units)
        parts = _up(units, layer.directions)
        parts *= max(1, _up(layer.batch, _MOST_ROWS * parts))
        weights = layer.gates * layer.width * self.itemsize
        few = layer.directions * layer.batch < units and weights > _SPLIT_BYTES // 2
        self.by_step = self.gpu or (units > 1 and layer.steps > 0 and (few or weights > _SPLIT_BYTES))
        if self.by_step:
            parts = _up(layer.batch, _MOST_ROWS)
        self.row_part = _GPU_ROWS if self.gpu else _up(layer.batch, parts)
        self.row_parts = _up(layer.batch, self.row_part)
        self.units = units

    def tile(self, vectors: int, units: int) -> _Tile:
        """The register tile for ``vectors`` vectors a unit vector (the gates of a forward pass)."""
        if self.gpu:
            return _Tile(1, _GPU_ROWS, 1, True)
        vw = max(1, self.caps.float_vector_width * 4 // self.itemsize)
        many = self.caps.float_vector_width == 16  # and thus 32 registers
        nb = 1 if vectors > 1 else min(4 if many else 2, _up(units, vw))
        nb = 2 if nb == 3 else nb
        if self.row_part == 1:
            return _Tile(vw, 1, nb, False)
        room = (24 if many else 12) // (vectors * nb)
        sizes = [mr for mr in (8, 6, 4, 3, 2) if mr <= room] or [1]
        waste = {mr: _up(self.row_part, mr) * mr for mr in sizes[:2]}
        return _Tile(vw, min(sizes[:2], key=lambda mr: (waste[mr], -mr)), nb, False)

    def options(self, section: str, tile: _Tile) -> tuple[str, ...]:
        found = [f"-D{section}", f"-D{self.layer.kind}", f"-DCT={self.type}", f"-DVW={tile.vw}", f"-DMR={tile.mr}"]
        found += [f"-DNB={tile.nb}", f"-DSIGMOID=eng_sigmoid_{self.suffix}", f"-DTANHF=eng_tanh_{self.suffix}"]
        found += (
            ["-DFLOATS"] * (self.type == "float") + ["-DPROJECTED"] * self.layer.projected + ["-DLANES"] * tile.lanes
        )
        return tuple(found)

    def pack(self, name: str, weights: str, tile: _Tile, gates: int, units: int, inner: int, turned: bool) -> tuple:
        """(launch, scratch) that bring weights into panels. ``turned``: the weights lie (inner, units)."""
        layer = self.layer
        width = units if tile.lanes else tile.vw * tile.nb
        panels = _up(units, width)
        unit_stride, k_stride = (1, units) if turned else (inner, 1)
        block = inner if panels * layer.directions >= 4 * self.units and not self.gpu else 64 if not self.gpu else 1
        blocks = _up(inner, block)
        items = layer.directions * panels * blocks
        size = layer.directions * panels * width * gates * inner * self.itemsize
        scratch = Scratch(name, size, self.itemsize)
        first, second = Operand(f"{weights}0"), Operand(f"{weights}{layer.directions - 1}")
        numbers = (gates, units, inner, unit_stride, k_stride, width, panels, blocks, block, items)
        options = ["-DPACK", f"-DCT={self.type}"]
        if not self.gpu:
            options += ["-DTURN", f"-DV8={self.type[0]}8u"]
        shape, local = self._shape(items)
        args = (first, second, scratch, *(Int(n) for n in numbers))
        return KernelCall(SOURCE, "eng_rnn_pack", shape, local, args, tuple(options), nbytes=2 * size), scratch

    def _shape(self, items: int) -> tuple[tuple[int], tuple[int]]:
        group = min(_GPU_GROUP, self.caps.max_work_group_size) if self.gpu else 1
        return (_up(items, group) * group,), (group,)

    def run(self, kernel: str, options: tuple, args: list, steps: int, phases: list[tuple[int, int]]) -> list:
        """Launches of steps 0 to ``steps``. ``phases``: (number, panels) of each part of a step."""
        layer = self.layer
        flops = 2 * layer.directions * layer.rows * layer.gates * layer.width
        if not self.by_step:
            numbers = (0, steps, sum(n for n, _ in phases), layer.directions * self.row_parts)
            numbers += (self.row_parts, self.row_part, 1, max(p for _, p in phases))
            shape, local = self._shape(layer.directions * self.row_parts)
            return [KernelCall(SOURCE, kernel, shape, local, (*args, *map(Int, numbers)), options, flops=flops)]
        calls = []
        for s in range(steps):
            for number, panels in phases:
                wanted = panels if self.gpu else _up(2 * self.units, layer.directions * self.row_parts)
                part = _up(panels, min(wanted, panels))
                parts = _up(panels, part)
                items = layer.directions * self.row_parts * parts
                shape, local = self._shape(items)
                numbers = (s, s + 1, number, items, self.row_parts, self.row_part, parts, part)
                all_args = (*args, *map(Int, numbers))
                calls.append(KernelCall(SOURCE, kernel, shape, local, all_args, options, flops=flops // steps))
        return calls


def forward(caps: Any, dtype: str, layer: Layer, x_strides: tuple[int, int], keep: bool, given: bool) -> list:
    """All steps of a layer.

    Operands, those with a number for direction 0 and 1 (without the second for one direction): x0 (projected input; its
    element (t, r) lies at t * x_strides[0] + r * x_strides[1]), w_hh0, with ``bias`` b_ih0 and b_hh0, if projected
    w_hr0; h0 and for an LSTM c0 with ``state``; off if packed. Results: y (rows, directions * width), hn (directions,
    batch, width), for an LSTM cn; with ``keep``, for the backward pass, kept (directions, rows, kept), if projected m
    (directions, rows, hidden). ``given``: operands s0 and s1 are h0's projections, and biases were added to them and x.
    """
    work = _Launches(caps, dtype, layer)
    d = layer.directions - 1
    tile = work.tile(GATES[layer.kind], layer.hidden)
    dummy = Operand("y")
    calls = []
    panels: Any = dummy
    if not given and (layer.steps > 1 or layer.state):
        call, panels = work.pack("panels", "w_hh", tile, GATES[layer.kind], layer.hidden, layer.width, False)
        calls.append(call)
    projection: Any = dummy
    phases = [(1, tile.panels(layer.hidden))]
    if layer.projected:
        call, projection = work.pack("projection", "w_hr", tile, 1, layer.width, layer.hidden, False)
        calls.append(call)
        phases.append((2, tile.panels(layer.width)))
    bias = layer.bias and not given
    sides: list[Any] = [dummy] * 4
    if given:
        sides = [Operand("s0"), dummy, Operand(f"s{d}"), dummy]
    elif bias:
        sides = [Operand("b_ih0"), Operand("b_hh0"), Operand(f"b_ih{d}"), Operand(f"b_hh{d}")]
    lstm = layer.kind == "LSTM"
    m: Any = dummy
    if layer.projected:
        size = layer.directions * layer.batch * layer.hidden * work.itemsize
        m = Operand("m") if keep else Scratch("m", size, work.itemsize)
    args: list[Any] = [Operand("x0"), Operand(f"x{d}"), panels, *sides]
    args += [Operand("h0") if layer.state else dummy, Operand("c0") if layer.state and lstm else dummy]
    args += [Operand("off") if layer.packed else dummy, dummy, Operand("hn"), Operand("cn") if lstm else dummy]
    args += [Operand("kept") if keep and layer.kept else dummy, m, projection]
    numbers = (layer.steps, layer.batch, layer.rows, layer.hidden, layer.width, *x_strides)
    numbers += (layer.directions * layer.width, bias, layer.state, layer.packed, keep, given)
    args += [Int(int(n)) for n in numbers]
    return calls + work.run("eng_rnn_forward", work.options("FORWARD", tile), args, layer.steps, phases)


def backward(caps: Any, dtype: str, layer: Layer, dy: tuple[int, int] | None, flags: tuple[bool, bool, bool]) -> list:
    """The way back through all steps of a layer.

    Operands as in ``forward``: w_hh0, w_hr0, h0, c0, off, y, kept; dy if not None, with element (t, r) at t * dy[0] + r
    * dy[1]; dhn and dcn (like hn, cn) as the first two ``flags`` say. Results: dg0, dg1 (rows, gates), gradients of the
    projected input; for a GRU ds0, ds1 (rows, gates), of the state's projection; dh (directions, batch, width), for an
    LSTM dc, of the first states; if projected dm (directions, rows, width), of the states. The last flag: whether dh is
    wanted in full; otherwise the last product is left out (for a GRU dh then is the share that passes by the gates).
    """
    work = _Launches(caps, dtype, layer)
    has_dhn, has_dcn, finish = flags
    d = layer.directions - 1
    lstm, gru = layer.kind == "LSTM", layer.kind == "GRU"
    dummy = Operand("dg0")
    tile = work.tile(1, layer.width)
    calls = []
    panels: Any = dummy
    if layer.steps > 1 or finish:
        call, panels = work.pack("panels", "w_hh", tile, 1, layer.width, layer.gates, True)
        calls.append(call)
    projection: Any = dummy
    phases = [(2, tile.panels(layer.width))]
    if layer.projected:
        call, projection = work.pack("projection", "w_hr", tile, 1, layer.hidden, layer.width, True)
        calls.append(call)
        phases = [(1, tile.panels(layer.width)), (2, tile.panels(layer.hidden))]
    args: list[Any] = [panels, projection]
    args += [Operand("h0") if layer.state else dummy, Operand("c0") if layer.state and lstm else dummy]
    args += [Operand("off") if layer.packed else dummy, Operand("y"), Operand("kept") if layer.kept else dummy]
    args += [Operand("dy") if dy else dummy, Operand("dhn") if has_dhn else dummy]
    args += [Operand("dcn") if has_dcn else dummy, Operand("dg0"), Operand(f"dg{d}")]
    args += [Operand("ds0") if gru else dummy, Operand(f"ds{d}") if gru else dummy, Operand("dh")]
    args += [Operand("dc") if lstm else dummy, Operand("dm") if layer.projected else dummy]
    numbers = (layer.steps, layer.batch, layer.rows, layer.hidden, layer.width, layer.directions * layer.width)
    numbers += (*(dy or (0, 0)), layer.state, layer.packed, dy is not None, has_dhn, has_dcn)
    args += [Int(int(n)) for n in numbers]
    steps = layer.steps + 1 if finish else layer.steps
    return calls + work.run("eng_rnn_backward", work.options("BACKWARD", tile), args, steps, phases)
