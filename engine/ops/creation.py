"""Making tensors: from data, filled, counted, random; conversion of dtype and device; copies."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, prod, sqrt
from sys import getrefcount
from typing import Any

import numpy as np

from .. import dtypes, random
from ..autograd.inplace import ZeroBackward0, check_inplace
from ..autograd.mode import mode
from ..autograd.variable import Tensor, make
from ..device import device as Device
from ..device import resolve
from ..graph.log import log_of
from ..graph.node import Call, Node, leaf, write_call
from ..graph.spec import Spec, spec
from . import pointwise as pointwise_module
from . import publish, storing
from . import select as select_module
from . import views as views_module
from .op import Op, dense_strides, memory_order
from .pointwise import check_tensor, is_number, wide
from .publish import function
from .storing import assign, put


# -- from host data ---------------------------------------------------------------------------------------------------
def from_array(array: np.ndarray, dtype: dtypes.dtype | None = None, device: Any = None) -> Tensor:
    """A tensor with a copy of an array's content (``dtype`` names 16-bit bfloat16 storage and the like)."""
    dtype = dtype or dtypes.from_numpy_dtype(array.dtype)
    where = resolve(device)
    flat = np.ascontiguousarray(array).reshape(-1)
    log = log_of(where)
    t = make(log.from_array(flat, dtype), spec(dtype, where, array.shape))
    t._storage.host_fresh = True
    return t


def scalar(value: Any, dtype: dtypes.dtype, device: Any) -> Tensor:
    """A 0-dim tensor."""
    return FULL((), value, dtype, device)


def tensor_from(data: Any, dtype: dtypes.dtype | None, device: Any) -> Tensor:
    """The content of nested sequences, arrays, numbers or tensors as a new tensor."""
    if isinstance(data, Tensor):
        out = data.detach().clone()
        return convert(out, dtype or data._spec.dtype, resolve(device) if device is not None else data._spec.device)
    if isinstance(data, (bool, int, float, complex)) and not isinstance(data, np.generic):
        return _from_number(data, dtype, device)
    if isinstance(data, np.ndarray) or isinstance(data, np.generic):
        array = np.asarray(data)
        _check_array(array)
    else:
        array = _array_of(data, dtype)
    want = dtype or _default_for(data, array)
    return from_array(dtypes.to_storage(_converted(array, want), want), want, device)


def _from_number(value: Any, dtype: dtypes.dtype | None, device: Any) -> Tensor:
    want = dtype or dtypes.from_python(value)
    if not want.is_floating_point and not want.is_complex and want is not dtypes.bool:
        if isinstance(value, int) and not isinstance(value, bool):
            info = dtypes.iinfo(want)
            if not info.min <= value <= info.max:
                raise RuntimeError(f"value cannot be converted to type {want} without overflow")
        elif isinstance(value, float):
            value = int(value)
    return from_array(dtypes.to_storage(_converted(np.asarray(value), want), want), want, device)


def _check_array(array: np.ndarray) -> None:
    if array.dtype == object or array.dtype.kind in "USOMm":
        raise TypeError(
            f"can't convert np.ndarray of type {array.dtype.type.__module__}.{array.dtype.name}_. The only supported "
            f"types "
            f"are: float64, float32, float16, complex64, complex128, int64, int32, int16, int8, uint64, uint32, "
            f"uint16, "
            f"uint8, and bool."
        )


def _array_of(data: Any, dtype: dtypes.dtype | None) -> np.ndarray:
    if isinstance(data, (str, bytes)) or data is None:
        raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
    if isinstance(data, dict) or (not hasattr(data, "__len__") and not hasattr(data, "__array__")):
        raise RuntimeError(f"Could not infer dtype of {type(data).__name__}")
    plain = _plain(data)
    try:
        array = np.asarray(plain)
    except ValueError:
        _explain_ragged(plain)
        raise
    if array.dtype == object or array.dtype.kind in "US":
        bad = next((x for x in np.ravel(np.asarray(plain, dtype=object)) if not is_number(x)), None)
        if isinstance(bad, (list, tuple)):
            _explain_ragged(plain)
        if bad is None:
            raise RuntimeError("Overflow when unpacking long long")
        if isinstance(bad, str):
            raise TypeError(f"new(): invalid data type '{type(bad).__name__}'")
        raise RuntimeError(f"Could not infer dtype of {type(bad).__name__}")
    if array.dtype == np.uint64 and not isinstance(data, np.ndarray):
        raise RuntimeError("Overflow when unpacking long long")
    return array


