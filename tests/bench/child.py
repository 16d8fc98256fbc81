"""One side of the benchmark: a process that builds and times workloads on command.

Reads one JSON object a line from standard input and answers with one a line. Commands: build, calibrate,
measure, drop. What the library itself prints goes to standard error.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import math
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.bench.hooks import Hooks, runtime
from tests.bench.workload import MODULES, Bench, Case, Workload, load

SAMPLES = 64
WARM_CALLS = 3
PARTS = 15  # a measurement is cut up, so that its fastest part escapes disturbances


def sample(result: Any) -> list[dict]:
    """Some values of each tensor of a result, evenly spaced, and its mean, as plain numbers."""
    if result is None:
        return []
    if isinstance(result, tuple | list):
        return [entry for part in result for entry in sample(part)]
    values = np.asarray(result.detach().cpu().numpy() if hasattr(result, "detach") else result)
    flat = values.reshape(-1)
    picked = flat[np.linspace(0, flat.size - 1, SAMPLES).astype(np.int64)] if flat.size > SAMPLES else flat
    exact = values.dtype.kind in "iub"
    mean = float(flat.astype(np.float64).mean()) if flat.size else 0.0
    numbers = [int(v) for v in picked] if exact else [float(v) for v in picked]
    return [{"shape": list(values.shape), "exact": exact, "values": numbers, "mean": mean}]


def prime(torch: Any) -> None:
    """Touch what libraries import lazily, so that it counts neither as memory nor as time of the first workload."""
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    for kind in (torch.optim.SGD, torch.optim.Adam):
        optimizer = kind(model.parameters(), lr=0.01)
        model(torch.ones(2, 4)).sum().backward()
        optimizer.step()


class Side:
    """The state of a child: its library and the workload being measured."""

    def __init__(self, module: str, threads: int, registry: dict[str, Workload]):
        self.torch = importlib.import_module(module)
        self.registry = registry
        if hasattr(self.torch, "set_num_threads"):
            self.torch.set_num_threads(threads)
        self.hooks = Hooks(self.torch)
        self.case: Case | None = None

    def hello(self) -> dict:
        """Names and versions, for the header of the report."""
        torch = self.torch
        try:
            prime(torch)
            trouble = None
        except Exception as error:  # reported, and the rows will tell in detail
            trouble = last_line(error)
        opened = runtime(torch)
        return {
            "module": torch.__name__,
            "version": str(getattr(torch, "__version__", "?")),
            "python": platform.python_version(),
            "device": "cpu" if opened is None else opened.caps.name,
            "memory": self.hooks.memory.source,
            "trouble": trouble,
        }

    def build(self, name: str) -> dict:
        """Build a workload, time its first call and sample what it computed."""
        entry = self.registry[name]
        compiled = entry.compiled and self.torch.__name__ != "torch"  # torch stays eager: see the package's docstring
        bench = Bench(
            self.torch,
            f"{entry.group.removesuffix('-compiled')}/{entry.name}",
            self.torch.compile if compiled else (lambda f: f),
            self.hooks.wait,
            self.hooks.force,
        )
        self.hooks.memory.start()
        case = entry.build(self.torch, bench)
        self.case = case if isinstance(case, Case) else Case(case)
        self.hooks.wait()
        self.hooks.memory.reset()  # NumPy's copies of the data are gone by now
        start = time.perf_counter()
        first = self.call()
        self.hooks.wait()
        cold = first if self.case.timed else (time.perf_counter() - start) / self.case.per
        if self.case.timed:
            return {"cold": cold, "values": []}
        values = sample(first)
        for _ in range(self.case.calls - 1):
            values += sample(self.call())
        if self.case.check is not None:
            values = sample(self.case.check())
        del first
        return {"cold": cold, "values": values}

    def call(self) -> Any:
        result = self.case.step()
        return self.hooks.force(result) if self.case.force else result

    def loop(self, repeats: int) -> float:
        """Seconds that `repeats` calls take, the device waited for at the end."""
        step, force = self.case.step, self.hooks.force
        eager = not (self.hooks.lazy and self.case.force)
        start = time.perf_counter()
        for _ in range(repeats):
            result = step() if eager else force(step())
        self.hooks.wait()
        seconds = time.perf_counter() - start
        del result
        return seconds

    def calibrate(self, seconds: float) -> dict:
        """Warm up, count kernels and memory, and find repeats and parts of a measurement of `seconds`."""
        if self.case.timed:
            return {"repeats": 1, "parts": 1, "launches": None, "memory": None}
        self.loop(WARM_CALLS)
        launches = None
        if self.hooks.launch_count is not None:
            before = self.hooks.launch_count()
            self.loop(1)
            launches = int(self.hooks.launch_count() - before)
        memory = self.hooks.memory.read()
        repeats, elapsed = 1, self.loop(1)
        part = seconds / PARTS
        while elapsed < part / 2:
            repeats *= 2
            elapsed = self.loop(repeats)
        once = elapsed / repeats
        parts = PARTS if once < part else max(1, min(PARTS, round(seconds / once)))
        return {"repeats": math.ceil(part / once), "parts": parts, "launches": launches, "memory": memory}

    def measure(self, repeats: int, parts: int) -> dict:
        """Seconds per call, the fastest of `parts` runs of `repeats` calls."""
        if self.case.timed:
            return {"seconds": self.case.step()}
        gc.collect()
        return {"seconds": min(self.loop(repeats) for _ in range(parts)) / repeats / self.case.per}

    def drop(self) -> dict:
        """Forget the workload and its tensors."""
        self.case = None
        gc.collect()
        return {}


def last_line(error: BaseException) -> str:
    """Type and last line of an exception."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[-1] if text else ''}".strip()


def serve(side: Side, reply: Callable[[dict], None]) -> None:
    """Answer commands until standard input ends."""
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = getattr(side, command.pop("do"))(**command)
        except Exception as error:  # any error of a workload is its row's result
            traceback.print_exc()
            side.drop()
            answer = {"error": last_line(error)}
        reply(answer)


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.bench.child", description="one side of the benchmark")
    parser.add_argument("module")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workloads", nargs="*", default=list(MODULES))
    args = parser.parse_args()
    # Standard output carries the protocol: keep it, and send everything printed to standard error.
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def reply(answer: dict) -> None:
        channel.write(json.dumps(answer) + "\n")
        channel.flush()

    side = Side(args.module, args.threads, load(tuple(args.workloads)))
    serve(side, reply)


if __name__ == "__main__":
    main()
