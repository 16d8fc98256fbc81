"""What a tensor is, apart from its content: dtype, device, shape, strides and offset. Interned: compare with ``is``."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from .. import dtypes
from ..device import device as Device
from .view import View, is_contiguous, row_major


class Size(tuple):
    """A shape, as torch.Size: a tuple with ``numel()`` whose slices and sums are sizes too."""

    __slots__ = ()

    def __new__(cls, sizes: Iterable[int] = ()) -> Size:
        values = tuple(sizes)
        for i, v in enumerate(values):
            if not isinstance(v, int):
                if hasattr(v, "__index__"):
                    values = tuple(x.__index__() for x in values)
                    break
                raise TypeError(f"Size() takes an iterable of 'int' (item {i} is '{type(v).__name__}')")
        return tuple.__new__(cls, values)

    def numel(self) -> int:
        """Number of elements."""
        return prod(self)

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"

    __str__ = __repr__

    def __getitem__(self, item: int | slice) -> int | Size:
        got = tuple.__getitem__(self, item)
        return tuple.__new__(Size, got) if isinstance(item, slice) else got

    def __add__(self, other: tuple) -> Size:
        return tuple.__new__(Size, tuple.__add__(self, other))

    def __radd__(self, other: tuple) -> Size:
        return tuple.__new__(Size, tuple.__add__(tuple(other), self))

    def __mul__(self, times: int) -> Size:
        return tuple.__new__(Size, tuple.__mul__(self, times))

    __rmul__ = __mul__

    def __reduce__(self) -> tuple:
        return Size, (tuple(self),)


class Spec:
    """Description of a tensor. Made by ``spec()`` only, one object for equal descriptions."""

    __slots__ = ("dtype", "device", "shape", "stride", "offset", "numel", "contiguous", "ndim", "whole", "floating")

    def __init__(
        self, dtype: dtypes.dtype, device: Device, shape: tuple[int, ...], stride: tuple[int, ...], offset: int
    ) -> None:
        self.dtype = dtype
        self.device = device
        self.shape = Size(shape)
        self.stride = stride
        self.offset = offset
        self.numel = prod(shape)
        self.contiguous = is_contiguous(shape, stride)
        self.ndim = len(shape)
        self.whole = self.contiguous and offset == 0  # covers its storage if that has as many elements
        self.floating = dtype.is_floating_point or dtype.is_complex

    @property
    def view(self) -> View:
        """Shape, strides and offset as a View."""
        return View(tuple(self.shape), self.stride, self.offset)

    def like(self, shape: tuple[int, ...], stride: tuple[int, ...], offset: int) -> Spec:
        """Another view of the same storage."""
        return spec(self.dtype, self.device, shape, stride, offset)

    def reach(self) -> int:
        """Number of storage elements up to and including the last one addressed."""
        if self.numel == 0:
            return self.offset
        return self.offset + 1 + sum((n - 1) * s for n, s in zip(self.shape, self.stride))

    def __repr__(self) -> str:
        return f"Spec({self.dtype.name}{list(self.shape)}, strides {self.stride}, offset {self.offset}, {self.device})"


class _Specs:
    """The interning table. Bounded: programs with ever-changing shapes must not grow it without end."""

    def __init__(self) -> None:
        self.table: dict[tuple, Spec] = {}

    def get(
        self, dtype: dtypes.dtype, device: Device, shape: tuple[int, ...], stride: tuple[int, ...] | None, offset: int
    ) -> Spec:
        shape = tuple(shape)
        key = (dtype, device, shape, stride, offset)
        found = self.table.get(key)
        if found is None:
            if len(self.table) > 200_000:
                self.table.clear()
            steps = row_major(shape) if stride is None else tuple(stride)
            full = (dtype, device, shape, steps, offset)
            found = self.table.get(full)
            if found is None:
                found = self.table[full] = Spec(dtype, device, shape, steps, offset)
            self.table[key] = found
        return found


_specs = _Specs()


def spec(
    dtype: dtypes.dtype,
    device: Device,
    shape: tuple[int, ...],
    stride: tuple[int, ...] | None = None,
    offset: int = 0,
) -> Spec:
    """The interned description (``stride`` None: contiguous)."""
    return _specs.get(dtype, device, shape, stride, offset)
