"""save and load: what comes back is what was saved, in both formats, from every kind of file."""

import collections
import gzip
import io
import mmap
import os
import pathlib
import pickle
import stat
import sys
import threading

import numpy as np
import pytest

import engine
from engine import dtypes, serialization

FORMATS = pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])


def round_trip(obj, new=True, **kwargs):
    stream = io.BytesIO()
    engine.save(obj, stream, _use_new_zipfile_serialization=new)
    stream.seek(0)
    return engine.load(stream, **kwargs)


def values(tensor):
    return tensor.detach().tolist()


def same_memory(a, b):
    """Whether a change of one tensor is seen in the other."""
    before = values(b)
    a.add_(1)
    return values(b) != before


def storage_array(tensor):
    return np.asarray(tensor.detach().tolist())


@FORMATS
@pytest.mark.parametrize("dtype", dtypes.ALL, ids=lambda d: d.name)
def test_every_dtype(dtype, new):
    source = np.array([[0, 1, 2], [3, 4, 5]])
    tensor = engine.tensor(source.astype(np.complex64 if dtype.is_complex else np.float64).tolist(), dtype=dtype)
    got = round_trip({"t": tensor}, new)["t"]
    assert got.dtype is dtype
    assert got.shape == (2, 3)
    assert got.stride() == (3, 1)
    assert values(got) == values(tensor)


@FORMATS
def test_shapes(new):
    shapes = [(), (0,), (0, 3), (1,), (2, 3, 4, 5)]
    tensors = [engine.tensor(np.arange(np.prod(shape), dtype=np.float32).reshape(shape)) for shape in shapes]
    for shape, tensor, got in zip(shapes, tensors, round_trip(tensors, new), strict=True):
        assert got.shape == shape
        assert values(got) == values(tensor)


@FORMATS
@pytest.mark.parametrize("weights_only", [True, False])
def test_views_share_their_storage(new, weights_only):
    base = engine.tensor(np.arange(6, dtype=np.float32).reshape(2, 3))
    other = engine.tensor(np.zeros(3, dtype=np.float32))
    got = round_trip({"base": base, "row": base[1], "t": base.t(), "other": other}, new, weights_only=weights_only)
    assert got["row"].storage_offset() == 3
    assert got["t"].stride() == (1, 3)
    assert values(got["t"]) == [[0, 3], [1, 4], [2, 5]]
    assert same_memory(got["base"], got["row"])
    assert values(got["row"]) == [4, 5, 6]
    assert not same_memory(got["base"], got["other"])
    assert not same_memory(base, got["base"])


@FORMATS
def test_a_view_alone_keeps_its_whole_storage(new):
    base = engine.tensor(np.arange(6, dtype=np.int64).reshape(2, 3))
    got = round_trip(base[1], new)
    assert got.storage_offset() == 3
    assert values(got) == [3, 4, 5]


@FORMATS
def test_gradients_and_parameters(new):
    state = {
        "leaf": engine.tensor([1.0, 2.0], requires_grad=True),
        "plain": engine.tensor([1.0]),
        "weight": engine.nn.Parameter(engine.tensor([3.0])),
        "frozen": engine.nn.Parameter(engine.tensor([4.0]), False),
    }
    got = round_trip(state, new)
    assert [got[name].requires_grad for name in state] == [True, False, True, False]
    assert type(got["weight"]) is engine.nn.Parameter
    assert type(got["leaf"]) is engine.Tensor
    assert values(got["weight"]) == [3.0]


@FORMATS
def test_containers(new):
    value = collections.OrderedDict(
        numbers=[1, -2, 300, 70000, 2**40, -(2**70), 1.5, None, True, False, 1j],
        texts=("", "é", b"bytes", bytearray(b"array")),
        sets={1, 2},
        nested={1: {"a": [(), (1,), (1, 2, 3, 4)]}},
        counter=collections.Counter("aab"),
        dtype=engine.bfloat16,
        device=engine.device("cpu"),
        size=engine.tensor([[1.0]]).shape,
    )
    got = round_trip(value, new)
    assert got == value
    assert type(got) is collections.OrderedDict
    assert got["dtype"] is engine.bfloat16
    assert type(got["size"]) is engine.Size


