"""The kernels that combine elements into places named by an index, and how much of the work each work-item takes."""

from __future__ import annotations

from math import prod
from typing import Any

from .. import dtypes
from ..graph.codegen import storage
from ..graph.library import reference
from ..graph.library.call import Fault, Int, KernelCall, Operand, Scratch
from ..graph.native import Native
from ..graph.nest import literal
from ..graph.scalar import c_type, short_name

_FEW = 8192  # elements that one work-item moves sooner than a second one wakes up
_COLUMNS = 64  # least width from which work-items share the columns of rows
_CACHED = 1 << 20  # bytes of results that stay in cache while sources arrive in any order
_SPARE = 64  # rows of spare places a work-item has
_COMBINE = {
    "set": "(b)", "add": "((a) + (b))", "mul": "((a) * (b))",
    "max": "((a) > (b) || (a) != (a) ? (a) : (b))", "min": "((a) < (b) || (a) != (a) ? (a) : (b))",
}  # fmt: skip


def load_save(dtype: dtypes.dtype) -> tuple[str, str]:
    """Bodies of the LOAD(x) and SAVE(x) options: between an element in memory and the type arithmetic happens in."""
    return {
        "float16": ("eng_from_f16(x)", "eng_to_f16(x)"),
        "bfloat16": ("eng_from_bf16(x)", "eng_to_bf16(x)"),
        "bool": ("(x)", "(uchar)((x)!=0)"),
    }.get(dtype.name, ("(x)", f"({storage(dtype)})(x)"))


def neutral(how: str, dtype: dtypes.dtype) -> Any:
    """What combines with any element to the element itself."""
    if how in ("add", "set", "mul"):
        return int(how == "mul")
    if dtype.is_floating_point:
        return float("-inf") if how == "max" else float("inf")
    if dtype is dtypes.bool:
        return how == "min"
    info = dtypes.iinfo(dtype)
    return info.min if how == "max" else info.max


def _constant(b: Any, ref: Any) -> Any:
    """The number that a value is everywhere, or None."""
    if b.lifts:
        return None
    val = ref.val
    while val.kind == "pw" and val.fn == "id":
        val = val.args[0][0]
    return val.attrs if val.kind == "const" else None


def _combine(how: str, dtype: dtypes.dtype) -> str:
    if how == "mul" and dtype.is_complex:
        return f"eng_cmul_{short_name(dtype)}(a,b)"
    return _COMBINE[how]


def _options(base: Any, index: Any, how: str, fill: Any, wrap: bool | None, width: int = 1) -> tuple[str, ...]:
    dtype = base.dtype
    load, save = load_save(dtype)
    named = {
        "T": storage(dtype), "C": c_type(dtype), "I": storage(index.dtype), "LOAD(x)": load, "SAVE(x)": save,
        "COMBINE(a,b)": _combine(how, dtype), "NEUTRAL": literal(neutral(how, dtype), dtype),
        "SET": int(how == "set"), "SIZE": dtype.itemsize, "CHECK": int(wrap is not None), "WRAP": int(bool(wrap)),
        "FILL": int(fill is not None), "ONE": int(width == 1),
    }  # fmt: skip
    if fill is not None:
        named["START"] = literal(fill, dtype)
    return tuple(f"-D{name}={text}".replace(" ", "") for name, text in named.items())


def atomic(caps: Any, itemsize: int) -> bool:
    """Whether elements are combined atomically, a work-item each."""
    return caps.schedule == "gpu" and (itemsize <= 4 or (itemsize == 8 and caps.int64_atomics))


def _make(b: Any, name: str, base: Any, index: Any, src: Any, shape: tuple, calls: Any, meaning: Any) -> Any:
    fill = _constant(b, base)
    operands = (base.contiguous(), index, src) if fill is None else (index, src)
    names = ("base", "index", "src")[-len(operands) :]
    native = Native(name, names, ("out",), ((shape, base.dtype),), calls, fill is None, ("math.cl",), meaning)
    return b.kernel(native, operands, native.outputs)[0]


