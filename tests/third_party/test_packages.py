"""Real packages from PyPI written for PyTorch, unmodified, under ``install_as_torch()``.

Each program of ``programs.py`` runs in a process of its own, in which ``torch`` is this library; its numbers are
compared with PyTorch's: computed now where PyTorch is installed, else those in ``golden.json``. A package that is not
installed is skipped; ``pip install --no-deps -r requirements.txt`` in this folder installs all of them.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from . import programs

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
TOLERANCE = 1e-3  # of the mean magnitude of a value


def run(name: str, file: Path, *library: str) -> list[dict[str, Any]]:
    """The numbers of a program, run in a child process."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-W", "ignore", str(FOLDER / "programs.py"), name, str(file), *library]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(file.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    return json.loads((FOLDER / "golden.json").read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(programs.PROGRAMS))
def test_program_gives_torchs_numbers(name: str, golden: dict[str, Any], tmp_path: Path) -> None:
    package = programs.PACKAGES[name]
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    ours = run(name, tmp_path / "engine.json", "engine")
    theirs = run(name, tmp_path / "torch.json") if importlib.util.find_spec("torch") else golden[name]
    assert [v["shape"] for v in ours] == [v["shape"] for v in theirs]
    for number, (mine, other) in enumerate(zip(ours, theirs)):
        count = max(1, math.prod(other["shape"]))
        bound = TOLERANCE * max(other["magnitude"] / count, 1e-9)
        assert mine["elements"] == pytest.approx(other["elements"], abs=bound), f"value {number}"
        assert mine["sum"] / count == pytest.approx(other["sum"] / count, abs=bound), f"value {number}"
