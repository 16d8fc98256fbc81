"""Pictures of pending work: the ops a tensor is made from, and the kernels they become, as SVG or HTML.

``engine.viz.graph(loss)`` gives a Drawing; it shows itself in a notebook, ``save("loss.svg")`` or
``save("loss.html")`` writes it. Nothing is computed: boxes with the same kernel number are ops that one kernel will
run.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from .graph import describe
from .graph.fuse import fuse
from .graph.log import log_of
from .graph.lower import lower_log
from .graph.node import Node
from .settings import settings
from .tensor import Tensor

_CHAR, _LINE, _PAD = 6.7, 15, 9  # width of a letter, height of a line, padding of a box, pixels
_GAP_X, _GAP_Y, _MARGIN = 26, 44, 24
_SWEEPS = 12  # passes of the ordering
_COLOURS = (
    "#cfe8ff", "#ffe3c2", "#d6f5d0", "#f3d3ee", "#fff3b0", "#d9d4f7", "#c9f0ee", "#f9cfd0", "#e3e8c8", "#bcd9f5",
    "#ffd0a8", "#e6dccf",
)  # fmt: skip
_INPUT, _PLAIN = "#eeeeee", "#ffffff"
_IN_MEMORY = "in memory"
_RESULT = " ← result"


@dataclass
class Box:
    """A rectangle with lines of text; ``kernel`` is the number of the kernel it belongs to, None for inputs."""

    title: str
    lines: list[str]
    kernel: int | None = None
    inputs: list[int] = field(default_factory=list)
    layer: int = 0
    x: float = 0.0
    y: float = 0.0

    @property
    def width(self) -> float:
        """Pixels; boxes without a title are points that an edge goes through."""
        if not self.title:
            return 4.0
        return (
            max(len(self.title) + (1 if self.kernel is None else 6), *(len(line) * 0.88 for line in self.lines), 6)
            * _CHAR
            + 2 * _PAD
        )

    @property
    def height(self) -> float:
        """Pixels."""
        return 0.0 if not self.title else (1 + len(self.lines)) * _LINE + 2 * _PAD - 4


class Drawing:
    """A laid out graph. ``str()`` is the SVG text; attributes: boxes, kernels (their labels)."""

    def __init__(self, boxes: list[Box], kernels: list[str], title: str) -> None:
        self.boxes = boxes
        self.kernels = kernels
        self.title = title
        self.routes = _layout(boxes)
        self.width = max((b.x + b.width for b in boxes), default=0.0) + _MARGIN
        self.height = max((b.y + b.height for b in boxes), default=0.0) + _MARGIN

    def __str__(self) -> str:
        return self.svg()

    def _repr_svg_(self) -> str:
        return self.svg()

    def svg(self) -> str:
        """The picture as SVG."""
        parts = [_edge(route) for route in self.routes]
        parts += [_rectangle(box) for box in self.boxes]
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:.0f} {self.height:.0f}" '
            f'width="{self.width:.0f}" height="{self.height:.0f}" '
            'font-family="DejaVu Sans Mono, Menlo, Consolas, monospace">'
        )
        arrow = (
            '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            'orient="auto">'
            '<path d="M0 0L8 4L0 8z" fill="#777"/></marker></defs><rect width="100%" height="100%" fill="white"/>'
        )
        return "\n".join([head, f"<title>{escape(self.title)}</title>", arrow, *parts, "</svg>\n"])

    def html(self) -> str:
        """A page with the picture and a table of the kernels."""
        rows = "\n".join(
            f'<tr><td style="background:{_colour(i)}">{i}</td><td>{escape(label)}</td></tr>'
            for i, label in enumerate(self.kernels)
        )
        style = (
            "body{font:14px sans-serif;margin:2em}td{padding:2px 10px;font-family:monospace}"
            "svg{max-width:100%;height:auto}"
        )
        return (
            f'<!doctype html>\n<html><head><meta charset="utf-8"><title>{escape(self.title)}</title>'
            f"<style>{style}</style>"
            f"</head>\n<body><h1>{escape(self.title)}</h1>\n{self.svg()}\n<h2>Kernels</h2>\n<table>\n{rows}\n</table></body></html>\n"
        )

    def save(self, path: str | os.PathLike) -> None:
        """Write a file: a page if the name ends in ".html", else SVG."""
        text = self.html() if str(path).endswith((".html", ".htm")) else self.svg()
        Path(path).write_text(text, encoding="utf-8")


def graph(*tensors: Tensor, kernels: bool = True) -> Drawing:
    """Draw what is pending for some tensors of one device.

    Args:
        kernels: also plan the kernels (without running them) and colour the ops by the kernel that computes their
        result.

    ValueError for no tensors, or tensors of several devices.
    """
    devices = {t.device for t in tensors}
    if len(devices) != 1:
        raise ValueError(f"viz.graph() needs tensors of one device, got {len(devices)} devices")
    order = _order([t._storage.node for t in tensors])
    pending = [node for node in order if node.buffer is None]
    if not kernels or not pending or devices.copy().pop().type == "meta":
        owners: dict[int, int] = {}
        labels: list[str] = []
    else:
        owners, labels = _kernels(tensors, order)
    results = {id(t._storage.node) for t in tensors}
    boxes: list[Box] = []
    box_of: dict[int, int] = {}
    for i, node in enumerate(order):
        if node.buffer is None and node.call.lower is None:  # one of an op's results
            box_of[id(node)] = box_of[id(node.inputs[0])]
            if id(node) in results:
                boxes[box_of[id(node)]].lines[node.call.static] += _RESULT
            continue
        lines = [f"{out.dtype.name}{list(out.shape)}" for out in node.call.outs]
        box_of[id(node)] = len(boxes)
        if node.buffer is not None:
            boxes.append(Box(_IN_MEMORY, lines))
            continue
        if id(node) in results:
            lines[0] += _RESULT
        inputs = list(dict.fromkeys(box_of[id(x)] for x in node.inputs))
        boxes.append(Box(node.call.name.lstrip("_"), lines, owners.get(i), inputs))
    ops = sum(box.title is not _IN_MEMORY for box in boxes)
    count = f", {len(labels)} kernels" if labels else ""
    return Drawing(boxes, labels, f"{ops} pending ops{count}")


def _order(roots: Iterable[Node]) -> list[Node]:
    """All nodes that the roots need, inputs first."""
    found: list[Node] = []
    seen: set[int] = set()
    stack = [(node, False) for node in roots]
    while stack:
        node, ready = stack.pop()
        if ready:
            found.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            if node.buffer is None:
                stack.extend((x, False) for x in reversed(node.inputs))
    return found


def _kernels(tensors: tuple[Tensor, ...], order: list[Node]) -> tuple[dict[int, int], list[str]]:
    """The kernel of each op (by position in ``order``), and the kernels' labels."""
    log = log_of(tensors[0].device.canonical)
    leaves = [node for node in order if node.buffer is not None]
    pending = [node for node in order if node.buffer is None]
    place = {id(node): -1 - i for i, node in enumerate(leaves)} | {id(node): i for i, node in enumerate(pending)}
    calls = [(node.call, tuple(place[id(x)] for x in node.inputs)) for node in pending]
    _, values = lower_log(calls, [x.call.out for x in leaves], log.runtime)
    nodes = [t._storage.node for t in tensors]
    roots = dict.fromkeys(values[place[id(node)]] for node in nodes if node.buffer is None)
    groups = fuse([root for root in roots if root.kind != "input"], settings.fusion)
    owners: dict[int, int] = {}
    where = {id(node): i for i, node in enumerate(order)}
    for number, group in enumerate(groups):
        for position, _ in describe.origins(group):
            owners[where[id(pending[position])]] = number  # the last kernel that has a part in it computes its result
    return owners, [describe.label(group) for group in groups]


