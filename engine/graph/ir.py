"""The planner's intermediate form: values over index spaces, and the small array language ops are lowered in.

A ``Val`` is the row-major content of an array. It reads its operands through affine views, so transposes, slices and
broadcasts cost nothing until something forces them into memory. ``Ref`` is a value seen through a view: the handle
that lowering functions compute with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from .. import dtypes
from . import scalar
from .partial import reduce_in_parts
from .view import View, row_major


class Val:
    """One primitive. ``kind`` is one of

    "input" (buffer ``attrs``), "const" (Python number ``attrs``), "scalar" (run-time number ``attrs``), "iota"
    (position
    along dimension ``attrs``), "pw" (scalar function ``fn``), "reduce" (``fn`` over the trailing ``attrs`` dimensions
    of
    its operand's view), "take" (element ``args[1]`` of the flat ``args[0]``), "write" (``args[0]`` with ``args[1]``
    stored through the view ``attrs``), "bitcast", "kernel" (hand-written, described by ``attrs``), "host" (NumPy
    function ``attrs``) and "output" (number ``attrs`` of a kernel or host value with several).
    """

    __slots__ = ("kind", "fn", "args", "shape", "dtype", "attrs", "uid", "origin")

    def __init__(
        self,
        kind: str,
        fn: str,
        args: tuple[tuple[Val, View], ...],
        shape: tuple[int, ...],
        dtype: dtypes.dtype,
        attrs: Any,
        uid: int,
    ) -> None:
        self.kind = kind
        self.fn = fn
        self.args = args
        self.shape = shape
        self.dtype = dtype
        self.attrs = attrs
        self.uid = uid
        self.origin: tuple[int, str] | None = None  # (position in the log, name) of the op it came from

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def inline(self) -> bool:
        """Whether the value is computed where it is used (unless something forces it into memory)."""
        return self.kind in ("pw", "const", "scalar", "iota", "take")

    def __repr__(self) -> str:
        operands = ", ".join(f"%{v.uid}{list(w.strides)}+{w.offset}" for v, w in self.args)
        what = self.fn or self.kind
        return f"%{self.uid} = {what}({operands}) {self.dtype.name}{list(self.shape)}" + (
            f" {self.attrs}" if self.attrs is not None else ""
        )


class Ref:
    """A value seen through a view: the operand type of lowering functions."""

    __slots__ = ("b", "val", "view")

    def __init__(self, builder: Builder, val: Val, view: View) -> None:
        self.b = builder
        self.val = val
        self.view = view

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the view."""
        return self.view.shape

    @property
    def ndim(self) -> int:
        """Number of dimensions of the view."""
        return len(self.view.shape)

    @property
    def size(self) -> int:
        """Number of elements of the view."""
        return prod(self.view.shape)

    @property
    def dtype(self) -> dtypes.dtype:
        """Element type."""
        return self.val.dtype

    def _with(self, view: View) -> Ref:
        return Ref(self.b, self.val, view)

    # -- movement ---------------------------------------------------------------------------------------------------
    def expand(self, shape: tuple[int, ...]) -> Ref:
        """Broadcast to ``shape``."""
        return self._with(self.view.expand(tuple(shape)))

    def permute(self, *dims: int) -> Ref:
        """Reorder dimensions."""
        return self._with(self.view.permute(dims))

    def transpose(self, a: int, b: int) -> Ref:
        """Swap two dimensions."""
        dims = list(range(self.ndim))
        dims[a], dims[b] = dims[b], dims[a]
        return self.permute(*dims)

    def reshape(self, shape: Sequence[int]) -> Ref:
        """Another shape for the same elements; copies only where strides cannot express it."""
        shape = tuple(shape)
        if -1 in shape:
            known = prod(s for s in shape if s != -1)
            shape = tuple(self.size // known if s == -1 else s for s in shape)
        view = self.view.reshape(shape)
        if view is not None:
            return self._with(view)
        return self.contiguous().reshape(shape)

    def contiguous(self) -> Ref:
        """The same elements, in row-major order from the start of a value of their own."""
        whole = self.view.offset == 0 and self.view.contiguous and self.view.size == self.val.size
        if whole and (self.val.kind not in ("scalar", "const") or self.val.attrs is None):
            return self
        return self.b.pw("id", self)

    def unsqueeze(self, dim: int) -> Ref:
        """A new dimension of size 1 before ``dim``."""
        dim = dim if dim >= 0 else dim + self.ndim + 1
        v = self.view
        return self._with(
            View(v.shape[:dim] + (1,) + v.shape[dim:], v.strides[:dim] + (0,) + v.strides[dim:], v.offset)
        )

    def squeeze(self, dim: int) -> Ref:
        """Drop dimension ``dim`` of size 1."""
        v = self.view
        dim %= self.ndim
        return self._with(View(v.shape[:dim] + v.shape[dim + 1 :], v.strides[:dim] + v.strides[dim + 1 :], v.offset))

    def slice(self, dim: int, start: int, length: int, step: int = 1) -> Ref:
        """``length`` elements along ``dim`` from ``start``, ``step`` apart (a negative step walks backwards)."""
        v = self.view
        dim %= self.ndim
        shape = v.shape[:dim] + (length,) + v.shape[dim + 1 :]
        strides = v.strides[:dim] + (v.strides[dim] * step,) + v.strides[dim + 1 :]
        return self._with(View(shape, strides, v.offset + start * v.strides[dim]))

    def select(self, dim: int, index: int) -> Ref:
        """One position along ``dim``, which disappears."""
        return self.slice(dim, index, 1).squeeze(dim)

    def flip(self, *dims: int) -> Ref:
        """Reverse the order along ``dims``."""
        out = self
        for d in dims:
            n = self.shape[d]
            if n > 1:
                out = out.slice(d, n - 1, n, -1)
        return out

    def as_strided(self, shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> Ref:
        """Any view of the flat value underneath."""
        return self._with(View(tuple(shape), tuple(strides), offset))

    # -- arithmetic -------------------------------------------------------------------------------------------------
    def cast(self, dtype: dtypes.dtype) -> Ref:
        """Convert the elements."""
        return self.b.cast(self, dtype)

    def __add__(self, o: Operand) -> Ref:
        return self.b.pw("add", self, o)

    def __radd__(self, o: Operand) -> Ref:
        return self.b.pw("add", o, self)

    def __sub__(self, o: Operand) -> Ref:
        return self.b.pw("sub", self, o)

    def __rsub__(self, o: Operand) -> Ref:
        return self.b.pw("sub", o, self)

    def __mul__(self, o: Operand) -> Ref:
        return self.b.pw("mul", self, o)

    def __rmul__(self, o: Operand) -> Ref:
        return self.b.pw("mul", o, self)

    def __truediv__(self, o: Operand) -> Ref:
        return self.b.pw("div", self, o)

    def __rtruediv__(self, o: Operand) -> Ref:
        return self.b.pw("div", o, self)

    def __neg__(self) -> Ref:
        return self.b.pw("neg", self)

    def __and__(self, o: Operand) -> Ref:
        return self.b.pw("and", self, o)

    def __or__(self, o: Operand) -> Ref:
        return self.b.pw("or", self, o)

    def __xor__(self, o: Operand) -> Ref:
        return self.b.pw("xor", self, o)

    def __invert__(self) -> Ref:
        return self.b.pw("not", self)

    def __lt__(self, o: Operand) -> Ref:
        return self.b.pw("lt", self, o)

    def __le__(self, o: Operand) -> Ref:
        return self.b.pw("le", self, o)

    def __gt__(self, o: Operand) -> Ref:
        return self.b.pw("gt", self, o)

    def __ge__(self, o: Operand) -> Ref:
        return self.b.pw("ge", self, o)

    def eq(self, o: Operand) -> Ref:
        """Elementwise ``==``."""
        return self.b.pw("eq", self, o)

    def ne(self, o: Operand) -> Ref:
        """Elementwise ``!=``."""
        return self.b.pw("ne", self, o)

    def __repr__(self) -> str:
        return f"Ref(%{self.val.uid}, {self.view})"


KEPT = "kept"  # ``attrs`` of a pointwise value that must be in memory
Operand = Ref | int | float | bool | complex


class Builder:
    """Makes values, each once: equal primitives of equal operands are the same value (common subexpressions).

    ``lifts``: a lowering is run for many examples at once (func.lifting), with rules of its own for some kernels.
    ``parallel``: rows that keep the device busy; reductions into fewer go by way of partial results (0: never).
    ``longest``: turns a loop of the device may have (0: any number).
    """

    lifts = False
    parallel = 0
    longest = 0

    def __init__(self) -> None:
        self.vals: list[Val] = []
        self._memo: dict[tuple, Val] = {}

    def make(
        self,
        kind: str,
        fn: str,
        args: tuple[tuple[Val, View], ...],
        shape: tuple[int, ...],
        dtype: dtypes.dtype,
        attrs: Any = None,
        unique: bool = False,
    ) -> Val:
        """The value of that description (a new one every time if ``unique``)."""
        key = (kind, fn, tuple((v.uid, w) for v, w in args), shape, dtype, type(attrs), attrs if not unique else None)
        if not unique:
            found = self._memo.get(key)
            if found is not None:
                return found
        val = Val(kind, fn, args, shape, dtype, attrs, len(self.vals))
        self.vals.append(val)
        if not unique:
            self._memo[key] = val
        return val

    def ref(self, val: Val, view: View | None = None) -> Ref:
        """``val`` seen whole, or through ``view``."""
        return Ref(self, val, view if view is not None else View.of(val.shape))

    # -- sources ----------------------------------------------------------------------------------------------------
    def input(self, number: int, size: int, dtype: dtypes.dtype) -> Val:
        """Buffer ``number`` of the plan's inputs, flat."""
        return self.make("input", "", (), (size,), dtype, number)

    def const(self, value: complex, dtype: dtypes.dtype, shape: tuple[int, ...] = ()) -> Ref:
        """A number known when the plan is made. It becomes part of the program text."""
        if isinstance(value, float):
            value = _exact(value)
        val = self.make("const", "", (), (), dtype, value)
        return self.ref(val).expand(shape)

    def empty(self, shape: tuple[int, ...], dtype: dtypes.dtype) -> Ref:
        """A base for writes that cover every element: memory with any content."""
        return self.ref(self.make("const", "", (), shape, dtype, None, unique=True))

    def scalar(self, number: int, dtype: dtypes.dtype) -> Ref:
        """Run-time number ``number``: a kernel argument."""
        return self.ref(self.make("scalar", "", (), (), dtype, number))

    def iota(self, shape: tuple[int, ...], dim: int) -> Ref:
        """int64 position along ``dim``."""
        return self.ref(self.make("iota", "", (), (shape[dim],), dtypes.int64)).as_strided(
            shape, tuple(int(d == dim % len(shape)) for d in range(len(shape))), 0
        )

    # -- computing --------------------------------------------------------------------------------------------------
    def pw(self, fn: str, *operands: Operand, dtype: dtypes.dtype | None = None) -> Ref:
        """A scalar function of broadcast operands; numbers take the dtype of the first array operand."""
        refs = [o for o in operands if isinstance(o, Ref)]
        like = next((r for r in refs[1:] if r.dtype is not dtypes.bool), refs[0]) if fn == "where" else refs[0]
        full = [o if isinstance(o, Ref) else self.const(o, like.dtype) for o in operands]
        if fn == "where" and not isinstance(operands[1], Ref) and len(refs) > 1:
            full[1] = self.const(operands[1], refs[-1].dtype)
        shape = broadcast(*(r.shape for r in full))
        if dtype is None:
            dtype = scalar.lookup(fn).result or full[-1].dtype
        args = tuple((r.val, r.view.expand(shape)) for r in full)
        return self.ref(self.make("pw", fn, args, shape, dtype))

    def cast(self, x: Ref, dtype: dtypes.dtype) -> Ref:
        """Convert to ``dtype``."""
        if x.dtype is dtype:
            return x
        return self.pw("cast", x, dtype=dtype)

    def kept(self, x: Ref) -> Ref:
        """``x`` in memory: a boundary that fusion does not cross."""
        x = x.contiguous()
        return (
            x if x.val.kind == "reduce" else self.ref(self.make("pw", "id", ((x.val, x.view),), x.shape, x.dtype, KEPT))
        )

    def random_number(self, fn: str, position: Ref, seed: Ref, offset: Ref) -> Ref:
        """Random numbers at positions (uint64) of a draw: ``fn`` is "philox" (32 bits), "philox64" or "normal"."""
        return self.pw(fn, position, seed, offset)

    def where(self, condition: Ref, a: Operand, b: Operand) -> Ref:
        """``a`` where the condition holds, else ``b``."""
        return self.pw("where", condition, a, b)

    def reduce(self, fn: str, x: Ref, dims: Sequence[int], keepdim: bool = False) -> Ref:
        """Combine the elements along ``dims`` with ``sum``, ``prod``, ``max`` or ``min``."""
        dims = sorted(d % x.ndim for d in dims)
        if not dims:
            return x
        kept = [d for d in range(x.ndim) if d not in dims]
        arg = x.permute(*kept, *dims)
        if not x.size:  # nothing to read
            return self._of_nothing(fn, x, dims, keepdim)
        out = reduce_in_parts(fn, arg, len(kept), self.parallel, self.longest)
        if out is None:
            out = self.reduce_once(fn, arg, len(dims))
        if keepdim:
            for d in dims:
                out = out.unsqueeze(d)
        return out

    def reduce_once(self, fn: str, x: Ref, count: int) -> Ref:
        """Combine the elements along the last ``count`` dimensions in one kernel."""
        shape = x.shape[: x.ndim - count]
        return self.ref(self.make("reduce", fn, ((x.val, x.view),), shape, x.dtype, count))

    def _of_nothing(self, fn: str, x: Ref, dims: Sequence[int], keepdim: bool) -> Ref:
        """The reduction of an empty array: the value that changes nothing."""
        if fn in ("sum", "prod"):
            value: Any = int(fn == "prod")
        elif x.dtype.is_floating_point:
            value = float("-inf") if fn == "max" else float("inf")
        elif x.dtype is dtypes.bool:
            value = fn == "min"
        else:
            limits = dtypes.iinfo(x.dtype)
            value = limits.min if fn == "max" else limits.max
        kept = tuple(1 if d in dims else n for d, n in enumerate(x.shape) if keepdim or d not in dims)
        return self.const(value, x.dtype, kept)

    def sum(self, x: Ref, dims: Sequence[int], keepdim: bool = False) -> Ref:
        """Sum along ``dims``."""
        return self.reduce("sum", x, dims, keepdim)

    def max(self, x: Ref, dims: Sequence[int], keepdim: bool = False) -> Ref:
        """Largest element along ``dims`` (NaN wins)."""
        return self.reduce("max", x, dims, keepdim)

    def min(self, x: Ref, dims: Sequence[int], keepdim: bool = False) -> Ref:
        """Smallest element along ``dims`` (NaN wins)."""
        return self.reduce("min", x, dims, keepdim)

    def mean(self, x: Ref, dims: Sequence[int], keepdim: bool = False) -> Ref:
        """Arithmetic mean along ``dims``."""
        count = prod(x.shape[d] for d in dims)
        return self.sum(x, dims, keepdim) * (1.0 / count if count else float("nan"))

    def take(self, source: Ref, index: Ref) -> Ref:
        """``source``'s element at flat position ``index`` (int64, row-major over the source's shape), for each
        index.
        """
        source = source.contiguous()
        flat = View((source.val.size,), (1,), 0)
        return self.ref(self.make("take", "", ((source.val, flat), (index.val, index.view)), index.shape, source.dtype))

    def write(self, base: Ref, value: Ref, view: View) -> Ref:
        """The flat ``base`` with ``value`` (of the view's shape) stored through ``view``."""
        base = base.contiguous()
        if 0 in view.shape:
            return base.reshape((base.size,))
        value = value.expand(view.shape)
        args = ((base.val, View((base.val.size,), (1,), 0)), (value.val, value.view))
        return self.ref(self.make("write", "", args, (base.val.size,), base.dtype, view))

    def bitcast(self, x: Ref, dtype: dtypes.dtype) -> Ref:
        """The bytes of a whole flat value under another dtype."""
        x = x.contiguous()
        size = x.val.size * x.dtype.itemsize // dtype.itemsize
        return self.ref(self.make("bitcast", "", ((x.val, View((x.val.size,), (1,), 0)),), (size,), dtype))

    def kernel(
        self, attrs: Any, operands: Sequence[Ref], outputs: Sequence[tuple[tuple[int, ...], dtypes.dtype]]
    ) -> list[Ref]:
        """A hand-written kernel over operands in memory (each keeps its view; see library)."""
        args = tuple((r.val, r.view) for r in operands)
        shape, dtype = outputs[0]
        val = self.make("kernel", attrs.name, args, shape, dtype, attrs, unique=True)
        return self._outputs(val, outputs)

    def host(
        self,
        function: Callable,
        operands: Sequence[Ref],
        outputs: Sequence[tuple[tuple[int, ...], dtypes.dtype]],
        name: str = "host",
    ) -> list[Ref]:
        """A NumPy function run on the host: arrays in (contiguous), tuple of arrays out."""
        refs = [r.contiguous() for r in operands]
        args = tuple((r.val, r.view) for r in refs)
        shape, dtype = outputs[0]
        val = self.make("host", name, args, shape, dtype, (function, tuple(r.shape for r in operands)), unique=True)
        return self._outputs(val, outputs)

    def _outputs(self, val: Val, outputs: Sequence[tuple[tuple[int, ...], dtypes.dtype]]) -> list[Ref]:
        if len(outputs) == 1:
            return [self.ref(val)]
        whole = View(val.shape, row_major(val.shape), 0)
        return [
            self.ref(self.make("output", "", ((val, whole),), shape, dtype, i))
            for i, (shape, dtype) in enumerate(outputs)
        ]

    def __getattr__(self, fn: str) -> Callable[..., Ref]:
        """``b.exp(x)``: any scalar function of the table by name."""
        if fn.startswith("__"):
            raise AttributeError(fn)
        scalar.lookup(fn)
        return lambda *operands, **options: self.pw(fn, *operands, **options)


class _SignedZero(float):
    """-0.0 with an identity of its own: as a dictionary key it must differ from 0.0."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _SignedZero)

    __hash__ = object.__hash__


_NEGATIVE_ZERO = _SignedZero(-0.0)


def _exact(value: float) -> float:
    return _NEGATIVE_ZERO if value == 0 and str(value)[0] == "-" else value


def broadcast(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The common shape of NumPy and torch broadcasting (ValueError where there is none)."""
    if all(s == shapes[0] for s in shapes):
        return shapes[0]
    out = [1] * max(len(s) for s in shapes)
    for shape in shapes:
        lead = len(out) - len(shape)
        for i, size in enumerate(shape, lead):
            if size != 1:
                if out[i] not in (1, size):
                    raise ValueError(f"shapes {shapes} do not broadcast")
                out[i] = size
    return tuple(out)
