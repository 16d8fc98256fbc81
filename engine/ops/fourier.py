"""Discrete Fourier transforms of one or more dimensions, short-time transforms. Computed on the host."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod, sqrt
from typing import Any

import numpy as np

from .. import dtypes
from ..autograd.variable import Tensor
from ..dtypes import scalar_type_name
from .complex_numbers import view_as_real
from .creation import FULL, cast, from_array, zeros_of
from .join import cat
from .linalg_factor import conj, host_op
from .pad import constant_pad_nd
from .publish import function
from .views import wrap_dim


# -- primitives: unnormalised transforms times a number ---------------------------------------------------------------
def _run_c2c(x: np.ndarray, dims: tuple, scale: float, forward: bool) -> np.ndarray:
    out = np.fft.fftn(x, axes=dims) if forward else np.fft.ifftn(x, axes=dims, norm="forward")
    return out * scale


_c2c = host_op(
    "fft_c2c",
    lambda x, dims, scale, forward: (tuple(x.shape), x.dtype),
    _run_c2c,
    lambda ctx, g: (_c2c((g,), (*ctx.static[:2], not ctx.static[2])),),
)


def _halved(shape: Sequence[int], d: int) -> tuple[int, ...]:
    return (*shape[:d], shape[d] // 2 + 1, *shape[d + 1 :])


def _r2c_grad(ctx: Any, g: Tensor) -> tuple:
    """The full inverse transform of the gradient with zeros in the missing half, real part."""
    dims, scale = ctx.static
    full = _resized(g, dims[-1], ctx.specs[0].shape[dims[-1]])
    return (_c2c((full,), (dims, scale, False)).real,)


_r2c = host_op(
    "fft_r2c",
    lambda x, dims, scale: (_halved(tuple(x.shape), dims[-1]), x.dtype.to_complex()),
    lambda x, dims, scale: np.fft.rfftn(x, axes=dims) * scale,
    _r2c_grad,
)


def _run_c2r(x: np.ndarray, dims: tuple, scale: float, n: int) -> np.ndarray:
    sizes = [x.shape[d] for d in dims[:-1]] + [n]
    return np.fft.irfftn(x, sizes, axes=dims, norm="forward") * scale


def _c2r_grad(ctx: Any, g: Tensor) -> tuple:
    """The real transform of the gradient; entries that stand for two conjugate ones count twice."""
    dims, scale, n = ctx.static
    out = _r2c((g,), (dims, scale))
    d, double = dims[-1], (n - 1) // 2
    if double:
        weight = np.ones(n // 2 + 1)
        weight[1 : double + 1] = 2
        shape = [1] * out._spec.ndim
        shape[d] = -1
        real = out._spec.dtype.to_real()
        factor = from_array(weight.astype(real.numpy), real, out._spec.device).reshape(shape)
        out = out * factor
    return (_resized(out, d, ctx.specs[0].shape[d]),)


_c2r = host_op(
    "fft_c2r",
    lambda x, dims, scale, n: ((*x.shape[: dims[-1]], n, *x.shape[dims[-1] + 1 :]), x.dtype.to_real()),
    _run_c2r,
    _c2r_grad,
)


# -- arguments --------------------------------------------------------------------------------------------------------
def _resized(x: Tensor, d: int, n: int) -> Tensor:
    """Cut or filled with zeros to length n along a dimension."""
    have = x._spec.shape[d]
    if n < have:
        return x.narrow(d, 0, n)
    if n > have:
        shape = (*x._spec.shape[:d], n - have, *x._spec.shape[d + 1 :])
        return cat([x, zeros_of(shape, x._spec.dtype, x._spec.device)], d)
    return x


def _promoted(name: str, x: Tensor, complex_: bool) -> Tensor:
    dtype = x._spec.dtype
    if not x._spec.floating:
        dtype = dtypes.default.get()
    if dtype in (dtypes.float16, dtypes.bfloat16, dtypes.complex32):
        raise RuntimeError(f"Unsupported dtype {scalar_type_name(dtype)}")
    if complex_ and not dtype.is_complex:
        dtype = dtype.to_complex()
    return x if dtype is x._spec.dtype else cast(x, dtype)


def _scale(norm: str | None, forward: bool, count: int) -> float:
    norm = norm or "backward"
    if norm not in ("backward", "ortho", "forward"):
        raise RuntimeError(f'Invalid normalization mode: "{norm}"')
    if norm == "ortho":
        return 1 / sqrt(count)
    return 1 / count if (norm == "forward") == forward else 1.0


def _dims(x: Tensor, s: Any, dim: Any) -> tuple[tuple[int, ...], list[int]]:
    """Transformed dimensions and their sizes (of the signal)."""
    ndim = x._spec.ndim
    if isinstance(s, int):
        s = (s,)
    if dim is None:
        dim = range(ndim) if s is None else range(ndim - len(s), ndim)
    elif isinstance(dim, int):
        dim = (dim,)
    if not ndim and len(dim):
        raise IndexError(f"Dimension specified as {next(iter(dim))} but tensor has no dimensions")
    dims = tuple(wrap_dim(d, ndim) for d in dim)
    if len(set(dims)) != len(dims):
        raise RuntimeError("FFT dims must be unique")
    if s is not None and len(s) != len(dims):
        raise RuntimeError("When given, dim and shape arguments must have the same length")
    if s is not None and len(s) > ndim:
        raise RuntimeError(f"Got shape with {len(s)} values but input tensor only has {ndim} dimensions.")
    sizes = [x._spec.shape[d] if s is None or s[i] == -1 else s[i] for i, d in enumerate(dims)]
    for n in sizes:
        if n < 1:
            raise RuntimeError(f"Invalid number of data points ({n}) specified")
    return dims, sizes


def c2c(name: str, x: Tensor, s: Any, dim: Any, norm: str | None, forward: bool) -> Tensor:
    """Complex transform of several dimensions."""
    x = _promoted(name, x, True)
    dims, sizes = _dims(x, s, dim)
    for d, n in zip(dims, sizes):
        x = _resized(x, d, n)
    return _c2c((x,), (dims, _scale(norm, forward, prod(sizes)), forward)) if dims else x


def r2c(name: str, x: Tensor, s: Any, dim: Any, norm: str | None, forward: bool) -> Tensor:
    """Transform of real numbers, the non-negative frequencies of the last dimension; conjugated if not forward."""
    if x._spec.dtype.is_complex:
        raise RuntimeError(f"{name} expects a real input tensor, but got {scalar_type_name(x._spec.dtype)}")
    x = _promoted(name, x, False)
    dims, sizes = _dims(x, s, dim)
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")
    for d, n in zip(dims, sizes):
        x = _resized(x, d, n)
    out = _r2c((x,), (dims, _scale(norm, forward, prod(sizes))))
    return out if forward else conj(out)


def c2r(name: str, x: Tensor, s: Any, dim: Any, norm: str | None, forward: bool) -> Tensor:
    """Real signal of a half spectrum (of its conjugate if forward)."""
    x = _promoted(name, x, True)
    dims, sizes = _dims(x, s, dim)
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")
    last = sizes[-1]
    if s is None or (s if isinstance(s, int) else s[-1]) == -1:
        last = 2 * (sizes[-1] - 1)
    if last < 1:
        raise RuntimeError(f"Invalid number of data points ({last}) specified")
    for d, n in zip(dims, [*sizes[:-1], last // 2 + 1]):
        x = _resized(x, d, n)
    scale = _scale(norm, forward, prod([*sizes[:-1], last]))
    return _c2r((conj(x) if forward else x,), (dims, scale, last))


# -- the family -------------------------------------------------------------------------------------------------------
def _publish(stem: str, run: Any, forward: bool, doc: str) -> None:
    def one(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
        return run(stem, input, n, dim, norm, forward)

    def two(
        input: Tensor, s: Sequence[int] | None = None, dim: Sequence[int] = (-2, -1), norm: str | None = None
    ) -> Tensor:
        return run(stem + "2", input, s, dim, norm, forward)

    def several(
        input: Tensor, s: Sequence[int] | None = None, dim: Sequence[int] | None = None, norm: str | None = None
    ) -> Tensor:
        return run(stem + "n", input, s, dim, norm, forward)

    for call, suffix, what in ((one, "", "one dimension"), (two, "2", "two dimensions"), (several, "n", "dimensions")):
        call.__name__ = call.__qualname__ = f"fft_{stem}{suffix}"
        call.__doc__ = f"{doc} along {what}. norm: 'backward' (default), 'ortho' or 'forward'."
        function(torch=False, method=False, out=True)(call)


for _stem, _run, _forward, _doc in (
    ("fft", c2c, True, "Discrete Fourier transform"),
    ("ifft", c2c, False, "Inverse discrete Fourier transform"),
    ("rfft", r2c, True, "Transform of real numbers (non-negative frequencies of the last dimension)"),
    ("irfft", c2r, False, "Inverse of rfft"),
    ("hfft", c2r, True, "Transform of a Hermitian-symmetric signal"),
    ("ihfft", r2c, False, "Inverse of hfft"),
):
    _publish(_stem, _run, _forward, _doc)


def _shift(name: str, sign: int) -> None:
    def call(input: Tensor, dim: Any = None) -> Tensor:
        ndim = input._spec.ndim
        dims = range(ndim) if dim is None else (dim,) if isinstance(dim, int) else dim
        dims = tuple(wrap_dim(d, ndim) for d in dims)
        sizes = [input._spec.shape[d] for d in dims]
        return input.roll(tuple(n // 2 if sign > 0 else (n + 1) // 2 for n in sizes), dims) if dims else input

    call.__name__ = call.__qualname__ = name
    call.__doc__ = "Moves the zero frequency to the centre." if sign > 0 else "Undoes fftshift."
    function(torch=False, method=False)(call)


_shift("fft_fftshift", 1)
_shift("fft_ifftshift", -1)


# -- short-time transforms --------------------------------------------------------------------------------------------
def _padded_window(window: Tensor | None, win_length: int, n_fft: int, dtype: dtypes.dtype, device: Any) -> Tensor:
    if window is None:
        window = FULL((win_length,), 1, dtype, device)
    left = (n_fft - win_length) // 2
    if win_length == n_fft:
        return window
    kind = window._spec.dtype
    return cat([zeros_of((left,), kind, device), window, zeros_of((n_fft - win_length - left,), kind, device)], 0)


def _check_frames(name: str, window: Tensor | None, win_length: int, n_fft: int, hop: int, length: int) -> None:
    if n_fft <= 0 or n_fft > length:
        raise RuntimeError(f"{name}: expected 0 < n_fft < {length}, but got n_fft={n_fft}")
    if hop <= 0:
        raise RuntimeError(f"{name}: expected hop_length > 0, but got hop_length={hop}")
    if not 0 < win_length <= n_fft:
        raise RuntimeError(f"{name}: expected 0 < win_length <= n_fft, but got win_length={win_length}")
    if window is not None and tuple(window._spec.shape) != (win_length,):
        raise RuntimeError(
            f"{name}: expected a 1D window tensor of size equal to win_length={win_length}, but got window with size "
            f"{list(window._spec.shape)}"
        )


def _side_padded(x: Tensor, side: int, mode: str) -> Tensor:
    """(batch, n) with ``side`` elements more at both ends, by the rules of nn.functional.pad."""
    n = x._spec.shape[-1]
    if mode == "constant":
        return constant_pad_nd(x, (side, side))
    rules = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    if mode not in rules:
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    if side >= n and mode == "reflect" or side > n and mode == "circular":
        raise RuntimeError(
            f"Argument #4: Padding size should be less than the corresponding input dimension, but got: "
            f"padding ({side}, "
            f"{side}) at dimension 2 of input {[1, *x._spec.shape]}"
        )
    index = np.pad(np.arange(n), side, rules[mode])
    return x.index_select(-1, from_array(index, dtypes.int64, x._spec.device))


@function()
def stft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Tensor:
    """Spectra (..., frequencies, frames) of windows of a signal (length,) or (batch, length), ``hop_length`` apart."""
    seen = input._spec
    is_complex = seen.dtype.is_complex or (window is not None and window._spec.dtype.is_complex)
    if return_complex is None and not is_complex:
        raise RuntimeError(
            "stft requires the return_complex parameter be given for real inputs, and will further require that "
            "return_complex=True in a future PyTorch release."
        )
    if seen.ndim not in (1, 2):
        raise RuntimeError(f"stft: expected a 1D or 2D tensor, but got {seen.ndim}D")
    x = input if seen.ndim == 2 else input.unsqueeze(0)
    hop = n_fft // 4 if hop_length is None else hop_length
    win_length = n_fft if win_length is None else win_length
    if center:
        side = n_fft // 2
        x = _side_padded(x, side, pad_mode)
    _check_frames("stft", window, win_length, n_fft, hop, x._spec.shape[-1])
    frames = x.unfold(-1, n_fft, hop)
    frames = frames * _padded_window(window, win_length, n_fft, seen.dtype, seen.device)
    one = not is_complex if onesided is None else onesided
    if one and is_complex:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    norm = "ortho" if normalized else None
    run = r2c if one else c2c
    out = run("stft", frames, None, -1, norm, True).transpose(1, 2)
    out = out if seen.ndim == 2 else out.squeeze(0)
    return out if return_complex or (return_complex is None and is_complex) else view_as_real(out)


@function()
def istft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Tensor:
    """Signal of a short-time spectrum: least squares by overlap-add (Griffin and Lim 1984)."""
    seen = input._spec
    if not seen.dtype.is_complex:
        raise RuntimeError(
            "istft requires a complex-valued input tensor matching the output from stft with return_complex=True."
        )
    x = input if seen.ndim == 3 else input.unsqueeze(0)
    hop = n_fft // 4 if hop_length is None else hop_length
    win_length = n_fft if win_length is None else win_length
    one = x._spec.shape[1] != n_fft if onesided is None else onesided
    frames = x.transpose(1, 2)
    count = frames._spec.shape[1]
    total = n_fft + hop * (count - 1)
    _check_frames("istft", window, win_length, n_fft, hop, total)
    norm = "ortho" if normalized else None
    if return_complex:
        frames = c2c("istft", frames, None, -1, norm, False)
    elif one:
        frames = c2r("istft", frames, n_fft, -1, norm, False)
    else:
        frames = c2c("istft", frames, None, -1, norm, False).real
    win = _padded_window(window, win_length, n_fft, seen.dtype.to_real(), seen.device)
    place = zeros_of((total,), dtypes.int64, seen.device).add(1).cumsum(0) - 1
    place = place.unfold(0, n_fft, hop).reshape(-1)
    flat = (frames * win).reshape(frames._spec.shape[0], -1)
    signal = zeros_of((flat._spec.shape[0], total), flat._spec.dtype, seen.device).index_add(1, place, flat)
    weight = zeros_of((total,), win._spec.dtype, seen.device)
    weight = weight.index_add(0, place, (win * win).expand(count, n_fft).reshape(-1))
    start = n_fft // 2 if center else 0
    end = start + length if length is not None else total - start if center else total
    stop = min(end, total)
    weight = weight[start:stop]
    if bool((weight.abs() < 1e-11).any().item()):
        raise RuntimeError("istft: window overlap add min: 1")
    signal = signal[:, start:stop] / weight
    if end > total:
        signal = _resized(signal, 1, end - start)
    return signal if seen.ndim == 3 else signal.squeeze(0)
