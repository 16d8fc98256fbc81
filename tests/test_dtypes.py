"""Dtypes: attributes, promotion, limits and bit conversions; compared with torch where it is installed."""

import copy
import itertools
import pickle

import numpy as np
import pytest

from engine import dtypes
from engine.dtypes import ALL, NAMESPACE, Category, promote_types, result_type

NAMES = [d.name for d in ALL]
SCALARS = (True, 3, 2.5, 1j)


@pytest.fixture
def restore_default():
    before = dtypes.get_default_dtype()
    yield
    dtypes.set_default_dtype(before)


def outcome(function, *args):
    """The text of the result, or of the error with its type."""
    try:
        return str(function(*args))
    except (RuntimeError, TypeError) as error:
        return f"{type(error).__name__}: {error}"


def test_interned_through_pickle_copy_and_aliases():
    for d in ALL:
        assert pickle.loads(pickle.dumps(d)) is d
        assert copy.copy(d) is d
        assert copy.deepcopy(d) is d
        assert NAMESPACE[d.name] is d
        assert repr(d) == str(d) == f"torch.{d.name}"
    assert NAMESPACE["half"] is dtypes.float16
    assert dtypes.float is dtypes.float32
    assert dtypes.int is dtypes.int32
    assert dtypes.bool is dtypes.bool_
    assert dtypes.long is dtypes.int64
    assert dtypes.cdouble is dtypes.complex128
    with pytest.raises(TypeError, match=r"cannot create 'torch\.dtype' instances"):
        dtypes.dtype()
    with pytest.raises(AttributeError, match="no attribute 'float7'"):
        _ = dtypes.float7


def test_storage_types():
    assert dtypes.bfloat16.numpy == np.uint16
    assert dtypes.bfloat16.cl == "ushort"
    assert dtypes.bool_.cl == "uchar"
    assert dtypes.complex64.cl == "float2"
    assert dtypes.bfloat16.compute is dtypes.float16.compute is dtypes.float32
    assert dtypes.float64.compute is dtypes.float64
    for d in ALL:
        assert d.numpy.itemsize == d.itemsize


def test_real_and_complex():
    assert dtypes.float16.to_complex() is dtypes.complex32
    assert dtypes.bfloat16.to_complex() is dtypes.complex64
    assert dtypes.complex128.to_real() is dtypes.float64
    assert dtypes.int8.to_real() is dtypes.int8
    with pytest.raises(RuntimeError, match="Unknown Complex ScalarType for Int"):
        dtypes.int32.to_complex()


def test_promotion_known_entries():
    assert promote_types(dtypes.uint8, dtypes.int8) is dtypes.int16
    assert promote_types(dtypes.bfloat16, dtypes.float16) is dtypes.float32
    assert promote_types(dtypes.float64, dtypes.complex64) is dtypes.complex128
    assert promote_types(dtypes.int64, dtypes.float16) is dtypes.float16
    with pytest.raises(RuntimeError, match="attempted to promote UInt16 and Int"):
        promote_types(dtypes.uint16, dtypes.int32)
    with pytest.raises(TypeError, match=r"argument 'type2' \(position 2\) must be torch.dtype, not int"):
        promote_types(dtypes.int8, 3)


def test_result_type_known_entries(restore_default):
    dim, zero, wrapped = Category.DIMENSIONED, Category.ZERO_DIM, Category.WRAPPED
    assert result_type([(dtypes.float16, dim), (dtypes.float64, zero)]) is dtypes.float16
    assert result_type([(dtypes.int32, dim), (dtypes.float64, wrapped)]) is dtypes.float32
    assert result_type([(dtypes.float16, dim), (dtypes.complex128, wrapped)]) is dtypes.complex32
    assert result_type([(dtypes.bool_, dim), (dtypes.int64, wrapped)]) is dtypes.int64
    dtypes.set_default_dtype(dtypes.float64)
    assert result_type([(dtypes.int32, dim), (dtypes.float32, wrapped)]) is dtypes.float64
    assert dtypes.from_python(1j) is dtypes.complex128
    with pytest.raises(ValueError, match="at least one"):
        result_type([])


def test_default_dtype_errors():
    with pytest.raises(TypeError, match="only floating-point types are supported as the default type"):
        dtypes.set_default_dtype(dtypes.complex64)
    with pytest.raises(TypeError, match="invalid dtype object"):
        dtypes.set_default_dtype("float32")


def test_from_python_and_numpy():
    assert [dtypes.from_python(v) for v in SCALARS] == [
        dtypes.bool_,
        dtypes.int64,
        dtypes.float32,
        dtypes.complex64,
    ]
    assert dtypes.from_python(np.float64(1)) is dtypes.float64
    assert dtypes.from_numpy_dtype(np.dtype(">i2")) is dtypes.int16
    assert dtypes.from_numpy_dtype("uint16") is dtypes.uint16
    with pytest.raises(TypeError, match=r"can't convert np.ndarray of type numpy\.str_"):
        dtypes.from_numpy_dtype("U3")
    with pytest.raises(RuntimeError, match="Could not infer dtype of object"):
        dtypes.from_python(object())


