"""Element types: the `dtype` objects, promotion rules, numeric limits and NumPy conversions.

The module cannot bind `bool`, `int` or `float` without hiding the builtins; `NAMESPACE` holds every dtype under all of
torch's names (aliases included) and `from engine.dtypes import bool, int, float` works through module `__getattr__`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import Any, NoReturn

import numpy as np


class dtype:
    """An element type. Instances are interned: compare them with `is` or `==`.

    Attributes
    ----------
    name: torch's name without the prefix, `"float32"`.
    itemsize: bytes per element.
    numpy: the NumPy dtype that holds the stored bits; bfloat16 is held as uint16, complex32 as uint32.
    cl: OpenCL C type of a stored element.
    compute: the dtype arithmetic is done in (float32 for the 16-bit floats, complex64 for complex32, else itself).
    scalar_name: the C++-style name (`"Float"`, `"BFloat16"`) used in messages and in `torch.FloatStorage`.
    """

    __slots__ = (
        "_complex",
        "_index",
        "_real",
        "_repr",
        "abbr",
        "cl",
        "compute",
        "is_complex",
        "is_floating_point",
        "is_signed",
        "itemsize",
        "name",
        "numpy",
        "scalar_name",
    )

    name: str
    itemsize: int
    is_floating_point: bool
    is_complex: bool
    is_signed: bool
    numpy: np.dtype
    cl: str
    compute: dtype
    scalar_name: str
    abbr: str

    def __new__(cls, *args: object) -> NoReturn:
        raise TypeError("cannot create 'torch.dtype' instances")

    def __repr__(self) -> str:
        return self._repr

    def __reduce__(self) -> tuple:
        return _by_name, (self.name,)

    def __copy__(self) -> dtype:
        return self

    def __deepcopy__(self, memo: dict) -> dtype:
        return self

    @property
    def is_integral(self) -> bool:
        """True for the integer types and bool."""
        return not (self.is_floating_point or self.is_complex)

    def to_real(self) -> dtype:
        """The dtype of the real part: itself unless complex."""
        return self._real

    def to_complex(self) -> dtype:
        """The complex dtype whose real part holds this one; RuntimeError for integer types."""
        if self._complex is None:
            raise RuntimeError(f"Unknown Complex ScalarType for {self.scalar_name}")
        return self._complex


def _by_name(name: str) -> dtype:
    return NAMESPACE[name]


def _make(name: str, kind: str, np_name: str, cl: str, scalar_name: str, abbr: str) -> dtype:
    d = object.__new__(dtype)
    d.name = name
    d.numpy = np.dtype(np_name)
    d.itemsize = d.numpy.itemsize
    d.is_floating_point = kind == "f"
    d.is_complex = kind == "c"
    d.is_signed = kind in "fci"
    d.cl = cl
    d.compute = d
    d.scalar_name = scalar_name
    d.abbr = abbr
    d._index = len(_ALL)
    d._repr = f"torch.{name}"
    d._real = d
    d._complex = d if kind == "c" else None
    _ALL.append(d)
    return d


_ALL: list[dtype] = []

uint8 = _make("uint8", "u", "uint8", "uchar", "Byte", "u8")
int8 = _make("int8", "i", "int8", "char", "Char", "i8")
int16 = _make("int16", "i", "int16", "short", "Short", "i16")
int32 = _make("int32", "i", "int32", "int", "Int", "i32")
int64 = _make("int64", "i", "int64", "long", "Long", "i64")
float16 = _make("float16", "f", "float16", "half", "Half", "f16")
float32 = _make("float32", "f", "float32", "float", "Float", "f32")
float64 = _make("float64", "f", "float64", "double", "Double", "f64")
complex32 = _make("complex32", "c", "uint32", "ushort2", "ComplexHalf", "c32")
complex64 = _make("complex64", "c", "complex64", "float2", "ComplexFloat", "c64")
complex128 = _make("complex128", "c", "complex128", "double2", "ComplexDouble", "c128")
bool_ = _make("bool", "b", "bool", "uchar", "Bool", "b8")
bfloat16 = _make("bfloat16", "f", "uint16", "ushort", "BFloat16", "bf16")
uint16 = _make("uint16", "u", "uint16", "ushort", "UInt16", "u16")
uint32 = _make("uint32", "u", "uint32", "uint", "UInt32", "u32")
uint64 = _make("uint64", "u", "uint64", "ulong", "UInt64", "u64")

float16.compute = bfloat16.compute = float32
complex32.compute = complex64
for _real, _cplx in ((float16, complex32), (float32, complex64), (float64, complex128)):
    _real._complex = _cplx
    _cplx._real = _real
bfloat16._complex = complex64

half, double, short, long = float16, float64, int16, int64
chalf, cfloat, cdouble = complex32, complex64, complex128

ALL: tuple[dtype, ...] = tuple(_ALL)
"""Every dtype once."""

NAMESPACE: dict[str, dtype] = {d.name: d for d in ALL} | {
    "half": float16,
    "float": float32,
    "double": float64,
    "short": int16,
    "int": int32,
    "long": int64,
    "chalf": complex32,
    "cfloat": complex64,
    "cdouble": complex128,
}
"""All of torch's dtype names, aliases included."""


