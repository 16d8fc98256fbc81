"""Fourier transforms and windows against torch: values, gradients, second derivatives."""

import numpy as np
import pytest

import engine

torch = pytest.importorskip("torch")
NORMS = (None, "ortho", "forward", "backward")


def array(*shape, kind="complex", seed=0):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal(shape)
    return a + 1j * rng.standard_normal(shape) if kind == "complex" else a


def compare(run, a):
    results = []
    for t in (engine, torch):
        x = t.tensor(a, requires_grad=True)
        out = run(t, x)
        total = (out * t.tensor(array(*out.shape, kind="real", seed=4))).sum().abs()
        (g,) = t.autograd.grad(total, x, create_graph=True)
        (h,) = t.autograd.grad((g.abs() ** 2).sum(), x, allow_unused=True)
        results.append([v.detach().resolve_conj().numpy() for v in (out, g, h) if v is not None])
    for mine, theirs in zip(*results):
        assert mine.dtype == theirs.dtype and mine.shape == theirs.shape
        np.testing.assert_allclose(mine, theirs, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
def test_one_dimension(name):
    kind = "real" if name in ("rfft", "ihfft") else "complex"
    for n, dim, norm in ((None, -1, None), (7, 0, "ortho"), (4, 1, "forward"), (10, 1, "backward")):
        compare(lambda t, x, n=n, dim=dim, norm=norm: getattr(t.fft, name)(x, n, dim, norm), array(3, 6, kind=kind))


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
def test_several_dimensions(name):
    kind = "real" if name in ("rfft", "ihfft") else "complex"
    a = array(2, 4, 5, kind=kind)
    compare(lambda t, x: getattr(t.fft, name + "2")(x, norm="ortho"), a)
    compare(lambda t, x: getattr(t.fft, name + "n")(x, (3, 6), (1, 0)), a)
    compare(lambda t, x: getattr(t.fft, name + "n")(x), a)


def test_helpers():
    for n in (5, 8):
        assert np.allclose(engine.fft.fftfreq(n, 0.5).numpy(), torch.fft.fftfreq(n, 0.5).numpy())
        assert np.allclose(engine.fft.rfftfreq(n).numpy(), torch.fft.rfftfreq(n).numpy())
    compare(lambda t, x: t.fft.ifftshift(t.fft.fftshift(x), dim=1) * t.fft.fftshift(x), array(3, 5))
    assert engine.fft.fft(engine.arange(4)).dtype is engine.complex64


def hann(t):
    return t.hann_window(16, dtype=t.float64)


def test_stft_and_istft():
    a = array(2, 50, kind="real")
    for options in (
        {},
        {"normalized": True, "hop_length": 3},
        {"center": False},
        {"onesided": False},
        {"pad_mode": "constant"},
    ):
        compare(lambda t, x, o=options: t.stft(x, 16, window=hann(t), return_complex=True, **o), a)

    def back(t, x):
        window = t.hamming_window(12, dtype=t.float64)
        spectrum = t.stft(x, 16, 4, 12, window, return_complex=True)
        return t.istft(spectrum, 16, 4, 12, window, length=50)

    compare(back, a)
    assert np.allclose(back(engine, engine.tensor(a)).numpy(), a)


WINDOWS = {
    "bartlett": {}, "blackman": {}, "cosine": {}, "exponential": {"tau": 2.0}, "gaussian": {"std": 1.5},
    "general_cosine": {"a": [0.4, 0.3, 0.3]}, "general_hamming": {"alpha": 0.6}, "hamming": {}, "hann": {},
    "kaiser": {"beta": 5.0}, "nuttall": {},
}  # fmt: skip


@pytest.mark.parametrize("name", WINDOWS)
def test_windows(name):
    for count in (0, 1, 6, 7):
        for sym in (True, False):
            mine, theirs = (getattr(t.signal.windows, name)(count, sym=sym, **WINDOWS[name]) for t in (engine, torch))
            assert mine.dtype is engine.float32
            np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "name", ["hann_window", "hamming_window", "blackman_window", "bartlett_window", "kaiser_window"]
)
def test_top_level_windows(name):
    for count in (1, 6, 7):
        for periodic in (True, False):
            mine, theirs = (getattr(t, name)(count, periodic, dtype=t.float64) for t in (engine, torch))
            np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-8, atol=1e-8)