def _plain(data: Any) -> Any:
    """Nested sequences with tensors and arrays inside turned into numbers."""
    if isinstance(data, Tensor):
        return data.detach().cpu().tolist() if data._spec.ndim else data.item()
    if isinstance(data, np.ndarray):
        return data
    if isinstance(data, (list, tuple)):
        if not data or isinstance(data[0], (int, float)):
            if any(isinstance(x, (Tensor, np.ndarray)) for x in data):
                return [_plain(x) for x in data]
            return data
        return [_plain(x) for x in data]
    if hasattr(data, "__array__"):
        return np.asarray(data)
    if hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        return [_plain(data[i]) for i in range(len(data))]
    return data


def _explain_ragged(data: Any, depth: int = 0) -> None:
    """Raise torch's ValueError for nested sequences of unequal length."""
    lengths = [len(x) if isinstance(x, (list, tuple, np.ndarray)) else -1 for x in data]
    for n in lengths:
        if n != lengths[0]:
            if -1 in (n, lengths[0]):
                raise TypeError("only length-1 arrays can be converted to Python scalars")
            raise ValueError(f"expected sequence of length {lengths[0]} at dim {depth + 1} (got {n})")
    for x in data:
        if isinstance(x, (list, tuple)):
            _explain_ragged(x, depth + 1)


def _default_for(data: Any, array: np.ndarray) -> dtypes.dtype:
    found = dtypes.from_numpy_dtype(array.dtype)
    if isinstance(data, (np.ndarray, np.generic)):
        return found
    if array.size == 0:
        return dtypes.default.get()
    leafs = data
    while isinstance(leafs, (list, tuple)) and len(leafs):
        leafs = leafs[0]
    if isinstance(leafs, (np.ndarray, np.generic)):
        return found
    if isinstance(leafs, Tensor):
        return leafs._spec.dtype
    if found.is_complex:
        return dtypes.default.get_complex()
    return dtypes.default.get() if found.is_floating_point else (found if found is dtypes.bool else dtypes.int64)


def _converted(array: np.ndarray, want: dtypes.dtype) -> np.ndarray:
    """Values in the NumPy dtype that to_storage expects."""
    if want is dtypes.bfloat16:
        return array.astype(np.float32)
    with np.errstate(all="ignore"):
        if array.dtype.kind in "fc" and want.numpy.kind in "iu":
            return array.real.astype(np.int64).astype(want.numpy)
        if array.dtype.kind == "c" and want.numpy.kind != "c":
            return array.real.astype(want.numpy)
        return array.astype(want.numpy, copy=False) if want.name != "complex32" else array.astype(np.complex64)


