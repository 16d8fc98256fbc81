"""Printed text compared with torch, byte for byte, over random tensors of every dtype."""

import numpy as np
import pytest

from engine import dtypes, formatting

torch = pytest.importorskip("torch")

SPECIAL = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0])
TENSORS_PER_DTYPE = 150


@pytest.fixture(autouse=True)
def restore():
    yield
    for module in (torch, formatting):
        module.set_printoptions(profile="default")
    torch.set_default_dtype(torch.float32)
    dtypes.set_default_dtype(dtypes.float32)


def random_shape(rng):
    dims = int(rng.integers(0, 6))
    if dims == 1 and rng.random() < 0.2:
        return (int(rng.integers(900, 2000)),)
    high = int(rng.choice([3, 9, 40] if dims <= 2 else [2, 4, 8]))
    return tuple(int(n) for n in rng.integers(rng.random() > 0.2, high + 1, dims))


def random_floats(rng, shape):
    x = rng.standard_normal(shape)
    scale = [
        lambda: x * 10.0 ** rng.integers(-12, 12),
        lambda: np.rint(x * 10),
        lambda: np.rint(x * 1e3) * rng.choice([1, 1e3, 1e6]),
        lambda: x * 10.0 ** rng.uniform(-5, 5, shape),
        lambda: np.where(rng.random(shape) < 0.5, 0.0, x),
        lambda: x * rng.choice([1e-3, 10, 99, 999]),
        lambda: x * 0,
        lambda: x,
    ]
    x = np.asarray(scale[rng.integers(len(scale))](), dtype=np.float64)
    if rng.random() < 0.3:
        x = np.where(rng.random(shape) < rng.choice([0.05, 0.5, 1]), rng.choice(SPECIAL, shape), x)
    return x


def random_values(rng, shape, dtype):
    if dtype.is_complex:
        values = np.empty(shape, np.complex128)
        values.real, values.imag = random_floats(rng, shape), random_floats(rng, shape)
        return values
    if dtype.is_floating_point:
        return np.array(random_floats(rng, shape))
    if dtype is dtypes.bool_:
        return np.array(rng.random(shape) < 0.5)
    info = dtypes.iinfo(dtype)
    low, high = [(info.min, info.max), (max(info.min, -10), 10), (0, 2)][rng.integers(3)]
    return np.array(rng.integers(low, high, shape, dtype=dtype.numpy, endpoint=True))


def random_options(rng):
    choices = {
        "profile": ["default", "short", "full"],
        "precision": range(9),
        "threshold": [0, 5, 50, 10000],
        "edgeitems": range(5),
        "linewidth": range(10, 200),
        "sci_mode": [True, False],
    }
    if rng.random() < 0.6:
        return {}
    return {
        name: np.array(values)[rng.integers(len(values))].item()
        for name, values in choices.items()
        if rng.random() < 0.3
    }


def values_of(tensor):
    wider = {torch.bfloat16: torch.float32, torch.complex32: torch.complex64}.get(tensor.dtype, tensor.dtype)
    return tensor.detach().to(wider).numpy()


def fetcher(array):
    def fetch(segments):
        parts = [np.concatenate([np.arange(*r) for r in ranges]) for ranges in segments]
        return array[np.ix_(*parts)] if array.ndim else array

    return fetch


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", dtypes.ALL, ids=lambda d: d.name)
def test_random_tensors(dtype):
    rng = np.random.default_rng(dtypes.ALL.index(dtype))
    for _ in range(TENSORS_PER_DTYPE):
        default = str(rng.choice(["float32"] * 5 + ["float64", "float16"]))
        torch.set_default_dtype(getattr(torch, default))
        dtypes.set_default_dtype(dtypes.NAMESPACE[default])
        opts = random_options(rng)
        for module in (torch, formatting):
            module.set_printoptions(profile="default")
            module.set_printoptions(**opts)
        tensor = torch.from_numpy(random_values(rng, random_shape(rng), dtype)).to(getattr(torch, dtype.name))
        extras = {}
        kind = rng.random()
        if not dtype.is_integral and kind < 0.3:
            tensor.requires_grad_()
            extras = {"requires_grad": True}
            if 0.1 < kind < 0.2:
                tensor, extras = torch.nn.Parameter(tensor.detach()), {"requires_grad": True, "is_parameter": True}
            elif kind < 0.1:
                tensor, extras = tensor.clone(), {"grad_fn": "CloneBackward0"}
        array = values_of(tensor)
        source, shape = (array, None) if rng.random() < 0.5 else (fetcher(array), tensor.shape)
        assert formatting.format_tensor(source, dtype, shape=shape, **extras) == repr(tensor), opts


def test_meta_and_subclass():
    meta = torch.empty(2, 3, device="meta")
    assert formatting.format_tensor(None, dtypes.float32, shape=(2, 3), device="meta") == repr(meta)

    class Sub(torch.Tensor):
        pass

    values = np.linspace(0, 1, 50, dtype=np.float32)
    mine = formatting.format_tensor(values, dtypes.float32, type_name="Sub")
    assert mine == repr(torch.from_numpy(values).as_subclass(Sub))


def test_get_printoptions():
    for opts in ({"precision": 7}, {"profile": "short", "linewidth": 60}, {"profile": "full", "sci_mode": False}):
        formatting.set_printoptions(**opts)
        torch.set_printoptions(**opts)
        assert formatting.get_printoptions() == torch._tensor_str.get_printoptions()