def test_same_object_stays_same():
    tensor = engine.tensor([1.0])
    cyclic = [tensor]
    cyclic.append(cyclic)
    got = round_trip([tensor, tensor, cyclic])
    assert got[0] is got[1] is got[2][0]
    assert got[2][1] is got[2]


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@FORMATS
def test_protocols(protocol, new):
    stream = io.BytesIO()
    value = {"t": engine.tensor([1.0, 2.0]), "d": engine.float16}
    engine.save(value, stream, pickle_protocol=protocol, _use_new_zipfile_serialization=new)
    for weights_only in (True, False):
        stream.seek(0)
        got = engine.load(stream, weights_only=weights_only)
        assert values(got["t"]) == [1.0, 2.0]
        assert got["d"] is engine.float16


class Custom:
    def __init__(self, tensor):
        self.tensor = tensor


@FORMATS
def test_own_classes(new):
    stream = io.BytesIO()
    engine.save(Custom(engine.tensor([1.0])), stream, _use_new_zipfile_serialization=new)
    stream.seek(0)
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        engine.load(stream)
    stream.seek(0)
    assert values(engine.load(stream, weights_only=False).tensor) == [1.0]
    stream.seek(0)
    with serialization.safe_globals([Custom]):
        assert values(engine.load(stream).tensor) == [1.0]


def test_pickle_module_of_the_user():
    class Module:
        __name__ = "mine"
        Pickler = pickle.Pickler
        Unpickler = pickle.Unpickler
        dump = staticmethod(pickle.dump)
        load = staticmethod(pickle.load)

    stream = io.BytesIO()
    base = engine.tensor([[1.0, 2.0], [3.0, 4.0]])
    engine.save([base, base[1], engine.float16, base.shape], stream, pickle_module=Module)
    stream.seek(0)
    got = engine.load(stream, pickle_module=Module)
    assert values(got[1]) == [3.0, 4.0]
    assert same_memory(got[0], got[1])
    assert got[2] is engine.float16
    stream.seek(0)
    with pytest.raises(RuntimeError, match="explicit pickle_module is specified"):
        engine.load(stream, pickle_module=pickle, weights_only=True)


def test_paths(tmp_path):
    tensor = engine.tensor([1.0])
    for path in (tmp_path / "a.pt", str(tmp_path / "b.pt")):
        engine.save(tensor, path)
        assert values(engine.load(path)) == [1.0]
    with open(tmp_path / "c.pt", "wb") as file:
        engine.save(tensor, file)
    with open(tmp_path / "c.pt", "rb") as file:
        assert values(engine.load(file)) == [1.0]
    with pytest.raises(FileNotFoundError):
        engine.load(tmp_path / "none.pt")
    with pytest.raises(RuntimeError, match=r"Parent directory .*no does not exist"):
        engine.save(tensor, tmp_path / "no" / "a.pt")
    with pytest.raises(AttributeError, match="expected 'f' to be string, path, or a file-like object"):
        engine.save(tensor, 5)
    with pytest.raises(AttributeError, match="You can only torch.load from a file that is seekable"):
        engine.load(5)


def test_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "a.pt"
    engine.save(engine.tensor([1.0]), path)
    os.chmod(path, 0o640)
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        engine.save([engine.tensor([2.0]), threading.Lock()], path)
    assert values(engine.load(path)) == [1.0]
    assert os.listdir(tmp_path) == ["a.pt"]
    engine.save(engine.tensor([3.0]), path)
    assert values(engine.load(path)) == [3.0]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    link = tmp_path / "link.pt"
    link.symlink_to(path)
    engine.save(engine.tensor([4.0]), link)
    assert link.is_symlink()
    assert values(engine.load(path)) == [4.0]


