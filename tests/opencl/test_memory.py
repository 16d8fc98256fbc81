from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

from engine.errors import OutOfMemoryError
from engine.opencl import BoundKernel
from engine.opencl.memory import round_size

SCALE = (
    "KATTR __kernel void eng_scale(__global float* a, long o, long n, float f) {"
    " for (long i = 0; i < n; i++) a[o + i] *= f; }"
)


def scale(runtime, buffer, n, factor, offset=0):
    bound = BoundKernel(runtime.queue, runtime.programs.kernel(SCALE, "eng_scale"), (1,), (1,))
    bound.set_buffer(0, buffer)
    bound.set_packed((1, b"l", offset, 2, b"l", n, 3, b"f", factor))
    bound.enqueue()
    return bound


def test_block_sizes():
    assert [round_size(n) for n in (0, 1, 128, 129, 256, 257, 1000, 1025)] == [128, 128, 128, 256, 256, 384, 1024, 1280]
    previous = 0
    for n in range(1, 1 << 16, 37):
        size = round_size(n)
        assert size >= n
        assert size % 128 == 0
        assert size >= previous
        assert size == round_size(size)
        previous = size
    for n in (3_000_000, 100_000_001, 5 << 30):
        assert n <= round_size(n) <= n * 1.125 + 128


def test_accounting_is_exact(runtime):
    pool = runtime.memory
    gc.collect()
    pool.empty_cache()
    start = pool.stats()
    pool.reset_peak()
    a = pool.alloc(1000)
    b = pool.alloc(5000)
    held = round_size(1000) + round_size(5000)
    assert pool.allocated - start.allocated == held
    assert pool.reserved - start.reserved == held
    del a
    assert pool.allocated - start.allocated == round_size(5000)
    assert pool.reserved - start.reserved == held
    c = pool.alloc(1001)  # same bucket, reused
    assert pool.reserved - start.reserved == held
    assert pool.stats().device_allocations - start.device_allocations == 2
    del b, c
    assert pool.allocated == start.allocated
    assert pool.peak_allocated - start.allocated == held
    assert pool.empty_cache() == held
    assert pool.reserved == start.reserved
    assert pool.peak_reserved - start.reserved == held
    pool.reset_peak()
    assert pool.peak_reserved == start.reserved


def test_zero_bytes(runtime):
    buffer = runtime.memory.alloc(0)
    assert buffer.nbytes == 0
    runtime.queue.write(buffer, 0, np.zeros(0, np.float32))
    runtime.queue.read(buffer, 0, np.zeros(0, np.float32))
    with pytest.raises(ValueError, match="-1"):
        runtime.memory.alloc(-1)


def test_limit_gives_a_readable_error_then_recovers(runtime, restore_settings):
    pool = runtime.memory
    pool.empty_cache()
    restore_settings.memory_limit = pool.reserved + (1 << 20)
    kept = pool.alloc(700 << 10)
    with pytest.raises(OutOfMemoryError) as caught:
        pool.alloc(600 << 10)
    text = str(caught.value)
    for part in ("tried to allocate 600.00 KiB", "ENGINE_MEMORY_LIMIT", "allocated", "reserved", "smaller batch"):
        assert part in text
    assert pool.stats().out_of_memory >= 1
    del kept
    assert pool.alloc(600 << 10).nbytes == 600 << 10  # the cached block is given back first


def test_absurd_size_is_out_of_memory(runtime):
    with pytest.raises(OutOfMemoryError):
        runtime.memory.alloc(1 << 50)


def test_a_larger_cached_block_serves(runtime):
    pool = runtime.memory
    pool.empty_cache()
    size = 4 << 20
    del_me = pool.alloc(round_size(size + 1))
    del del_me
    before = pool.stats().device_allocations
    buffer = pool.alloc(size)
    assert pool.stats().device_allocations == before
    assert buffer.nbytes == size


def test_write_read_round_trip(runtime):
    rng = np.random.default_rng(0)
    for dtype in (np.float32, np.int64, np.uint8, np.bool_):
        values = rng.integers(0, 2, 1000).astype(dtype)
        buffer = runtime.memory.alloc(values.nbytes + 64)
        runtime.queue.write(buffer, 64, values)
        out = np.empty_like(values)
        runtime.queue.read(buffer, 64, out)
        np.testing.assert_array_equal(out, values)
    with pytest.raises(ValueError, match="outside"):
        runtime.queue.write(buffer, 0, np.zeros(4096, np.float64))


def test_writes_are_ordered_with_kernels(runtime):
    n = 1 << 14
    values = np.arange(n, dtype=np.float32)
    buffer = runtime.memory.alloc(values.nbytes)
    runtime.queue.write(buffer, 0, values)
    scale(runtime, buffer, n, 2.0)
    patch = np.full(10, -1, np.float32)
    runtime.queue.write(buffer, 40, patch)  # queued behind the kernel
    patch[:] = 99  # the array is the caller's again
    scale(runtime, buffer, n, 3.0)
    out = np.empty_like(values)
    runtime.queue.read(buffer, 0, out)
    expected = values * 6
    expected[10:20] = -3
    np.testing.assert_array_equal(out, expected)


