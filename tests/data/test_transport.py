"""Batches through shared memory: layout, reuse of segments, leases, private copies of datasets."""

import gc
import os

import numpy as np

import engine
from engine.data.segments import ALIGN, SegmentRing, SegmentTable, layout
from engine.data.transport import INLINE_LIMIT, Payload, decode, encode, from_host_array, to_host_array


def cross(obj, ring, table, lease_limit=8):
    """``obj`` encoded as in a worker and decoded as in the loader; and the segment it went through."""
    parts, fds = encode(obj, ring)
    return decode(parts, list(fds), table, lease_limit), parts[3]


def test_layout_is_aligned():
    spans, total = layout([1, 0, 64, 65])
    assert spans == [(0, 1), (64, 0), (64, 64), (128, 65)] and total == 256
    assert all(offset % ALIGN == 0 for offset, _ in spans)


def test_every_dtype_goes_through():
    names = [
        "float32",
        "float64",
        "float16",
        "bfloat16",
        "int64",
        "int32",
        "int16",
        "int8",
        "uint8",
        "bool",
        "complex64",
    ]
    tensors = {name: engine.arange(6).reshape(2, 3).to(getattr(engine, name)) for name in names}
    out, segment = cross(tensors, SegmentRing(), SegmentTable())
    assert segment is None  # small: in the message
    for name in names:
        assert out[name].dtype == getattr(engine, name) and out[name].shape == (2, 3)
        assert (out[name] == tensors[name]).all()


def test_host_arrays_are_inverse():
    for tensor in (
        engine.ones(2, 3),
        engine.ones(2, 3).t(),
        engine.ones((), dtype=engine.bfloat16),
        engine.zeros(0, 4),
    ):
        array = to_host_array(tensor)
        assert array.flags.c_contiguous and array.shape == tuple(tensor.shape)
        back = from_host_array(array, tensor.dtype)
        assert back.dtype == tensor.dtype and back.tolist() == tensor.tolist()


def test_arrays_keep_their_type_and_order():
    arrays = [
        np.ones((3, 4), order="F"),
        np.arange(20)[::2],
        np.array(["a", None], object),
        np.zeros((0, 3)),
        np.float32(3),
    ]
    out, _ = cross(arrays, SegmentRing(), SegmentTable())
    for a, b in zip(arrays, out):
        assert type(a) is type(b) and a.dtype == b.dtype and np.array_equal(a, b)
    assert out[0].flags.f_contiguous


def test_a_segment_is_used_again_when_the_batch_is_gone():
    ring, table = SegmentRing(), SegmentTable()
    first, number = cross(np.full((100, 100), 1.0), ring, table)
    second, other = cross(np.full((100, 100), 2.0), ring, table)
    assert number is not None and other != number and table.leased == 2
    view = first[0]
    del first
    gc.collect()
    assert table.returned() == [] and view[0].item() == 1  # a view keeps it
    del view
    gc.collect()
    assert table.returned() == [number]
    ring.release([number])
    third, again = cross(np.full((100, 100), 3.0), ring, table)
    assert again == number and third[0, 0].item() == 3 and second[0, 0].item() == 2


def test_segments_grow_and_small_ones_go():
    ring, table = SegmentRing(), SegmentTable()
    small, number = cross(np.zeros(20_000), ring, table)
    del small
    ring.release(table.returned())
    large, other = cross(np.zeros(200_000), ring, table)
    assert other != number and large.nbytes == 1_600_000
    assert list(ring._segments) == [other] == list(table._maps)


def test_kept_batches_are_copied_beyond_the_limit():
    ring, table = SegmentRing(), SegmentTable()
    kept = []
    for value in range(6):
        batch, _ = cross(np.full(10_000, value), ring, table, lease_limit=2)
        ring.release(table.returned())
        kept.append(batch)
    assert table.leased == 2 and len(ring._segments) <= 3
    assert [batch[5] for batch in kept] == list(range(6))


def test_long_text_goes_through_the_segment():
    text = ["word" * 10] * 5 + ["x" * (2 * INLINE_LIMIT)]
    out, segment = cross(text, SegmentRing(), SegmentTable())
    assert out == text and segment is not None


def test_a_payload_is_private_to_each_reader():
    data = np.zeros(100_000)
    payload = Payload({"data": data, "scale": 2})
    readers = [Payload.load(payload.message, [os.dup(fd) for fd in payload.fds]) for _ in range(2)]
    payload.close()
    readers[0]["data"][:] = 1
    assert readers[1]["data"].sum() == 0 and data.sum() == 0 and readers[0]["data"].sum() == 100_000
    assert readers[1]["scale"] == 2
