"""Matrix products against NumPy in float64 (integers: exactly), every variant forced."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from launching import device_caps, run_calls

from engine.graph.library.call import Operand
from engine.graph.library.gemm import Problem, Strides, Variant, candidates, choose, gemm_calls

FLOATS = {"float32": 3e-6, "float64": 8e-15, "float16": 2e-3, "bfloat16": 1.2e-2}
INTEGERS = ("int8", "uint8", "int16", "int32", "int64")
SHAPES = [
    (1, 1, 1),
    (1, 7, 5),
    (5, 1, 9),
    (3, 3, 0),
    (8, 8, 8),
    (17, 33, 9),
    (61, 129, 90),
    (64, 64, 64),
    (130, 50, 1000),
    (2, 100, 300),
    (100, 3, 70),
    (127, 127, 127),
]
LAYOUTS = ("NN", "NT", "TN", "TT", "SS")
HOOK = """
#define EPILOGUE_PARAMS , __global const float *bias
#define EPILOGUE(c, batch, row, col0, ncols) \\
  for (long e_ = 0; e_ < (ncols); e_++) \\
    (c)[e_] = 2 * (c)[e_] + bias[(col0) + e_] + 1000 * (row) + 100000 * (batch);
"""


def _from_bfloat16(bits: np.ndarray) -> np.ndarray:
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _values(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """(as stored, as computed with by the oracle)"""
    if dtype == "bfloat16":
        stored = (rng.standard_normal(shape).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
        return stored, _from_bfloat16(stored).astype(np.float64)
    if dtype in FLOATS:
        stored = rng.standard_normal(shape).astype(dtype)
        return stored, stored.astype(np.float64)
    info = np.iinfo(dtype)
    stored = rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
    return stored, stored


def _laid_out(matrix: np.ndarray, layout: str, extra: int) -> tuple[np.ndarray, Strides]:
    """A buffer that holds the batches of ``matrix`` with contiguous rows (N), columns (T) or neither (S)."""
    batch, rows, cols = matrix.shape
    row, col = {"N": (cols + extra, 1), "T": (1, rows + extra), "S": (2 * cols + 3, 2)}[layout]
    size = rows * row if layout != "T" else max(cols * col, rows)
    flat = np.zeros(max(batch * size, 1), matrix.dtype)
    steps = [s * flat.itemsize for s in (size, row, col)]
    np.lib.stride_tricks.as_strided(flat, matrix.shape, steps)[...] = matrix
    return flat, Strides(size, row, col)


@dataclass(frozen=True)
class Case:
    """One product to check; ``shared`` names the operands with batch stride 0, ``pad`` widens the rows of C."""

    shape: tuple[int, int, int]
    dtype: str = "float32"
    layout: str = "NN"
    batch: int = 1
    shared: str = ""
    extra: int = 1
    pad: int = 2

    def data(self) -> tuple[dict[str, np.ndarray], Problem, np.ndarray]:
        """Operands (without "out"), the problem and the expected result."""
        m, n, k = self.shape
        rng = np.random.default_rng(abs(hash(self.shape)) % 1000)
        stored, exact, strides = {}, [], []
        for name, rows, cols, layout in (("a", m, k, self.layout[0]), ("b", k, n, self.layout[1])):
            batch = 1 if name in self.shared else self.batch
            values, oracle = _values(rng, self.dtype, (batch, rows, cols))
            stored[name], step = _laid_out(values, layout, self.extra)
            strides.append(step._replace(batch=0) if name in self.shared else step)
            exact.append(oracle)
        ld = n + self.pad
        problem = Problem(self.dtype, self.batch, m, n, k, strides[0], strides[1], ld, m * ld)
        with np.errstate(over="ignore"):
            return stored, problem, np.matmul(*exact)

    def check(self, caps, variant: Variant | None = None, hook: bool = False) -> None:
        operands, p, expected = self.data()
        out_type = np.uint16 if p.dtype == "bfloat16" else np.dtype(p.dtype)
        out = np.full((p.batch, p.m, p.c_ld), 77, out_type)
        calls = gemm_calls(
            caps, p.dtype, p.batch, p.m, p.n, p.k, p.a, p.b, p.c_ld, p.c_batch, epilogue=hook, variant=variant
        )
        assert [c.epilogue for c in calls] == [False] * (len(calls) - 1) + [hook]
        bias = np.linspace(-1, 1, p.n, dtype=np.float32)
        got = run_calls(calls, {**operands, "out": out}, prefix=HOOK if hook else "", extra=(bias,) if hook else ())
        if hook:
            batches, rows = np.arange(p.batch)[:, None, None], np.arange(p.m)[:, None]
            expected = 2 * expected + bias + 1000.0 * rows + 100000.0 * batches
        result = got["out"]
        assert (result[:, :, p.n :] == 77).all(), "written between the rows of C"
        result = result[:, :, : p.n]
        if p.dtype in FLOATS:
            result = _from_bfloat16(np.ascontiguousarray(result)) if p.dtype == "bfloat16" else result
            error = np.abs(result - expected) / (np.sqrt(max(p.k, 1)) + np.abs(expected))
            assert error.max(initial=0) < FLOATS[p.dtype], (self, variant)
        else:
            np.testing.assert_array_equal(result, expected, str((self, variant)))


def _one_of_each(caps, problem: Problem) -> list[Variant]:
    """The likeliest variant of every kind, and the unlikeliest of all."""
    found: dict[tuple, Variant] = {}
    listed = candidates(caps, problem)
    for v in listed:
        found.setdefault((v.method, v.mr, v.nv, v.place_a, v.place_b, v.splits > 1, v.batches > 1, v.lx), v)
    return [*found.values(), listed[-1]]


def _skip_without(dtype: str) -> None:
    if dtype == "float64" and not device_caps().fp64:
        pytest.skip("the device has no float64")


GPU = {"kind": "gpu", "local_mem_size": 32768, "max_work_group_size": 256, "compute_units": 16, "is_pocl": False}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_float32_every_variant(shape, layout):
    caps = device_caps()
    case = Case(shape, layout=layout)
    for index, variant in enumerate(_one_of_each(caps, case.data()[1])):
        case.check(caps, variant, hook=index == 0)


@pytest.mark.parametrize("width", [4, 8, 16])
def test_forced_vector_width(width):
    if device_caps().kind != "cpu" or device_caps().software:
        pytest.skip("no device for the CPU kernels")
    caps = device_caps(float_vector_width=width)
    for shape, layout in (((61, 129, 90), "NN"), ((130, 50, 600), "TN"), ((33, 65, 40), "NT"), ((1, 100, 60), "NT")):
        case = Case(shape, layout=layout)
        for variant in _one_of_each(caps, case.data()[1]):
            case.check(caps, variant)


def test_small_local_memory():
    caps = device_caps(local_mem_size=32768)
    for layout in ("NN", "TT"):
        case = Case((130, 50, 1000), layout=layout)
        for variant in _one_of_each(caps, case.data()[1]):
            case.check(caps, variant)


@pytest.mark.parametrize("layout", ["NN", "TT"])
@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS])
def test_dtypes(dtype, layout):
    _skip_without(dtype)
    for shape in ((1, 70, 33), (17, 33, 9), (61, 129, 90), (40, 24, 700), (3, 3, 0)):
        Case(shape, dtype, layout).check(device_caps())


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "float64"])
def test_tiled_kernel(dtype):
    _skip_without(dtype)
    caps = device_caps(**GPU)
    for shape, layout in (((61, 129, 90), "NN"), ((130, 50, 1100), "TT"), ((3, 5, 7), "SS"), ((4, 4, 0), "NN")):
        case = Case(shape, dtype, layout)
        for variant in _one_of_each(caps, case.data()[1]):
            case.check(caps, variant, hook=dtype == "float32")


@pytest.mark.parametrize("shared", ["", "a", "b", "ab"])
@pytest.mark.parametrize("shape", [(20, 40, 30), (1, 40, 30), (40, 1, 30), (8, 8, 8)], ids=str)
def test_batches(shape, shared):
    for caps in (device_caps(), device_caps(**GPU)):
        case = Case(shape, batch=5, shared=shared, layout="NT" if shared == "a" else "NN")
        for variant in _one_of_each(caps, case.data()[1]):
            case.check(caps, variant, hook=True)


def test_special_values_of_16_bit_floats():
    """Infinity, NaN, signed zero, denormals and rounding to even survive float16 and bfloat16."""
    half = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 6e-8, 65504, -1e-7, 1.0009765625], np.float16)
    for name, stored in (("float16", half), ("bfloat16", (half.astype(np.float32).view(np.uint32) >> 16))):
        column = stored.astype(np.float16 if name == "float16" else np.uint16)
        one = np.array([1.0], np.float16) if name == "float16" else np.array([0x3F80], np.uint16)
        calls = gemm_calls(device_caps(), name, 1, len(column), 1, 1, (0, 1, 1), (0, 1, 1), 1, 0)
        got = run_calls(calls, {"a": column, "b": one, "out": np.zeros_like(column)})["out"]
        decode = (lambda x: x) if name == "float16" else _from_bfloat16
        np.testing.assert_array_equal(decode(got), decode(column))
    # 1 + 2^-11 lies between two float16 numbers, 3 (1 + 2^-11) / 2 not halfway
    a = np.array([[1.0, 2.0**-11], [1.0, 3 * 2.0**-11]], np.float16)
    ones = np.ones((2, 1), np.float16)
    calls = gemm_calls(device_caps(), "float16", 1, 2, 1, 2, (0, 2, 1), (0, 1, 1), 1, 0)
    got = run_calls(calls, {"a": a, "b": ones, "out": np.zeros((2, 1), np.float16)})["out"]
    np.testing.assert_array_equal(got.ravel(), np.array([1.0, 1.0 + 2.0**-9], np.float16))


def test_infinity_does_not_leak_into_padding():
    """Lanes added by packing must not turn a neighbour into NaN."""
    a = np.full((9, 5), np.inf, np.float32)
    b = np.ones((5, 21), np.float32)
    calls = gemm_calls(device_caps(), "float32", 1, 9, 21, 5, (0, 5, 1), (0, 21, 1), 21, 0)
    got = run_calls(calls, {"a": a, "b": b, "out": np.zeros((9, 21), np.float32)})["out"]
    assert np.isposinf(got).all()


def test_empty_and_unknown():
    caps = device_caps()
    assert gemm_calls(caps, "float32", 0, 4, 4, 4, (0, 4, 1), (0, 4, 1), 4, 16) == []
    assert gemm_calls(caps, "float32", 1, 0, 4, 4, (0, 4, 1), (0, 4, 1), 4, 16) == []
    with pytest.raises(ValueError, match="no matrix product for dtype bool"):
        gemm_calls(caps, "bool", 1, 4, 4, 4, (0, 4, 1), (0, 4, 1), 4, 16)


def test_variant_that_does_not_fit_is_refused():
    caps = device_caps(kind="cpu", local_mem_size=32768)
    with pytest.raises(ValueError, match="needs local buffers"):
        gemm_calls(
            caps,
            "float32",
            1,
            512,
            512,
            512,
            (0, 512, 1),
            (0, 512, 1),
            512,
            0,
            variant=Variant("block", 8, 6, 2, mc=510, nc=512, kc=512),
        )


def test_choice_and_tuning():
    """A stored choice wins; few programs serve many shapes."""
    caps = device_caps(kind="cpu", software=False, float_vector_width=16, compute_units=2, local_mem_size=1 << 19)
    strides = Strides(0, 300, 1), Strides(0, 300, 1)
    problem = Problem("float32", 1, 300, 300, 300, *strides, 300, 0)
    listed = candidates(caps, problem)
    assert choose(caps, problem) == listed[0]
    assert choose(caps, problem, {problem.key: listed[3]}) == listed[3]
    assert Variant(**listed[0].to_dict()) == listed[0]
    programs = set()
    for m in (1, 3, 32, 64, 100, 256, 512, 1024):
        for n in (10, 32, 64, 128, 768, 1000, 3072):
            for k in (16, 64, 128, 768, 3072):
                for a, b in (((k, 1), (n, 1)), ((k, 1), (1, k)), ((1, m), (n, 1))):
                    calls = gemm_calls(caps, "float32", 1, m, n, k, (0, *a), (0, *b), n, 0)
                    programs.update(call.options for call in calls)
    assert len(programs) <= 20, programs


def test_operands_and_work():
    caps = device_caps()
    calls = gemm_calls(caps, "float32", 2, 64, 64, 64, (4096, 64, 1), (4096, 64, 1), 64, 4096)
    names = [a.name for call in calls for a in call.args if isinstance(a, Operand)]
    assert sorted(set(names)) == ["a", "b", "out"]
    assert calls[0].flops == 2 * 2 * 64**3
    assert calls[0].nbytes == 3 * 2 * 4096 * 4
    assert replace(calls[0], epilogue=True).epilogue