def __getattr__(name: str) -> dtype:
    if name in ("bool", "int", "float"):
        return NAMESPACE[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# ---------------------------------------------------------------------------------------------------------------
# promotion

_WIDE_UNSIGNED = (uint16, uint32, uint64)


def _rank(d: dtype) -> int:
    """Order of the types among which the larger one always wins (bfloat16, uint8, wide unsigned handled apart)."""
    order = (bool_, int8, int16, int32, int64, float16, float32, float64, complex32, complex64, complex128)
    return order.index(d)


def _promote(a: dtype, b: dtype) -> dtype | None:
    """One entry of the promotion table; None where torch refuses."""
    if a is b:
        return a
    if a in _WIDE_UNSIGNED or b in _WIDE_UNSIGNED:
        other = b if a in _WIDE_UNSIGNED else a
        return other if other.is_floating_point else None
    if uint8 in (a, b):
        other = b if a is uint8 else a
        return {int8: int16, bool_: uint8}.get(other, other)
    if bfloat16 in (a, b):
        other = b if a is bfloat16 else a
        if other.is_integral:
            return bfloat16
        return {float16: float32, complex32: complex64}.get(other, other)
    if a.is_complex != b.is_complex:
        cplx, other = (a, b) if a.is_complex else (b, a)
        if other.is_integral:
            return cplx
        b, a = cplx, other.to_complex()
    return a if _rank(a) > _rank(b) else b


_PROMOTED: dict[tuple[dtype, dtype], dtype] = {
    (a, b): result for a in ALL for b in ALL if (result := _promote(a, b)) is not None
}


def _need_dtype(function: str, argument: str, position: int, value: Any) -> None:
    if not isinstance(value, dtype):
        kind = type(value).__name__
        raise TypeError(f"{function}(): argument '{argument}' (position {position}) must be torch.dtype, not {kind}")


def promote_types(type1: dtype, type2: dtype) -> dtype:
    """The smallest dtype that holds both, by torch's table.

    Raises TypeError for arguments that are no dtypes and RuntimeError where torch defines no promotion (uint16, uint32
    and uint64 with other integers, bool or complex types).
    """
    result = _PROMOTED.get((type1, type2)) if isinstance(type1, dtype) else None
    if result is not None:
        return result
    _need_dtype("promote_types", "type1", 1, type1)
    _need_dtype("promote_types", "type2", 2, type2)
    raise RuntimeError(
        "Promotion for uint16, uint32, uint64 types is not supported, attempted to promote "
        f"{type1.scalar_name} and {type2.scalar_name}"
    )


class Category(IntEnum):
    """How much an operand weighs in type promotion."""

    DIMENSIONED = 0
    """A tensor with at least one dimension."""
    ZERO_DIM = 1
    """A tensor without dimensions."""
    WRAPPED = 2
    """A Python number."""


def _combine(higher: dtype | None, lower: dtype | None) -> dtype | None:
    """Result of a category and the next weaker one: the weaker counts only where its kind is larger."""
    if higher is None or lower is None:
        return higher or lower
    if higher.is_complex:
        return higher
    if higher.is_floating_point:
        return higher.to_complex() if lower.is_complex else higher
    if not lower.is_integral:
        return lower
    return promote_types(higher, lower) if higher is bool_ else higher


def result_type(operands: Iterable[tuple[dtype, int]]) -> dtype:
    """Dtype of an operation over `(dtype, category)` pairs (see `Category`), by torch's rules.

    Python numbers are given as any dtype of their kind (bool, int64, a float, a complex type): the default dtype
    replaces floating-point and complex ones. Raises RuntimeError as `promote_types` does, ValueError without operands.
    """
    found: list[dtype | None] = [None, None, None]
    for d, category in operands:
        if category == 2:
            if d.is_floating_point:
                d = default.get()
            elif d.is_complex:
                d = default.get_complex()
        seen = found[category]
        found[category] = d if seen is None or seen is d else promote_types(seen, d)
    result = _combine(found[0], _combine(found[1], found[2]))
    if result is None:
        raise ValueError("result_type: expected at least one operand")
    return result


def scalar_result_type(tensor_dtype: dtype, value: Any) -> dtype:
    """Dtype of an operation between a tensor and a Python number: the fast path of `result_type`."""
    kind = type(value)
    if kind is float:
        return tensor_dtype if not tensor_dtype.is_integral else default.get()
    if kind is int:
        return int64 if tensor_dtype is bool_ else tensor_dtype
    if kind is bool:
        return tensor_dtype
    return _combine(tensor_dtype, from_python(value))


def can_cast(from_: dtype, to: dtype) -> bool:
    """Whether torch's casting rules let a result of type `from_` be stored as `to` (out= and in-place operations)."""
    _need_dtype("can_cast", "from_", 1, from_)
    _need_dtype("can_cast", "to", 2, to)
    if from_.is_complex:
        return to.is_complex
    if from_.is_floating_point:
        return not to.is_integral
    return from_ is bool_ or to is not bool_


# ---------------------------------------------------------------------------------------------------------------
# defaults


class DefaultDtype:
    """Holder of the default floating-point dtype; the module's one instance is `default`."""

    __slots__ = ("_complex", "_float", "_watchers")

    def __init__(self) -> None:
        self._float = float32
        self._complex = complex64
        self._watchers: list[Callable[[], None]] = []

    def before_change(self, watcher: Callable[[], None]) -> None:
        """Call ``watcher()`` each time before another default is set: for caches of what follows from it."""
        self._watchers.append(watcher)

    def get(self) -> dtype:
        """Dtype of Python floats and of tensors made without a dtype."""
        return self._float

    def get_complex(self) -> dtype:
        """Dtype of Python complex numbers."""
        return self._complex

    def set(self, d: dtype) -> None:
        """Set it; TypeError unless `d` is a floating-point dtype."""
        if not isinstance(d, dtype):
            raise TypeError("invalid dtype object: only floating-point types are supported as the default type")
        if not d.is_floating_point:
            raise TypeError("only floating-point types are supported as the default type")
        if d is not self._float:
            for watcher in self._watchers:
                watcher()
        self._float = d
        self._complex = d.to_complex()


default = DefaultDtype()


def get_default_dtype() -> dtype:
    """The default floating-point dtype, float32 unless set."""
    return default.get()


def set_default_dtype(d: dtype, /) -> None:
    """Set the default floating-point dtype; TypeError unless it is one."""
    default.set(d)


def from_python(value: Any) -> dtype:
    """Dtype torch infers for a Python or NumPy scalar; RuntimeError for anything else."""
    if isinstance(value, np.generic):
        return from_numpy_dtype(value.dtype)
    if isinstance(value, bool):
        return bool_
    if isinstance(value, int):
        return int64
    if isinstance(value, float):
        return default.get()
    if isinstance(value, complex):
        return default.get_complex()
    raise RuntimeError(f"Could not infer dtype of {type(value).__name__}")


# ---------------------------------------------------------------------------------------------------------------
# NumPy

_FROM_NUMPY: dict[np.dtype, dtype] = {d.numpy: d for d in ALL if d not in (bfloat16, complex32)}


def from_numpy_dtype(np_dtype: Any) -> dtype:
    """The dtype of a NumPy dtype (or anything `np.dtype` accepts), byte order aside; TypeError where there is none."""
    np_dtype = np.dtype(np_dtype)
    found = _FROM_NUMPY.get(np_dtype) or _FROM_NUMPY.get(np_dtype.newbyteorder("="))
    if found is None:
        raise TypeError(
            f"can't convert np.ndarray of type numpy.{np_dtype.type.__name__}. The only supported types are: float64, "
            "float32, float16, complex64, complex128, int64, int32, int16, int8, uint64, uint32, uint16, uint8, and "
            "bool."
        )
    return found


def float32_to_bfloat16(values: np.ndarray) -> np.ndarray:
    """Bits (uint16) of `values` rounded to bfloat16, ties to even; every NaN becomes 0x7FC0. Same shape."""
    values = np.asarray(values, dtype=np.float32)
    bits = values.view(np.uint32)
    rounded = ((bits + (np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1)))) >> np.uint32(16)).astype(
        np.uint16
    )
    nan = np.isnan(values)
    return np.where(nan, np.uint16(0x7FC0), rounded) if nan.any() else rounded