# -- layout -----------------------------------------------------------------------------------------------------------
def _layout(boxes: list[Box]) -> list[list[Box]]:
    """Layers by the longest path from the inputs; within a layer, boxes near their neighbours (barycentre sweeps).

    Returns the way of each edge: its source, an empty box in every layer it crosses (so that it goes between the
    others) and its target. Source: Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system
    structures" (1981).
    """
    _assign_layers(boxes)
    routes: list[list[Box]] = []
    for box in boxes:
        for i in box.inputs:
            crossed = range(boxes[i].layer + 1, box.layer)
            routes.append([boxes[i], *(Box("", [], layer=layer) for layer in crossed), box])
    layers: dict[int, list[Box]] = {}
    for box in boxes + [way for route in routes for way in route[1:-1]]:
        layers.setdefault(box.layer, []).append(box)
    above: dict[int, list[Box]] = {}
    below: dict[int, list[Box]] = {}
    for route in routes:
        for upper, lower in zip(route, route[1:]):
            above.setdefault(id(lower), []).append(upper)
            below.setdefault(id(upper), []).append(lower)
    rows = [layers[key] for key in sorted(layers)]
    y = float(_MARGIN)
    for row in rows:
        height = max(box.height for box in row)
        for box in row:
            box.y = y if box.title else y + height / 2
        y += height + _GAP_Y
        _pack(row, {id(box): 60.0 * n for n, box in enumerate(row)})
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        near = above if down else below
        for row in rows if down else reversed(rows):
            wanted = {id(box): _mean([_centre(other) for other in near.get(id(box), ())], _centre(box)) for box in row}
            row.sort(key=lambda box: wanted[id(box)])
            _pack(row, wanted)
    left = min((box.x for row in rows for box in row), default=0.0)
    for row in rows:
        for box in row:
            box.x += _MARGIN - left
    return routes


