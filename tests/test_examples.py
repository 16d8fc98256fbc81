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


@pytest.mark.parametrize("name", NAMES)
def test_short_form(name, tmp_path):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    printed = run(EXAMPLES / f"{name}.py", tmp_path, "--short")
    pictures = list(tmp_path.glob("*.png"))
    assert pictures
    assert all(map(is_png, pictures))
    assert all(picture.name in printed for picture in pictures)
    assert not re.search(r"\bnan\b", printed)


def losses(printed: str) -> list[float]:
    return [float(loss) for loss in LOSS.findall(printed)]


def test_compiled_main_job_prints_the_same_losses(tmp_path):
    options = ("--epochs", "3", "--seed", "1")
    plain = losses(run(EXAMPLES / "diabetes_fnn.py", tmp_path, *options))
    compiled = losses(run(EXAMPLES / "diabetes_fnn.py", tmp_path, *options, "--compile"))
    assert len(plain) == 3
    np.testing.assert_allclose(compiled, plain, atol=2e-6)


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