def bfloat16_to_float32(bits: np.ndarray) -> np.ndarray:
    """float32 values of bfloat16 bits (uint16), exact. Same shape."""
    return (np.asarray(bits, dtype=np.uint16).astype(np.uint32) << np.uint32(16)).view(np.float32)


def complex64_to_complex32(values: np.ndarray) -> np.ndarray:
    """Bits (uint32: real half in the low 16 bits) of `values` rounded to two float16. Same shape."""
    values = np.asarray(values, dtype=np.complex64, order="C")
    pairs = values[..., None].view(np.float32).astype(np.float16)
    return pairs.view(np.uint32)[..., 0]


def complex32_to_complex64(bits: np.ndarray) -> np.ndarray:
    """complex64 values of complex32 bits (uint32), exact. Same shape."""
    bits = np.asarray(bits, dtype=np.uint32, order="C")
    return bits[..., None].view(np.float16).astype(np.float32).view(np.complex64)[..., 0]


def to_storage(values: np.ndarray, d: dtype) -> np.ndarray:
    """`values` converted to `d` and held as `d.numpy` (the bits, for bfloat16 and complex32). Same shape."""
    if d is bfloat16:
        return float32_to_bfloat16(values)
    if d is complex32:
        return complex64_to_complex32(values)
    return np.asarray(values).astype(d.numpy, copy=False)


