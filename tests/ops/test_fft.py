"""Fourier transforms against NumPy."""

import numpy as np
import pytest

import engine

A = np.random.default_rng(0).standard_normal((3, 8))


@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
def test_one_dimension(norm):
    z = A + 1j * A[::-1]
    for name, x in (("fft", z), ("ifft", z), ("rfft", A), ("irfft", z), ("hfft", z), ("ihfft", A)):
        found = getattr(engine.fft, name)(engine.tensor(x), 6, norm=norm).numpy()
        np.testing.assert_allclose(found, getattr(np.fft, name)(x, 6, norm=norm), atol=1e-12)


def test_dtypes_and_checks():
    assert engine.fft.fft(engine.ones(4)).dtype is engine.complex64
    assert engine.fft.irfft(engine.ones(4)).dtype is engine.float32
    with pytest.raises(RuntimeError, match="real input"):
        engine.fft.rfft(engine.ones(4, dtype=engine.complex64))
    with pytest.raises(RuntimeError, match="Invalid number of data points"):
        engine.fft.fft(engine.ones(4), 0)
    with pytest.raises(RuntimeError, match="unique"):
        engine.fft.fftn(engine.ones(4, 4), dim=(0, 0))


def test_round_trip_of_short_time_spectra():
    x = engine.tensor(A)
    window = engine.hann_window(4, dtype=engine.float64)
    spectrum = engine.stft(x, 4, 1, window=window, return_complex=True)
    np.testing.assert_allclose(engine.istft(spectrum, 4, 1, window=window, length=8).numpy(), A, atol=1e-12)
