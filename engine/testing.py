"""torch.testing: comparing values within the tolerances of their dtype, and making random test tensors."""

from __future__ import annotations

import cmath
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import dtypes, ops
from .device import device as Device
from .tensor import Tensor, values_of

__all__ = ["assert_close", "make_tensor"]

# (relative, absolute); all others are compared exactly.
_TOLERANCES = {
    dtypes.float16: (1e-3, 1e-5),
    dtypes.bfloat16: (1.6e-2, 1e-5),
    dtypes.float32: (1.3e-6, 1e-5),
    dtypes.float64: (1e-7, 1e-7),
    dtypes.complex32: (1e-3, 1e-5),
    dtypes.complex64: (1.3e-6, 1e-5),
    dtypes.complex128: (1e-7, 1e-7),
}
_NUMBERS = {int: dtypes.int64, float: dtypes.float64, complex: dtypes.complex128}


class _Mismatch(Exception):
    """Two values differ. ``path``: the keys that lead to them, outermost first."""

    def __init__(self, message: str, path: tuple = ()) -> None:
        place = "".join(f"[{key!r}]" for key in path)
        super().__init__(f"{message}\n\nThe failure occurred for item {place}" if path else message)


@dataclass(frozen=True)
class _Rules:
    """What counts as close."""

    allow_subclasses: bool
    rtol: float | None
    atol: float | None
    equal_nan: bool
    check_device: bool
    check_dtype: bool
    check_layout: bool
    check_stride: bool

    def tolerances(self, *found: dtypes.dtype) -> tuple[float, float]:
        """(relative, absolute): as given, or the largest of the dtypes compared."""
        if self.rtol is not None and self.atol is not None:
            return self.rtol, self.atol
        pairs = [_TOLERANCES.get(d, (0.0, 0.0)) for d in found]
        return max(p[0] for p in pairs), max(p[1] for p in pairs)


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Raise AssertionError unless ``|actual - expected| <= atol + rtol * |expected|`` everywhere.

    Args:
        actual, expected: tensors, arrays, numbers, booleans, None, or (nested) sequences and mappings of them.
        rtol, atol: both or neither; by default they follow from the dtypes.
        equal_nan: NaN equals NaN.
        msg: the message instead of the usual one, or a function that makes it from the usual one.

    Raises ValueError for one tolerance without the other, TypeError for values that cannot be compared.
    """
    if (rtol is None) != (atol is None):
        raise ValueError(
            f"Both 'rtol' and 'atol' must be either specified or omitted, but got no "
            f"{'rtol' if rtol is None else 'atol'}."
        )
    rules = _Rules(allow_subclasses, rtol, atol, equal_nan, check_device, check_dtype, check_layout, check_stride)
    try:
        for path, ours, theirs in _pairs(actual, expected, rules, ()):
            _compare(ours, theirs, rules, path)
    except _Mismatch as mismatch:
        message = str(mismatch)
        raise AssertionError(message if msg is None else msg(message) if callable(msg) else msg) from None


# -- structure ------------------------------------------------------------------------------------------------------
def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _pairs(actual: Any, expected: Any, rules: _Rules, path: tuple) -> Iterator[tuple[tuple, Any, Any]]:
    """(path, actual, expected) of all values in two structures."""
    if _is_sequence(actual) and _is_sequence(expected):
        if len(actual) != len(expected):
            raise _Mismatch(f"The length of the sequences mismatch: {len(actual)} != {len(expected)}", path)
        for i, (ours, theirs) in enumerate(zip(actual, expected)):
            yield from _pairs(ours, theirs, rules, (*path, i))
    elif isinstance(actual, Mapping) and isinstance(expected, Mapping):
        missing, additional = set(expected) - set(actual), set(actual) - set(expected)
        if missing or additional:
            raise _Mismatch(
                f"The keys of the mappings do not match:\n"
                f"Missing keys in the actual mapping: {_listed(missing)}\n"
                f"Additional keys in the actual mapping: {_listed(additional)}",
                path,
            )
        for key in actual:
            yield from _pairs(actual[key], expected[key], rules, (*path, key))
    else:
        yield path, actual, expected


def _listed(keys: set) -> list:
    try:
        return sorted(keys)
    except TypeError:
        return list(keys)


# -- values ---------------------------------------------------------------------------------------------------------
def _compare(actual: Any, expected: Any, rules: _Rules, path: tuple) -> None:
    if actual is None or expected is None:
        if actual is not expected:
            raise _Mismatch(f"None mismatch: {actual} is not {expected}", path)
    elif _both(actual, expected, (bool, np.bool_)):
        if bool(actual) is not bool(expected):
            raise _Mismatch(f"Booleans mismatch: {bool(actual)} is not {bool(expected)}", path)
    elif _both(actual, expected, (int, float, complex, np.number)):
        _compare_numbers(actual, expected, rules, path)
    elif _tensor_likes(actual, expected, rules):
        _compare_tensors(_as_tensor(actual), _as_tensor(expected), rules, path)
    else:
        raise TypeError(
            f"No comparison pair was able to handle inputs of type {type(actual)} and {type(expected)}."
            + (f"\n\nThe failure occurred for item {''.join(f'[{k!r}]' for k in path)}" if path else "")
        )


def _both(actual: Any, expected: Any, types: tuple) -> bool:
    return isinstance(actual, types) and isinstance(expected, types)


def _tensor_likes(actual: Any, expected: Any, rules: _Rules) -> bool:
    if not _both(actual, expected, (Tensor, np.ndarray)):
        return False
    ours, theirs = type(actual), type(expected)
    return ours is theirs or (rules.allow_subclasses and (issubclass(ours, theirs) or issubclass(theirs, ours)))


def _as_tensor(value: Any) -> Tensor:
    return value if isinstance(value, Tensor) else ops.from_numpy(np.ascontiguousarray(value).reshape(value.shape))


def _compare_numbers(actual: Any, expected: Any, rules: _Rules, path: tuple) -> None:
    ours, theirs = (v.item() if isinstance(v, np.number) else v for v in (actual, expected))
    if rules.check_dtype and type(ours) is not type(theirs):
        raise _Mismatch(f"The (d)types do not match: {type(ours)} != {type(theirs)}.", path)
    rtol, atol = rules.tolerances(*(_NUMBERS[type(v) if type(v) in _NUMBERS else int] for v in (ours, theirs)))
    _check_scalars(ours, theirs, rtol, atol, rules, path)


def _check_scalars(ours: Any, theirs: Any, rtol: float, atol: float, rules: _Rules, path: tuple) -> None:
    if rules.equal_nan and ours != ours and theirs != theirs:
        return
    if ours == theirs:
        return
    difference = abs(ours - theirs)
    finite = cmath.isfinite(ours) and cmath.isfinite(theirs)
    if finite and difference <= atol + rtol * abs(theirs):
        return
    relative = difference / abs(theirs) if theirs else math.inf
    exact = not rtol and not atol
    raise _Mismatch(
        f"Scalars are not {'equal' if exact else 'close'}!\n\n"
        f"Expected {theirs} but got {ours}.\n"
        f"Absolute difference: {difference}{_allowed(atol, exact)}\n"
        f"Relative difference: {relative}{_allowed(rtol, exact)}",
        path,
    )


def _allowed(tolerance: float, exact: bool) -> str:
    return "" if exact else f" (up to {tolerance} allowed)"


def _compare_tensors(actual: Tensor, expected: Tensor, rules: _Rules, path: tuple) -> None:
    checks = {
        "shape": True, "device": rules.check_device, "dtype": rules.check_dtype, "layout": rules.check_layout,
    }  # fmt: skip
    for name, wanted in checks.items():
        if wanted:
            _same(name, getattr(actual, name), getattr(expected, name), path)
    if rules.check_stride:
        _same("stride()", actual.stride(), expected.stride(), path)
    rtol, atol = rules.tolerances(actual.dtype, expected.dtype)
    dtype = dtypes.promote_types(actual.dtype, expected.dtype)
    ours, theirs = (_comparable(values_of(t.detach().to(dtype=dtype))) for t in (actual, expected))
    with np.errstate(all="ignore"):
        if not actual.ndim:
            _check_scalars(ours.item(), theirs.item(), rtol, atol, rules, path)
        else:
            _check_arrays(ours, theirs, dtype, rtol, atol, rules, path)


def _same(name: str, ours: Any, theirs: Any, path: tuple) -> None:
    if ours != theirs:
        raise _Mismatch(f"The values for attribute '{name}' do not match: {ours} != {theirs}.", path)


def _comparable(array: np.ndarray) -> np.ndarray:
    """Integers and booleans as int64 (uint64 stays), so that differences do not wrap."""
    return array if array.dtype.kind in "fc" or array.dtype == np.uint64 else array.astype(np.int64)


def _check_arrays(
    ours: np.ndarray, theirs: np.ndarray, dtype: dtypes.dtype, rtol: float, atol: float, rules: _Rules, path: tuple
) -> None:
    exact = not rtol and not atol
    same = ours == theirs
    if not exact:
        a, b = (v.astype(np.complex128 if v.dtype.kind == "c" else np.float64) for v in (ours, theirs))
        same |= (np.abs(a - b) <= atol + rtol * np.abs(b)) & np.isfinite(a) & np.isfinite(b)
    if rules.equal_nan and ours.dtype.kind in "fc":
        same |= np.isnan(ours) & np.isnan(theirs)
    if same.all():
        return
    difference = (
        np.where(theirs > ours, theirs - ours, ours - theirs) if ours.dtype.kind == "u" else np.abs(ours - theirs)
    )
    if ours.dtype.kind in "iu":
        relative = (difference.astype(np.float32) / np.abs(theirs).astype(np.float32)).astype(np.float32)
    else:
        difference = _rounded(difference, dtype)
        relative = _rounded(difference / np.abs(theirs), dtype)
    wrong = int(same.size - same.sum())
    lines = [
        f"Tensor-likes are not {'equal' if exact else 'close'}!\n",
        f"Mismatched elements: {wrong} / {same.size} ({wrong / same.size:.1%})",
        f"Greatest absolute difference: {_greatest(difference, same)}{_allowed(atol, exact)}",
        f"Greatest relative difference: {_greatest(relative, same)}{_allowed(rtol, exact)}",
    ]
    raise _Mismatch("\n".join(lines), path)


def _rounded(values: np.ndarray, dtype: dtypes.dtype) -> np.ndarray:
    """To the precision of the dtype compared."""
    if dtype is dtypes.bfloat16:
        return dtypes.from_storage(dtypes.to_storage(values.astype(np.float32), dtype), dtype)
    return values.astype(np.float16) if dtype is dtypes.float16 else values


def _greatest(values: np.ndarray, same: np.ndarray) -> str:
    """The largest value among mismatches with its index; NaN counts as the largest."""
    shown = np.where(same, np.zeros((), values.dtype), values)
    index = np.unravel_index(int(np.argmax(shown)), shown.shape)  # NumPy's argmax stops at NaN
    return f"{shown[index].item()} at index {tuple(int(i) for i in index)}"


# -- random tensors -------------------------------------------------------------------------------------------------
def make_tensor(
    *shape: Any,
    dtype: dtypes.dtype,
    device: Any,
    low: float | None = None,
    high: float | None = None,
    requires_grad: bool = False,
    noncontiguous: bool = False,
    exclude_zero: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """A tensor of random values in ``[low, high)``, kept within the range of the dtype.

    Defaults of (low, high): bool (0, 2), uint8 (0, 10), other integers (-9, 10), floats and complex parts (-9, 9).
    ``noncontiguous``: every second element along the last dimension. ``exclude_zero``: zeros become the smallest
    positive value. Raises ValueError for bounds out of order or NaN, or arguments that contradict each other.
    """
    sizes = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], Sequence) else tuple(shape)
    integral = not (dtype.is_floating_point or dtype.is_complex)
    if noncontiguous and memory_format is not None:
        raise ValueError(
            f"The parameters `noncontiguous` and `memory_format` are mutually exclusive, but got {noncontiguous=} and "
            f"{memory_format=}"
        )
    if requires_grad and integral:
        raise ValueError(f"`requires_grad=True` is not supported for boolean and integral dtypes, but got {dtype=}")
    first, last = _bounds(dtype, integral, low, high)
    where = Device(device)
    if integral:
        made = ops.randint(int(first), int(last), sizes, dtype=dtypes.int64, device=where).to(dtype)
    elif dtype.is_complex:
        parts = _uniform((*sizes, 2), dtype.to_real(), first, last, where)
        made = ops.view_as_complex(parts)
    else:
        made = _uniform(sizes, dtype, first, last, where)
    if exclude_zero:
        tiny = 1 if integral else dtypes.finfo(dtype.to_real() if dtype.is_complex else dtype).tiny
        made = made.masked_fill(made == 0, tiny)
    if noncontiguous and made.numel() > 1:
        made = made.repeat_interleave(2, dim=-1)[..., ::2]
    elif memory_format is not None:
        made = made.contiguous(memory_format=memory_format)
    return made.detach().requires_grad_() if requires_grad else made


def _bounds(dtype: dtypes.dtype, integral: bool, low: float | None, high: float | None) -> tuple[float, float]:
    """(low, high) as asked for or by default, within the dtype's range."""
    if dtype is dtypes.bool:
        lowest, highest, usual = 0, 2, (0, 2)
    elif integral:
        info = dtypes.iinfo(dtype)
        lowest, highest, usual = (
            info.min,
            info.max + (dtype is not dtypes.int64 and dtype is not dtypes.uint64),
            (-9, 10),
        )
        highest = min(highest, (1 << 63) - 1)
        if not dtype.is_signed:
            usual = (0, 10)
    else:
        limits = dtypes.finfo(dtype.to_real() if dtype.is_complex else dtype)
        lowest, highest, usual = limits.min, limits.max, (-9, 9)
    first, last = usual[0] if low is None else low, usual[1] if high is None else high
    if first != first or last != last:
        raise ValueError(f"`low` and `high` cannot be NaN, but got low={first} and high={last}")
    if first == last and not integral:
        warnings.warn(
            "Passing `low==high` to `torch.testing.make_tensor` for floating or complex types is deprecated. Use "
            "`torch.full(...)` instead.",
            FutureWarning,
            stacklevel=3,
        )
    elif first >= last:
        raise ValueError(f"`low` must be less than `high`, but got {first} >= {last}")
    elif last <= lowest or first >= highest:
        raise ValueError(
            f"The value interval specified by `low` and `high` is [{first}, {last}), but {dtype} only supports "
            f"[{lowest}, "
            f"{highest})"
        )
    first, last = max(lowest, min(first, highest)), max(lowest, min(last, highest))
    return (math.ceil(first), math.ceil(last)) if integral else (first, last)


def _uniform(sizes: tuple, dtype: dtypes.dtype, low: float, high: float, device: Device) -> Tensor:
    """Uniform in [low, high); 16-bit floats are rounded from float32. Halves keep the width within range."""
    wide = dtype if dtype.itemsize >= 4 else dtypes.float32
    unit = ops.rand(sizes, dtype=wide, device=device)
    return (low * (1 - unit) + high * unit).to(dtype)