def test_async_transfers(runtime):
    values = np.arange(1 << 14, dtype=np.float32)
    buffer = runtime.memory.alloc(values.nbytes)
    runtime.queue.write(buffer, 0, values, blocking=False, fresh=True)
    scale(runtime, buffer, values.size, 2.0)
    out = np.zeros_like(values)
    transfer = runtime.queue.read(buffer, 0, out, blocking=False)
    scale(runtime, buffer, values.size, 5.0)
    transfer.wait()
    np.testing.assert_array_equal(out, values * 2)
    runtime.queue.read(buffer, 0, out)
    np.testing.assert_array_equal(out, values * 10)


def test_many_queued_writes_do_not_pile_up(runtime):
    buffer = runtime.memory.alloc(4096)
    runtime.queue.fill(buffer, b"\0", 0, 4096)
    scale(runtime, buffer, 1024, 1.0)
    for i in range(200):
        runtime.queue.write(buffer, 4 * i, np.array([i], np.float32))
        scale(runtime, buffer, 1024, 1.0)
    out = np.zeros(200, np.float32)
    runtime.queue.read(buffer, 0, out)
    np.testing.assert_array_equal(out, np.arange(200))


def test_copy_and_fill(runtime):
    queue = runtime.queue
    a, b = runtime.memory.alloc(1024), runtime.memory.alloc(1024)
    out = np.zeros(256, np.float32)
    for busy in (False, True):
        queue.fill(a, np.float32(2.5).tobytes(), 0, 1024)
        if busy:
            scale(runtime, a, 1, 1.0)
        queue.fill(b, b"\0", 0, 1024)
        queue.copy(a, 0, b, 512, 256)
        queue.fill(b, np.float32(7).tobytes(), 0, 4)
        queue.read(b, 0, out)
        expected = np.zeros(256, np.float32)
        expected[128:192] = 2.5
        expected[0] = 7
        np.testing.assert_array_equal(out, expected)


def test_wrap_shares_memory(runtime):
    array = np.arange(100, dtype=np.float32)
    buffer = runtime.memory.wrap(array)
    if not runtime.host_visible:
        assert buffer is None
        return
    before = runtime.memory.allocated
    scale(runtime, buffer, 100, 2.0)
    runtime.queue.finish()
    np.testing.assert_array_equal(array, np.arange(100) * 2)
    array[:] = 1
    scale(runtime, buffer, 100, 3.0)
    del array, buffer  # memory must outlive the queued kernel
    gc.collect()
    runtime.queue.finish()
    assert runtime.memory.outside == []
    assert runtime.memory.allocated == before


def test_wrap_refuses_what_it_cannot_share(runtime):
    array = np.zeros((8, 8), np.float32)
    assert runtime.memory.wrap(array[:, :3]) is None
    assert runtime.memory.wrap(np.zeros(0)) is None
    array.flags.writeable = False
    assert runtime.memory.wrap(array) is None


def test_wrap_at_any_alignment(runtime):
    if not runtime.host_visible:
        pytest.skip("the host does not see this device's memory")
    raw = np.zeros(4096 + 64, np.uint8)
    for shift in (4, 8, 20, 36):
        array = raw[shift : shift + 400].view(np.float32)
        array[:] = 3
        scale(runtime, runtime.memory.wrap(array), 100, 2.0)
        runtime.queue.finish()
        assert (array == 6).all()


def test_host_array_is_a_view_that_keeps_the_buffer(runtime):
    pool = runtime.memory
    buffer = pool.alloc(400)
    view = buffer.host_array()
    if not runtime.host_visible:
        assert view is None
        return
    assert (view.dtype, view.shape) == (np.uint8, (400,))
    floats = view.view(np.float32)
    floats[:] = 1
    scale(runtime, buffer, 100, 4.0)
    runtime.queue.finish()
    assert (floats == 4).all()
    held = pool.allocated
    del buffer, view
    gc.collect()
    assert pool.allocated == held  # the array still holds the memory
    assert (floats == 4).all()
    del floats
    gc.collect()
    assert pool.allocated == held - round_size(400)


def test_idle_buffer_never_returns_memory_in_use(runtime):
    pool, queue = runtime.memory, runtime.queue
    queue.finish()
    buffer = pool.alloc(12_345)
    scale(runtime, buffer, 100, 1.0)
    del buffer
    assert pool.idle_buffer(12_345) is None
    queue.finish()
    assert pool.idle_buffer(12_345) is not None


def test_upload_while_the_queue_is_busy(runtime):
    n = 5000
    first = runtime.upload(np.ones(n, np.float32))
    for step in range(5):
        scale(runtime, first, n, 2.0)
        batch = np.full(n, step, np.float32)
        buffer = runtime.upload(batch)
        batch[:] = -1
        scale(runtime, buffer, n, 10.0)
        out = np.zeros(n, np.float32)
        if step % 2:
            runtime.queue.read(buffer, 0, out)
            assert (out == step * 10).all()
    runtime.queue.read(first, 0, out)
    assert (out == 32).all()


def test_threads_share_the_pool(runtime):
    pool = runtime.memory
    gc.collect()
    before = pool.allocated
    failures = []

    def work(seed):
        rng = np.random.default_rng(seed)
        mine = []
        for _ in range(500):
            mine.append(pool.alloc(int(rng.integers(1, 5000))))
            if len(mine) > 10:
                del mine[int(rng.integers(len(mine)))]
        blocks = {id(b.block) for b in mine}
        if len(blocks) != len(mine):
            failures.append("one block handed out twice")

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gc.collect()
    assert failures == []
    assert pool.allocated == before
