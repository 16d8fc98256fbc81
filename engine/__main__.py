"""``python -m engine``: devices and their health, and running programs that were written for PyTorch."""

from __future__ import annotations

import argparse
import os
import runpy
import sys
from collections.abc import Sequence

from engine import aliases
from engine.as_torch import install_as_torch
from engine.graph.library.gemm.tuning import tune
from engine.opencl import default_runtime
from engine.opencl.selfcheck import devices_report
from engine.settings import let_children_import, settings


def _devices(arguments: argparse.Namespace) -> int:
    report = devices_report(check=not arguments.no_check)
    print(report)
    return 1 if "FAILED" in report or report.startswith("No usable") else 0


def _settings(arguments: argparse.Namespace) -> int:
    print(settings.describe())
    return 0


def _tune(arguments: argparse.Namespace) -> int:
    """Measure variants of matrix products on the default device; later processes use the choices."""
    for line in tune(default_runtime()):
        print(line, flush=True)
    return 0


def _run(arguments: argparse.Namespace) -> int:
    """Run a script or module whose ``import torch`` means this library, here and in the processes it starts."""
    words = arguments.program
    as_module = words[:1] == ["-m"]
    words = words[1:] if as_module or words[:1] == ["--"] else words
    if not words:
        print("python -m engine run: name a script, or a module after -m", file=sys.stderr)
        return 2
    install_as_torch()
    folder = aliases.__path__[0]
    let_children_import(folder)
    sys.path.insert(1, folder)  # multiprocessing hands its children this path
    sys.argv[:] = words
    if as_module:
        sys.path[0] = os.getcwd()
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = os.path.dirname(os.path.abspath(words[0]))
        runpy.run_path(words[0], run_name="__main__")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand (default: devices). Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m engine", description=__doc__)
    parser.set_defaults(run=_devices, no_check=False)
    commands = parser.add_subparsers(title="commands")
    devices = commands.add_parser("devices", help="list OpenCL devices and check each (the default command)")
    devices.add_argument("--no-check", action="store_true", help="only list")
    devices.set_defaults(run=_devices)
    commands.add_parser("settings", help="list the ENGINE_* settings and their values").set_defaults(run=_settings)
    commands.add_parser(
        "tune", help="measure kernel variants on the default device and store the fastest for later processes"
    ).set_defaults(run=_tune)
    run = commands.add_parser(
        "run", help="run a program written for PyTorch: run script.py args..., or run -m module args..."
    )
    run.add_argument("program", nargs=argparse.REMAINDER, metavar="script.py args...")
    run.set_defaults(run=_run)
    arguments = parser.parse_args(argv)
    return arguments.run(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