def from_storage(stored: np.ndarray, d: dtype) -> np.ndarray:
    """The values of an array that holds `d` as `d.numpy`: float32 for bfloat16, complex64 for complex32, else as is."""
    if d is bfloat16:
        return bfloat16_to_float32(stored)
    if d is complex32:
        return complex32_to_complex64(stored)
    return stored


# ---------------------------------------------------------------------------------------------------------------
# limits


class finfo:
    """Limits of a floating-point dtype (of the real part for a complex one); the default dtype without argument.

    Attributes: bits, eps, max, min, tiny, smallest_normal, resolution (floats), dtype (a name).
    """

    __slots__ = ("bits", "dtype", "eps", "max", "min", "resolution", "smallest_normal", "tiny")

    def __init__(self, type: dtype | None = None) -> None:
        if type is None:
            type = default.get()
        _need_dtype("finfo", "type", 1, type)
        if type.is_integral:
            raise TypeError(f"torch.finfo() requires a floating point input type. Use torch.iinfo to handle '{type!r}'")
        real = type.to_real()
        digits, mantissa, low = {
            float16: (3, 10, -14),
            bfloat16: (2, 7, -126),
            float32: (6, 23, -126),
            float64: (15, 52, -1022),
        }[real]
        self.bits = real.itemsize * 8
        self.eps = 2.0**-mantissa
        self.max = (2.0 - self.eps) * 2.0 ** (1 - low)
        self.min = -self.max
        self.tiny = self.smallest_normal = 2.0**low
        self.resolution = float(f"1e-{digits}")
        self.dtype = real.name

    def __repr__(self) -> str:
        shown = ("resolution", "min", "max", "eps", "smallest_normal", "tiny")
        return f"finfo({', '.join(f'{a}={getattr(self, a):g}' for a in shown)}, dtype={self.dtype})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, finfo) and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash(("finfo", self.dtype))


class iinfo:
    """Limits of an integer dtype. Attributes: bits, max, min (ints), dtype (a name)."""

    __slots__ = ("bits", "dtype", "max", "min")

    def __init__(self, type: dtype) -> None:
        _need_dtype("iinfo", "type", 1, type)
        if not type.is_integral:
            raise TypeError(f"torch.iinfo() requires an integer input type. Use torch.finfo to handle '{type!r}'")
        if type is bool_:
            raise TypeError("torch.bool is not supported by torch.iinfo")
        self.bits = type.itemsize * 8
        self.max = 2 ** (self.bits - type.is_signed) - 1
        self.min = -self.max - 1 if type.is_signed else 0
        self.dtype = type.name

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, iinfo) and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash(("iinfo", self.dtype))


_SCALAR_TYPES = {
    "float32": "Float", "float64": "Double", "float16": "Half", "bfloat16": "BFloat16", "int8": "Char", "uint8": "Byte",
    "int16": "Short", "int32": "Int", "int64": "Long", "bool": "Bool", "complex64": "ComplexFloat",
    "complex128": "ComplexDouble", "uint16": "UInt16", "uint32": "UInt32", "uint64": "UInt64",
        "complex32": "ComplexHalf",
}  # fmt: skip


def scalar_type_name(dtype: dtype) -> str:
    """ "Float", "Long": how torch's messages call a dtype."""
    return _SCALAR_TYPES[dtype.name]
