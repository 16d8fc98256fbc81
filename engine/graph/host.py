"""The graph in NumPy: what every primitive means, about a line each.

It is the oracle of differential tests, and the executor of data-loader workers, which must not touch OpenCL.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from .. import dtypes
from ..device import default
from ..device import device as Device
from .base_log import Log
from .ir import Builder, Val
from .lower import see
from .node import Call, Node, Storage, leaf
from .view import View


def _compute_dtype(dtype: dtypes.dtype) -> Any:
    return np.dtype(np.float32) if dtype in (dtypes.float16, dtypes.bfloat16) else dtype.numpy


def _floor_div(a: Any, b: Any) -> Any:
    return np.where(b == 0, 0, np.floor_divide(a, np.where(b == 0, 1, b)))


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _vector(name: str) -> Callable[..., Any]:
    """A special function that NumPy lacks, element by element through the math module."""
    function = {"erf": math.erf, "erfc": math.erfc, "lgamma": math.lgamma}[name]
    return lambda x: np.vectorize(function, otypes=[x.dtype])(x)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a | b if a.dtype == bool else a + b,
    "sub": np.subtract, "mul": np.multiply, "div": np.divide, "neg": np.negative, "abs": np.abs, "sign": np.sign,
    "fdiv_int": _floor_div,
    "tdiv_int": lambda a, b: (np.sign(a) * np.sign(b) * _floor_div(np.abs(a), np.abs(b))).astype(a.dtype),
    "rem_int": lambda a, b: np.where(b == 0, 0, np.mod(a, np.where(b == 0, 1, b))),
    "mod_int": lambda a, b: np.where(b == 0, 0, np.fmod(a, np.where(b == 0, 1, b))),
    "fmod": np.fmod, "remainder": np.mod, "floor_divide": np.floor_divide, "max": np.maximum, "min": np.minimum,
    "fmax": np.fmax, "fmin": np.fmin, "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal,
    "gt": np.greater, "ge": np.greater_equal, "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor,
    "not": np.invert, "where": lambda c, a, b: np.where(c, a, b), "is_nan": np.isnan, "signbit": np.signbit,
    "shl": lambda a, b: np.where(b >= a.itemsize * 8, 0, np.left_shift(a, b)), "shr": np.right_shift,
    "copysign": np.copysign, "nextafter": np.nextafter, "id": lambda a: a, "sqrt": np.sqrt, "exp": np.exp,
        "exp2": np.exp2,
    "expm1": np.expm1, "log": np.log, "log2": np.log2, "log10": np.log10, "log1p": np.log1p, "sin": np.sin,
        "cos": np.cos,
    "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh,
    "tanh": np.tanh, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh, "floor": np.floor, "ceil": np.ceil,
    "trunc": np.trunc, "round": np.rint, "pow": np.power, "atan2": np.arctan2, "hypot": np.hypot, "gcd": np.gcd,
    "rsqrt": lambda a: 1 / np.sqrt(a), "sigmoid": _sigmoid, "pow_int": np.power, "real": np.real, "imag": np.imag,
    "complex": lambda a, b: a + 1j * b, "conj": np.conj, "angle": np.angle,
    "sgn": lambda z: np.where(z == 0, 0, z / np.where(z == 0, 1, np.abs(z))),
}  # fmt: skip
for _name in ("erf", "erfc", "lgamma"):
    FUNCTIONS[_name] = lambda x, _n=_name: _vector(_n)(x)
FUNCTIONS["normal_cdf"] = lambda x: (FUNCTIONS["erf"](x * x.dtype.type(math.sqrt(0.5))) + 1) / 2


def _check(index: np.ndarray, n: np.ndarray) -> np.ndarray:
    bad = (index < 0) | (index >= n)
    if bad.any():
        raise IndexError(f"index {int(index[bad].flat[0])} is out of bounds for dimension with size {int(np.max(n))}")
    return index


def _philox_words(tile: np.ndarray, i: np.ndarray, seed: np.ndarray, offset: np.ndarray) -> list[np.ndarray]:
    """The four words (in uint64) of the counter of position i: Philox 4x32-10 as in random.cl."""
    low = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    block = offset + (tile << np.uint64(4)) + (i & np.uint64(15))
    c = [block & low, block >> half, np.zeros_like(block), np.zeros_like(block)]
    k0, k1 = np.broadcast_to(seed & low, block.shape).copy(), np.broadcast_to(seed >> half, block.shape).copy()
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [(p1 >> half) ^ c[1] ^ k0, p1 & low, (p0 >> half) ^ c[3] ^ k1, p0 & low]
        k0, k1 = (k0 + np.uint64(0x9E3779B9)) & low, (k1 + np.uint64(0xBB67AE85)) & low
    return c


def philox(i: np.ndarray, seed: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """32 random bits a position."""
    words = _philox_words(i >> np.uint64(6), i, seed, offset)
    return np.choose(((i >> np.uint64(4)) & np.uint64(3)).astype(np.int64), words).astype(np.uint32)


def _mul_high(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The upper 64 bits of the product of 64-bit numbers, from products of their halves."""
    half, low = np.uint64(32), np.uint64(0xFFFFFFFF)
    a, b = np.asarray(a, np.uint64), np.asarray(b, np.uint64)
    middle = (a >> half) * (b & low) + (((a & low) * (b & low)) >> half)
    other = (a & low) * (b >> half) + (middle & low)
    return (a >> half) * (b >> half) + (middle >> half) + (other >> half)