def share_array(array: np.ndarray, device: Any = None) -> Tensor:
    """A tensor over a NumPy array's own memory where host and device share it, else a copy."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    _check_array(array)
    dtype = dtypes.from_numpy_dtype(array.dtype)
    if any(s < 0 for s in array.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative strides are not "
            "currently "
            "supported. (You can probably work around this by making a copy of your array with array.copy().)"
        )
    if not array.dtype.isnative:
        raise ValueError(
            "given numpy array has byte order different from the native byte order. Conversion between byte "
            "orders is currently not supported."
        )
    where = resolve(device)
    runtime = log_of(where).runtime
    flat, strides, offset = _flat_window(array)
    buffer = runtime.memory.wrap(flat) if flat is not None and flat.size else None
    if buffer is None:
        return from_array(array, dtype, where)
    node = leaf(buffer, dtype, where, flat.size)
    t = make(node, spec(dtype, where, array.shape, strides, offset))
    owner = array
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    foreign = owner.base is not None
    t._storage.pin_to(buffer, lambda: foreign or getrefcount(owner) > _OWN_REFERENCES)
    t._storage.host_fresh = True
    return t


_OWN_REFERENCES = 3  # to an array that only its buffer still holds: the buffer's view, the watch and getrefcount's own


def _flat_window(array: np.ndarray) -> tuple[np.ndarray | None, tuple[int, ...], int]:
    """The contiguous memory an array lies in, and its strides and offset in elements there."""
    size = array.itemsize
    if not array.flags.writeable:
        return None, (), 0
    if any(s % size for s in array.strides) and array.size > 1:
        return None, (), 0
    strides = tuple(s // size for s in array.strides)
    if array.flags.c_contiguous:
        return array.reshape(-1), views_module.row_major(array.shape), 0
    if array.size == 0:
        return None, (), 0
    span = 1 + sum((n - 1) * s for n, s in zip(array.shape, strides))
    flat = np.lib.stride_tricks.as_strided(array, (span,), (size,))
    return flat, strides, 0


# -- filled -----------------------------------------------------------------------------------------------------------
def _full_rule(shape: tuple[int, ...], dtype: dtypes.dtype, device: Device, kind: str) -> Spec:
    if any(n < 0 for n in shape):
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}")
    return spec(dtype, device, shape)


_full = Op(
    "full",
    lambda shape, dtype, device: _full_rule(shape, dtype, device, ""),
    lambda b, value, shape, dtype, device: value.cast(dtype).expand(shape).contiguous(),
    scalars=lambda shape, dtype, device: (wide(dtype) if dtype is not dtypes.bool else dtypes.int64,),
)
_empty = Op(
    "empty",
    lambda shape, dtype, device: _full_rule(shape, dtype, device, ""),
    lambda b, shape, dtype, device: b.const(0, dtype, shape).contiguous(),
)


#: Ones in the shape of a description, row-major.
ONES = Op(
    "ones",
    lambda seen: spec(seen.dtype, seen.device, seen.shape),
    lambda b, seen: b.const(1, seen.dtype, seen.shape).contiguous(),
)


def FULL(shape: Sequence[int], value: Any, dtype: dtypes.dtype, device: Any) -> Tensor:
    """``value`` everywhere."""
    return _full((), (tuple(shape), dtype, resolve(device)), (value,))


def zeros_of(shape: Sequence[int], dtype: dtypes.dtype, device: Any) -> Tensor:
    """Zeros."""
    return _empty((), (tuple(shape), dtype, resolve(device)))


views_module.ZEROS = zeros_of
select_module.SCALAR = scalar


def finish(t: Tensor, requires_grad: bool, out: Tensor | None = None) -> Tensor:
    """The end of every factory: ``out=`` and ``requires_grad``."""
    if out is not None:
        publish.write_out(out, t)
        return out
    if requires_grad:
        if not t._spec.floating:
            raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
        t._rg = True
    return t


def _fill_like(input: Tensor, value: Any, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    check_tensor("full_like", input)
    seen = input._spec
    dtype = dtype or seen.dtype
    where = seen.device if device is None else device
    order = memory_order([seen])
    if order is None:
        return finish(FULL(seen.shape, value, dtype, where), requires_grad)
    flat = FULL(tuple(seen.shape[d] for d in order), value, dtype, where)
    inverse = [order.index(d) for d in range(seen.ndim)]
    return finish(flat.permute(inverse).detach(), requires_grad)


# -- counting ---------------------------------------------------------------------------------------------------------
_arange = Op(
    "arange",
    lambda count, dtype, device: spec(dtype, device, (count,)),
    lambda b, start, step, count, dtype, device: _ramp(b, start, step, count, dtype),
    scalars=lambda count, dtype, device: (_ramp_dtype(dtype),) * 2,
)


def _ramp_dtype(dtype: dtypes.dtype) -> dtypes.dtype:
    return wide(dtype) if dtype.is_floating_point else dtypes.int64


def _ramp(b: Any, start: Any, step: Any, count: int, dtype: dtypes.dtype) -> Any:
    i = b.iota((count,), 0)
    return (start + i.cast(start.dtype) * step).cast(dtype)


def arange_of(start: Any, end: Any, step: Any, dtype: Any, device: Any) -> Tensor:
    """Half-open range with torch's count and dtype rules."""
    numbers = [v.item() if isinstance(v, (Tensor, np.generic)) else v for v in (start, end, step)]
    start, end, step = numbers
    if step == 0:
        raise RuntimeError("step must be nonzero")
    for v in (start, end):
        if isinstance(v, float) and (v != v or v in (float("inf"), float("-inf"))):
            raise RuntimeError(f"unsupported range: {start} -> {end}")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    if dtype is None:
        dtype = dtypes.default.get() if any(isinstance(v, float) for v in numbers) else dtypes.int64
    if not dtype.is_floating_point:
        start, step = int(start), int(step)
        count = max(0, -(-(int(end) - start) // step)) if step else 0
        if any(isinstance(v, float) for v in numbers):
            count = max(0, ceil((numbers[1] - numbers[0]) / numbers[2]))
    else:
        count = max(0, ceil((end - start) / step))
    return _arange((), (count, dtype, resolve(device)), (start, step))


views_module.ARANGE = lambda n: arange_of(0, n, 1, None, None)


# -- random -----------------------------------------------------------------------------------------------------------
def random_numbers(b: Any, fn: str, shape: tuple[int, ...], seed: Any, offset: Any) -> Any:
    """A draw of random numbers: ``fn`` is "philox" (32 bits), "philox64" (64 bits) or "normal" (float32)."""
    numbers = [n.cast(dtypes.uint64) for n in (seed, offset)]
    return b.random_number(fn, b.iota((prod(shape),), 0).cast(dtypes.uint64), *numbers).reshape(shape)


def leading_bits(b: Any, shape: tuple[int, ...], seed: Any, offset: Any, digits: int) -> Any:
    """A draw of random integers of that many bits, at most 31 (int32) or 63 (int64)."""
    if digits < 32:
        return b.shr(random_numbers(b, "philox", shape, seed, offset), 32 - digits).cast(dtypes.int32)
    return b.shr(random_numbers(b, "philox64", shape, seed, offset), 64 - digits).cast(dtypes.int64)


def uniform(b: Any, shape: tuple[int, ...], seed: Any, offset: Any, dtype: dtypes.dtype) -> Any:
    """A draw of floats in [0, 1) of 24 bits for float32, 53 for float64, 11 or 8 for the 16-bit types."""
    digits = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}[dtype.name]
    return leading_bits(b, shape, seed, offset, digits).cast(wide(dtype)) * (2.0**-digits)


def _rand_lower(b: Any, seed: Any, offset: Any, shape: tuple, dtype: dtypes.dtype, device: Device) -> Any:
    return uniform(b, shape, seed, offset, dtype).cast(dtype)


_NUMBERS = (dtypes.int64, dtypes.int64)
_SMALL_SPAN = 1 << 20  # up to which random integers come from 32 bits
_rand = Op("rand", lambda shape, dtype, device: _full_rule(shape, dtype, device, ""), _rand_lower, scalars=_NUMBERS)


def _randn_lower(b: Any, seed: Any, offset: Any, shape: tuple, dtype: dtypes.dtype, device: Device) -> Any:
    """Normal numbers; float64 by Box and Muller 1958, radius from the upper half of 64 bits, angle from the lower."""
    if dtype is not dtypes.float64:
        return random_numbers(b, "normal", shape, seed, offset).cast(dtype)
    bits = random_numbers(b, "philox64", shape, seed, offset)
    high = b.shr(bits, 32).cast(dtypes.int64).cast(dtype)
    low = b.pw("and", bits, 0xFFFFFFFF).cast(dtypes.int64).cast(dtype)
    radius = b.sqrt(b.log((high + 0.5) * (2.0**-32)) * -2.0)
    return radius * b.cos(low * (2 * np.pi * 2.0**-32))


_randn = Op("randn", lambda shape, dtype, device: _full_rule(shape, dtype, device, ""), _randn_lower, scalars=_NUMBERS)


def _randint_lower(
    b: Any, seed: Any, offset: Any, low: Any, span: Any, shape: tuple, dtype: dtypes.dtype, device: Device, small: bool
) -> Any:
    """low + the upper half of (random bits times span): of 32 bits where the span is so small that none is favoured by
    more than 2^-12, else of 64."""
    if small:
        bits = random_numbers(b, "philox", shape, seed, offset).cast(dtypes.uint64)
        number = b.shr(bits * span.cast(dtypes.uint64), 32)
    else:
        number = b.mul_high(random_numbers(b, "philox64", shape, seed, offset), span.cast(dtypes.uint64))
    return (number.cast(dtypes.int64) + low).cast(dtype)


_randint = Op(
    "randint",
    lambda shape, dtype, device, small: _full_rule(shape, dtype, device, ""),
    _randint_lower,
    scalars=(dtypes.int64,) * 4,
)


def draw(kind: Op, shape: Sequence[int], dtype: Any, device: Any, generator: Any = None, extra: tuple = ()) -> Tensor:
    """A random tensor from the stream of ``generator`` (None: the default one)."""
    shape = tuple(shape)
    if dtype is not None and dtype.is_complex:  # the variance is that of the complex number
        pairs = draw(kind, (*shape, 2), dtype.to_real(), device, generator, extra)
        pairs = pairs * sqrt(0.5) if kind is _randn else pairs
        return copy_in_order(pairs.view(dtype).squeeze(-1), None)
    numbers = (generator or random.default_generator).take(prod(shape))
    static = (shape, dtype or dtypes.default.get(), resolve(device))
    if kind is _randint:
        static = (*static, extra[1] <= _SMALL_SPAN)
    return kind((), static, (*numbers, *extra))


def _make_state(array: np.ndarray) -> Tensor:
    return from_array(array, dtypes.uint8, "cpu")


random.MAKE_TENSOR = _make_state


# -- conversion -------------------------------------------------------------------------------------------------------
def _cast_rule(x: Spec, dtype: dtypes.dtype) -> Spec:
    return spec(dtype, x.device, tuple(x.shape), dense_strides(x.shape, memory_order([x])))


_cast = Op(
    "_to_copy",
    _cast_rule,
    lambda b, x, dtype: x.cast(dtype),
    lambda ctx, g: (g,),
    grad_name="ToCopyBackward0",
)


def cast(x: Tensor, dtype: dtypes.dtype) -> Tensor:
    """Convert elements; the tensor itself if it has the dtype."""
    return x if x._spec.dtype is dtype else _cast((x,), (dtype,))


storing.CAST = cast
_clone = Op("clone", lambda x, order: _clone_spec(x, order), lambda b, x, order: x, lambda ctx, g: (g,))


def _clone_spec(x: Spec, order: tuple[int, ...] | None) -> Spec:
    return spec(x.dtype, x.device, tuple(x.shape), dense_strides(x.shape, list(order) if order is not None else None))


def copy_in_order(x: Tensor, order: tuple[int, ...] | None) -> Tensor:
    """A copy that lies in memory in the given order of dimensions (None: row-major)."""
    return _clone((x,), (order,))


def to_device(x: Tensor, device: Any) -> Tensor:
    """A copy on another device (the tensor itself if it is there)."""
    target = resolve(device)
    seen = x._spec
    if seen.device is target or (type(seen.device) is not Device and seen.device.stands_for(target)):
        return x
    if type(target) is not Device:
        return pointwise_module.LIFT(x, target)
    if seen.device.kind == "meta":
        raise NotImplementedError("Cannot copy out of meta tensor; no data!")
    source = x if seen.contiguous and seen.offset == 0 else copy_in_order(x, None)
    node: Node = log_of(target).from_array(
        log_of(seen.device).read(source._storage.node)[: seen.numel] if target.kind != "meta" else _nothing(seen),
        seen.dtype,
    )
    out = make(node, spec(seen.dtype, target, tuple(seen.shape)))
    if mode.grad and x._rg:
        _Moved.record_move(x, out)
    return out


def _nothing(seen: Spec) -> np.ndarray:
    return np.broadcast_to(np.zeros((), seen.dtype.numpy), (seen.numel,))


class _Moved(Op):
    """The record of a copy between devices."""

    @staticmethod
    def record_move(x: Tensor, out: Tensor) -> None:
        call = Call("to_device", None, (x._spec,), out._spec)
        _moved.record(call, (x,), (out,), (), ())


_moved = _Moved(
    "to_device",
    lambda x: x,
    lambda b, x: x,
    lambda ctx, g: (to_device(g, ctx.specs[0].device),),
    grad_name="ToCopyBackward0",
)
pointwise_module.TO_DEVICE = to_device


def convert(x: Tensor, dtype: dtypes.dtype | None, device: Any, copy: bool = False) -> Tensor:
    """The work of ``Tensor.to``."""
    out = x
    if device is not None:
        out = to_device(out, device)
    if dtype is not None:
        out = cast(out, dtype)
    if copy and out is x:
        out = copy_in_order(x, _order_of(x))
    return out


def _order_of(x: Tensor) -> tuple[int, ...] | None:
    order = memory_order([x._spec])
    return tuple(order) if order is not None else None


@function()
def clone(input: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy; gradients flow through."""
    if memory_format is None or memory_format.name == "preserve":
        return copy_in_order(input, _order_of(input))
    return copy_in_order(input, memory_format.order(input._spec.ndim))


@function(torch=False)
def contiguous(self: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor itself if it lies in memory in row-major order, else a copy that does."""
    if memory_format is None or memory_format.order(self._spec.ndim) is None:
        return self if self._spec.contiguous else copy_in_order(self, None)
    if memory_format.holds(self._spec):
        return self
    return copy_in_order(self, memory_format.order(self._spec.ndim))


# -- assignment -------------------------------------------------------------------------------------------------------
@function(torch=False)
def copy_(self: Tensor, src: Tensor, non_blocking: bool = False) -> Tensor:
    """Overwrite with ``src``, broadcast and converted."""
    if not isinstance(src, Tensor):
        raise TypeError(f"copy_(): argument 'other' (position 1) must be Tensor, not {type(src).__name__}")
    check_inplace(self, "copy_", src._rg)
    value = to_device(src, self._spec.device)
    if value._spec.shape != self._spec.shape:
        value = value.expand(*self._spec.shape)
    if value._spec.dtype is not self._spec.dtype:
        value = cast(value, self._spec.dtype)
    put(self, value, False, True)
    return self


@function(torch=False)
def fill_(self: Tensor, value: Any) -> Tensor:
    """Set every element."""
    check_inplace(self, "fill_")
    if isinstance(value, Tensor):
        if value._spec.ndim:
            raise RuntimeError(
                f"fill_ only supports 0-dimension value tensor but got tensor with {value._spec.ndim} dimensions."
            )
        return copy_(self, value)
    if not is_number(value):
        raise TypeError(f"fill_(): argument 'value' (position 1) must be Number, not {type(value).__name__}")
    seen = self._spec
    put(self, FULL(tuple(seen.shape), value, seen.dtype, seen.device), seen.contiguous, True)
    return self


@function()
def zero_(self: Tensor) -> Tensor:
    """Set every element to zero."""
    check_inplace(self, "zero_")
    seen = self._spec
    put(self, zeros_of(tuple(seen.shape), seen.dtype, seen.device), seen.contiguous, ZeroBackward0)
    return self


@function(out=True)
def fill(input: Tensor, value: Any) -> Tensor:
    """A copy with every element set."""
    return clone(input).fill_(value)


def resize(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """``resize_``: another size in place, keeping the storage's elements as far as they go."""
    seen = x._spec
    numel = prod(shape)
    held = x._storage.nbytes // seen.dtype.itemsize
    if numel + seen.offset > held:
        old = x._storage.node
        grown = zeros_of((numel + seen.offset,), seen.dtype, seen.device)
        flat = spec(seen.dtype, seen.device, (held,))
        log = log_of(seen.device)
        node = log.add(write_call(grown._storage.node.call.out, flat, flat), (grown._storage.node, old))
        x._storage.put(node)
    x._spec = spec(seen.dtype, seen.device, shape, None, seen.offset)
    return x


publish.RESIZE = resize
__all__ = ["assign", "cast", "clone", "convert", "copy_", "fill_", "from_array", "share_array", "tensor_from"]
