"""Kernel calls of each method, from a problem and a variant."""

from __future__ import annotations

from engine.graph.library.call import Int, KernelCall, Operand, Scratch, ceil_div

from .problem import DeviceCaps, Element, Problem, Variant

_BLOCK_SOURCE = "gemm_block.cl"
_SOURCE = "gemm_tiled.cl"
_VECTOR_SOURCE = "gemv.cl"


def _options(section: str, element: Element, variant: Variant, **sizes: int) -> tuple[str, ...]:
    options = [f"-D{section}", f"-DST={element.storage}", f"-DCT={element.arithmetic}", f"-DVW={variant.vw}"]
    options += [f"-D{name}={value}" for name, value in sizes.items()]
    if element.narrow:
        options.append("-DNARROW")
    if element.half:
        options.append(f"-DHALF={element.half}")
    if element.arithmetic == "double":
        options.append("-DFP64")
    return tuple(options)


def _ints(*values: int) -> tuple[Int, ...]:
    return tuple(Int(int(value)) for value in values)


def _partial(problem: Problem, splits: int) -> Scratch:
    """Where the partial products of a split k go."""
    size = problem.element.arithmetic_size
    return Scratch("gemm_parts", splits * problem.batch * problem.m * problem.n * size, size)


def _sum_call(problem: Problem, variant: Variant, compute_units: int) -> KernelCall:
    """Adds partial products; it writes the final values."""
    p, splits = problem, variant.splits
    rows = max(1, ceil_div(p.m * p.batch, 4 * compute_units))
    rows = min(p.m, max(rows, ceil_div(256, max(p.n, 1))))
    size = p.element.arithmetic_size
    return KernelCall(
        _SOURCE,
        "eng_gemm_sum",
        (ceil_div(p.m, rows), p.batch),
        (1, 1),
        (
            _partial(p, splits),
            Operand("out"),
            *_ints(p.m, p.n, splits, p.batch * p.m * p.n, p.c_batch, p.c_ld, rows),
        ),
        _options("GEMM_SUM", p.element, variant),
        flops=p.batch * p.m * p.n * splits,
        nbytes=p.batch * p.m * p.n * (splits * size + p.element.storage_size),
    )


def block_calls(
    caps: DeviceCaps, problem: Problem, variant: Variant, buffers: tuple[int, int, int]
) -> list[KernelCall]:
    """The blocked CPU kernel, for the product itself or (``swap``) for its transpose.

    ``buffers``: elements of the local buffers for A, B and C.
    """
    p, v = problem, variant
    m, n, a, b = p.m, p.n, p.a, p.b
    names, a_row, a_col, b_row, b_col, c_row, c_col = ("a", "b"), a.row, a.col, b.row, b.col, p.c_ld, 1
    if v.method == "swap":
        m, n, names = n, m, ("b", "a")
        a, b = b, a
        a_row, a_col, b_row, b_col, c_row, c_col = a.col, a.row, b.col, b.row, 1, p.c_ld
    out: Operand | Scratch = Operand("out")
    c_batch, c_split = p.c_batch, 0
    if v.splits > 1:
        out = _partial(p, v.splits)
        c_batch, c_split = p.m * p.n, p.batch * p.m * p.n
        c_row, c_col = (1, p.n) if v.method == "swap" else (p.n, 1)
    slice_ = ceil_div(p.k, v.splits)
    flags = _options("GEMM_BLOCK", p.element, v, MR=v.mr, NV=v.nv, LA=buffers[0], LB=buffers[1], LC=buffers[2])
    chosen = (("PREFETCH", caps.is_pocl), ("A_PLACE", v.place_a), ("B_PLACE", v.place_b))
    flags += tuple(f"-D{name}" for name, wanted in chosen if wanted)
    call = KernelCall(
        _BLOCK_SOURCE,
        "eng_gemm_block",
        (ceil_div(m, v.mc), ceil_div(n, v.nc), ceil_div(p.batch, v.batches) * v.splits),
        (1, 1, 1),
        (
            Operand(names[0]),
            Operand(names[1]),
            out,
            *_ints(p.batch, m, n, p.k, a.batch, a_row, a_col, b.batch, b_row, b_col, c_batch, c_row, c_col, c_split),
            *_ints(v.mc, v.nc, v.kc, slice_, v.splits, v.batches, v.method == "swap"),
        ),
        (*flags, "-DPARTIAL") if v.splits > 1 and p.element.narrow else flags,
        flops=p.flops,
        nbytes=p.nbytes,
    )
    return [call, _sum_call(p, v, caps.compute_units)] if v.splits > 1 else [call]


