"""OpenCL C for loop nests.

Two families of schedules of the same nest. CPU: few work-items, each over a long contiguous range in plain scalar
loops that the compiler vectorises. GPU: one work-item an element or a column, one work-group a row with a tree in
local memory. Sizes, strides and offsets are arguments (only 0 and +-1 are part of the text), so one program serves all
shapes of a pattern.
"""

from __future__ import annotations

from .elements import scalar_param, storage
from .nest import Nest
from .schedule_cpu import CpuColumns, CpuPointwise, CpuRows
from .schedule_gpu import GpuColumns, GpuPointwise, GpuRows
from .schedule_turned import CpuTurned, turning
from .writer import Arg, BufferArg, FaultArg, Generated, IntArg, ScalarArg

_SCHEDULES = {
    ("cpu", False, False): CpuPointwise,
    ("cpu", True, False): CpuRows,
    ("cpu", True, True): CpuColumns,
    ("gpu", False, False): GpuPointwise,
    ("gpu", True, False): GpuRows,
    ("gpu", True, True): GpuColumns,
}


def generate(nest: Nest, schedule: str, units: int, fp64: bool, width: int = 0) -> Generated:
    """The kernel of a nest under the "cpu" or "gpu" schedule, for a device with ``units`` compute units and vectors of
    ``width`` floats."""
    kind = _SCHEDULES[schedule, bool(nest.reduces), nest.columns]
    if kind is CpuPointwise and turning(nest) is not None:
        kind = CpuTurned
    writer = kind(nest, units, fp64)
    writer.width = width
    return writer.kernel()


__all__ = [
    "Arg",
    "BufferArg",
    "FaultArg",
    "Generated",
    "IntArg",
    "ScalarArg",
    "generate",
    "scalar_param",
    "storage",
]
