"""Max and average pooling, regular and adaptive, as lists of ``KernelCall`` (pool.cl)."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from engine.graph.library.call import Int, KernelCall, Operand

SOURCE = "pool.cl"
_CL = {
    "float32": ("float", "float"),
    "float64": ("double", "double"),
    "float16": ("half", "float"),
    "bfloat16": ("ushort", "float"),
    "uint8": ("uchar", "long"),
    "int8": ("char", "long"),
    "int16": ("short", "long"),
    "int32": ("int", "long"),
    "int64": ("long", "long"),
}


@dataclass(frozen=True, slots=True)
class PoolProblem:
    """Pooling of ``planes`` (batch * channels) contiguous planes of 1 to 3 dimensions.

    ``padding`` is symmetric, as torch's. ``count_include_pad`` and ``divisor`` (0: none) are for averages only, which
    have no dilation. ``adaptive_out``: the output size of adaptive pooling; kernel, stride, padding and dilation are
    then unused.
    """

    planes: int
    in_size: tuple[int, ...]
    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor: int = 0
    adaptive_out: tuple[int, ...] = ()

    @property
    def out_size(self) -> tuple[int, ...]:
        """Spatial output size; with ceil_mode a last window must start inside the input or its leading padding."""
        if self.adaptive_out:
            return self.adaptive_out
        sizes = []
        for n, k, s, p, d in zip(self.in_size, self.kernel, self.stride, self.padding, self.dilation, strict=True):
            span = n + 2 * p - d * (k - 1) - 1
            out = (span + (s - 1 if self.ceil_mode else 0)) // s + 1
            if self.ceil_mode and (out - 1) * s >= n + p:
                out -= 1
            sizes.append(out)
        return tuple(sizes)

    @property
    def is_global(self) -> bool:
        """One unpadded window that covers the plane."""
        if prod(self.out_size) != 1:
            return False
        return bool(self.adaptive_out) or (self.kernel == self.in_size and not any(self.padding))

    def regular(self) -> PoolProblem:
        """An adaptive problem whose windows are all equal, as a regular one; otherwise itself."""
        if not self.adaptive_out or any(n % o for n, o in zip(self.in_size, self.adaptive_out, strict=True)):
            return self
        k = tuple(n // o for n, o in zip(self.in_size, self.adaptive_out, strict=True))
        return PoolProblem(self.planes, self.in_size, k, k, (0,) * len(k), (1,) * len(k))


def _up(a: int, b: int) -> int:
    return -(-a // b)


def _options(name: str, kind: str, p: PoolProblem, indexed: bool) -> tuple[str, ...]:
    stored, total = _CL[name]
    options = [f"-DST={stored}", f"-DCT={total}", f"-D{kind}"]
    options += {"float16": ["-DT_F16"], "bfloat16": ["-DT_BF16"], "float64": ["-DUSE_FP64"]}.get(name, [])
    if total == "long":
        options.append("-DINTEGER")
    if p.adaptive_out:
        options.append("-DADAPTIVE")
    if indexed:
        options.append("-DWITH_INDEX")
    return tuple(options)


def _sizes(p: PoolProblem) -> list[Int]:
    lead = 3 - len(p.in_size)
    values = [p.planes]
    ones = (1,) * len(p.in_size)
    zeros = (0,) * len(p.in_size)
    for part, fill in (
        (p.in_size, 1),
        (p.out_size, 1),
        (p.kernel or ones, 1),
        (p.stride or ones, 1),
        (p.padding or zeros, 0),
        (p.dilation or ones, 1),
    ):
        values.extend((fill,) * lead + tuple(part))
    values += [int(p.count_include_pad), p.divisor]
    return [Int(v) for v in values]


def _share(total: int, caps: Any, least: int) -> tuple[int, int]:
    """(items a group, groups) for ``total`` items on a CPU: some groups a unit, ``least`` items or more each."""
    size = max(least, _up(total, 16 * max(caps.compute_units, 1)), 1)
    return size, max(1, _up(total, size))


def _items(caps: Any, total: int) -> tuple[int, tuple[int], tuple[int]]:
    """(chunk, global size, local size) for the kernels with one work-item a chunk."""
    if caps.kind == "gpu":
        local = min(128, caps.max_work_group_size)
        return 1, (max(1, _up(total, local)) * local,), (local,)
    chunk, groups = _share(total, caps, 256)
    return chunk, (groups,), (1,)


def _forward(caps: Any, dtype: Any, problem: PoolProblem, kind: str, indices: bool) -> list[KernelCall]:
    name = getattr(dtype, "name", dtype)
    p = problem.regular()
    out = p.out_size
    total = p.planes * prod(out)
    operands = [Operand("x"), Operand("out"), *([Operand("indices")] if indices else [])]
    nbytes = 4 * (p.planes * prod(p.in_size) + total)
    options = _options(name, kind, p, indices)
    if caps.kind == "gpu" or p.adaptive_out:
        chunk, size, local = _items(caps, total)
        kernel = "eng_pool_item"
    elif kind == "AVERAGE" and p.is_global:
        kernel = "eng_pool_planes"
        chunk, groups = _share(p.planes, caps, _up(8192, prod(p.in_size)))
        size, local = (groups,), (1,)
    else:
        kernel = "eng_pool_rows"
        chunk, groups = _share(total // out[-1], caps, _up(2048, out[-1]))
        size, local = (groups,), (1,)
    return [KernelCall(SOURCE, kernel, size, local, (*operands, *_sizes(p), Int(chunk)), options, nbytes=nbytes)]


def _backward(caps: Any, dtype: Any, problem: PoolProblem, kind: str) -> list[KernelCall]:
    name = getattr(dtype, "name", dtype)
    p = problem.regular()
    total = p.planes * prod(p.in_size)
    operands = [Operand("dy"), *([Operand("indices")] if kind == "MAXIMUM" else []), Operand("out")]
    if caps.kind == "gpu" or name in ("float16", "bfloat16"):
        kernel = "eng_pool_grad_item"
        chunk, size, local = _items(caps, total)
    else:
        kernel = "eng_pool_scatter"
        chunk, groups = _share(p.planes, caps, _up(4096, prod(p.in_size)))
        size, local = (groups,), (1,)
    nbytes = 4 * (total + p.planes * prod(p.out_size))
    args = (*operands, *_sizes(p), Int(chunk))
    return [KernelCall(SOURCE, kernel, size, local, args, _options(name, kind, p, False), nbytes=nbytes)]


def max_pool_forward(caps: Any, dtype: Any, problem: PoolProblem, *, indices: bool = True) -> list[KernelCall]:
    """out = maximum of each window (NaN wins), indices = its int64 position in the input plane.

    Operands: x, out and, with ``indices``, indices.
    """
    return _forward(caps, dtype, problem, "MAXIMUM", indices)


def max_pool_backward(caps: Any, dtype: Any, problem: PoolProblem) -> list[KernelCall]:
    """out = gradient of x. Operands: dy, indices (from the forward pass), out."""
    return _backward(caps, dtype, problem, "MAXIMUM")


def avg_pool_forward(caps: Any, dtype: Any, problem: PoolProblem) -> list[KernelCall]:
    """out = mean of each window. Operands: x, out."""
    return _forward(caps, dtype, problem, "AVERAGE", False)


def avg_pool_backward(caps: Any, dtype: Any, problem: PoolProblem) -> list[KernelCall]:
    """out = gradient of x. Operands: dy, out."""
    return _backward(caps, dtype, problem, "AVERAGE")
