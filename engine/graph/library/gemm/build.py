"""The entry point of matrix products: from a problem to kernel launches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from engine.graph.library.call import KernelCall, ceil_div

from .costs import core_seconds
from .kernels import block_calls, tiled_calls, vector_calls
from .problem import DeviceCaps, Problem, Strides, Variant
from .table import buffers, choose


def gemm_calls(
    caps: DeviceCaps,
    dtype: str,
    batch: int,
    m: int,
    n: int,
    k: int,
    a: tuple[int, int, int],
    b: tuple[int, int, int],
    c_ld: int,
    c_batch: int,
    *,
    epilogue: bool = False,
    variant: Variant | None = None,
    tuned: Mapping[str, Variant] | None = None,
) -> list[KernelCall]:
    """Launches that compute out[z] (m x n) = a[z] (m x k) @ b[z] (k x n) for z < batch.

    Args:
        caps: the device.
        dtype: name of the element type of all three; float16 and bfloat16 are accumulated in float32, integers wrap.
        a, b: (batch, row, column) strides in elements, any values; batch stride 0 repeats one matrix.
        c_ld, c_batch: elements between rows and between batches of the output, whose columns are adjacent.
        epilogue: the caller defines EPILOGUE for the call that writes final values (``KernelCall.epilogue``).
        variant: forces a way to compute it; otherwise ``tuned`` or the built-in choice decides.

    Operands are named ``a``, ``b`` and ``out``. With k == 0 the product is zeros. The list is empty when there is no
    output element. Raises ValueError for a dtype without a matrix product.
    """
    problem = Problem(dtype, batch, m, n, k, Strides(*a), Strides(*b), c_ld, c_batch)
    element = problem.element
    if not batch * m * n:
        return []
    v = variant or choose(caps, problem, tuned)
    if v.method == "tiled":
        calls = tiled_calls(caps, problem, v, v.kc)
    elif v.method in ("dot", "axpy"):
        size = buffers(caps, element)
        calls = vector_calls(caps, problem, v, (size.x, size.y))
    else:
        size = buffers(caps, element)
        _check_fits(problem, v, (size.a, size.b, size.c))
        calls = block_calls(caps, problem, v, (size.a, size.b, size.c))
    if v.method != "tiled":
        calls[0] = replace(calls[0], seconds=core_seconds(caps, problem, v))
    if epilogue:
        calls[-1] = replace(calls[-1], epilogue=True)
    return calls


def _check_fits(problem: Problem, v: Variant, sizes: tuple[int, int, int]) -> None:
    """Raises ValueError for a forced variant whose blocks exceed the local buffers."""
    depth = min(v.kc, ceil_div(problem.k, v.splits))
    a, b = 0 if v.place_a else v.mr * depth, 0 if v.place_b else v.nc * depth
    wanted = (a, b, v.mc * v.nc if problem.element.narrow else 0)
    if v.nc % (v.nv * v.vw) or any(w > s for w, s in zip(wanted, sizes, strict=True)):
        raise ValueError(f"variant {v} needs local buffers of {wanted} elements, and there are {sizes}")
