"""Moving elements: rolling, turning, stacking, splitting, repeating, and combinations of vectors."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..autograd.inplace import check_inplace
from ..autograd.variable import Tensor
from ..graph.spec import Size
from .creation import from_array, tensor_from, zeros_of
from .creation import resize as resize_storage
from .join import cat, split, stack
from .op import Op
from .pointwise import broadcast_shapes as _common_shape
from .publish import function, registry
from .views import slice_dim, wrap_dim


def given(values: tuple, kind: type = int) -> tuple:
    """The items of ``f(a, b)`` or ``f((a, b))`` style arguments."""
    if len(values) == 1 and isinstance(values[0], (tuple, list)):
        return tuple(values[0])
    return values


# -- broadcasting -----------------------------------------------------------------------------------------------------
@function(method=False)
def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """Views of all tensors in their common shape."""
    items = given(tensors)
    shape = _common_shape(*(t._spec.shape for t in items)) if items else ()
    return tuple(t.expand(*shape) for t in items)


@function(method=False)
def broadcast_shapes(*shapes: Any) -> Any:
    """The common shape of several shapes. Raises RuntimeError where there is none."""
    items = [(s,) if isinstance(s, int) else tuple(s) for s in shapes]
    if not items:
        return Size(())
    for item in items:
        for n in item:
            if n < 0:
                raise RuntimeError(f"Trying to create tensor with negative dimension ({n}): ({n})")
    try:
        return Size(_common_shape(*items))
    except RuntimeError:
        raise RuntimeError(
            "Shape mismatch: objects cannot be broadcast to a single shape: " + ", ".join(str(i) for i in items)
        ) from None


# -- rolling and turning ----------------------------------------------------------------------------------------------
def _roll_lower(b: Any, x: Any, shifts: tuple[int, ...], dims: tuple[int, ...]) -> Any:
    """Two writes a dimension: each part goes to its new place."""
    for shift, dim in zip(shifts, dims):
        n = x.shape[dim]
        shift %= n
        if not shift:
            continue
        index = b.iota(x.shape, dim) - shift
        index = b.where(b.lt(index, 0), index + n, index)
        flat = index * _step(x.shape, dim)
        for d, size in enumerate(x.shape):
            if d != dim and size > 1:
                flat = flat + b.iota(x.shape, d) * _step(x.shape, d)
        x = b.take(x, flat)
    return x


def _step(shape: Sequence[int], dim: int) -> int:
    step = 1
    for n in shape[dim + 1 :]:
        step *= n
    return step


_roll = Op(
    "roll",
    lambda x, shifts, dims: (tuple(x.shape), x.dtype),
    _roll_lower,
    lambda ctx, g: (_roll((g,), (tuple(-s for s in ctx.static[0]), ctx.static[1])),),
)


@function()
def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """Shift along dimensions; what leaves at one end comes back at the other (of the flattened tensor by default)."""
    shifts = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    dims = () if dims is None else (dims,) if isinstance(dims, int) else tuple(dims)
    if not shifts:
        raise RuntimeError("`shifts` required")
    if not dims:
        if len(shifts) != 1:
            raise RuntimeError(f"shifts and dimensions must align. shifts: {len(shifts)}, dims:0")
        return roll(input.reshape(-1), shifts, 0).reshape(input._spec.shape)
    if len(shifts) != len(dims):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(shifts)}, dims:{len(dims)}")
    if not input._spec.ndim:
        raise IndexError(f"Dimension specified as {dims[0]} but tensor has no dimensions")
    axes = tuple(wrap_dim(d, input._spec.ndim) for d in dims)
    if not input._spec.numel or not input._spec.ndim:
        return input.clone()
    return _roll((input,), (tuple(int(s) for s in shifts), axes))


@function()
def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Turn a plane of two dimensions by ``k`` times 90 degrees, from the first towards the second."""
    ndim = input._spec.ndim
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if ndim < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {ndim}")
    a, b = wrap_dim(dims[0], ndim), wrap_dim(dims[1], ndim)
    if a == b:
        raise RuntimeError(f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}")
    k %= 4
    if k == 1:
        return input.flip(b).transpose(a, b).clone()
    if k == 2:
        return input.flip(a, b)
    return input.flip(a).transpose(a, b).clone() if k == 3 else input.clone()


@function()
def fliplr(input: Tensor) -> Tensor:
    """Reverse the second dimension."""
    if input._spec.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return input.flip(1)


