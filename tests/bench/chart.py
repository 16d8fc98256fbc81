"""The chart of a run. Needs matplotlib, which nothing else here does: import this module only to draw."""

from __future__ import annotations

from matplotlib import pyplot

from tests.bench.figures import REQUIRED, Row, summarise
from tests.bench.report import describe


def save_chart(path: str, meta: dict, rows: list[Row]) -> None:
    """Bars of the ratios by group on a logarithmic axis, with the line where both take the same time."""
    drawn = [row for row in rows if row.ratio is not None]
    groups = list(dict.fromkeys(row.group for row in drawn))
    colours = pyplot.get_cmap("tab10")
    pyplot.switch_backend("Agg")
    figure, axes = pyplot.subplots(figsize=(10, 1.5 + 0.17 * (len(drawn) + 2 * len(groups))), layout="constrained")
    position, ticks = 0.0, []
    for index, group in enumerate(groups):
        members = [row for row in drawn if row.group == group]
        mean = next(entry.mean for entry in summarise(members))
        need = f", required {REQUIRED[group].mean:g}" if group in REQUIRED else ""
        position += 1.2
        axes.text(0, position, f" {group}: geometric mean {mean:.2f}{need}", transform=axes.get_yaxis_transform(),
                  va="center", fontsize=8, weight="bold", color=colours(index))  # fmt: skip
        for row in members:
            position += 1
            axes.barh(position, row.ratio - 1, left=1, height=0.8, color=colours(index))
            if row.required is not None:
                axes.plot([row.required] * 2, [position - 0.45, position + 0.45], color="black", linewidth=1)
            axes.text(row.ratio, position, f" {row.ratio:.2f} ", va="center", fontsize=5,
                      ha="left" if row.ratio >= 1 else "right")  # fmt: skip
            ticks.append((position, row.name))
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_yticks([p for p, _ in ticks], [name for _, name in ticks], fontsize=6)
    axes.set_ylim(position + 1, 0)
    axes.margins(x=0.08)
    axes.set_xlabel("torch time / engine time (above 1: engine is faster); black ticks: required of the row")
    axes.set_title(describe(meta), fontsize=6)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
