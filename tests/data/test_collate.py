"""default_collate, collate with an own map, default_convert."""

from collections import OrderedDict, UserDict, namedtuple

import numpy as np
import pytest

import engine
from engine.utils.data import default_collate, default_convert
from engine.utils.data._utils.collate import collate, default_collate_fn_map

Point = namedtuple("Point", ["x", "y"])


class Tagged(dict):
    tag = None


def same(tensor, values, dtype):
    return isinstance(tensor, engine.Tensor) and tensor.tolist() == values and tensor.dtype == dtype


def test_numbers():
    assert same(default_collate([1, 2]), [1, 2], engine.int64)
    assert same(default_collate([0.5, 2.0]), [0.5, 2.0], engine.float64)
    assert same(default_collate([True, False]), [True, False], engine.bool)
    assert same(default_collate([np.float32(1), np.float32(2)]), [1, 2], engine.float32)
    assert same(default_collate([np.int16(1), np.int16(2)]), [1, 2], engine.int16)
    assert same(default_collate((1, 2)), [1, 2], engine.int64)


def test_tensors_and_arrays():
    assert same(default_collate([engine.zeros(2), engine.ones(2)]), [[0, 0], [1, 1]], engine.float32)
    assert same(default_collate([np.zeros(2, np.uint8), np.ones(2, np.uint8)]), [[0, 0], [1, 1]], engine.uint8)
    assert same(default_collate([engine.tensor(1), engine.tensor(2)]), [1, 2], engine.int64)
    assert same(default_collate([np.array(1), np.array(2)]), [1, 2], engine.int64)
    with pytest.raises(RuntimeError):
        default_collate([engine.zeros(2), engine.zeros(3)])
    with pytest.raises(RuntimeError):
        default_collate([np.zeros(2), np.zeros(3)])


def test_a_batch_does_not_share_memory_with_its_samples():
    array = np.zeros(2, np.float32)
    batch = default_collate([array])
    batch += 1
    assert array.tolist() == [0, 0]


def test_text_stays():
    assert default_collate(["a", "b"]) == ["a", "b"]
    assert default_collate([b"a", b"b"]) == [b"a", b"b"]
    with pytest.raises(TypeError, match="default_collate: batch must contain tensors, numpy arrays, numbers"):
        default_collate([np.array(["a"]), np.array(["b"])])
    with pytest.raises(TypeError, match="found <class 'object'>"):
        default_collate([object()])
    with pytest.raises(TypeError):
        default_collate([None, None])


def test_containers_keep_their_types():
    out = default_collate([{"a": 0, "b": "x"}, {"a": 100, "b": "y"}])
    assert same(out["a"], [0, 100], engine.int64) and out["b"] == ["x", "y"]
    assert type(default_collate([OrderedDict(a=1), OrderedDict(a=2)])) is OrderedDict
    assert type(default_collate([UserDict(a=1), UserDict(a=2)])) is UserDict
    tagged = Tagged(a=1)
    tagged.tag = "kept"
    assert default_collate([tagged, Tagged(a=2)]).tag == "kept"
    point = default_collate([Point(0, 1.0), Point(2, 3.0)])
    assert type(point) is Point and point.x.tolist() == [0, 2] and point.y.dtype == engine.float64
    assert [column.tolist() for column in default_collate([(0, 1), (2, 3)])] == [[0, 2], [1, 3]]
    assert type(default_collate([(0, 1), (2, 3)])) is list
    assert [column.tolist() for column in default_collate([[0, 1], [2, 3]])] == [[0, 2], [1, 3]]
    assert [column.tolist() for column in default_collate([range(2), range(2)])] == [[0, 0], [1, 1]]
    nested = default_collate([{"p": Point([1, 2], ("s", 0.5))}] * 2)
    assert nested["p"].x[1].tolist() == [2, 2] and nested["p"].y[0] == ("s", "s")


def test_unequal_lengths_are_an_error():
    with pytest.raises(RuntimeError, match="each element in list of batch should be of equal size"):
        default_collate([[1, 2], [1]])


def test_own_functions_for_types():
    class Special:
        def __init__(self, value):
            self.value = value

    class More(Special):
        pass

    def gather(batch, *, collate_fn_map):
        return [item.value for item in batch]

    assert collate([Special(1), Special(2)], collate_fn_map={Special: gather}) == [1, 2]
    assert collate([More(1)], collate_fn_map={Special: gather}) == [1]
    default_collate_fn_map[Special] = gather
    try:
        assert default_collate([(Special(1), 2)])[0] == [1]
    finally:
        del default_collate_fn_map[Special]
    with pytest.raises(TypeError):
        collate([1, 2], collate_fn_map=None)

    def add(batch, *, collate_fn_map):
        return sum(item.sum().item() for item in batch)

    assert collate([np.ones(2), np.ones(2)], collate_fn_map={**default_collate_fn_map, engine.Tensor: add}) == 4


def test_convert():
    assert default_convert(0) == 0
    assert same(default_convert(np.array([0, 1])), [0, 1], engine.int64)
    assert same(default_convert(np.float32(2)), 2, engine.float32)
    point = default_convert(Point(np.array(0), "a"))
    assert type(point) is Point and same(point.x, 0, engine.int64) and point.y == "a"
    assert same(default_convert({"a": [np.array([1.0])]})["a"][0], [1.0], engine.float64)
    assert type(default_convert((1, 2))) is list
    text = np.array(["a"])
    assert default_convert(text) is text
    tensor = engine.zeros(1)
    assert default_convert(tensor) is tensor
    assert default_convert("ab") == "ab" and default_convert(None) is None