@pytest.mark.skipif(not pathlib.Path("/dev/null").exists(), reason="needs a device file")
def test_device_file():
    engine.save(engine.tensor([1.0]), "/dev/null")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_legacy_files_one_after_the_other():
    stream = io.BytesIO()
    for i in range(3):
        engine.save(engine.tensor([float(i)]), stream, _use_new_zipfile_serialization=False)
    stream.seek(0)
    assert [values(engine.load(stream)) for _ in range(3)] == [[0.0], [1.0], [2.0]]


@FORMATS
def test_map_location(new):
    tensors = {"a": engine.tensor([1.0, 2.0]), "b": engine.tensor([3.0])}
    seen = []

    def place(storage, location):
        seen.append((location, storage.size(), storage.tolist()))
        return storage if storage.size() == 2 else None

    for where in ("cpu", b"cpu", engine.device("cpu"), {"cpu": "cpu"}, {}, place, None):
        got = round_trip(tensors, new, map_location=where)
        assert values(got["a"]) == [1.0, 2.0]
        assert str(got["b"].device) == str(tensors["b"].device)
    assert seen == [("cpu", 2, [1.0, 2.0]), ("cpu", 1, [3.0])]
    meta = round_trip(tensors, new, map_location="meta")
    assert meta["a"].shape == (2,)
    assert str(meta["a"].device) == "meta"
    with pytest.raises(RuntimeError, match="don't know how to restore data location"):
        round_trip(tensors, new, map_location="nowhere")
    with pytest.raises(TypeError, match="map_location must be"):
        round_trip(tensors, new, map_location=3)


def test_errors_of_a_map_location_are_passed_on():
    def fail(storage, location):
        raise KeyError(location)

    with pytest.raises(KeyError, match="cpu"):
        round_trip(engine.tensor([1.0]), map_location=fail)


def test_missing_gpu(monkeypatch):
    monkeypatch.setattr(serialization.bridge, "_exists", lambda device: device.kind == "cpu")
    with pytest.raises(RuntimeError, match="on a CUDA device but torch.cuda.is_available\\(\\) is False"):
        round_trip(engine.tensor([1.0]), map_location="cuda:0")


def test_mmap(tmp_path):
    path = tmp_path / "a.pt"
    data = np.arange(100_000, dtype=np.float32)
    engine.save({"big": engine.tensor(data), "small": engine.tensor([1.0]), "none": engine.tensor([])}, path)
    before = path.read_bytes()
    got = engine.load(path, mmap=True)
    assert np.array_equal(storage_array(got["big"]), data)
    got["big"].add_(1)
    assert values(got["big"])[:3] == [1.0, 2.0, 3.0]
    assert path.read_bytes() == before
    with pytest.raises(ValueError, match="f must be a file path in order to use the mmap argument"):
        engine.load(io.BytesIO(before), mmap=True)
    engine.save(engine.tensor([1.0]), path, _use_new_zipfile_serialization=False)
    with pytest.raises(RuntimeError, match="mmap can only be used with files saved with"):
        engine.load(path, mmap=True)


def test_compressed_files(tmp_path):
    value = [engine.tensor(np.arange(1000, dtype=np.float32)), engine.tensor([2.0])]
    for new in (True, False):
        with gzip.open(tmp_path / "a.gz", "wb") as file:
            engine.save(value, file, _use_new_zipfile_serialization=new)
        with gzip.open(tmp_path / "a.gz", "rb") as file:
            got = engine.load(file)
        assert [values(t) for t in got] == [values(t) for t in value]


def test_file_objects_with_few_methods():
    class File:
        def __init__(self):
            self._stream = io.BytesIO()
            self.write, self.read, self.readline = self._stream.write, self._stream.read, self._stream.readline
            self.seek, self.tell = self._stream.seek, self._stream.tell

    for new in (True, False):
        file = File()
        engine.save(engine.tensor([1.0, 2.0]), file, _use_new_zipfile_serialization=new)
        file.seek(0)
        assert values(engine.load(file)) == [1.0, 2.0]


