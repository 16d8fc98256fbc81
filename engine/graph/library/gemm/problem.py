"""What a matrix product is asked to do, and the ways of doing it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import NamedTuple, Protocol


class DeviceCaps(Protocol):
    """The capabilities the choice depends on (engine.opencl.platforms.Capabilities has them). Sizes are bytes."""

    @property
    def kind(self) -> str: ...

    @property
    def compute_units(self) -> int: ...

    @property
    def max_work_group_size(self) -> int: ...

    @property
    def local_mem_size(self) -> int: ...

    @property
    def float_vector_width(self) -> int: ...

    @property
    def is_pocl(self) -> bool: ...

    @property
    def software(self) -> bool: ...


class Strides(NamedTuple):
    """Steps in elements between batches, rows and columns of an operand; batch 0 repeats one matrix."""

    batch: int
    row: int
    col: int


@dataclass(frozen=True, slots=True)
class Element:
    """How a dtype is stored and computed in OpenCL C."""

    storage: str
    arithmetic: str
    storage_size: int
    arithmetic_size: int
    half: int = 0

    @property
    def narrow(self) -> bool:
        """Whether operands are converted on their way into a kernel."""
        return self.storage != self.arithmetic


ELEMENTS = {
    "float32": Element("float", "float", 4, 4),
    "float64": Element("double", "double", 8, 8),
    "float16": Element("ushort", "float", 2, 4, half=1),
    "bfloat16": Element("ushort", "float", 2, 4, half=2),
    # unsigned arithmetic wraps around; the low bits are those of the signed product
    "int8": Element("char", "uint", 1, 4),
    "uint8": Element("uchar", "uint", 1, 4),
    "int16": Element("short", "uint", 2, 4),
    "int32": Element("uint", "uint", 4, 4),
    "int64": Element("ulong", "ulong", 8, 8),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """C[batch] (m x n) = A[batch] (m x k) @ B[batch] (k x n).

    ``c_ld``: elements between rows of C, whose columns are adjacent; ``c_batch``: elements between its batches.
    """

    dtype: str
    batch: int
    m: int
    n: int
    k: int
    a: Strides
    b: Strides
    c_ld: int
    c_batch: int

    @property
    def element(self) -> Element:
        """Types of the kernel; raises ValueError for a dtype without a matrix product."""
        if self.dtype not in ELEMENTS:
            raise ValueError(f"no matrix product for dtype {self.dtype}; there is one for: {', '.join(ELEMENTS)}")
        return ELEMENTS[self.dtype]

    @property
    def a_rowwise(self) -> bool:
        """Whether the rows of A are contiguous (k adjacent)."""
        return self.a.col == 1 or self.k == 1

    @property
    def b_rowwise(self) -> bool:
        """Whether the rows of B are contiguous (n adjacent)."""
        return self.b.col == 1 or self.n == 1

    @property
    def b_columnwise(self) -> bool:
        """Whether the columns of B are contiguous (k adjacent)."""
        return self.b.row == 1 or self.k == 1

    @property
    def layout(self) -> str:
        """BLAS letters: N for contiguous rows, T for contiguous columns, S for neither."""
        a = "N" if self.a_rowwise else "T" if self.a.row == 1 or self.m == 1 else "S"
        return a + ("N" if self.b_rowwise else "T" if self.b_columnwise else "S")

    @property
    def flops(self) -> int:
        return 2 * self.batch * self.m * self.n * self.k

    @property
    def nbytes(self) -> int:
        """Bytes of the operands and the result, each counted once."""
        a = self.m * self.k * (self.batch if self.a.batch else 1)
        b = self.k * self.n * (self.batch if self.b.batch else 1)
        return (a + b + self.batch * self.m * self.n) * self.element.storage_size

    @property
    def key(self) -> str:
        """Name under which a measured choice is stored: everything but the exact strides."""
        shared = "".join("ab"[i] for i, s in enumerate((self.a, self.b)) if s.batch == 0 and self.batch > 1)
        return f"{self.dtype}:{self.batch}{shared}:{self.m}x{self.n}x{self.k}:{self.layout}"


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to compute a product.

    ``method``: ``block`` (CPU, a block of C per group), ``swap`` (the same for the transposed product), ``dot`` and
    ``axpy`` (CPU, few rows or columns of C), ``tiled`` (GPU, local memory). ``mr`` x ``nv * vw`` is the register tile,
    ``mc``, ``nc``, ``kc`` the block of C and the depth of packed panels (for dot and axpy ``nc`` is the number of
    outputs of a group and ``mr`` the number of vectors), ``place_a`` and ``place_b`` whether the operand is read
    without packing, ``splits`` over how many groups k is spread, ``batches`` how many batches a group takes, ``lx`` x
    ``ly`` the work-group. For ``swap`` the tile, the block and the places are those of the transposed product.
    """

    method: str
    vw: int
    mr: int = 1
    nv: int = 1
    mc: int = 0
    nc: int = 0
    kc: int = 0
    place_a: bool = False
    place_b: bool = False
    splits: int = 1
    batches: int = 1
    lx: int = 1
    ly: int = 1

    def to_dict(self) -> dict[str, str | int | bool]:
        """Plain values, for storage; ``Variant(**d)`` is the way back."""
        return asdict(self)
