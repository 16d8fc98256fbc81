"""Degrees of orthogonal polynomials between whole numbers, and window dtypes, against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import engine

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("name", ["chebyshev_polynomial_t", "hermite_polynomial_h", "legendre_polynomial_p"])
def test_degrees_are_truncated(name: str) -> None:
    x, n = np.linspace(-0.9, 0.9, 9), np.array([-2.0, -1.0, -0.5, 0.0, 0.7, 1.0, 1.9, 2.0, 3.5])
    ours, theirs = (getattr(t.special, name)(t.tensor(x), t.tensor(n)).numpy() for t in (engine, torch))
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def test_windows_want_float32_or_float64() -> None:
    for module in (engine, torch):
        for dtype in (module.float16, module.int64):
            with pytest.raises(ValueError, match="expects float32 or float64 dtypes"):
                module.signal.windows.gaussian(5, dtype=dtype)


def test_pixels_of_empty_batches() -> None:
    shuffled = engine.nn.functional.pixel_shuffle(engine.zeros(0, 4, 2, 2), 2)
    assert shuffled.shape == (0, 1, 4, 4)
    assert engine.nn.functional.pixel_unshuffle(shuffled, 2).shape == (0, 4, 2, 2)
