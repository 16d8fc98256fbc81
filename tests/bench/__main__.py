"""Command line of the benchmark; see the package's docstring."""

from __future__ import annotations

import argparse
import datetime
import importlib
import sys
import tempfile

import tests.bench
from tests.bench import report, workload
from tests.bench.figures import Row, summarise
from tests.bench.process import Child, ChildError
from tests.bench.runner import Effort, run

# One folder for every cache of a side: engine's own, the OpenCL implementation's, pyopencl's.
CACHE_VARIABLES = ("XDG_CACHE_HOME", "ENGINE_CACHE_DIR", "POCL_CACHE_DIR")


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=tests.bench.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--group", action="append", default=[], help="only this group (may be repeated)")
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="only workloads whose name has NAME"
    )
    parser.add_argument("--list", action="store_true", help="print the names of the workloads and stop")
    parser.add_argument("--rounds", type=int, help="rounds A B (default 5, 2 with --quick)")
    parser.add_argument("--quick", action="store_true", help="short measurements, two rounds")
    parser.add_argument("--threads", type=int, default=2, help="threads of each side (default 2)")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds until a workload counts as hung")
    parser.add_argument("--cold-cache", action="store_true", help="run engine with an empty kernel cache")
    parser.add_argument("--json", metavar="FILE", help="write all figures to FILE, anew after each row")
    parser.add_argument("--chart", metavar="FILE.png", help="draw the ratios (needs matplotlib)")
    parser.add_argument("--markdown", action="store_true", help="print the tables for the README at the end")
    parser.add_argument("--from-json", metavar="FILE", help="report an earlier run instead of measuring")
    parser.add_argument("--strict", action="store_true", help="fail if a required figure is missed")
    parser.add_argument("--traceback", action="store_true", help="show what the sides write to standard error")
    parser.add_argument("--torch-module", default="torch", help=argparse.SUPPRESS)
    parser.add_argument("--engine-module", default="engine", help="module to measure (default engine)")
    return parser


def measure(args: argparse.Namespace) -> tuple[dict, list[Row]]:
    """Run the selected workloads, printing each row as it is done."""
    selected = list(workload.select(args.group, args.only))
    effort = Effort(rounds=args.rounds or (2 if args.quick else 5), timeout=args.timeout)
    if args.quick:
        effort = Effort(effort.rounds, 0.01, effort.timeout, patience=1)
    with tempfile.TemporaryDirectory() as folder:
        env = dict.fromkeys(CACHE_VARIABLES, folder) if args.cold_cache else {}
        sides = (
            Child(args.torch_module, args.threads, loud=args.traceback),
            Child(args.engine_module, args.threads, env=env, loud=args.traceback),
        )
        try:
            hellos = [child.ask(effort.timeout, do="hello") for child in sides]
            meta = {
                "date": datetime.date.today().isoformat(),
                "processor": report.processor(),
                "threads": args.threads,
                "rounds": effort.rounds,
                "sides": hellos,
            }
            print(report.describe(meta), flush=True)
            for hello in hellos:
                if hello["trouble"]:
                    print(f"{hello['module']} cannot make a training step: {hello['trouble']}", flush=True)
            rows: list[Row] = []
            try:
                for row in run(selected, sides, effort):
                    if not rows or rows[-1].group != row.group:
                        print(f"\n{row.group}\n{report.header()}")
                    rows.append(row)
                    print(report.line(row), flush=True)
                    if args.json:
                        report.save_json(args.json, meta, rows)
            except KeyboardInterrupt:
                print("\ninterrupted; what was measured so far:")
        finally:
            for child in sides:
                child.close()
    return meta, rows


def main() -> int:
    args = arguments().parse_args()
    workload.load()
    if args.list:
        for _, entry in workload.select(args.group, args.only):
            print(f"{entry.group:<16}{entry.name}")
        return 0
    if args.from_json:
        meta, rows = report.load_json(args.from_json)
    elif not any(workload.select(args.group, args.only)):
        print("no workload of that name; --list shows them", file=sys.stderr)
        return 2
    else:
        try:
            meta, rows = measure(args)
        except ChildError as error:
            print(f"cannot start a side: {error}", file=sys.stderr)
            return 2
    summaries = summarise(rows)
    print("\n" + "\n".join(report.summary_lines(summaries)))
    if args.chart:
        importlib.import_module("tests.bench.chart").save_chart(args.chart, meta, rows)
    if args.markdown:
        print("\n" + report.markdown(meta, rows))
    broken = any(row.verdict.startswith(("FAILED", "WRONG")) for row in rows)
    return int(broken or (args.strict and not all(entry.ok for entry in summaries)))


if __name__ == "__main__":
    sys.exit(main())