def _atomic_calls(options: tuple, count: int, width: int, rows: int, filled: bool) -> list[KernelCall]:
    size = rows * width
    out = []
    if filled:
        args = (Operand("out"), Int(size))
        out.append(KernelCall("scatter.cl", "eng_scatter_fill", (-(-size // 64) * 64,), (64,), args, options))
    args = (*_ENDS, Fault(), Int(count), Int(width), Int(rows))
    groups = -(-count * width // 64) * 64
    return [*out, KernelCall("scatter.cl", "eng_scatter_atomic", (groups,), (64,), args, options)]


_ENDS = (Operand("out"), Operand("index"), Operand("src"))


def scatter_rows(
    b: Any, base: Any, rows: int, width: int, index: Any, src: Any, how: str, wrap: bool | None = None
) -> Any:
    """``base`` (rows x width, contiguous) with rows of ``src`` combined into the rows that ``index`` names, in order.

    ``wrap``: whether negative indices count from the end; None for indices that are known to be in range.
    """
    dtype, index, src = base.dtype, index.contiguous(), src.contiguous()
    count, fill = index.size, _constant(b, base)
    options = _options(base, index, how, fill, wrap, width)

    def call(kernel: str, groups: int, args: tuple, *numbers: int) -> KernelCall:
        return KernelCall("scatter.cl", kernel, (groups,), (1,), (*args, *(Int(v) for v in numbers)), options)

    def calls(caps: Any) -> list[KernelCall]:
        if atomic(caps, dtype.itemsize) or (caps.schedule == "gpu" and how == "set"):
            return _atomic_calls(options, count, width, rows, fill is not None)
        units = max(1, caps.compute_units) if max(count, rows) * width > _FEW else 1
        columns = min(units, -(-width // _COLUMNS))
        if columns == units and fill is not None and rows * width * dtype.itemsize > _CACHED and width >= _COLUMNS:
            lists = Scratch("lists", columns * (rows + count) * 4, 4)
            return [
                call("eng_scatter_lists", columns, (*_ENDS, lists, Fault()), count, width, rows, -(-width // columns))
            ]
        if columns > 1 or units == 1:
            numbers = (count, width, rows, rows, columns, -(-width // columns))
            return [call("eng_scatter_rows", columns, (*_ENDS, Fault()), *numbers)]
        parts = min(units, count // max(rows, 1))
        if how == "set" or parts < 2:
            blocks = min(units, rows)
            spare = Scratch("spare", blocks * _SPARE * width * dtype.itemsize, dtype.itemsize)
            return [call("eng_scatter_owned", blocks, (*_ENDS, spare, Fault()), count, width, rows, -(-rows // blocks))]
        partial = Scratch("partial", (parts - 1) * rows * width * dtype.itemsize, dtype.itemsize)
        size = rows * width
        first = call("eng_scatter_parts", parts, (*_ENDS, partial, Fault()), count, width, rows, -(-count // parts))
        merged = (Operand("out"), partial)
        return [first, call("eng_scatter_merge", units, merged, size, parts, -(-size // units))]

    return _make(b, "scatter", base, index, src, (rows * width,), calls,
                 reference.scatter_rows(rows, width, how, fill, wrap))  # fmt: skip


def scatter_along(b: Any, base: Any, index: Any, src: Any, dim: int, how: str) -> Any:
    """``base`` (contiguous) with elements of ``src`` combined into places along ``dim``; ``index`` has the shape of
    ``src`` and, but for ``dim``, that of ``base``. Negative indices are out of range."""
    shape, index, src = base.shape, index.contiguous(), src.contiguous()
    outer, inner, n, rows = prod(shape[:dim]), prod(shape[dim + 1 :]), index.shape[dim], shape[dim]
    fill = _constant(b, base)
    options = _options(base, index, how, fill, False)

    def calls(caps: Any) -> list[KernelCall]:
        units = max(1, caps.compute_units) * (64 if caps.schedule == "gpu" else 1)
        if outer * n * inner <= _FEW:
            units = 1
        blocks = 1 if outer >= units else max(1, min(-(-units // outer), inner // 16))
        per_block = -(-inner // blocks)
        items = outer * blocks
        groups = min(units, items)
        per_item = -(-items // groups)
        numbers = (n, inner, rows, blocks, per_block, items, per_item)
        args = (*_ENDS, Fault(), *(Int(v) for v in numbers))
        return [KernelCall("scatter.cl", "eng_scatter_along", (-(-items // per_item),), (1,), args, options)]

    return _make(b, "scatter_along", base, index, src, tuple(shape), calls,
                 reference.scatter_along(tuple(shape), dim, how, fill))  # fmt: skip
