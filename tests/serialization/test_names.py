"""Names of classes and functions in files."""

import pickle

import pytest

import engine
from engine.serialization import names, rebuild


@pytest.mark.parametrize(
    ("module", "name", "written"),
    [
        ("engine.nn.modules.linear", "Linear", "torch.nn.modules.linear"),
        ("engine.nn.modules.norm", "LayerNorm", "torch.nn.modules.normalization"),
        ("engine.nn.parameter", "Parameter", "torch.nn.parameter"),
        ("engine.nn.functional.activation", "relu", "torch.nn.functional"),
        ("engine.optim.adam", "Adam", "torch.optim.adam"),
        ("engine.optim.lr_scheduler.steps", "StepLR", "torch.optim.lr_scheduler"),
        ("engine.data.dataset", "TensorDataset", "torch.utils.data.dataset"),
        ("engine.models.resnet", "ResNet", "torchvision.models.resnet"),
        ("engine.autograd.variable", "Tensor", "torch"),
        ("engine.graph.spec", "Size", "torch"),
        ("engine.ops.pointwise", "relu", "torch"),
    ],
)
def test_written(module, name, written):
    assert names.written_name(module, name) == (written, name)


def test_names_of_others_stay():
    assert names.written_name("engineering.tools", "Linear") is None
    assert names.written_name("__main__", "Net") is None


def test_found():
    assert rebuild.find_global("torch.nn.parameter", "Parameter") is engine.nn.Parameter
    assert rebuild.find_global("torch", "float32") is engine.float32
    assert rebuild.find_global("torch._utils", "_rebuild_tensor_v2") is rebuild._rebuild_tensor_v2
    for module in ("torch.nn.nowhere", "torch.nothing.at.all"):
        with pytest.raises(
            pickle.UnpicklingError, match=f"The file needs {module}.Missing, which engine does not have"
        ):
            rebuild.find_global(module, "Missing")


def test_every_module_is_written_as_torch_names_it():
    torch_nn = pytest.importorskip("torch").nn
    modules = {n: c for n, c in vars(engine.nn).items() if isinstance(c, type) and n in vars(torch_nn)}
    if len(modules) < 20:
        pytest.skip("no modules here")
    for name, cls in modules.items():
        theirs = vars(torch_nn)[name]
        assert names.written_name(cls.__module__, cls.__qualname__) == (theirs.__module__, theirs.__qualname__), name
        assert rebuild.find_global(theirs.__module__, theirs.__qualname__) is cls, name
