"""Autocast without PyTorch: the cast cache, threads, the older names."""

import threading

import pytest

import engine
from engine.amp import legacy
from engine.amp.cast import autocast_call, cached_cast
from engine.amp.policy import POLICIES, Policy
from engine.amp.regions import has_device
from engine.amp.state import autocast_state, get_autocast_dtype, is_autocast_enabled, set_autocast_dtype


def test_state_is_per_thread():
    seen = []
    with engine.amp.autocast("cpu"):
        thread = threading.Thread(target=lambda: seen.append((autocast_state.active, is_autocast_enabled("cpu"))))
        thread.start()
        thread.join()
        assert autocast_state.active
        assert is_autocast_enabled("cpu")
        assert not is_autocast_enabled("cuda")
    assert seen == [(False, False)]
    assert not autocast_state.active


def test_parameters_are_cast_once_a_region():
    weight = engine.ones(2, 2, requires_grad=True)
    with engine.amp.autocast("cpu"):
        first = cached_cast(weight, engine.bfloat16)
        with engine.amp.autocast("cpu"):
            assert cached_cast(weight, engine.bfloat16) is first
        assert cached_cast(weight, engine.float16) is not first
        first = cached_cast(weight, engine.bfloat16)
        with engine.no_grad():
            weight.add_(1.0)
        assert cached_cast(weight, engine.bfloat16) is not first
        activation = weight * 2
        assert cached_cast(activation, engine.bfloat16) is not cached_cast(activation, engine.bfloat16)
    assert not autocast_state.cache
    with engine.amp.autocast("cpu", cache_enabled=False):
        assert cached_cast(weight, engine.bfloat16) is not cached_cast(weight, engine.bfloat16)


def test_cast_under_no_grad_is_not_kept():
    weight = engine.ones(2, 2, requires_grad=True)
    with engine.amp.autocast("cpu"):
        with engine.no_grad():
            assert not cached_cast(weight, engine.bfloat16).requires_grad
        assert cached_cast(weight, engine.bfloat16).requires_grad


def test_gradient_comes_back_in_float32():
    weight = engine.ones(2, 2, requires_grad=True)
    with engine.amp.autocast("cpu"):
        out = autocast_call("mm", engine.mm, (engine.ones(2, 2), weight), {})
        loss = autocast_call("mse_loss", engine.nn.functional.mse_loss, (out, engine.zeros(2, 2)), {})
    assert (out.dtype, loss.dtype) == (engine.bfloat16, engine.float32)
    loss.backward()
    assert weight.grad.dtype == engine.float32
    assert weight.grad.tolist() == [[2.0, 2.0], [2.0, 2.0]]


def test_ops_inside_an_op_are_not_cast():
    def composed(x):
        assert not autocast_state.active
        return autocast_call("mm", engine.mm, (x, x), {}) if autocast_state.active else engine.mm(x, x)

    with engine.amp.autocast("cpu"):
        assert autocast_call("cdist", composed, (engine.ones(2, 2),), {}).dtype == engine.float32
        assert autocast_state.active
        with pytest.raises(ZeroDivisionError):
            autocast_call("mm", lambda x: 1 / 0, (engine.ones(2, 2),), {})
        assert autocast_state.active


def test_explicit_dtype_and_out_win():
    x = engine.ones(3, dtype=engine.bfloat16)
    with engine.amp.autocast("cpu"):
        assert autocast_call("prod", engine.prod, (x,), {"dtype": engine.float64}).dtype == engine.float64
        out = engine.zeros(2, 2)
        assert autocast_call("mm", engine.mm, (engine.ones(2, 2), engine.ones(2, 2)), {"out": out}) is out


def test_tables():
    for table in POLICIES.values():
        assert table["linear"] is table["conv2d"] is table["scaled_dot_product_attention"] is Policy.LOWER
        assert table["mse_loss"] is Policy.FLOAT32
    assert POLICIES["cuda"]["softmax"] is Policy.FLOAT32
    assert "softmax" not in POLICIES["cpu"]
    assert POLICIES["cpu"]["cat"] is POLICIES["cuda"]["dot"] is Policy.PROMOTE
    assert POLICIES["cuda"]["binary_cross_entropy"] is Policy.BANNED


def test_dtypes():
    assert (get_autocast_dtype("cpu"), get_autocast_dtype("cuda")) == (engine.bfloat16, engine.float16)
    set_autocast_dtype("cpu", engine.float16)
    try:
        assert engine.amp.autocast("cpu").fast_dtype == engine.float16
    finally:
        set_autocast_dtype("cpu", engine.bfloat16)


def test_older_names():
    with pytest.warns(FutureWarning, match="torch.amp.autocast"):
        region = legacy.CpuAutocast()
    with region:
        assert is_autocast_enabled("cpu")
    with pytest.warns(FutureWarning, match="torch.amp.GradScaler"):
        assert legacy.CpuGradScaler(init_scale=4.0).get_scale() == 4.0
    with pytest.warns(FutureWarning, match="torch.amp.GradScaler"):
        assert legacy.CudaGradScaler().is_enabled() is has_device("cuda")


@pytest.mark.skipif(has_device("cuda"), reason="has a GPU")
def test_without_a_gpu():
    with pytest.warns(UserWarning, match="CUDA is not available"):
        region = engine.amp.autocast("cuda")
    with region:
        assert not autocast_state.active
    with pytest.warns(UserWarning, match="GradScaler is enabled, but CUDA is not available"):
        scaler = engine.amp.GradScaler()
    assert not scaler.is_enabled()
