"""``python -m engine``: devices and their health."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from engine.opencl.selfcheck import devices_report
from engine.settings import settings


def _devices(arguments: argparse.Namespace) -> int:
    report = devices_report(check=not arguments.no_check)
    print(report)
    return 1 if "FAILED" in report or report.startswith("No usable") else 0


def _settings(arguments: argparse.Namespace) -> int:
    print(settings.describe())
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
    arguments = parser.parse_args(argv)
    return arguments.run(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
