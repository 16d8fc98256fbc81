"""Runs workloads in the two child processes in turns and collects the rows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.bench.figures import Row, SideResult, compare
from tests.bench.process import Child, ChildError
from tests.bench.workload import Workload

# OpenMP threads of the side that has just finished go on spinning for a moment.
PAUSE = 0.005


@dataclass(frozen=True)
class Effort:
    """How long to measure: rounds, seconds of one measurement, seconds until a child counts as hung.

    patience: a noisy row is given its rounds again, up to so many times in all.
    """

    rounds: int = 5
    seconds: float = 0.03
    timeout: float = 120.0
    patience: int = 3


def run(selected: list[tuple[str, Workload]], sides: tuple[Child, Child], effort: Effort) -> Iterator[Row]:
    """Measure the workloads one after the other; a side that fails a workload is left out of the rest of its row."""
    for key, entry in selected:
        yield measure(key, entry, sides, effort)


def measure(key: str, entry: Workload, sides: tuple[Child, Child], effort: Effort) -> Row:
    """One row: build on both sides, compare what they computed, time in turns."""
    results = (SideResult(), SideResult())
    values: list[list[dict] | None] = [None, None]
    loops: list[dict] = [{}, {}]
    for index, (child, result) in enumerate(zip(sides, results, strict=True)):
        try:
            built = child.ask(effort.timeout, do="build", name=key)
            result.cold, values[index] = built["cold"], built["values"]
            warm = child.ask(effort.timeout, do="calibrate", seconds=effort.seconds)
            loops[index] = {"repeats": warm["repeats"], "parts": warm["parts"]}
            result.launches, result.memory = warm["launches"], warm["memory"]
        except ChildError as error:
            result.error = str(error)
    rounds = min(effort.rounds, entry.rounds or effort.rounds)
    both = values[0] is not None and values[1] is not None
    mismatch = compare(values[0], values[1], entry.tol) if both else None
    row = Row(entry.group, entry.name, entry.floor, entry.limit, results[0], results[1], mismatch)
    for _ in range(effort.patience):
        for _ in range(rounds):
            for child, result, loop in zip(sides, results, loops, strict=True):
                turn(child, result, loop, effort.timeout)
        if entry.rounds or not row.noisy:
            break
    for child, result in zip(sides, results, strict=True):
        if not result.error:
            child.ask(effort.timeout, do="drop")
    return row


def turn(child: Child, result: SideResult, loop: dict, timeout: float) -> None:
    """One side's measurement of a round, unless it has failed before."""
    if result.error:
        return
    try:
        result.seconds.append(child.ask(timeout, do="measure", **loop)["seconds"])
    except ChildError as error:
        result.error = str(error)
    time.sleep(PAUSE)