def test_bfloat16_rounding():
    values = np.array([1.0, 1.00390625, 1.01171875, -0.0, np.inf, -np.inf, np.nan, 3.4e38, 1e-40], dtype=np.float32)
    bits = dtypes.float32_to_bfloat16(values)
    # 1.00390625 is halfway between 0x3F80 and 0x3F81 and 1.01171875 between 0x3F81 and 0x3F82: both go to the even one
    assert bits.tolist() == [0x3F80, 0x3F80, 0x3F82, 0x8000, 0x7F80, 0xFF80, 0x7FC0, 0x7F80, 0x0001]
    every = np.arange(65536, dtype=np.uint16)
    back = dtypes.float32_to_bfloat16(dtypes.bfloat16_to_float32(every))
    number = ~np.isnan(dtypes.bfloat16_to_float32(every))
    assert (back[number] == every[number]).all()
    assert (back[~number] == 0x7FC0).all()


def test_storage_round_trip():
    values = np.array([[1.5, -2.0], [0.25, 1e4]])
    for d in (dtypes.bfloat16, dtypes.float16, dtypes.complex32, dtypes.complex64, dtypes.float64):
        stored = dtypes.to_storage(values, d)
        assert stored.dtype == d.numpy
        assert stored.shape == (2, 2)
        rounded = [[1.5, -2.0], [0.25, 9984.0 if d is dtypes.bfloat16 else 1e4]]
        assert dtypes.from_storage(stored, d).tolist() == rounded
    assert dtypes.to_storage(np.zeros(()), dtypes.complex32).shape == ()


def test_limits():
    assert repr(dtypes.finfo(dtypes.bfloat16)) == (
        "finfo(resolution=0.01, min=-3.38953e+38, max=3.38953e+38, eps=0.0078125, "
        "smallest_normal=1.17549e-38, tiny=1.17549e-38, dtype=bfloat16)"
    )
    assert dtypes.finfo().dtype == "float32"
    assert dtypes.finfo(dtypes.complex128) == dtypes.finfo(dtypes.float64)
    assert dtypes.iinfo(dtypes.int8).min == -128
    assert dtypes.iinfo(dtypes.uint64).max == 2**64 - 1
    with pytest.raises(TypeError, match="requires a floating point input type"):
        dtypes.finfo(dtypes.int8)
    with pytest.raises(TypeError, match=r"torch\.bool is not supported by torch\.iinfo"):
        dtypes.iinfo(dtypes.bool_)


@pytest.mark.filterwarnings("ignore:ComplexHalf")
class TestAgainstTorch:
    @pytest.fixture
    def torch(self, restore_default):
        torch = pytest.importorskip("torch")
        yield torch
        torch.set_default_dtype(torch.float32)

    def test_attributes(self, torch):
        for d in ALL:
            theirs = getattr(torch, d.name)
            for name in ("itemsize", "is_floating_point", "is_complex", "is_signed", "abbr"):
                assert getattr(d, name) == getattr(theirs, name), (d, name)
            assert repr(d) == repr(theirs)
        for name, d in NAMESPACE.items():
            assert str(getattr(torch, name)) == str(d)

    @pytest.mark.parametrize("a", NAMES)
    def test_tables(self, torch, a):
        for b in NAMES:
            mine, theirs = (NAMESPACE[a], NAMESPACE[b]), (getattr(torch, a), getattr(torch, b))
            assert outcome(promote_types, *mine) == outcome(torch.promote_types, *theirs)
            assert dtypes.can_cast(*mine) == torch.can_cast(*theirs)
            for ca, cb in itertools.product((0, 1), repeat=2):
                tensors = [torch.empty([1] * (1 - c), dtype=d) for c, d in zip((ca, cb), theirs, strict=True)]
                got = outcome(result_type, list(zip(mine, (ca, cb), strict=True)))
                assert got == outcome(torch.result_type, *tensors), (a, b, ca, cb)

    @pytest.mark.parametrize("default", ["float16", "bfloat16", "float32", "float64"])
    def test_scalars(self, torch, default):
        torch.set_default_dtype(getattr(torch, default))
        dtypes.set_default_dtype(NAMESPACE[default])
        for name, value, category in itertools.product(NAMES, SCALARS, (0, 1)):
            tensor = torch.empty([1] * (1 - category), dtype=getattr(torch, name))
            want = outcome(torch.result_type, tensor, value)
            assert outcome(result_type, [(NAMESPACE[name], category), (dtypes.from_python(value), 2)]) == want
            assert outcome(dtypes.scalar_result_type, NAMESPACE[name], value) == want
        for a, b in itertools.product(SCALARS, repeat=2):
            got = result_type([(dtypes.from_python(a), 2), (dtypes.from_python(b), 2)])
            assert str(got) == str(torch.result_type(a, b))

    def test_limits(self, torch):
        for d in ALL:
            if d is dtypes.bool_:
                continue
            kind = "iinfo" if d.is_integral else "finfo"
            mine, theirs = getattr(dtypes, kind)(d), getattr(torch, kind)(getattr(torch, d.name))
            assert repr(mine) == repr(theirs)
            for name in (n for n in dir(theirs) if not n.startswith("_")):
                assert getattr(mine, name) == getattr(theirs, name), (d, name)

    def test_bfloat16_bits(self, torch):
        values = np.random.default_rng(0).integers(0, 2**32, 100_000, dtype=np.uint32).view(np.float32)
        values = values[~np.isnan(values)]
        theirs = torch.from_numpy(values).bfloat16().view(torch.int16).numpy().view(np.uint16)
        assert (dtypes.float32_to_bfloat16(values) == theirs).all()

    def test_complex32_bits(self, torch):
        values = np.random.default_rng(0).standard_normal((50, 2)).astype(np.float32).view(np.complex64)[:, 0]
        theirs = torch.from_numpy(values).to(torch.complex32).view(torch.int16).numpy().view(np.uint32)
        assert (dtypes.complex64_to_complex32(values) == theirs).all()
