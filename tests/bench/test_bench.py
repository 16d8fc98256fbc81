"""The benchmark's own tests: figures and verdicts, and children that fail, die, hang and chatter."""

from __future__ import annotations

import math
import sys
from dataclasses import replace

import pytest

from tests.bench import report
from tests.bench.figures import Row, SideResult, compare, format_bytes, format_seconds, summarise
from tests.bench.process import Child
from tests.bench.runner import Effort, measure
from tests.bench.workload import REGISTRY, load

FAKES = "tests.bench.fakes"
QUICK = Effort(rounds=2, seconds=0.001, timeout=20.0, patience=1)


def row(torch: float, engine: float, group: str = "matmul", **fields) -> Row:
    fields = {"floor": None, "limit": None, **fields}
    return Row(group=group, name="x", torch=SideResult([torch, 9.0]), engine=SideResult([engine, 9.0]), **fields)


def test_verdict_names_every_shortcoming():
    assert row(1.0, 0.5).ratio == 2.0
    assert row(1.0, 0.5).verdict == "ok"
    assert row(1.0, 2.0).verdict == "SLOW (needs 0.95)"
    assert row(1.0, 2.0, floor=0.4).verdict == "ok"
    assert row(1.0, 2.0, limit=0.1).verdict == "SLOW (needs 0.95), LATE (limit 100 ms)"
    heavy = row(1.0, 1.0, group="steps")
    heavy.torch.memory, heavy.engine.memory = 10 << 20, 20 << 20
    assert heavy.verdict == "MEMORY"
    assert row(1.0, 1.0, mismatch="result 0 differs").verdict == "WRONG: result 0 differs"


def test_summary_takes_the_geometric_mean():
    good, bad = summarise([row(2.0, 1.0), row(8.0, 1.0), row(1.0, 2.0, group="overhead")])
    assert (good.group, good.rows, good.passed, good.worst) == ("matmul", 2, 2, 2.0)
    assert good.mean == pytest.approx(4.0)
    assert good.ok
    assert bad.mean == pytest.approx(0.5)
    assert not bad.ok


def test_compare_uses_the_scale_of_the_result():
    def result(*values, exact=False):
        return {"shape": [len(values)], "exact": exact, "values": list(values), "mean": 0.0}

    assert compare([result(100.0, 0.0)], [result(100.0, 0.005)], 1e-4) is None
    assert "0.02 where torch has 0" in compare([result(100.0, 0.0)], [result(100.0, 0.02)], 1e-4)
    assert compare([result(math.nan, math.inf)], [result(math.nan, math.inf)], 1e-4) is None
    assert compare([result(math.inf)], [result(-math.inf)], 1e-4)
    assert compare([result(3, exact=True)], [result(4, exact=True)], 1.0)
    assert "shape" in compare([result(1.0)], [result(1.0, 1.0)], 1.0)
    assert "0 results instead of 1" in compare([result(1.0)], [], 1.0)


def test_units():
    assert [format_seconds(s) for s in (1.5, 0.0123, 4.5e-6, 2e-9, None)] == [
        "1.50 s",
        "12.3 ms",
        "4.50 us",
        "2.00 ns",
        "-",
    ]
    assert [format_bytes(n) for n in (2048, 3 << 20, None)] == ["2 KiB", "3.0 MiB", "-"]


def test_json_round_trip(tmp_path):
    rows = [row(2.0, 1.0), row(1.0, 1.0, mismatch="differs")]
    report.save_json(str(tmp_path / "run.json"), {"date": "today"}, rows)
    meta, again = report.load_json(str(tmp_path / "run.json"))
    assert meta == {"date": "today"}
    assert again == rows


@pytest.fixture(scope="module")
def registry():
    kept = dict(REGISTRY)
    yield load((FAKES,))
    sys.modules.pop(FAKES)
    REGISTRY.clear()
    REGISTRY.update(kept)


@pytest.fixture(scope="module")
def sides():
    pair = Child("numpy", 1, (FAKES,)), Child("numpy", 1, (FAKES,))
    yield pair
    for child in pair:
        child.close()


def run_fake(name: str, registry, sides, effort: Effort = QUICK) -> Row:
    key = f"pointwise/{name}"
    return measure(key, registry[key], sides, effort)


def test_good_row(registry, sides):
    found = run_fake("good", registry, sides)
    assert found.mismatch is None
    assert len(found.torch.seconds) == len(found.engine.seconds) == 2
    assert 0.0 < found.engine.best < 0.1
    assert found.engine.cold > 0


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("raises", "FAILED in engine: ValueError: last line"),
        ("dies", "FAILED in engine: process ended with status 3: (it printed nothing)"),
        ("hangs", "FAILED in engine: no answer to build within 1 s, process killed"),
    ],
)
def test_failures_are_reported_and_the_run_goes_on(name, verdict, registry, sides):
    assert run_fake("good", registry, sides).mismatch is None
    effort = replace(QUICK, timeout=1.0) if name == "hangs" else QUICK
    assert run_fake(name, registry, sides, effort).verdict.startswith(verdict)
    assert run_fake("good", registry, sides).mismatch is None


def test_differences_are_wrong(registry, sides):
    assert run_fake("differs", registry, sides).verdict.startswith("WRONG: result 0 has ")


def test_printing_does_not_break_the_protocol(registry, sides):
    assert run_fake("prints", registry, sides).mismatch is None


def test_self_timed_and_absolute_limit(registry, sides):
    assert run_fake("timed", registry, sides).engine.seconds == [0.25, 0.25]
    assert "LATE (limit 1.00 ns)" in run_fake("counts", registry, sides).verdict


def test_every_group_has_workloads():
    names = {entry.group for entry in load().values()}
    assert {"matmul", "attention", "steps", "steps-compiled", "optimizers", "overhead"} <= names