@function()
def flipud(input: Tensor) -> Tensor:
    """Reverse the first dimension."""
    if input._spec.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return input.flip(0)


@function()
def narrow_copy(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """narrow as a copy."""
    return input.narrow(dim, start, length).clone()


def _independent(parts: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Parts that may be changed in place although they share one record: the caller promises not to read the whole."""
    for part in parts:
        part._made = None
    return parts


@function(method=True)
def unsafe_chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """chunk."""
    return _independent(registry["chunk"].call(input, chunks, dim))


@function()
def unsafe_split(tensor: Tensor, split_size: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """split."""
    return _independent(split(tensor, split_size, dim))


@function()
def unsafe_split_with_sizes(input: Tensor, split_sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """split_with_sizes."""
    return _independent(registry["split_with_sizes"].call(input, split_sizes, dim))


# -- at least so many dimensions --------------------------------------------------------------------------------------
def _atleast(name: str, promote: Any) -> Any:
    def call(*tensors: Any) -> Any:
        if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
            return tuple(promote(t) for t in tensors[0])
        out = tuple(promote(t) for t in tensors)
        return out[0] if len(out) == 1 else out

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"Views with at least {name[8]} dimensions."
    return function(method=False)(call)


def _one(t: Tensor) -> Tensor:
    return t if t._spec.ndim else t.reshape(1)


def _two(t: Tensor) -> Tensor:
    return t if t._spec.ndim > 1 else _one(t).unsqueeze(0)


def _three(t: Tensor) -> Tensor:
    return t if t._spec.ndim > 2 else _two(t).unsqueeze(-1)


atleast_1d, atleast_2d, atleast_3d = (
    _atleast("atleast_1d", _one), _atleast("atleast_2d", _two), _atleast("atleast_3d", _three),
)  # fmt: skip


# -- stacking ---------------------------------------------------------------------------------------------------------
def _stacking(name: str, promote: Any, dim: Any, aliases: tuple[str, ...] = ()) -> Any:
    def call(tensors: Sequence[Tensor]) -> Tensor:
        if not len(tensors):
            raise RuntimeError(f"{name} expects a non-empty TensorList")
        items = [promote(t) for t in tensors]
        return cat(items, dim(items))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"Join tensors as NumPy's {name} does."
    return function(method=False, out=True, aliases=aliases)(call)


hstack = _stacking("hstack", _one, lambda items: 0 if items[0]._spec.ndim == 1 else 1)
vstack = _stacking("vstack", _two, lambda items: 0, ("row_stack",))
dstack = _stacking("dstack", _three, lambda items: 2)
column_stack = _stacking("column_stack", lambda t: _one(t).unsqueeze(1) if t._spec.ndim < 2 else t, lambda items: 1)


# -- splitting --------------------------------------------------------------------------------------------------------
@function()
def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of parts: so many nearly equal ones, or cut before the given indices."""
    seen = input._spec
    if not seen.ndim:
        raise RuntimeError("tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims")
    d = wrap_dim(dim, seen.ndim)
    n = seen.shape[d]
    if isinstance(indices_or_sections, Tensor):
        if indices_or_sections._spec.ndim > 1:
            raise RuntimeError(
                "tensor_split expected tensor_indices_or_sections to be a zero-dimensional or one-dimensional "
                "tensor, but "
                f"got a tensor with {indices_or_sections._spec.ndim} dims"
            )
        indices_or_sections = indices_or_sections.tolist()
    if isinstance(indices_or_sections, int):
        sections = indices_or_sections
        if sections <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {sections}")
        small, extra = divmod(n, sections)
        out, at = [], 0
        for i in range(sections):
            size = small + (i < extra)
            out.append(input.narrow(d, at, size))
            at += size
        return tuple(out)
    cuts = list(indices_or_sections)
    return tuple(slice_dim(input, d, a, c) for a, c in zip([0, *cuts], [*cuts, None]))


def _splitting(name: str, least: int, dim_of: Any) -> Any:
    def call(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
        seen = input._spec
        if seen.ndim < least:
            raise RuntimeError(
                f"torch.{name} requires a tensor with at least {least} dimension{'s' if least > 1 else ''}, but got a "
                "tensor "
                f"with {seen.ndim} dimensions!"
            )
        d = dim_of(seen.ndim)
        if isinstance(indices_or_sections, int):
            if indices_or_sections <= 0 or seen.shape[d] % indices_or_sections:
                raise RuntimeError(
                    f"torch.{name} attempted to split along dimension {d}, but the size of the dimension "
                    f"{seen.shape[d]} is "
                    f"not divisible by the split_size {indices_or_sections}!"
                )
        return tensor_split(input, indices_or_sections, d)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"Split as NumPy's {name} does."
    return function()(call)


hsplit = _splitting("hsplit", 1, lambda ndim: 0 if ndim == 1 else 1)
vsplit = _splitting("vsplit", 2, lambda ndim: 0)
dsplit = _splitting("dsplit", 3, lambda ndim: 2)


# -- repeating --------------------------------------------------------------------------------------------------------
@function()
def repeat_interleave(
    input: Any, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Repeat each element: so many times, or by a count an element. With counts alone: the index of each copy."""
    if repeats is None:
        return _counted(input, output_size)
    if dim is None:
        input, dim = input.reshape(-1), 0
    seen = input._spec
    d = wrap_dim(dim, seen.ndim)
    if not seen.ndim:
        input = input.reshape(1)
        seen = input._spec
    n = seen.shape[d]
    if isinstance(repeats, Tensor) and repeats._spec.numel == 1 and n != 1:
        repeats = int(repeats.item())
    if isinstance(repeats, (list, tuple)):
        repeats = from_array(np.asarray(repeats, np.int64), dtypes.int64, seen.device)
    if isinstance(repeats, int):
        if repeats < 0:
            raise RuntimeError("repeats can not be negative")
        wide = (*seen.shape[: d + 1], repeats, *seen.shape[d + 1 :])
        out = input.unsqueeze(d + 1).expand(*wide)
        return out.reshape((*seen.shape[:d], n * repeats, *seen.shape[d + 1 :])).clone()
    if repeats._spec.ndim > 1:
        raise RuntimeError("repeats must be 0-dim or 1-dim tensor")
    if repeats._spec.numel != n:
        raise RuntimeError(
            f"repeats must have the same size as input along dim, but got repeats.size(0) = {repeats._spec.numel} and "
            f"input.size({d}) = {n}"
        )
    return input.index_select(d, _counted(repeats.reshape(-1), output_size))


def _counted(repeats: Tensor, output_size: int | None) -> Tensor:
    seen = repeats._spec
    if seen.ndim != 1:
        raise RuntimeError("repeat_interleave only accept 1D vector as repeat")
    if seen.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError("repeats has to be Long or Int tensor")
    counts = repeats.cpu().numpy()
    if (counts < 0).any():
        raise RuntimeError("repeats can not be negative")
    index = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    if output_size is not None and output_size != len(index):
        raise RuntimeError("allocated size does not match required size")
    return from_array(index.astype(seen.dtype.numpy), seen.dtype, seen.device)


# -- combinations of vectors ------------------------------------------------------------------------------------------
@function(method=False)
def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """Coordinate grids of vectors; ``indexing`` "ij" (matrix) or "xy" (Cartesian)."""
    items = list(given(tensors))
    if not items:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    for t in items:
        if t._spec.ndim > 1:
            raise RuntimeError(f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: {t._spec.ndim}")
        if t._spec.dtype is not items[0]._spec.dtype:
            raise RuntimeError("torch.meshgrid expects all tensors to have the same dtype")
    if indexing is None:
        warnings.warn(
            "torch.meshgrid: in an upcoming release, it will be required to pass the indexing argument.", stacklevel=2
        )
        indexing = "ij"
    if indexing not in ("ij", "xy"):
        raise RuntimeError(f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    swap = indexing == "xy" and len(items) > 1
    if swap:
        items[0], items[1] = items[1], items[0]
    shape = [t._spec.numel for t in items]
    grids = [t.reshape([-1 if k == i else 1 for k in range(len(items))]).expand(*shape) for i, t in enumerate(items)]
    if swap:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


@function(method=False)
def cartesian_prod(*tensors: Any) -> Tensor:
    """(n, k) all choices of one element from each of k vectors."""
    items = given(tensors)
    for t in items:
        if t._spec.ndim != 1:
            raise RuntimeError("Expect a 1D vector, but got shape " + str(list(t._spec.shape)))
    if len(items) == 1:
        return items[0]
    return stack([g.reshape(-1) for g in meshgrid(*items, indexing="ij")], 1)


@function(method=False)
def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """(n, r) combinations of a vector's elements, as itertools gives them."""
    seen = input._spec
    if seen.ndim != 1:
        raise RuntimeError("Expect a 1D vector, but got shape " + str(list(seen.shape)))
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return zeros_of((0,), seen.dtype, seen.device)
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = np.array(list(choose(range(seen.shape[0]), r)), np.int64).reshape(-1, r)
    return input[from_array(rows, dtypes.int64, seen.device)]


@function(method=False)
def block_diag(*tensors: Any) -> Tensor:
    """A matrix with the given matrices (vectors are rows) along its diagonal."""
    items = [_two(t) for t in given(tensors)]
    if not items:
        return zeros_of((1, 0), dtypes.default.get(), None)
    for t in items:
        if t._spec.ndim != 2:
            raise RuntimeError(
                f"torch.block_diag: Input tensors must have 2 or fewer dimensions. Input has {t._spec.ndim} dimensions"
            )
    dtype = items[0]._spec.dtype
    for t in items[1:]:
        dtype = dtypes.promote_types(dtype, t._spec.dtype)
    columns = sum(t._spec.shape[1] for t in items)
    rows, at = [], 0
    for t in items:
        height, width = t._spec.shape
        parts = [
            zeros_of((height, at), dtype, t._spec.device), t.to(dtype),
            zeros_of((height, columns - at - width), dtype, t._spec.device),
        ]  # fmt: skip
        rows.append(cat(parts, 1))
        at += width
    return cat(rows, 0)


# -- in-place forms of views ------------------------------------------------------------------------------------------
def _inplace_view(name: str) -> None:
    def call(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        out = registry[name].call(self, *args, **kwargs)
        if self._rg and self._grad_fn is None and self._base is None:
            check_inplace(self, f"{name}_")
        self._spec = out._spec
        if out._rg:
            self._grad_fn, self._out_nr, self._rg = out._grad_fn, out._out_nr, True
        return self

    call.__name__ = call.__qualname__ = f"{name}_"
    call.__doc__ = f"``{name}`` in place: the same memory under another shape."
    aliases = ("swapaxes_", "swapdims_") if name == "transpose" else ()
    function(f"{name}_", torch=False, aliases=aliases)(call)


for _name in ("squeeze", "unsqueeze", "transpose", "t", "as_strided"):
    _inplace_view(_name)


@function()
def resize_as_(self: Tensor, the_template: Tensor, *, memory_format: Any = None) -> Tensor:
    """The template's size in place; memory grows if need be."""
    return resize_storage(self, tuple(the_template._spec.shape))


@function(torch=False)
def resize(self: Tensor, *sizes: Any) -> Tensor:
    """A view of another size, of as many elements."""
    return self.reshape(*sizes)


@function(torch=False)
def resize_as(self: Tensor, tensor: Tensor) -> Tensor:
    """A view with another tensor's size, of as many elements."""
    return self.reshape(tensor._spec.shape)


# -- element by element on the host -----------------------------------------------------------------------------------
def _mapped(self: Tensor, function_: Any, others: tuple[Tensor, ...], name: str) -> Tensor:
    seen = self._spec
    if self._rg:
        raise RuntimeError(f"Can't call {name}() on Variable that requires grad. Use var.detach().{name}() instead.")
    columns = [np.asarray(t.detach().cpu().tolist(), dtype=object) for t in (self, *others)]
    columns = np.broadcast_arrays(*columns) if others else columns
    values = [function_(*items) for items in zip(*(c.reshape(-1).tolist() for c in columns))]
    self.copy_(tensor_from(values, seen.dtype, seen.device).reshape(seen.shape))
    return self


@function(torch=False)
def apply_(self: Tensor, callable: Any) -> Tensor:
    """Replace each element by ``callable(element)``, in place (slow: runs in Python)."""
    return _mapped(self, callable, (), "apply_")


@function(torch=False)
def map_(self: Tensor, tensor: Tensor, callable: Any) -> Tensor:
    """Replace each element a by ``callable(a, b)``, in place (slow: runs in Python)."""
    return _mapped(self, callable, (tensor,), "map_")


@function(torch=False)
def map2_(self: Tensor, x: Tensor, y: Tensor, callable: Any) -> Tensor:
    """Replace each element a by ``callable(a, b, c)``, in place (slow: runs in Python)."""
    return _mapped(self, callable, (x, y), "map2_")
