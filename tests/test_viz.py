"""Drawings of pending graphs: what is in them, and that boxes do not overlap."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest

import engine
from engine import nn, viz


def overlaps(a: viz.Box, b: viz.Box) -> bool:
    return a.x < b.x + b.width and b.x < a.x + a.width and a.y < b.y + b.height and b.y < a.y + a.height


def test_ops_kernels_and_results() -> None:
    x = engine.ones(4, 6).realize()
    out = ((x - x.mean(1, keepdim=True)) * 2).sort(1)[0]
    before = engine.launch_count()
    drawing = viz.graph(out)
    assert engine.launch_count() == before  # nothing was run
    titles = [box.title for box in drawing.boxes]
    assert titles.count("in memory") == 1 and {"mean", "sub", "mul", "sort"} <= set(titles)
    kernel = {box.title: box.kernel for box in drawing.boxes}
    assert kernel["mean"] == kernel["sub"] == kernel["mul"] != kernel["sort"] and kernel["in memory"] is None
    sort = next(box for box in drawing.boxes if box.title == "sort")
    assert sort.lines == ["float32[4, 6] ← result", "int64[4, 6]"]
    assert drawing.title == f"{len(titles) - 1} pending ops, {len(drawing.kernels)} kernels"


def test_layout_of_a_training_step() -> None:
    model = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.LayerNorm(16), nn.Linear(16, 3))
    loss = nn.functional.cross_entropy(model(engine.ones(5, 8)), engine.zeros(5, dtype=engine.int64))
    loss.backward()
    drawing = viz.graph(loss, *[p.grad for p in model.parameters()])
    assert not any(overlaps(a, b) for a, b in combinations(drawing.boxes, 2))
    for box in drawing.boxes:
        assert all(drawing.boxes[i].layer < box.layer for i in box.inputs)
        assert 0 <= box.x and box.x + box.width <= drawing.width and box.y + box.height <= drawing.height
    root = ElementTree.fromstring(drawing.svg())
    boxes = root.findall("{http://www.w3.org/2000/svg}g")
    assert len(boxes) == len(drawing.boxes)
    assert sum(e.get("marker-end") is not None for e in root) == sum(len(b.inputs) for b in drawing.boxes)


def test_files(tmp_path: Path) -> None:
    drawing = viz.graph((engine.ones(3) + 1).exp(), kernels=False)
    drawing.save(tmp_path / "graph.svg")
    drawing.save(tmp_path / "graph.html")
    assert (tmp_path / "graph.svg").read_text(encoding="utf-8").startswith("<svg")
    page = (tmp_path / "graph.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") and "exp" in page and drawing._repr_svg_() in page


def test_finished_work_is_one_box() -> None:
    done = engine.ones(3).exp().realize()
    assert [box.title for box in viz.graph(done).boxes] == ["in memory"]
    with pytest.raises(ValueError, match="one device"):
        viz.graph()
