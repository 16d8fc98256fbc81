"""Random permutations on the device: dealt into buckets, each of which is shuffled."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..graph import host
from ..graph.library.call import Int, KernelCall, Operand, Scratch
from ..graph.native import Native
from ..graph.spec import spec
from .op import Op

_BUCKET = 1024  # numbers in a bucket, more or less
_MOST = 12  # bits that tell buckets apart, at most
_PIECE = 512  # numbers a work-item draws at a time


def _bits(n: int) -> int:
    """Bits that tell the buckets of n numbers apart; 0: one bucket."""
    return min(_MOST, max(0, (n // _BUCKET).bit_length()) if n > 2 * _BUCKET else 0)


def _calls(caps: Any, n: int) -> list[KernelCall]:
    bits = _bits(n)
    buckets = 1 << bits if bits else 0
    units = max(1, caps.compute_units) * (64 if caps.schedule == "gpu" else 1)
    part = -(-n // (units * _PIECE)) * _PIECE
    parts = -(-n // part)
    counts, starts = Scratch("counts", max(1, parts * buckets) * 4), Scratch("starts", (buckets + 1) * 4)
    items, key = Scratch("items", n * 4), Operand("key")

    def call(kernel: str, groups: int, *args: Any) -> KernelCall:
        return KernelCall("permutation.cl", f"eng_permutation_{kernel}", (groups,), (1,), args)

    out = []
    if buckets:
        sizes = (Int(n), Int(part), Int(buckets), Int(32 - bits))
        out.append(call("count", parts, counts, key, *sizes))
        out.append(call("offsets", 1, counts, starts, Int(parts), Int(buckets)))
        out.append(call("deal", parts, items, counts, key, *sizes))
    block = -(-max(buckets, 1) // (4 * units))
    groups = -(-max(buckets, 1) // block)
    out.append(call("shuffle", groups, Operand("out"), items, starts, key, Int(n), Int(buckets), Int(block)))
    return out


def _meaning(n: int) -> Any:
    """The same in NumPy and Python."""

    def words(seed: np.ndarray, offset: np.ndarray) -> np.ndarray:
        return host.philox(np.arange(n, dtype=np.uint64), seed, offset)

    def run(key: np.ndarray) -> np.ndarray:
        seed, offset = key[:1], key[1:]
        bits = _bits(n)
        bucket = words(seed, offset) >> np.uint32(32 - bits) if bits else np.zeros(n, np.uint32)
        items = np.argsort(bucket, kind="stable").tolist()
        ends = np.repeat(np.cumsum(np.bincount(bucket)), np.bincount(bucket)).tolist()
        draws = words(seed, offset + np.uint64((n + 63) // 64 * 16)).tolist()
        for i, (word, end) in enumerate(zip(draws, ends)):
            j = i + (word * (end - i) >> 32)
            items[i], items[j] = items[j], items[i]
        return np.array(items, np.int64)

    return run


def _lower(b: Any, seed: Any, offset: Any, n: int, dtype: dtypes.dtype, device: Any) -> Any:
    if not n:
        return b.const(0, dtype, (0,)).contiguous()
    first = b.iota((2,), 0).eq(0)
    key = b.where(first, seed.cast(dtypes.uint64), offset.cast(dtypes.uint64)).contiguous()
    outputs = (((n,), dtypes.int64),)
    native = Native("randperm", ("key",), ("out",), outputs, lambda caps: _calls(caps, n), False, ("math.cl",),
                    _meaning(n))  # fmt: skip
    return b.kernel(native, (key,), outputs)[0].cast(dtype)


permutation = Op(
    "randperm",
    lambda n, dtype, device: spec(dtype, device, (n,)),
    _lower,
    scalars=lambda n, dtype, device: (dtypes.int64, dtypes.int64),
)
