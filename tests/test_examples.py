"""Every example runs in its short form, alike with and without engine.compile; the main job matches PyTorch."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py") if path.stem != "support")
NEEDS = {"resnet_picture": "PIL"}
pytestmark = pytest.mark.slow
LOSS = re.compile(r"Epoch\[\d+/\d+\], loss:(\d+\.\d{6})")


def run(program: Path, folder: Path, *options: str) -> str:
    """Run an example in a folder and return what it printed."""
    path = os.pathsep.join((str(EXAMPLES), str(EXAMPLES.parent), os.environ.get("PYTHONPATH", "")))
    done = subprocess.run(
        [sys.executable, program, *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def is_png(path: Path) -> bool:
    return path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def losses(printed: str) -> list[float]:
    return [float(loss) for loss in LOSS.findall(printed)]


def results(printed: str) -> list[float]:
    """The numbers in the lines that report on an epoch, a step or a class."""
    reports = [line for line in printed.splitlines() if re.match(r" *(epoch|step|[0-9.]+ %)", line, re.IGNORECASE)]
    return [float(number) for line in reports for number in re.findall(r"-?\d+\.\d+(?:e[-+]?\d+)?", line)]


@pytest.mark.parametrize("name", NAMES)
def test_short_form_with_and_without_compile(name, tmp_path):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    options = ("--short", "--seed", "1")
    printed = run(EXAMPLES / f"{name}.py", tmp_path, *options)
    pictures = list(tmp_path.glob("*.png"))
    assert pictures
    assert all(map(is_png, pictures))
    assert all(picture.name in printed for picture in pictures)
    found = results(printed)
    assert found
    assert np.isfinite(found).all()
    compiled = results(run(EXAMPLES / f"{name}.py", tmp_path, *options, "--compile"))
    np.testing.assert_allclose(compiled, found, rtol=2e-3, atol=2e-3)


def test_main_job_prints_the_losses_of_pytorch(tmp_path):
    pytest.importorskip("torch")
    program = (EXAMPLES / "diabetes_fnn.py").read_text()
    assert program.count("import engine as torch") == 1
    twin = tmp_path / "with_torch.py"
    twin.write_text(program.replace("import engine as torch", "import torch"))
    run(twin, tmp_path, "--epochs", "0", "--seed", "3", "--save-state", "start.pth")
    options = ("--epochs", "20", "--no-shuffle", "--load-state", "start.pth")
    theirs = losses(run(twin, tmp_path, *options, "--save-state", "theirs.pth"))
    ours = losses(run(EXAMPLES / "diabetes_fnn.py", tmp_path, *options))
    assert len(ours) == 20
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=5e-5)