def philox64(i: np.ndarray, seed: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """64 random bits a position."""
    c = _philox_words(i >> np.uint64(5), i, seed, offset)
    half = np.uint64(32)
    return np.where(i & np.uint64(16), (c[3] << half) | c[2], (c[1] << half) | c[0])


def normal(i: np.ndarray, seed: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """A normal number a position (Box and Muller 1958)."""
    c = _philox_words(i >> np.uint64(6), i, seed, offset)
    upper = (i & np.uint64(32)) != 0
    a, angle = np.where(upper, c[2], c[0]), np.where(upper, c[3], c[1]) * (2 * np.pi * 2.0**-32)
    radius = np.sqrt(-2 * np.log(np.minimum((a.astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-32), 1)))
    return (radius * np.where(i & np.uint64(16), np.sin(angle), np.cos(angle))).astype(np.float32)


FUNCTIONS |= {"philox": philox, "philox64": philox64, "normal": normal}
FUNCTIONS["check"] = _check
FUNCTIONS["mul_high"] = _mul_high
REDUCERS: dict[str, Callable[..., Any]] = {"sum": np.sum, "prod": np.prod, "max": np.max, "min": np.min}


class Evaluator:
    """Values of primitives as flat arrays, each computed once."""

    def __init__(self, inputs: list[np.ndarray], scalars: list[Any]) -> None:
        self.inputs = inputs
        self.scalars = scalars
        self.known: dict[Val, np.ndarray] = {}

    def __call__(self, val: Val) -> np.ndarray:
        """The flat content, in the dtype arithmetic happens in (16-bit floats as float32, rounded)."""
        found = self.known.get(val)
        if found is None:
            with np.errstate(all="ignore"):
                found = np.ascontiguousarray(self._compute(val)).reshape(-1)
            self.known[val] = found
        return found

    def seen(self, val: Val, view: View) -> np.ndarray:
        """A value through a view."""
        flat = self(val)
        steps = tuple(s * flat.itemsize for s in view.strides)
        if view.size == 0:
            return np.empty(view.shape, flat.dtype)
        return np.lib.stride_tricks.as_strided(flat[view.offset :], view.shape, steps)

    def _compute(self, val: Val) -> np.ndarray:
        kind = val.kind
        if kind == "input":
            return dtypes.from_storage(self.inputs[val.attrs], val.dtype).astype(_compute_dtype(val.dtype), copy=False)
        if kind == "const":
            return np.full(val.size, 0 if val.attrs is None else val.attrs, _compute_dtype(val.dtype))
        if kind == "scalar":
            return np.asarray(self.scalars[val.attrs]).astype(_compute_dtype(val.dtype))
        if kind == "iota":
            return np.arange(val.size, dtype=np.int64)
        if kind == "host":
            return self._host(val)
        if kind == "kernel":
            return self._kernel(val)
        if kind == "output":
            self(val.args[0][0])
            return self.known_outputs[val.args[0][0]][val.attrs]
        if kind == "take":
            return self(val.args[0][0])[self.seen(*val.args[1])]
        if kind == "write":
            return self._write(val)
        if kind == "bitcast":
            raw = dtypes.to_storage(self(val.args[0][0]), val.args[0][0].dtype)
            return dtypes.from_storage(raw.view(val.dtype.numpy), val.dtype)
        operands = [self.seen(v, w) for v, w in val.args]
        if kind == "reduce":
            axes = tuple(range(len(val.shape), operands[0].ndim))
            return REDUCERS[val.fn](operands[0], axis=axes).astype(_compute_dtype(val.dtype))
        if val.fn == "cast":
            return _cast(operands[0], val.dtype)
        return np.asarray(FUNCTIONS[val.fn](*operands)).astype(_compute_dtype(val.dtype), copy=False)

    def _write(self, val: Val) -> np.ndarray:
        out = self(val.args[0][0]).copy()
        view: View = val.attrs
        if view.size:
            steps = tuple(s * out.itemsize for s in view.strides)
            np.lib.stride_tricks.as_strided(out[view.offset :], view.shape, steps)[...] = self.seen(*val.args[1])
        return out

    known_outputs: dict[Val, list[np.ndarray]]

    def _host(self, val: Val) -> np.ndarray:
        function, shapes = val.attrs
        operands = [self(v).reshape(shape) for (v, _), shape in zip(val.args, shapes)]
        return self._several(val, [np.asarray(r).reshape(-1) for r in function(*operands)])

    def _kernel(self, val: Val) -> np.ndarray:
        reference = val.attrs.reference
        if reference is None:
            raise RuntimeError(
                f"the kernel '{val.attrs.name}' has no NumPy form: it cannot run in a data-loader worker"
            )
        results = reference(*(self.seen(v, w) for v, w in val.args))
        return self._several(val, list(results) if isinstance(results, (tuple, list)) else [results])

    def _several(self, val: Val, results: list[np.ndarray]) -> np.ndarray:
        if not hasattr(self, "known_outputs"):
            self.known_outputs = {}
        self.known_outputs[val] = results
        return results[0]


def _cast(x: np.ndarray, dtype: dtypes.dtype) -> np.ndarray:
    if dtype is dtypes.bool:
        return x != 0
    if dtype is dtypes.float16:
        return x.astype(np.float16).astype(np.float32)
    if dtype is dtypes.bfloat16:
        return dtypes.bfloat16_to_float32(dtypes.float32_to_bfloat16(x.astype(np.float32)))
    if x.dtype.kind == "f" and dtype.numpy.kind in "iu":
        return x.astype(np.int64).astype(dtype.numpy)
    return x.astype(dtype.numpy)


# -- an executor for workers ------------------------------------------------------------------------------------------
class HostBuffer:
    """Memory of a value on the host."""

    __slots__ = ("array", "nbytes", "block")

    def __init__(self, array: np.ndarray) -> None:
        self.array = array.reshape(-1).view(np.uint8) if array.size else np.empty(0, np.uint8)
        self.nbytes = self.array.nbytes
        self.block = SimpleNamespace(home=self)

    def host_array(self) -> np.ndarray:
        """The bytes."""
        return self.array


class HostLog(Log):
    """A log that computes at once, in NumPy: the "cpu" device of a data-loader worker."""

    hits = misses = launches = 0

    def __init__(self, device: Device) -> None:
        self.device = device
        self.entries: list[Node] = []
        self._lock = threading.RLock()
        caps = SimpleNamespace(compute_units=1, kind="cpu", fp64=True, name="host")
        self.runtime = SimpleNamespace(caps=caps, memory=SimpleNamespace(wrap=HostBuffer), queue=None)

    def add(self, call: Call, inputs: tuple[Node, ...], scalars: tuple = ()) -> Node:
        """A node, computed when it is read (at once if it reads memory that the program may change)."""
        node = Node(call, inputs, scalars)
        if any(x.shared for x in inputs):
            for needed in _order(node):
                self._compute(needed)
        return node

    def settle(self, storage: Storage) -> None:
        """Bring a storage's new value into the memory that NumPy shares."""
        if storage.still_shared():
            node = storage.node
            computed = self.realize(node)
            if computed is not storage.pin:
                storage.pin.array[...] = computed.array
                node.buffer = storage.pin
            node.shared = True

    def from_array(self, array: np.ndarray, dtype: dtypes.dtype) -> Node:
        """A realized node with a copy of an array."""
        return leaf(HostBuffer(np.array(array)), dtype, self.device, array.size)

    def realize(self, node: Node) -> HostBuffer:
        """Compute a node and what it needs."""
        if node.buffer is None:
            for needed in _order(node):
                self._compute(needed)
        return node.buffer

    def _compute(self, node: Node) -> None:
        call = node.call
        if call.lower is None:
            node.buffer = node.inputs[0].buffer[call.static]
        else:
            b = Builder()
            refs = []
            for i, (x, seen) in enumerate(zip(node.inputs, call.specs)):
                refs.append(see(b, b.input(i, x.call.out.numel, x.call.out.dtype), seen))
            scalars = [b.scalar(i, dtype) for i, dtype in enumerate(call.scalars)]
            result = call.lower(b, refs, scalars, call)
            inputs = [x.buffer.array.view(x.call.out.dtype.numpy) for x in node.inputs]
            evaluate = Evaluator(inputs, list(node.scalars))
            if type(call.out) is tuple:
                node.buffer = [self._store(evaluate, r, o) for r, o in zip(result, call.out)]
            else:
                node.buffer = self._store(evaluate, result, call.out)
        node.inputs = ()

    @staticmethod
    def _store(evaluate: Evaluator, ref: Any, out: Any) -> HostBuffer:
        ref = ref.contiguous()
        return HostBuffer(np.ascontiguousarray(dtypes.to_storage(evaluate(ref.val), out.dtype)))

    def read(self, node: Node) -> np.ndarray:
        """A copy of a node's content."""
        return self.realize(node).array.view(node.dtype.numpy).copy()

    def host_view(self, node: Node) -> np.ndarray:
        """The node's memory itself."""
        return self.realize(node).array.view(node.dtype.numpy)


def _order(node: Node) -> list[Node]:
    """Pending nodes that ``node`` needs, producers first."""
    out: list[Node] = []
    seen: set[Node] = set()
    stack: list[tuple[Node, bool]] = [(node, False)]
    while stack:
        current, done = stack.pop()
        if done:
            out.append(current)
        elif current not in seen and current.buffer is None:
            seen.add(current)
            stack.append((current, True))
            stack.extend((x, False) for x in current.inputs)
    return out


def enable_worker_mode() -> None:
    """From now on this process computes on the host in NumPy and never touches OpenCL."""
    cpu = Device("cpu")
    default.override = cpu
    cpu.graph = HostLog(cpu)
