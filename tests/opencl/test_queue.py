from __future__ import annotations

import multiprocessing
import os
import sys

import numpy as np
import pytest

from engine.errors import DeviceError, OutOfMemoryError
from engine.opencl import BoundKernel

ADD = "KATTR __kernel void eng_add(__global int* a, long o, int v) { a[o + get_global_id(0)] += v; }"
LOCAL = """
KATTR __kernel void eng_reverse(__global int* a, __local int* t) {
  int i = (int)get_local_id(0), n = (int)get_local_size(0);
  t[i] = a[i];
  barrier(CLK_LOCAL_MEM_FENCE);
  a[i] = t[n - 1 - i];
}
"""


def bound_add(runtime, buffer, n, value, **kwargs):
    bound = BoundKernel(runtime.queue, runtime.programs.kernel(ADD, "eng_add"), (n,), (1,), **kwargs)
    bound.set_buffer(0, buffer)
    bound.set_long(1, 0)
    bound.set_int(2, value)
    return bound


def ints(runtime, values):
    values = np.asarray(values, np.int32)
    buffer = runtime.memory.alloc(values.nbytes)
    runtime.queue.write(buffer, 0, values)
    return buffer


def read(runtime, buffer):
    out = np.zeros(buffer.nbytes // 4, np.int32)
    runtime.queue.read(buffer, 0, out)
    return out.tolist()


def test_replay_and_changed_arguments(runtime):
    buffer = ints(runtime, [0] * 8)
    bound = bound_add(runtime, buffer, 8, 3)
    for _ in range(10):
        bound.enqueue()
    bound.set_int(2, 100)
    bound.set_long(1, 4)
    bound.global_size = (4,)
    bound.enqueue()
    assert read(runtime, buffer) == [30] * 4 + [130] * 4
    runtime.queue.launch(bound.kernel, (1,), (1,))
    assert read(runtime, buffer) == [30] * 4 + [230] + [130] * 3


def test_local_memory(runtime):
    buffer = ints(runtime, range(64))
    bound = BoundKernel(runtime.queue, runtime.programs.kernel(LOCAL, "eng_reverse"), (64,), (64,))
    bound.set_buffer(0, buffer)
    bound.set_local(1, 64 * 4)
    bound.enqueue()
    assert read(runtime, buffer) == list(reversed(range(64)))


def test_scalars_of_every_type(runtime):
    source = """KATTR __kernel void eng_types(__global float* a, int i, long l, float f, uchar c) {
      a[0] = i; a[1] = l; a[2] = f; a[3] = c; }"""
    buffer = runtime.memory.alloc(16)
    bound = BoundKernel(runtime.queue, runtime.programs.kernel(source, "eng_types"), (1,), (1,))
    bound.set_buffer(0, buffer)
    bound.set_int(1, -5)
    bound.set_long(2, 1 << 40)
    bound.set_float(3, 0.5)
    bound.set_bytes(4, b"\x07")
    bound.enqueue()
    out = np.zeros(4, np.float32)
    runtime.queue.read(buffer, 0, out)
    assert out.tolist() == [-5.0, float(1 << 40), 0.5, 7.0]


def test_double_argument(runtime):
    if not runtime.caps.fp64:
        pytest.skip("no fp64")
    source = "KATTR __kernel void eng_double(__global double* a, double v) { a[0] = v; }"
    buffer = runtime.memory.alloc(8)
    bound = BoundKernel(runtime.queue, runtime.programs.kernel(source, "eng_double"), (1,), (1,))
    bound.set_buffer(0, buffer)
    bound.set_double(1, 1 / 3)
    bound.enqueue()
    out = np.zeros(1)
    runtime.queue.read(buffer, 0, out)
    assert out[0] == 1 / 3


def test_bound_kernel_keeps_its_buffers(runtime):
    buffer = ints(runtime, [1, 2])
    bound = bound_add(runtime, buffer, 2, 1)
    held = runtime.memory.allocated
    del buffer
    assert runtime.memory.allocated == held
    bound.enqueue()
    runtime.queue.finish()
    bound.release_buffers()
    assert runtime.memory.allocated < held


def test_failed_launch_names_kernel_and_sizes(runtime):
    too_many = runtime.caps.max_work_group_size * 2
    bound = bound_add(runtime, ints(runtime, [0] * 2), too_many, 1)
    bound.local_size = (too_many,)
    with pytest.raises(DeviceError) as caught:
        bound.enqueue()
    assert "eng_add" in str(caught.value)
    assert str(too_many) in str(caught.value)
    runtime.queue.dirty = True
    runtime.queue.finish()  # the queue still works
    bound.global_size = bound.local_size = (1,)
    bound.enqueue()
    runtime.queue.finish()


def test_bad_arguments_name_the_kernel(runtime):
    bound = bound_add(runtime, ints(runtime, [0]), 1, 1)
    with pytest.raises(DeviceError, match="argument 9 of kernel eng_add"):
        bound.set_int(9, 1)
    with pytest.raises(DeviceError, match="argument 2 of kernel eng_add"):
        bound.set_long(2, 1)


def test_driver_out_of_memory_at_enqueue_is_retried_once(runtime, monkeypatch):
    import pyopencl as cl

    from engine.opencl import queue as module

    buffer = ints(runtime, [0])
    bound = bound_add(runtime, buffer, 1, 1)
    real, calls = module._enqueue_kernel, []

    def failing(*args):
        calls.append(args)
        if len(calls) <= failures:
            raise cl.MemoryError(cl._cl._ErrorRecord("clEnqueueNDRangeKernel", -4, ""))
        return real(*args)

    if not hasattr(cl._cl, "_ErrorRecord"):
        pytest.skip("this pyopencl cannot make an error by hand")
    monkeypatch.setattr(module, "_enqueue_kernel", failing)
    failures = 1
    bound.enqueue()
    assert read(runtime, buffer) == [1]
    calls.clear()
    failures = 2
    with pytest.raises(OutOfMemoryError, match="eng_add"):
        bound.enqueue()


def test_profiling_records_each_launch(runtime):
    queue = runtime.queue
    buffer = ints(runtime, [0] * 8)
    bound = bound_add(runtime, buffer, 8, 1, label="x + 1", flops=8, nbytes=64)
    bound.enqueue()
    queue.profile(True)
    for _ in range(3):
        bound.enqueue()
    records = queue.records()
    queue.profile(False)
    bound.enqueue()
    assert read(runtime, buffer) == [5] * 8
    assert [(r.name, r.label, r.flops, r.nbytes) for r in records] == [("eng_add", "x + 1", 8, 64)] * 3
    assert all(r.end >= r.start and r.seconds >= 0 for r in records)
    assert records[0].start <= records[1].start <= records[2].start
    assert records[0].queued <= records[2].queued
    assert len(queue.records(clear=True)) == 3
    assert queue.records() == []


def test_finish_is_cheap_when_idle(runtime):
    queue = runtime.queue
    queue.finish()
    epoch = runtime.memory.epoch
    queue.finish()
    assert runtime.memory.epoch == epoch
    bound_add(runtime, ints(runtime, [0]), 1, 1).enqueue()
    assert queue.dirty
    queue.finish()
    assert not queue.dirty
    assert runtime.memory.epoch == epoch + 1


def _child(runtime, buffer, results):
    try:
        bound_add(runtime, buffer, 1, 1).enqueue()
        runtime.queue.finish()
        results.put("no error")
    except RuntimeError as error:
        results.put(str(error))


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_use_after_fork_is_an_error_not_a_hang(runtime):
    buffer = ints(runtime, [0])
    bound_add(runtime, buffer, 1, 1).enqueue()
    runtime.queue.finish()
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    process = context.Process(target=_child, args=(runtime, buffer, results))
    process.start()
    try:
        assert "forked subprocess" in results.get(timeout=30)
    finally:
        process.join(30)
        if process.is_alive():
            process.kill()
    assert read(runtime, buffer) == [1]  # the parent goes on


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_forked_child_may_read_what_is_there(runtime):
    if not runtime.host_visible:
        pytest.skip("the host does not see this device's memory")
    buffer = ints(runtime, [4, 5])
    runtime.queue.finish()
    pid = os.fork()
    if pid == 0:
        os._exit(0 if read(runtime, buffer) == [4, 5] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
