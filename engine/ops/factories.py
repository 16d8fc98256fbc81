"""Factory functions with torch's signatures, and their ``*_like`` and ``new_*`` forms."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from ..autograd.variable import Tensor
from ..device import resolve
from ..graph.spec import spec
from . import creation
from .creation import FULL, draw, finish, zeros_of
from .op import dense_strides
from .permutation import permutation
from .publish import function
from .views import sizes_of


def _factory(name: str, make: Callable[..., Tensor], doc: str) -> Callable[..., Tensor]:
    def call(
        *size: Any,
        out: Any = None,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
        memory_format: Any = None,
        generator: Any = None,
        names: Any = None,
        **kwargs: Any,
    ) -> Tensor:
        if kwargs:
            if set(kwargs) != {"size"}:
                raise TypeError(f"{name}() got an unexpected keyword argument '{next(iter(kwargs))}'")
            size = (kwargs["size"],)
        shape = sizes_of(size, name)
        if any(n < 0 for n in shape):
            raise RuntimeError(f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}")
        t = make(shape, dtype or (out._spec.dtype if out is not None else dtypes.default.get()), device, generator)
        if memory_format is not None and memory_format.order(len(shape)) is not None:
            t = t.contiguous(memory_format=memory_format)
        return finish(t, requires_grad, out)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    return function(method=False)(call)


zeros = _factory("zeros", lambda s, d, where, g: zeros_of(s, d, where), "Zeros of a shape.")
ones = _factory("ones", lambda s, d, where, g: FULL(s, 1, d, where), "Ones of a shape.")
empty = _factory(
    "empty", lambda s, d, where, g: zeros_of(s, d, where), "A tensor whose content is not defined (zeros here)."
)
rand = _factory(
    "rand", lambda s, d, where, g: draw(creation._rand, s, d, where, g), "Uniform random numbers in [0, 1)."
)
randn = _factory(
    "randn", lambda s, d, where, g: draw(creation._randn, s, d, where, g), "Standard normal random numbers."
)


@function(method=False)
def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False
) -> Tensor:
    """A new tensor with a copy of ``data`` (numbers, nested sequences, arrays, tensors)."""
    return finish(creation.tensor_from(data, dtype, device), requires_grad)


@function(method=False)
def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """``data`` as a tensor; shares memory with tensors and NumPy arrays of that dtype and device."""
    if isinstance(data, Tensor):
        return creation.convert(data, dtype, device)
    if isinstance(data, np.ndarray) and data.flags.writeable and not any(s < 0 for s in data.strides):
        return creation.convert(creation.share_array(data, None if device is None else device), dtype, None)
    return creation.tensor_from(data, dtype, device)


@function(method=False)
def asarray(
    obj: Any, *, dtype: Any = None, device: Any = None, copy: Any = None, requires_grad: bool = False
) -> Tensor:
    """``obj`` as a tensor, copied only when needed or asked for."""
    if isinstance(obj, Tensor):
        t = creation.convert(obj, dtype, device, bool(copy))
        return t.detach().requires_grad_(requires_grad) if not obj._rg else t
    if copy:
        return finish(creation.tensor_from(obj, dtype, device), requires_grad)
    return finish(as_tensor(obj, dtype, device), requires_grad)


@function(method=False)
def from_numpy(ndarray: np.ndarray) -> Tensor:
    """A tensor that shares memory with a NumPy array (on devices whose memory is the host's)."""
    return creation.share_array(ndarray)


@function(method=False)
def scalar_tensor(s: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, **_: Any) -> Tensor:
    """A 0-dim tensor."""
    return finish(FULL((), s, dtype or dtypes.default.get(), device), requires_grad)


@function(method=False)
def full(
    size: Any, fill_value: Any, *, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, names: Any = None,
) -> Tensor:  # fmt: skip
    """``fill_value`` everywhere; dtype from the value by default."""
    value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
    shape = sizes_of((size,) if not isinstance(size, int) else (size,), "full")
    return finish(FULL(shape, value, dtype or dtypes.from_python(value), device), requires_grad, out)


def _like(name: str, make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def call(
        input: Tensor, *args: Any, dtype: Any = None, layout: Any = None, device: Any = None,
            requires_grad: bool = False,
        memory_format: Any = None, pin_memory: bool = False, generator: Any = None, **kwargs: Any,
    ) -> Tensor:  # fmt: skip
        creation.check_tensor(name, input)
        seen = input._spec
        t = make(input, *args, dtype=dtype or seen.dtype, device=seen.device if device is None else device, **kwargs)
        if memory_format is not None and memory_format.order(seen.ndim) is not None:
            t = t.contiguous(memory_format=memory_format)
        return finish(t, requires_grad)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"Like ``{name[:-5]}``, with the shape, dtype, device and layout of a tensor."
    return function(method=False)(call)


zeros_like = _like("zeros_like", lambda x, dtype, device: creation._fill_like(x, 0, dtype, device, False))
ones_like = _like("ones_like", lambda x, dtype, device: creation._fill_like(x, 1, dtype, device, False))
empty_like = _like("empty_like", lambda x, dtype, device: creation._fill_like(x, 0, dtype, device, False))
full_like = _like(
    "full_like", lambda x, fill_value, dtype, device: creation._fill_like(x, fill_value, dtype, device, False)
)
rand_like = _like("rand_like", lambda x, dtype, device: draw(creation._rand, x._spec.shape, dtype, device))
randn_like = _like("randn_like", lambda x, dtype, device: draw(creation._randn, x._spec.shape, dtype, device))


def _integers(shape: Any, low: Any, high: Any, dtype: Any, device: Any, generator: Any = None) -> Tensor:
    if high <= low:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    return draw(creation._randint, shape, dtype or dtypes.int64, device, generator, (int(low), int(high) - int(low)))


def _randint_like(x: Tensor, low: int, high: int | None = None, *, dtype: Any, device: Any) -> Tensor:
    low, high = (0, low) if high is None else (low, high)
    return _integers(x._spec.shape, low, high, dtype, device)


randint_like = _like("randint_like", _randint_like)


@function(method=False)
def randint(
    low: int = 0, high: Any = None, size: Any = None, *, generator: Any = None, out: Any = None, dtype: Any = None,
    layout: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Random integers in [low, high): ``randint(high, size)`` or ``randint(low, high, size)``."""
    if size is None:
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    return finish(_integers(sizes_of((size,), "randint"), low, high, dtype, device, generator), requires_grad, out)


@function(method=False)
def arange(
    start: Any = 0, end: Any = None, step: Any = 1, *, out: Any = None, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Numbers from start (default 0) to end, exclusive."""
    if end is None:
        start, end = 0, start
    return finish(creation.arange_of(start, end, step, dtype, device), requires_grad, out)


@function(method=False, name="range")
def range_(
    start: Any = 0, end: Any = None, step: Any = 1, *, out: Any = None, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Numbers from start to end, inclusive (deprecated in torch in favour of arange)."""
    warnings.warn(
        "torch.range is deprecated: its result includes the end, unlike Python's range. Use torch.arange, which gives "
        "values "
        "in [start, end).",
        UserWarning,
        stacklevel=2,
    )
    if end is None:
        start, end = 0, start
    count = int(np.floor((end - start) / step)) + 1
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    dtype = dtype or dtypes.default.get()
    return finish(creation._arange((), (count, dtype, resolve(device)), (start, step)), requires_grad, out)


@function(method=False)
def linspace(
    start: Any, end: Any, steps: int, *, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """``steps`` numbers from start to end, both included."""
    start, end = (v.item() if isinstance(v, Tensor) else v for v in (start, end))
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    values = np.linspace(start, end, steps, dtype=np.float64)
    return finish(creation.tensor_from(values, dtype or dtypes.default.get(), device), requires_grad, out)


@function(method=False)
def logspace(
    start: Any, end: Any, steps: int, base: float = 10.0, *, out: Any = None, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """``base`` to the powers of linspace(start, end, steps)."""
    start, end = (v.item() if isinstance(v, Tensor) else v for v in (start, end))
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
        start, end = int(start), int(end)
    values = np.power(float(base), np.linspace(start, end, steps, dtype=np.float64))
    return finish(creation.tensor_from(values, dtype or dtypes.default.get(), device), requires_grad, out)


@function(method=False)
def eye(
    n: int, m: int | None = None, *, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Ones on the diagonal."""
    for name, size in (("n", n), ("m", m)):
        if size is not None and size < 0:
            raise RuntimeError(f"{name} must be greater or equal to 0, got {size}")
    rows, columns = arange(n, device=device).unsqueeze(1), arange(n if m is None else m, device=device)
    return finish((rows == columns).to(dtype or dtypes.default.get()), requires_grad, out)


@function(method=False)
def randperm(
    n: int, *, generator: Any = None, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """A random permutation of 0 .. n-1 from the generator's state."""
    if n < 0:
        raise RuntimeError(f"n must be non-negative, got {n}")
    if n >= 1 << 31:
        raise RuntimeError(f"n is too large: {n}")
    numbers = (generator or creation.random.default_generator).take(4 * n + 64)
    return finish(permutation((), (int(n), dtype or dtypes.int64, resolve(device)), numbers), requires_grad, out)


@function(method=False)
def empty_strided(
    size: Any, stride: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """A tensor of given sizes and strides, content not defined."""
    size, stride = tuple(size), tuple(stride)
    where = resolve(device)
    dtype = dtype or dtypes.default.get()
    seen = spec(dtype, where, size, stride, 0)
    base = zeros_of((seen.reach() if seen.numel else 0,), dtype, where)
    base._spec = seen
    return finish(base, requires_grad)


@function(method=False)
def empty_permuted(size: Any, physical_layout: Any, **kwargs: Any) -> Tensor:
    """A dense tensor whose dimensions lie in memory in ``physical_layout`` (outermost first)."""
    order, ndim = list(physical_layout), len(tuple(size))
    if len(order) != ndim:
        raise RuntimeError(
            "Number of dimensions in size does not match the length of the physical_layout; i.e. "
            f"len(size) = {ndim} is not equal to len(physical_layout) = {len(order)}"
        )
    for i, d in enumerate(order):
        if not 0 <= d < ndim:
            raise RuntimeError(
                f"Dimension out of range (expected to be between 0 and {ndim - 1}, but got {d} at index {i}).  NB: "
                "negative dims not currently supported; file an issue if you want it."
            )
    if len(set(order)) != ndim:
        raise RuntimeError("Duplicate dim not allowed")
    return empty_strided(size, dense_strides(tuple(size), list(physical_layout)), **kwargs)


# -- methods ----------------------------------------------------------------------------------------------------------
def _new(name: str, make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def call(
        self: Tensor, *args: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False,
            layout: Any = None,
        pin_memory: bool = False, **kwargs: Any,
    ) -> Tensor:  # fmt: skip
        seen = self._spec
        return finish(make(*args, dtype=dtype or seen.dtype, device=seen.device if device is None else device,
            **kwargs),
                      requires_grad)  # fmt: skip

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"``{name[4:]}`` with this tensor's dtype and device by default."
    return function(torch=False)(call)


new_zeros, new_ones, new_empty = _new("new_zeros", zeros), _new("new_ones", ones), _new("new_empty", empty)
new_full, new_tensor = _new("new_full", full), _new("new_tensor", tensor)
new_empty_strided = _new("new_empty_strided", empty_strided)
