"""The .safetensors format: exchange with the library's own reader and writer where it is installed."""

import importlib

import numpy as np
import pytest

import engine
from engine import dtypes
from engine.serialization.safetensors import load_file, save_file


def test_without_the_library(monkeypatch, tmp_path):
    def missing(name, *args):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ImportError, match=r"pip install engine\[safetensors\]"):
        load_file(tmp_path / "a.safetensors")
    with pytest.raises(ImportError, match=r"pip install engine\[safetensors\]"):
        save_file({}, tmp_path / "a.safetensors")


@pytest.fixture
def library():
    return pytest.importorskip("safetensors.numpy")


def test_round_trip(library, tmp_path):
    path = tmp_path / "a.safetensors"
    tensors = {
        d.name: engine.tensor([[0, 1], [3, 4]], dtype=d)
        for d in dtypes.ALL
        if d not in (dtypes.complex32, dtypes.complex128)
    }
    tensors["empty"] = engine.tensor([])
    tensors["transposed"] = engine.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).t()
    save_file(tensors, path, {"format": "pt"})
    got = load_file(path)
    assert got.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert got[name].dtype is tensor.dtype
        assert got[name].tolist() == tensor.tolist()
    assert got["transposed"].stride() == (2, 1)
    again = engine.load(path, map_location="cpu")
    assert again["float32"].tolist() == [[0.0, 1.0], [3.0, 4.0]]
    with open(path, "rb") as file:
        file.seek(8)
        assert b'"__metadata__":{"format":"pt"}' in file.read(200)


def test_exchange(library, tmp_path):
    path = tmp_path / "a.safetensors"
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([1, 2], dtype=np.int64)}
    library.save_file(arrays, path)
    got = load_file(str(path))
    assert {name: t.tolist() for name, t in got.items()} == {name: a.tolist() for name, a in arrays.items()}
    save_file(got, path)
    back = library.load_file(path)
    assert {name: a.tolist() for name, a in back.items()} == {name: a.tolist() for name, a in arrays.items()}


def test_refused(library, tmp_path):
    path = tmp_path / "a.safetensors"
    base = engine.tensor([[1.0, 2.0], [3.0, 4.0]])
    with pytest.raises(RuntimeError, match="share memory.*'a'.*'b'|share memory.*'b'.*'a'"):
        save_file({"a": base, "b": base[1]}, path)
    save_file({"a": base[0], "b": base[1]}, path)
    assert load_file(path)["b"].tolist() == [3.0, 4.0]
    with pytest.raises(ValueError, match="expected torch.Tensor"):
        save_file({"a": 1}, path)
    with pytest.raises(RuntimeError, match="with dict map_location is not supported"):
        engine.load(path, map_location={})
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    with pytest.raises(Exception, match="(?i)metadata|header|buffer|incomplete"):
        load_file(path)
