"""Measured choices of product variants: stored, found again, and used."""

from __future__ import annotations

import numpy as np
import pytest
from launching import device_caps

import engine as torch
from engine.graph.library.gemm import candidates, choose, tuned
from engine.graph.library.gemm.tuning import problem_of, store, tune
from engine.opencl import default_runtime


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.config, "cache_dir", str(tmp_path))


def test_choices_are_kept_for_the_device():
    caps, other = device_caps(), device_caps(name="another device")
    problem = problem_of((1, 61, 129, 90, "NN"))
    listed = candidates(caps, problem)
    assert tuned(caps) == {}
    store(caps, {problem.key: listed[-1]})
    path = store(caps, {problem_of((1, 8, 8, 8, "NT")).key: listed[0]})
    assert len(tuned(caps)) == 2 and tuned(other) == {}
    assert choose(caps, problem, tuned(caps)) == listed[-1]
    path.write_text("{")
    store(other, {})  # forgets what was read
    assert tuned(caps) == {}


def test_tune_measures_and_products_stay_right():
    runtime = default_runtime()
    lines = list(tune(runtime, shapes=((1, 61, 129, 90, "NN"), (2, 33, 40, 50, "NT"))))
    assert len(lines) == 3 and "GFLOP/s" in lines[0] and "stored" in lines[-1]
    a, b = (np.random.default_rng(0).standard_normal(s).astype(np.float32) for s in ((61, 90), (90, 129)))
    store(
        runtime.caps,
        {problem_of((1, 61, 129, 90, "NN")).key: candidates(runtime.caps, problem_of((1, 61, 129, 90, "NN")))[-1]},
    )
    np.testing.assert_allclose((torch.from_numpy(a) @ torch.from_numpy(b)).numpy(), a @ b, atol=1e-4)
