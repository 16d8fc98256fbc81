"""The figures each group must reach, and the verdict on a row and on a group."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Figure:
    """Required ratios torch time / engine time: of every row, and of the geometric mean of a group."""

    floor: float
    mean: float


# Convolution rows carry floors of their own by direction, and so does the tutorial's network.
REQUIRED = {
    "matmul": Figure(0.95, 1.10),
    "pointwise": Figure(1.0, 3.0),
    "reduction": Figure(1.0, 1.8),
    "movement": Figure(1.0, 1.8),
    "convolution": Figure(1.0, 1.3),
    "attention": Figure(1.0, 1.5),
    "steps": Figure(0.9, 1.2),
    "steps-compiled": Figure(1.0, 1.5),
    "optimizers": Figure(1.0, 4.0),
    "overhead": Figure(0.5, 0.8),
}
MEMORY_GROUPS = ("steps", "steps-compiled")
MEMORY_SLACK = 2**20  # bytes; below that, resident memory is pages and noise


@dataclass
class SideResult:
    """What one side gave for a row; seconds are per call, one entry a round."""

    seconds: list[float] = field(default_factory=list)
    cold: float | None = None
    launches: int | None = None
    memory: int | None = None
    error: str | None = None

    @property
    def best(self) -> float | None:
        return min(self.seconds) if self.seconds else None


@dataclass
class Row:
    """A measured workload; `torch` is the side measured against."""

    group: str
    name: str
    floor: float | None
    limit: float | None
    torch: SideResult
    engine: SideResult
    mismatch: str | None = None

    @property
    def ratio(self) -> float | None:
        if not self.torch.seconds or not self.engine.seconds:
            return None
        return self.torch.best / self.engine.best

    @property
    def median_ratio(self) -> float | None:
        if not self.torch.seconds or not self.engine.seconds:
            return None
        return statistics.median(self.torch.seconds) / statistics.median(self.engine.seconds)

    @property
    def noisy(self) -> bool:
        """Whether the two ratios disagree by more than a tenth: the machine was not quiet."""
        return self.ratio is not None and abs(self.median_ratio / self.ratio - 1) > 0.1

    @property
    def required(self) -> float | None:
        if self.floor is not None:
            return self.floor
        return REQUIRED[self.group].floor if self.group in REQUIRED else None

    @property
    def verdict(self) -> str:
        """ok, or every shortcoming, the worst first."""
        errors = {"engine": self.engine.error, "torch": self.torch.error}
        failed = [f"FAILED in {who}: {error}" for who, error in errors.items() if error]
        if failed:
            return "; ".join(failed)
        if self.mismatch:
            return f"WRONG: {self.mismatch}"
        found = []
        if self.ratio is not None and self.required is not None and self.ratio < self.required:
            found.append(f"SLOW (needs {self.required:g})")
        if self.limit is not None and self.engine.best is not None and self.engine.best > self.limit:
            found.append(f"LATE (limit {format_seconds(self.limit)})")
        if self.group in MEMORY_GROUPS and None not in (self.torch.memory, self.engine.memory):
            if self.engine.memory > self.torch.memory + MEMORY_SLACK:
                found.append("MEMORY")
        return ", ".join(found) or "ok"

    def to_json(self) -> dict:
        return {**asdict(self), "ratio": self.ratio, "median_ratio": self.median_ratio, "verdict": self.verdict}

    @classmethod
    def from_json(cls, data: dict) -> Row:
        sides = {side: SideResult(**data[side]) for side in ("torch", "engine")}
        rest = {key: data[key] for key in ("group", "name", "floor", "limit", "mismatch")}
        return cls(**rest, **sides)


@dataclass
class Summary:
    """A group's rows counted: geometric mean of the ratios against what is required."""

    group: str
    rows: int
    passed: int
    worst: float | None
    mean: float | None

    @property
    def required(self) -> float | None:
        return REQUIRED[self.group].mean if self.group in REQUIRED else None

    @property
    def ok(self) -> bool:
        return self.passed == self.rows and (self.required is None or (self.mean or 0) >= self.required)


def summarise(rows: Iterable[Row]) -> list[Summary]:
    """One summary a group, in the order in which the groups appear."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    summaries = []
    for group, members in groups.items():
        ratios = [row.ratio for row in members if row.ratio is not None]
        mean = math.exp(statistics.fmean(map(math.log, ratios))) if ratios else None
        passed = sum(row.verdict == "ok" for row in members)
        summaries.append(Summary(group, len(members), passed, min(ratios, default=None), mean))
    return summaries


def compare(expected: list[dict], found: list[dict], tolerance: float) -> str | None:
    """The first difference between what the two sides computed, in words, or None."""
    if len(expected) != len(found):
        return f"{len(found)} results instead of {len(expected)}"
    for number, (want, have) in enumerate(zip(expected, found, strict=True)):
        if want["shape"] != have["shape"]:
            return f"result {number} has shape {have['shape']} instead of {want['shape']}"
        pairs = [*zip(want["values"], have["values"], strict=True), (want["mean"], have["mean"])]
        finite = [abs(value) for value in want["values"] if math.isfinite(value)]
        allowed = 0.0 if want["exact"] else tolerance * max(finite, default=0.0) + 1e-30
        for a, b in pairs:
            same = a == b or (math.isnan(a) and math.isnan(b)) or abs(a - b) <= allowed
            if not same:
                return f"result {number} has {b:.6g} where torch has {a:.6g}"
    return None


def format_seconds(seconds: float | None) -> str:
    """Three figures and a unit: "1.23 ms"."""
    if seconds is None:
        return "-"
    units = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))
    scale, unit = next((entry for entry in units if seconds >= entry[0]), units[-1])
    value = seconds / scale
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f} {unit}"


def format_bytes(count: int | None) -> str:
    """Whole or tenth of MiB, or KiB: "12.3 MiB"."""
    if count is None:
        return "-"
    if count < 2**20:
        return f"{count / 2**10:.0f} KiB"
    return f"{count / 2**20:.{0 if count >= 100 * 2**20 else 1}f} MiB"
