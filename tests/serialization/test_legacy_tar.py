"""Reading the tar files of the first releases, made here by hand as they were written then."""

import io
import pickle
import struct
import tarfile
from typing import ClassVar

import numpy as np
import pytest

import engine


class _Name:
    """Pickles as a class of torch."""

    def __init__(self, name):
        self.name = name


class _Pickler(pickle._Pickler):
    dispatch: ClassVar[dict] = dict(pickle._Pickler.dispatch)

    def save_name(self, obj):
        self.write(pickle.GLOBAL + f"torch\n{obj.name}\n".encode())
        self.memoize(obj)

    def persistent_id(self, obj):
        return obj[1] if isinstance(obj, tuple) and obj and obj[0] == "tensor" else None

    dispatch[_Name] = save_name


def pickled(obj):
    stream = io.BytesIO()
    _Pickler(stream, 2).dump(obj)
    return stream.getvalue()


def tar_file(offset=0, storages=None):
    data = np.arange(6, dtype=np.float32).tobytes()
    members = {
        "storages": storages
        or pickled(1)
        + pickled((11, "cpu", _Name("FloatStorage")))
        + struct.pack("<q", 6)
        + data
        + pickled([(12, 11, 3, 3)]),
        "tensors": pickled(2)
        + pickled((21, 11, _Name("FloatTensor")))
        + struct.pack("<ii2q2qq", 2, 0, 2, 3, 3, 1, offset)
        + pickled((22, 12, _Name("FloatTensor")))
        + struct.pack("<iiqqq", 1, 0, 3, 1, 0),
        "pickle": pickled({"all": ("tensor", 21), "row": ("tensor", 22), "n": [1, 2]}),
    }
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:", format=tarfile.PAX_FORMAT) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    stream.seek(0)
    return stream


# the class FloatTensor only names the kind of a tensor; which library has it does not matter here
@pytest.fixture(autouse=True)
def float_tensor(monkeypatch):
    if not hasattr(engine, "FloatTensor"):
        monkeypatch.setattr(engine, "FloatTensor", engine.Tensor, raising=False)


def test_tensors_and_views():
    got = engine.load(tar_file(), weights_only=False)
    assert got["n"] == [1, 2]
    assert got["all"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert got["row"].tolist() == [3, 4, 5]
    got["all"].add_(1)
    assert got["row"].tolist() == [4, 5, 6]


def test_refused():
    with pytest.raises(RuntimeError, match="with files saved in the legacy .tar format"):
        engine.load(tar_file())
    with pytest.raises(RuntimeError, match="out of bounds for storage"):
        engine.load(tar_file(offset=1), weights_only=False)
    head = pickled(1) + pickled((11, "cpu", _Name("FloatStorage")))
    with pytest.raises(RuntimeError, match="is not in the file"):
        engine.load(tar_file(storages=head + struct.pack("<q", 2**60)), weights_only=False)
    with pytest.raises(RuntimeError, match="might be corrupted"):
        engine.load(tar_file(storages=head), weights_only=False)
