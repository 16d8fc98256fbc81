"""State with host-side counters: it behaves as PyTorch's plain dict of tensors."""

import copy
import pickle

import numpy as np
import pytest

import engine
from engine.optim.state import HostScalar, ParamState


def state(step=3.0):
    return ParamState({"exp_avg": engine.ones(2)}, {"step": step})


def test_reads_as_a_dict():
    s = state()
    assert isinstance(s, dict)
    assert list(s) == list(s.keys()) == ["step", "exp_avg"]
    assert len(s) == 2
    assert "step" in s
    assert "other" not in s
    assert s["step"].item() == 3.0
    assert [value.shape for value in s.values()] == [(), (2,)]
    assert [key for key, _ in s.items()] == ["step", "exp_avg"]
    assert list(dict(s)) == list({**s}) == list(s.copy()) == ["step", "exp_avg"]
    assert s.get("other", 5) == 5
    assert s.get("step").item() == 3.0
    assert repr(s) == repr(dict(s))
    with pytest.raises(KeyError, match="other"):
        s["other"]
    assert not ParamState({}, {})


def test_writes_as_a_dict():
    s = state()
    s["step"] = engine.tensor(9.0)
    assert s.advance() == 10.0
    s["step"] += 5
    assert s.advance() == 16.0
    s["step"].fill_(1.0)
    assert s.advance() == 2.0
    s.update(step=engine.tensor(4.0), other=1)
    assert (s["step"].item(), s["other"]) == (4.0, 1)
    assert s.setdefault("other", 2) == 1
    assert s.setdefault("third", 3) == 3
    assert s.pop("step").item() == 4.0
    assert "step" not in s
    assert s.pop("nothing", None) is None
    del s["other"]
    s.clear()
    assert len(s) == 0


def test_exposed_tensor_follows_the_count():
    s = state()
    held = s["step"]
    assert s["step"] is held
    for _ in range(3):
        s.advance()
    assert held.item() == 6.0
    assert s["step"] is held
    held.zero_()
    assert s.advance() == 1.0
    assert held.item() == 1.0


def test_count_needs_no_tensor():
    s = state()
    s["step"]
    s.advance()
    assert s.host["step"]._tensor is None


def test_loaded_tensor_is_not_written():
    loaded = engine.tensor(5.0)
    s = state(loaded)
    assert s["step"] is loaded
    assert s.advance() == 6.0
    assert loaded.item() == 5.0


def test_dtypes_and_rounding():
    assert HostScalar(0.1).get() == float(np.float32(0.1))
    assert HostScalar(0.1, engine.float64).get() == 0.1
    assert HostScalar(3, engine.int32).expose().dtype == engine.int32
    before = engine.get_default_dtype()
    engine.set_default_dtype(engine.float64)
    try:
        assert HostScalar(0.1).expose().dtype == engine.float64
    finally:
        engine.set_default_dtype(before)


@pytest.mark.parametrize("clone", [copy.deepcopy, copy.copy, lambda s: pickle.loads(pickle.dumps(s))])
def test_copies(clone):
    s = state()
    s.advance()
    other = clone(s)
    assert list(other) == ["step", "exp_avg"]
    other = other if isinstance(other, ParamState) else ParamState({}, {"step": other["step"]})
    assert other.advance() == 5.0
    assert s.advance() == 5.0
