"""The tensor object: description, copies, pickles, storages, subclasses, exchange."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import engine
from engine import overrides


def test_pickle_keeps_sharing_attributes_and_flags() -> None:
    a = engine.arange(6.0)
    b = a[2:5:2]
    p = engine.nn.Parameter(engine.ones(2))
    p.note = {"k": 1}
    c, d, q = pickle.loads(pickle.dumps((a, b, p)))
    assert d.stride() == (2,) and d.storage_offset() == 2
    d.fill_(9)
    assert c.tolist() == [0, 1, 9, 3, 9, 5] and a[2] == 2
    assert isinstance(q, engine.nn.Parameter) and q.requires_grad and q.note == {"k": 1}


def test_deepcopy() -> None:
    a = engine.arange(4.0).requires_grad_()
    a.sum().backward()
    a.tag = [1]
    b, view = copy.deepcopy([a, a.detach()[1:]])
    assert b.grad.tolist() == [1, 1, 1, 1] and b.tag == [1] and b.tag is not a.tag
    view.zero_()
    assert b.tolist() == [0, 0, 0, 0] and a.tolist() == [0, 1, 2, 3]


def test_storage() -> None:
    a = engine.arange(6.0).view(2, 3)
    s = a.untyped_storage()
    assert s is a[1].untyped_storage() and s.nbytes() == 24 and len(a.storage()) == 6
    assert engine.empty(0).set_(s, 1, (2, 2), (2, 1)).tolist() == [[1, 2], [3, 4]]
    a.storage()[0] = 7.0
    assert a[0, 0] == 7
    s.resize_(32)
    assert s.nbytes() == 32 and a[1].tolist() == [3, 4, 5]


def test_dlpack() -> None:
    a = engine.arange(3.0)
    shared = np.from_dlpack(a)
    assert shared.tolist() == [0, 1, 2] and a.__dlpack_device__() == (1, 0)
    b = engine.from_dlpack(np.arange(3))
    assert b.dtype is engine.int64 and b.tolist() == [0, 1, 2]
    with pytest.raises(BufferError, match="require gradient"):
        a.requires_grad_().__dlpack__()


def test_grad_dtype() -> None:
    x = engine.ones(2).requires_grad_()
    x.grad_dtype = engine.float64
    (x * 2).sum().backward()
    assert x.grad.dtype is engine.float64
    with pytest.raises(RuntimeError, match="grad_dtype can only be set on leaf tensors"):
        (x * 2).grad_dtype = None


def test_subclasses_are_preserved_and_asked() -> None:
    asked = []

    class Logged(engine.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            asked.append(func.__name__)
            return super().__torch_function__(func, types, args, kwargs or {})

    x = engine.ones(2).as_subclass(Logged)
    results = [x + 1, engine.exp(x), engine.cat([engine.ones(1), x]), x.T, 2 * x, x[0], engine.nn.functional.relu(x)]
    assert all(type(r) is Logged for r in results)
    assert [a for a in asked if not a.startswith("<")] == ["add", "exp", "cat", "mul", "getitem", "relu"]
    with overrides.DisableTorchFunctionSubclass():
        assert type(x + 1) is engine.Tensor
    assert type(engine.nn.Parameter(engine.ones(1)) * 2) is engine.Tensor


def test_function_modes() -> None:
    calls = []

    class Mode(overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            calls.append(func.__name__)
            return func(*args, **(kwargs or {}))

    with Mode():
        engine.ones(2).exp()
    engine.ones(2).sin()
    assert "exp" in calls and "sin" not in calls


def test_legacy_attributes() -> None:
    x = engine.ones(2, 3)
    assert (x.is_sparse, x.is_leaf, x.names, x.volatile, x.is_shared()) == (False, True, (None, None), False, False)
    assert x.share_memory_() is x and x.pin_memory() is x and x.to_dense() is x and x.dim_order() == (0, 1)
    with pytest.raises(RuntimeError, match="named tensors"):
        x.refine_names("a", "b")


def test_where_as_a_method_takes_the_condition_first():
    x = engine.tensor([1.0, -2.0], requires_grad=True)
    y = x.where(x > 0, 9.0)
    assert y.tolist() == [1.0, 9.0]
    assert x.where(x > 0, engine.tensor(0.5)).tolist() == [1.0, 0.5]
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 0.0]