def tiled_calls(caps: DeviceCaps, problem: Problem, variant: Variant, depth: int) -> list[KernelCall]:
    """The GPU kernel; ``depth`` is the k extent of a staged slice."""
    p, v = problem, variant
    out: Operand | Scratch = Operand("out")
    c_batch, c_ld, c_split = p.c_batch, p.c_ld, 0
    if v.splits > 1:
        out = _partial(p, v.splits)
        c_batch, c_ld, c_split = p.m * p.n, p.n, p.batch * p.m * p.n
    flags = _options("GEMM_TILED", p.element, v, MR=v.mr, NV=v.nv, BK=depth, LX=v.lx, LY=v.ly)
    groups_n, groups_m = ceil_div(p.n, v.lx * v.nv * v.vw), ceil_div(p.m, v.ly * v.mr)
    call = KernelCall(
        _SOURCE,
        "eng_gemm_tiled",
        (groups_n * groups_m * p.batch * v.splits * v.lx * v.ly,),
        (v.lx * v.ly,),
        (
            Operand("a"),
            Operand("b"),
            out,
            *_ints(p.m, p.n, p.k, *p.a, *p.b, c_batch, c_ld, c_split, ceil_div(p.k, v.splits), v.splits),
        ),
        (*flags, "-DPARTIAL") if v.splits > 1 and p.element.narrow else flags,
        flops=p.flops,
        nbytes=p.nbytes,
    )
    return [call, _sum_call(p, v, caps.compute_units)] if v.splits > 1 else [call]


def vector_calls(caps: DeviceCaps, problem: Problem, variant: Variant, buffers: tuple[int, int]) -> list[KernelCall]:
    """Few rows of C (the matrix is B) or few columns (the matrix is A).

    ``buffers``: elements of the local buffers for the vectors and for the outputs of a group.
    """
    p, v = problem, variant
    by_row = p.m <= v.mr
    if by_row:
        names, rows, vectors = ("b", "a"), p.n, p.m
        matrix_batch, step_out, step_k = p.b.batch, p.b.col, p.b.row
        x = (p.a.batch, p.a.row, p.a.col)
        y = (p.c_batch, p.c_ld, 1)
    else:
        names, rows, vectors = ("a", "b"), p.m, p.n
        matrix_batch, step_out, step_k = p.a.batch, p.a.row, p.a.col
        x = (p.b.batch, p.b.col, p.b.row)
        y = (p.c_batch, 1, p.c_ld)
    dot = v.method == "dot"
    flags = _options("GEMV_DOT" if dot else "GEMV_AXPY", p.element, v, MV=v.mr, LX=buffers[0], LY=buffers[1])
    return [
        KernelCall(
            _VECTOR_SOURCE,
            "eng_gemv_dot" if dot else "eng_gemv_axpy",
            (ceil_div(rows, v.nc), p.batch),
            (1, 1),
            (
                Operand(names[0]),
                Operand(names[1]),
                Operand("out"),
                *_ints(rows, vectors, p.k, matrix_batch, step_out if dot else step_k, *x, *y, v.nc, by_row),
            ),
            (*flags, "-DPREFETCH") if caps.is_pocl else flags,
            flops=p.flops,
            nbytes=p.nbytes,
        )
    ]
