"""The table, the Markdown for the README and the JSON file."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

from tests.bench.figures import Row, Summary, format_bytes, format_seconds, summarise

COLUMNS = (
    ("workload", 60),
    ("torch", 9),
    ("engine", 9),
    ("ratio", 7),
    ("median", 7),
    ("first torch", 11),
    ("first engine", 12),
    ("kernels", 7),
    ("mem torch", 9),
    ("mem engine", 10),
)


def cells(row: Row) -> list[str]:
    """A row's columns as text, without its verdict."""
    ratio = "-" if row.ratio is None else f"{row.ratio:.2f}"
    median = "-" if row.median_ratio is None else f"{row.median_ratio:.2f}"
    launches = "-" if row.engine.launches is None else str(row.engine.launches)
    return [
        row.name,
        format_seconds(row.torch.best),
        format_seconds(row.engine.best),
        ratio,
        median,
        format_seconds(row.torch.cold),
        format_seconds(row.engine.cold),
        launches,
        format_bytes(row.torch.memory),
        format_bytes(row.engine.memory),
    ]


def header() -> str:
    return "  ".join(f"{name:<{width}}" if name == "workload" else f"{name:>{width}}" for name, width in COLUMNS)


def line(row: Row) -> str:
    """A row of the table printed while the benchmark runs."""
    texts = [
        f"{text:<{width}}" if name == "workload" else f"{text:>{width}}"
        for (name, width), text in zip(COLUMNS, cells(row), strict=True)
    ]
    return "  ".join([*texts, row.verdict])


def summary_lines(summaries: list[Summary]) -> list[str]:
    """The table of the groups: geometric means against the required figures."""
    lines = [f"{'group':<16}{'rows ok':>10}{'worst':>8}{'mean':>8}{'required':>10}"]
    for entry in summaries:
        need = "-" if entry.required is None else f"{entry.required:.2f}"
        counted = f"{entry.passed}/{entry.rows}"
        lines.append(
            f"{entry.group:<16}{counted:>10}{_number(entry.worst):>8}{_number(entry.mean):>8}{need:>10}"
            f"  {'pass' if entry.ok else 'MISSED'}"
        )
    return lines


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def markdown(meta: dict, rows: list[Row]) -> str:
    """The README's tables: the groups, then every row folded away under its group."""
    out = [describe(meta), "", "| group | rows ok | worst | geometric mean | required | |", "|---|---|---|---|---|---|"]
    for entry in summarise(rows):
        need = "" if entry.required is None else f"{entry.required:g}"
        out.append(
            f"| {entry.group} | {entry.passed} of {entry.rows} | {_number(entry.worst)} | {_number(entry.mean)} "
            f"| {need} | {'pass' if entry.ok else 'missed'} |"
        )
    names = ["workload", "torch", "engine", "ratio", "first engine", "kernels", "memory torch", "memory engine", ""]
    for group in dict.fromkeys(row.group for row in rows):
        out += ["", f"<details><summary>{group}</summary>", "", f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
        for row in rows:
            if row.group == group:
                name, torch, engine, ratio, _, _, first, kernels, *memory = cells(row)
                verdict = row.verdict.replace("|", "\\|")
                out.append(f"| {' | '.join([name, torch, engine, ratio, first, kernels, *memory, verdict])} |")
        out += ["", "</details>"]
    return "\n".join(out)


def describe(meta: dict) -> str:
    """One line on what was measured where."""
    torch, engine = meta["sides"]
    return (
        f"{torch['module']} {torch['version']} (CPU, {meta['threads']} threads) against {engine['module']} "
        f"{engine['version']} on {engine['device']}; {meta['processor']}, Python {engine['python']}, {meta['date']}, "
        f"{meta['rounds']} rounds."
    )


def processor() -> str:
    """The processor's name."""
    try:
        for entry in Path("/proc/cpuinfo").read_text().splitlines():
            if entry.startswith("model name"):
                return f"{entry.partition(':')[2].strip()} ({os.cpu_count()} cpus)"
    except OSError:
        pass
    return f"{platform.processor() or platform.machine()} ({os.cpu_count()} cpus)"


def save_json(path: str, meta: dict, rows: list[Row]) -> None:
    """Write a run; the file is replaced as a whole, so that it is complete at any time."""
    partial = Path(f"{path}.part")
    partial.write_text(json.dumps({"meta": meta, "rows": [row.to_json() for row in rows]}, indent=1) + "\n")
    partial.replace(path)


def load_json(path: str) -> tuple[dict, list[Row]]:
    """The header and the rows of a run that save_json wrote."""
    data = json.loads(Path(path).read_text())
    return data["meta"], [Row.from_json(entry) for entry in data["rows"]]