class Sub(engine.Tensor):
    pass


class Special(engine.Tensor):
    def __reduce_ex__(self, protocol):
        return Special, (self.tolist(),)


def test_subclasses():
    tensor = engine.tensor([1.0, 2.0]).as_subclass(Sub)
    tensor.note = "mine"
    got = round_trip([tensor, Special([3.0])], weights_only=False)
    assert [type(t) for t in got] == [Sub, Special]
    assert got[0].note == "mine"
    assert [values(t) for t in got] == [[1.0, 2.0], [3.0]]
    with serialization.safe_globals([Sub]):
        assert type(round_trip(tensor)) is Sub


def test_lazy_parameters():
    lazy = engine.nn.UninitializedParameter(requires_grad=False)
    got = round_trip({"lazy": lazy}, weights_only=False)["lazy"]
    assert type(got) is engine.nn.UninitializedParameter
    assert got.requires_grad is False


def test_storage_objects():
    tensor = engine.tensor([1.0, 2.0])
    if not hasattr(tensor, "untyped_storage"):
        pytest.skip("no storage objects")
    got = round_trip(tensor.untyped_storage())
    assert got.nbytes() == 8
    assert bytes(got.tolist()) == np.array([1.0, 2.0], np.float32).tobytes()


def test_options():
    assert serialization.get_default_mmap_options() == mmap.MAP_PRIVATE
    with serialization.set_default_mmap_options(mmap.MAP_SHARED):
        assert serialization.get_default_mmap_options() == mmap.MAP_SHARED
    assert serialization.get_default_mmap_options() == mmap.MAP_PRIVATE
    with pytest.raises(ValueError, match="expected mmap.MAP_PRIVATE or mmap.MAP_SHARED"):
        serialization.set_default_mmap_options(77)
    assert serialization.get_crc32_options() is True
    serialization.set_crc32_options(False)
    try:
        assert values(round_trip(engine.tensor([1.0]))) == [1.0]
    finally:
        serialization.set_crc32_options(True)
    with pytest.raises(TypeError, match="set_default_load_endianness"):
        serialization.set_default_load_endianness("little")


def test_byte_order():
    stream = io.BytesIO()
    engine.save(engine.tensor([1.0, 2.0]), stream, _disable_byteorder_record=True)
    stream.seek(0)
    serialization.set_default_load_endianness(serialization.LoadEndianness.BIG)
    try:
        swapped = engine.load(stream)
    finally:
        serialization.set_default_load_endianness(None)
    assert values(swapped) == np.array([1.0, 2.0], ">f4").view("<f4").tolist()
    assert sys.byteorder == "little" or values(round_trip(swapped)) == values(swapped)


def test_unsafe_globals_of_a_file():
    stream = io.BytesIO()
    engine.save([Custom(engine.nn.Parameter(engine.tensor([1.0]))), engine.float16, print], stream)
    stream.seek(0)
    custom = f"{Custom.__module__}.Custom"
    assert sorted(serialization.get_unsafe_globals_in_checkpoint(stream)) == sorted([custom, "builtins.print"])
    stream.seek(0)
    with serialization.safe_globals([Custom]):
        assert serialization.get_unsafe_globals_in_checkpoint(stream) == ["builtins.print"]
    with pytest.raises(ValueError, match="Expected input to be a checkpoint"):
        serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(b"nothing"))


def test_same_data_as_different_types():
    tensor = engine.tensor([1.0, 2.0])
    if not hasattr(tensor, "view"):
        pytest.skip("no views of another dtype")
    with pytest.raises(RuntimeError, match="view the same data as different types"):
        engine.save([tensor, tensor.view(engine.int32)], io.BytesIO())
