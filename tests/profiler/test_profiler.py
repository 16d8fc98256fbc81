"""engine.profiler: kernels with device times, ranges, steps, exports."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

import engine
from engine import nn
from engine.graph.trace import tracer
from engine.profiler import (
    ProfilerAction,
    ProfilerActivity,
    profile,
    record_function,
    schedule,
    tensorboard_trace_handler,
)


def work(size: int = 128) -> engine.Tensor:
    x = engine.ones(size, size)
    return (x @ x).relu().sum()


def test_kernels_have_times_names_and_rates() -> None:
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True, with_stack=True) as prof:
        work().item()
    events = prof.events()
    product = next(e for e in events if "mm" in e.name or "matmul" in e.name)
    assert product.device_time_total > 0 and product.flops >= 2 * 128**3
    assert [128, 128] in [list(s) for s in product.input_shapes]
    assert any(line.startswith("test_profiler.py:") and line.endswith("in work") for line in product.stack)
    assert events.self_device_time_total == pytest.approx(sum(e.device_time_total for e in events))
    assert not tracer.timing and engine.device("cpu").canonical.graph.trace is None


def test_pending_work_belongs_to_the_recording_in_which_it_was_called() -> None:
    before = work(96)  # never read inside
    with profile() as prof:
        inside = work(64)
    names = [e.name for e in prof.events()]
    assert sum("mm" in n or "matmul" in n for n in names) == 1
    assert before.item() == 96**3 and inside.item() == 64**3


def test_ranges_count_the_ops_called_in_them() -> None:
    with profile() as prof:
        with record_function("first"):
            a = work(64)
        with record_function("second"):
            b = work(256)
        (a + b).item()
    averages = {e.key: e for e in prof.key_averages()}
    assert averages["first"].is_range and averages["first"].cpu_time_total > 0
    assert 0 < averages["first"].device_time_total < averages["second"].device_time_total
    text = prof.key_averages().table(sort_by="cuda_time_total", row_limit=5)
    assert "second" in text and "Device time of all kernels" in text
    with pytest.raises(AttributeError, match="no attribute 'speed'"):
        prof.key_averages().table(sort_by="speed")


def test_a_range_is_a_decorator_and_free_without_profiler() -> None:
    @record_function("call")
    def call() -> int:
        return 3

    assert call() == 3 and tracer.ranges == []
    with profile() as prof:
        call()
    assert [e.name for e in prof.events()] == ["call"]


def test_schedule() -> None:
    rule = schedule(skip_first=1, wait=1, warmup=1, active=2, repeat=1)
    none, record = ProfilerAction.NONE, ProfilerAction.RECORD
    assert [rule(i) for i in range(7)] == [
        none, none, ProfilerAction.WARMUP, record, ProfilerAction.RECORD_AND_SAVE, none, none,
    ]  # fmt: skip
    with pytest.raises(ValueError, match="schedule"):
        schedule(wait=0, warmup=0, active=0)


def test_steps_and_handlers(tmp_path: Path) -> None:
    ready = []
    handler = tensorboard_trace_handler(str(tmp_path), "worker", use_gzip=True)

    def on_ready(prof: profile) -> None:
        ready.append((prof.step_num, [e.name for e in prof.events() if e.is_range]))
        handler(prof)

    with profile(schedule=schedule(wait=1, warmup=1, active=2, repeat=2), on_trace_ready=on_ready) as prof:
        for _ in range(9):
            work(32).item()
            prof.step()
    assert ready == [(4, ["ProfilerStep#2", "ProfilerStep#3"]), (8, ["ProfilerStep#6", "ProfilerStep#7"])]
    files = sorted(tmp_path.iterdir())
    assert len(files) == 2 and all(f.name.startswith("worker.") for f in files)
    assert json.loads(gzip.decompress(files[0].read_bytes()))["traceEvents"]


def test_chrome_trace_and_stacks(tmp_path: Path) -> None:
    with profile(with_stack=True) as prof, record_function("everything"):
        work().item()
    prof.export_chrome_trace(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    kernels = [e for e in events if e.get("cat") == "kernel"]
    span = next(e for e in events if e["name"] == "everything")
    assert kernels and all(e["dur"] > 0 and e["pid"] == 1 for e in kernels)
    assert all(span["ts"] <= e["ts"] for e in kernels)
    assert any("in work" in line for e in kernels for line in e["args"]["source"])
    prof.export_stacks(tmp_path / "stacks.txt")
    assert "in_work " in (tmp_path / "stacks.txt").read_text()


def test_training_step_and_older_form() -> None:
    from engine.autograd import profiler

    layer = nn.Linear(8, 8)
    optimizer = engine.optim.SGD(layer.parameters(), lr=0.1)
    with profiler.profile() as prof:
        layer(engine.ones(4, 8)).sum().backward()
        optimizer.step()
    assert "linear" in str(prof) and prof.total_average().count == len(prof.function_events)
    with profiler.profile(enabled=False) as off:
        work(16).item()
    assert len(off.function_events) == 0


def test_replays_are_seen() -> None:
    step = engine.compile(lambda x: (x * 2).relu().sum())
    x = engine.ones(1000)
    for _ in range(4):
        step(x).item()
    with profile() as prof:
        step(x).item()
    assert any("mul" in e.name for e in prof.events())


@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_debug_ladder(level: int, capsys: pytest.CaptureFixture) -> None:
    engine.config.debug = level
    try:
        (engine.ones(7, 11 + level) * 3).exp().sum(1).tolist()
    finally:
        engine.config.debug = 0
    shown = capsys.readouterr().err
    assert "ops in" in shown and "kernels, new plan" in shown
    assert ("GFLOP/s" in shown) == (level >= 2) and ("in test_debug_ladder" in shown) == (level >= 2)
    assert ("-> memory" in shown) == (level >= 3)
    assert ("__kernel" in shown) == (level >= 4)
    (engine.ones(3) + 1).tolist()
    assert capsys.readouterr().err == "" and not tracer.timing
