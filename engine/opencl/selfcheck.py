"""What devices there are, which is the default and why, and a small check that each computes correctly."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from engine.errors import DeviceError, NoDeviceError, OutOfMemoryError
from engine.settings import settings

from .platforms import Capabilities, DeviceRecord, default_record, discover, find
from .queue import BoundKernel
from .runtime import Runtime, runtime_for

_SOURCE = """
KATTR __kernel void eng_check_add(__global const float* a, __global const float* b, __global float* c, long n) {
  for (long i = get_global_id(0); i < n; i += get_global_size(0)) c[i] = a[i] + b[i];
}

KATTR __kernel void eng_check_sum(__global const float* a, __global float* out, __local float* part, long n) {
  const int me = (int)get_local_id(0), size = (int)get_local_size(0);
  float total = 0.0f;
  for (long i = me; i < n; i += size) total += a[i];
  part[me] = total;
  for (int step = size / 2; step > 0; step /= 2) {
    barrier(CLK_LOCAL_MEM_FENCE);
    if (me < step) part[me] += part[me + step];
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  if (me == 0) out[0] = part[0];
}
"""
_SOURCE_FP64 = """
KATTR __kernel void eng_check_fp64(__global double* a, long n) {
  for (long i = 0; i < n; i++) a[i] = sqrt(a[i]) / 3.0;
}
"""
_N = 4096
_GROUP = 64


@dataclass(frozen=True)
class CheckResult:
    """One check of a device: its name, whether it passed, milliseconds including compilation, what went wrong."""

    name: str
    passed: bool
    milliseconds: float
    detail: str = ""


def _add(runtime: Runtime) -> bool:
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, _N), np.float32)
    buffers = [runtime.memory.alloc(a.nbytes) for _ in range(3)]
    runtime.queue.write(buffers[0], 0, a)
    runtime.queue.write(buffers[1], 0, b)
    bound = BoundKernel(runtime.queue, runtime.programs.kernel(_SOURCE, "eng_check_add"), (_GROUP,), (_GROUP,))
    for i, buffer in enumerate(buffers):
        bound.set_buffer(i, buffer)
    bound.set_long(3, _N)
    bound.enqueue()
    out = np.zeros_like(a)
    runtime.queue.read(buffers[2], 0, out)
    return bool((out == a + b).all())


def _reduce(runtime: Runtime) -> bool:
    values = np.arange(_N, dtype=np.float32) % 7
    source, target = runtime.memory.alloc(values.nbytes), runtime.memory.alloc(4)
    runtime.queue.write(source, 0, values)
    bound = BoundKernel(runtime.queue, runtime.programs.kernel(_SOURCE, "eng_check_sum"), (_GROUP,), (_GROUP,))
    bound.set_buffer(0, source)
    bound.set_buffer(1, target)
    bound.set_local(2, 4 * _GROUP)
    bound.set_long(3, _N)
    bound.enqueue()
    out = np.zeros(1, np.float32)
    runtime.queue.read(target, 0, out)
    return bool(out[0] == values.sum())


def _double(runtime: Runtime) -> bool:
    values = np.linspace(0.0, 9.0, 100)
    buffer = runtime.memory.alloc(values.nbytes)
    runtime.queue.write(buffer, 0, values)
    bound = BoundKernel(runtime.queue, runtime.programs.kernel(_SOURCE_FP64, "eng_check_fp64"), (1,), (1,))
    bound.set_buffer(0, buffer)
    bound.set_long(1, values.size)
    bound.enqueue()
    out = np.zeros_like(values)
    runtime.queue.read(buffer, 0, out)
    return bool(np.allclose(out, np.sqrt(values) / 3.0, rtol=1e-15, atol=0))


def _read_back(runtime: Runtime) -> bool:
    values = np.arange(1 << 16, dtype=np.uint8)
    buffer = runtime.memory.alloc(values.nbytes)
    runtime.queue.write(buffer, 0, values)
    out = np.zeros_like(values)
    runtime.queue.read(buffer, 0, out)
    return bool((out == values).all())


def check_device(record: DeviceRecord) -> list[CheckResult]:
    """Run the checks that apply to a device: vector add, reduction with local memory and barriers, fp64, read-back."""
    checks = [("vector add", _add), ("local-memory reduction", _reduce), ("read-back", _read_back)]
    if record.caps.fp64:
        checks.append(("fp64", _double))
    results = []
    for name, check in checks:
        start = time.perf_counter()
        detail = ""
        try:
            passed = check(runtime_for(record))
            detail = "" if passed else "wrong values"
        except (DeviceError, OutOfMemoryError) as error:
            passed, detail = False, str(error)
        results.append(CheckResult(name, passed, (time.perf_counter() - start) * 1e3, detail))
    return results


def _why_default(default: DeviceRecord) -> str:
    if settings.device:
        return f"chosen by ENGINE_DEVICE={settings.device}"
    if default.kind == "cpu":
        return "the best CPU device; set ENGINE_DEVICE to choose another"
    return f"there is no CPU device, and this is the best {default.kind}; set ENGINE_DEVICE to choose another"


def _describe(caps: Capabilities) -> list[str]:
    yes_no = {True: "yes", False: "no"}
    gib = 1 << 30
    return [
        f"platform   {caps.platform}, {caps.platform_version}, driver {caps.driver_version}",
        (
            f"compute    {caps.compute_units} units, work-groups up to {caps.max_work_group_size}, "
            f"vectors of {caps.float_vector_width} floats ({caps.vectors})"
        ),
        (
            f"memory     {caps.global_mem_size / gib:.1f} GiB, at most {caps.max_alloc_size / gib:.1f} GiB in one "
            f"piece, "
            f"{caps.local_mem_size // 1024} KiB local ({'on chip' if caps.local_mem_is_real else 'ordinary memory'}), "
            f"shared with the host: {yes_no[caps.unified_memory]}"
        ),
        (
            f"language   OpenCL C {caps.opencl_c[0]}.{caps.opencl_c[1]}, fp64 {yes_no[caps.fp64]}, fp16 "
            f"{yes_no[caps.fp16]}, 64-bit atomics {yes_no[caps.int64_atomics]}, subgroups {yes_no[caps.subgroups]}"
        ),
    ]


def devices_report(check: bool = True) -> str:
    """All devices with their capabilities, the default and why, and (``check``) the result of the checks on each."""
    try:
        records = discover()
        default = find(settings.device) if settings.device else default_record()
    except NoDeviceError as error:
        return f"No usable OpenCL device: {error}"
    lines = []
    for record in records:
        mark = " (default)" if record.number == default.number else ""
        lines.append(f"{record.number}: {record.kind}:{record.index} {record.caps.name}{mark}")
        lines.extend(f"     {row}" for row in _describe(record.caps))
        for result in check_device(record) if check else ():
            status = "passed" if result.passed else "FAILED"
            lines.append(
                f"     check      {result.name}: {status} in {result.milliseconds:.1f} ms {result.detail}".rstrip()
            )
    lines.append(f"Default: device {default.number}, {_why_default(default)}.")
    lines.append(f"Cache: {settings.cache_path()}")
    return "\n".join(lines)