def _assign_layers(boxes: list[Box]) -> None:
    users: list[list[int]] = [[] for _ in boxes]
    for i, box in enumerate(boxes):
        for j in box.inputs:
            users[j].append(i)
        box.layer = 1 + max((boxes[j].layer for j in box.inputs), default=-1)
    for i in range(len(boxes) - 1, -1, -1):  # inputs close to where they are used
        if not boxes[i].inputs and users[i]:
            boxes[i].layer = min(boxes[j].layer for j in users[i]) - 1


def _pack(row: list[Box], wanted: dict[int, float]) -> None:
    """Place a row's boxes near the wanted centres, in order and without overlap."""
    edge = float("-inf")
    shift = 0.0
    for box in row:
        box.x = max(wanted[id(box)] - box.width / 2, edge)
        shift += wanted[id(box)] - _centre(box)
        edge = box.x + box.width + (_GAP_X if box.title else _GAP_X / 2)
    for box in row:  # what was pushed to the right comes back, all together
        box.x += shift / len(row)


def _centre(box: Box) -> float:
    return box.x + box.width / 2


def _mean(values: list[float], default: float) -> float:
    return sum(values) / len(values) if values else default


# -- drawing ----------------------------------------------------------------------------------------------------------
def _colour(kernel: int | None) -> str:
    return _PLAIN if kernel is None else _COLOURS[kernel % len(_COLOURS)]


def _rectangle(box: Box) -> str:
    fill = _INPUT if box.title is _IN_MEMORY else _colour(box.kernel)
    middle = _centre(box)
    badge = ""
    if box.kernel is not None:
        badge = (
            f'<text x="{box.x + box.width - 5:.1f}" y="{box.y + 11:.1f}" font-size="9" fill="#555" '
            f'text-anchor="end">k{box.kernel}</text>'
        )
    rows = [
        f'<text x="{middle:.1f}" y="{box.y + _PAD + 9:.1f}" font-size="12" font-weight="bold" text-anchor="middle">'
        f"{escape(box.title)}</text>"
    ]
    for n, line in enumerate(box.lines, 1):
        rows.append(
            f'<text x="{middle:.1f}" y="{box.y + _PAD + 9 + n * _LINE:.1f}" font-size="10.5" fill="#444" '
            f'text-anchor="middle">{escape(line)}</text>'
        )
    frame = (
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="6" '
        f'fill="{fill}" stroke="#666"/>'
    )
    return f"<g>{frame}{badge}{''.join(rows)}</g>"


def _edge(route: list[Box]) -> str:
    source, *between, target = route
    points = [(_centre(source), source.y + source.height), *((_centre(b), b.y) for b in between)]
    points.append((_centre(target), target.y - 1))
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (x1, y1), (x2, y2) in zip(points, points[1:]):
        bend = (y2 - y1) * 0.45
        path += f"C{x1:.1f} {y1 + bend:.1f} {x2:.1f} {y2 - bend:.1f} {x2:.1f} {y2:.1f}"
    return f'<path d="{path}" fill="none" stroke="#777" stroke-width="1.2" marker-end="url(#arrow)"/>'


def show(*tensors: Tensor, **options: Any) -> Drawing:
    """``graph`` under the name that notebooks expect."""
    return graph(*tensors, **options)
