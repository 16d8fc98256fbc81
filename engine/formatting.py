"""Text of a tensor, character for character as torch prints it.

Only what is shown is read: of a large tensor the first and last `edgeitems` of each dimension, and the column width is
decided from these alone.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from . import dtypes

Segments = tuple[tuple[tuple[int, int], ...], ...]
"""For each dimension the (start, stop) ranges to read: one for all of it, two for its edges."""


@dataclass
class PrintOptions:
    """What `set_printoptions` sets; `options` is the instance in force."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


options = PrintOptions()

_PROFILES = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors are printed: NumPy's options of the same names.

    profile: "default", "short" or "full", applied before the others. sci_mode: force scientific notation on or off;
    None (also when not given) chooses by the values.
    """
    changes = dict(_PROFILES.get(profile, {}))
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    changes.update((name, value) for name, value in given.items() if value is not None)
    for name, value in changes.items():
        setattr(options, name, value)
    options.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """The options in force, as keyword arguments of `set_printoptions`."""
    return asdict(options)


@contextlib.contextmanager
def printoptions(**changes: Any) -> Iterator[None]:
    """Options for the body of a `with` statement; the arguments of `set_printoptions`."""
    before = get_printoptions()
    set_printoptions(**changes)
    try:
        yield
    finally:
        set_printoptions(**before)


def needed_segments(shape: Sequence[int], opts: PrintOptions = options) -> Segments:
    """The ranges of each dimension that printing a tensor of this shape reads.

    A tensor of at most `threshold` elements is read whole; of a larger one, a dimension longer than twice `edgeitems`
    is read at its edges. Nothing is read (an empty range in each dimension) where no element is shown.
    """
    if math.prod(shape) <= opts.threshold:
        return tuple(((0, n),) for n in shape)
    edge = opts.edgeitems
    if not edge and shape:
        return tuple(((0, 0),) for _ in shape)
    return tuple(((0, edge), (n - edge, n)) if n > 2 * edge else ((0, n),) for n in shape)


def needed_indices(shape: Sequence[int], opts: PrintOptions = options) -> tuple[np.ndarray, ...]:
    """`needed_segments` as one int64 index vector a dimension, for `array[np.ix_(*needed_indices(array.shape))]`."""
    segments = needed_segments(shape, opts)
    return tuple(np.concatenate([np.arange(*r, dtype=np.int64) for r in ranges]) for ranges in segments)


class _Column:
    """Chooses the notation and width shared by all shown numbers, and writes one of them."""

    def __init__(self, shown: np.ndarray, floating: bool, opts: PrintOptions) -> None:
        self.width = 1
        self._write: Callable[[Any], str] = str
        numbers = shown.reshape(-1)
        if floating:
            numbers = numbers[np.isfinite(numbers) & (numbers != 0)]
            self._choose_notation(numbers, opts)
        self.width = max([1, *(len(self._write(value)) for value in numbers.tolist())])

    def _choose_notation(self, numbers: np.ndarray, opts: PrintOptions) -> None:
        """Notation for floats from their finite, non-zero values: integer with a point, fixed, or scientific."""
        whole, scientific = True, False
        if numbers.size:
            whole = bool((numbers == np.ceil(numbers)).all())
            scientific = opts.sci_mode
            if scientific is None:
                magnitude = np.abs(numbers.astype(np.float64))
                low, high = float(magnitude.min()), float(magnitude.max())
                scientific = high / low > 1000.0 or high > 1.0e8 or low < 1.0e-4
        if scientific:
            spec = f".{opts.precision}e"
        elif whole:
            self._write = _whole_float
            return
        else:
            spec = f".{opts.precision}f"
        self._write = lambda value: format(value, spec)

    def format(self, value: Any) -> str:
        return self._write(value).rjust(self.width)


def _whole_float(value: float) -> str:
    text = f"{value:.0f}"
    return text + "." if math.isfinite(value) else text


class _ComplexColumn:
    """Two columns; the imaginary part is written without padding, with its sign."""

    def __init__(self, shown: np.ndarray, opts: PrintOptions) -> None:
        self._real = _Column(shown.real, True, opts)
        self._imag = _Column(shown.imag, True, opts)
        self.width = self._real.width + self._imag.width + 1

    def format(self, value: complex) -> str:
        imag = self._imag.format(value.imag).lstrip() + "j"
        sign = "" if imag[0] in "+-" else "+"
        return self._real.format(value.real) + sign + imag


class _Body:
    """Writes the bracketed numbers."""

    def __init__(self, shown: np.ndarray, shape: Sequence[int], dtype: dtypes.dtype, opts: PrintOptions) -> None:
        self._shape = shape
        self._opts = opts
        self._summarize = math.prod(shape) > opts.threshold
        self._shown = shown
        self._column = (
            _ComplexColumn(shown, opts) if dtype.is_complex else _Column(shown, dtype.is_floating_point, opts)
        )

    def write(self, indent: int) -> str:
        if self._summarize and not self._opts.edgeitems and self._shape:
            return "[...]"
        return self._write(self._shown.tolist(), 0, indent)

    def _write(self, values: Any, axis: int, indent: int) -> str:
        dims_left = len(self._shape) - axis
        if dims_left == 0:
            return self._column.format(values)
        edge = self._opts.edgeitems
        cut = self._summarize and self._shape[axis] > 2 * edge
        if dims_left == 1:
            parts = [self._column.format(value) for value in values]
        else:
            parts = [self._write(value, axis + 1, indent + 1) for value in values]
        if cut:
            parts.insert(edge, " ..." if dims_left == 1 else "...")
        if dims_left == 1:
            return self._wrap(parts, indent)
        return "[" + ("," + "\n" * (dims_left - 1) + " " * (indent + 1)).join(parts) + "]"

    def _wrap(self, parts: list[str], indent: int) -> str:
        per_line = max(1, (self._opts.linewidth - indent) // (self._column.width + 2))
        lines = [", ".join(parts[i : i + per_line]) for i in range(0, len(parts), per_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _with_suffixes(text: str, suffixes: list[str], indent: int, opts: PrintOptions) -> str:
    """`text` and the suffixes, each on a line of its own where the line would get too long."""
    used = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if used + len(suffix) + 2 > opts.linewidth:
            text += ",\n" + " " * indent + suffix
            used = indent + len(suffix)
        else:
            text += ", " + suffix
            used += len(suffix) + 2
    return text + ")"


def _shows_dtype(dtype: dtypes.dtype, empty: bool) -> bool:
    """Whether the dtype cannot be told from the numbers."""
    default = dtypes.get_default_dtype()
    if empty:
        return dtype is not default
    default_complex = dtypes.complex128 if default is dtypes.float64 else dtypes.complex64
    return dtype not in (default, default_complex, dtypes.int64, dtypes.bool_)


def format_tensor(
    values: np.ndarray | Callable[[Segments], np.ndarray] | None,
    dtype: dtypes.dtype,
    *,
    shape: Sequence[int] | None = None,
    device: str | None = None,
    requires_grad: bool = False,
    grad_fn: str | None = None,
    tangent: str | None = None,
    type_name: str = "tensor",
    is_parameter: bool = False,
    opts: PrintOptions = options,
) -> str:
    """The `repr` of a tensor.

    values: the whole array; or, with `shape`, what `needed_segments(shape)` selects of it (the outer product of the
    ranges, joined along each dimension), or a function that takes the segments and returns that; or None with `shape`
    for a tensor without data ("meta"). bfloat16 is given as float32 and complex32 as complex64.
    device: shown as `device='...'`; None where torch shows none (the default device).
    grad_fn: name of the autograd node, `"AddBackward0"`; hides `requires_grad=True`.
    tangent: text of the forward-mode tangent. type_name: class name of a tensor subclass.
    is_parameter: put `Parameter containing:` before it.
    """
    if shape is None:
        if not isinstance(values, np.ndarray):
            raise TypeError("format_tensor: shape is needed unless values is the whole array")
        shape = values.shape
    shape = tuple(int(n) for n in shape)
    indent = len(type_name) + 1
    empty = math.prod(shape) == 0
    suffixes = [] if device is None else [f"device='{device}'"]
    if values is None or (empty and len(shape) != 1) or (not empty and not opts.edgeitems):
        suffixes.append(f"size={shape}")
    if _shows_dtype(dtype, empty or values is None):
        suffixes.append(f"dtype={dtype}")
    if values is None:
        text = "..."
    elif empty:
        text = "[]"
    else:
        text = _Body(_shown(values, shape, opts), shape, dtype, opts).write(indent)
    if grad_fn is not None:
        suffixes.append(f"grad_fn=<{grad_fn}>")
    elif requires_grad:
        suffixes.append("requires_grad=True")
    if tangent is not None:
        suffixes.append(f"tangent={tangent}")
    text = _with_suffixes(f"{type_name}({text}", suffixes, indent, opts)
    return f"Parameter containing:\n{text}" if is_parameter else text


def _shown(
    values: np.ndarray | Callable[[Segments], np.ndarray], shape: tuple[int, ...], opts: PrintOptions
) -> np.ndarray:
    """The shown part of the values, as an array with as many dimensions as `shape`."""
    segments = needed_segments(shape, opts)
    wanted = tuple(sum(stop - start for start, stop in ranges) for ranges in segments)
    shown = np.asarray(values) if isinstance(values, np.ndarray) else np.asarray(values(segments))
    if shown.shape == shape != wanted:
        shown = shown[np.ix_(*needed_indices(shape, opts))]
    if shown.shape != wanted:
        raise ValueError(f"format_tensor: expected values of shape {wanted} or {shape}, got {shown.shape}")
    return shown
