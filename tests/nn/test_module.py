"""Module: registration, hooks, state, conversion. Also run against torch where it is installed."""

import copy
import importlib
import importlib.util
import pickle
import warnings
from collections import OrderedDict

import numpy as np
import pytest

import engine

FRAMEWORKS = ["engine"] + (["torch"] if importlib.util.find_spec("torch") else [])
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(params=FRAMEWORKS)
def fw(request):
    framework = importlib.import_module(request.param)
    importlib.import_module(request.param + ".nn")
    return framework


def make_net(fw):
    class Net(fw.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = fw.nn.Linear(3, 4)
            self.block = fw.nn.Sequential(fw.nn.BatchNorm1d(4), fw.nn.ReLU())
            self.scale = fw.nn.Parameter(fw.ones(4))
            self.register_buffer("offset", fw.zeros(4))
            self.register_buffer("scratch", fw.zeros(2), persistent=False)
            self.count = 5

        def forward(self, x):
            return self.block(self.first(x)) * self.scale + self.offset

    return Net()


def test_names_and_iteration(fw):
    net = make_net(fw)
    assert [n for n, _ in net.named_parameters()] == [
        "scale", "first.weight", "first.bias", "block.0.weight", "block.0.bias",
    ]  # fmt: skip
    assert [n for n, _ in net.named_buffers("p")][:3] == ["p.offset", "p.scratch", "p.block.0.running_mean"]
    assert [n for n, _ in net.named_modules()] == ["", "first", "block", "block.0", "block.1"]
    assert [n for n, _ in net.named_children()] == ["first", "block"]
    assert [n for n, _ in net.named_parameters(recurse=False)] == ["scale"]
    net.again = net.first
    assert len(list(net.parameters())) == 5
    assert len(list(net.named_parameters(remove_duplicate=False))) == 7
    assert len(list(net.modules())) == 5
    assert len(list(net.children())) == 2
    assert len(list(net.modules(remove_duplicate=False))) == 6


def test_state_dict_round_trip(fw):
    net, other = make_net(fw), make_net(fw)
    state = net.state_dict()
    assert list(state) == [
        "scale", "offset", "first.weight", "first.bias", "block.0.weight", "block.0.bias", "block.0.running_mean",
        "block.0.running_var", "block.0.num_batches_tracked",
    ]  # fmt: skip
    assert state._metadata["block.0"] == {"version": 2}
    assert not state["scale"].requires_grad
    assert net.state_dict(keep_vars=True)["scale"] is net.scale
    assert state["scale"].data_ptr() == net.scale.data_ptr()
    assert repr(other.load_state_dict(state)) == "<All keys matched successfully>"
    np.testing.assert_array_equal(other.first.weight.detach().numpy(), net.first.weight.detach().numpy())
    assert list(net.state_dict(prefix="x."))[0] == "x.scale"


def test_load_state_dict_reports(fw):
    net = make_net(fw)
    state = OrderedDict(net.state_dict())
    del state["scale"]
    state["more"] = fw.zeros(1)
    state["block.0.weight"] = fw.zeros(7)
    with pytest.raises(RuntimeError) as error:
        net.load_state_dict(state)
    assert str(error.value) == (
        'Error(s) in loading state_dict for Net:\n\tMissing key(s) in state_dict: "scale". \n\tUnexpected key(s) in '
        'state_dict: "more". \n\tsize mismatch for block.0.weight: copying a param with shape torch.Size([7]) from '
        "checkpoint, the shape in current model is torch.Size([4])."
    )
    state["block.0.weight"] = fw.zeros(4)
    result = net.load_state_dict(state, strict=False)
    assert (result.missing_keys, result.unexpected_keys) == (["scale"], ["more"])
    with pytest.raises(TypeError, match="dict-like"):
        net.load_state_dict([1])
    with pytest.raises(RuntimeError, match="expected torch.Tensor"):
        net.load_state_dict({**net.state_dict(), "scale": 3})


def test_load_with_assign(fw):
    net = make_net(fw)
    net.scale.requires_grad_(False)
    state = {k: v.clone().double() if v.is_floating_point() else v for k, v in net.state_dict().items()}
    net.load_state_dict(state, assign=True)
    assert net.first.weight.dtype == fw.float64
    assert isinstance(net.first.weight, fw.nn.Parameter)
    assert not net.scale.requires_grad
    assert net.offset.dtype == fw.float64


def test_old_batch_norm_checkpoint_without_count(fw):
    net = fw.nn.BatchNorm1d(2)
    state = {k: v for k, v in net.state_dict().items() if k != "num_batches_tracked"}
    assert net.load_state_dict(state).missing_keys == []


def test_extra_state(fw):
    class Extra(fw.nn.Module):
        value = 3

        def get_extra_state(self):
            return {"v": self.value}

        def set_extra_state(self, state):
            self.value = state["v"]

    net, other = Extra(), Extra()
    net.value = 8
    assert list(net.state_dict()) == ["_extra_state"]
    other.load_state_dict(net.state_dict())
    assert other.value == 8
    with pytest.raises(RuntimeError, match="Missing key"):
        other.load_state_dict({})


def test_state_dict_hooks(fw):
    net, log = make_net(fw), []
    net.register_state_dict_pre_hook(lambda m, prefix, keep: log.append(("pre", prefix, keep)))
    net.register_state_dict_post_hook(lambda m, state, prefix, meta: state.update(extra=1))
    net.register_load_state_dict_pre_hook(lambda m, state, *rest: state.pop("extra", None) and log.append("load"))
    net.register_load_state_dict_post_hook(lambda m, keys: log.append(("post", list(keys.missing_keys))))
    state = net.state_dict()
    assert state["extra"] == 1
    net.load_state_dict(state)
    assert log == [("pre", "", False), "load", ("post", [])]
    bad = make_net(fw)
    bad.register_state_dict_post_hook(lambda *a: 5)
    with pytest.raises(RuntimeError, match="must return None"):
        bad.state_dict()


def test_registration_errors(fw):
    net = make_net(fw)
    with pytest.raises(KeyError, match="already exists"):
        net.register_buffer("first", fw.zeros(1))
    with pytest.raises(KeyError, match="contain"):
        net.register_parameter("a.b", None)
    with pytest.raises(KeyError, match="be empty"):
        net.add_module("", fw.nn.ReLU())
    with pytest.raises(TypeError, match="not a Module subclass"):
        net.add_module("x", 3)
    with pytest.raises(TypeError, match="cannot assign"):
        net.register_buffer("x", 3)
    with pytest.raises(ValueError, match="non-leaf"):
        net.register_parameter("x", _non_leaf(fw))
    with pytest.raises(TypeError, match="as parameter 'scale'"):
        net.scale = fw.zeros(4)
    with pytest.raises(TypeError, match="as child module 'first'"):
        net.first = fw.zeros(4)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        net.nothing  # noqa: B018
    with pytest.raises(TypeError, match="unexpected keyword argument 'a'"):
        fw.nn.Module(a=1)
    with pytest.raises(TypeError, match="takes 1 positional argument but 2 were given"):
        fw.nn.Module(1)

    class Early(fw.nn.Module):
        def __init__(self):
            self.w = fw.nn.Parameter(fw.ones(1))

    with pytest.raises(AttributeError, match="before Module.__init__"):
        Early()


def _non_leaf(fw):
    param = fw.nn.Parameter(fw.ones(2))
    holder = fw.nn.Parameter(fw.ones(2), requires_grad=False)
    holder.mul_(param)
    return holder


def test_assignment_moves_between_kinds(fw):
    net = make_net(fw)
    net.offset = fw.ones(4)
    assert dict(net.named_buffers())["offset"] is net.offset
    net.offset = None
    assert "offset" not in net.state_dict()
    net.scale = None
    assert net.scale is None
    assert "scale" not in dict(net.named_parameters())
    net.count = fw.nn.Parameter(fw.ones(2))
    assert "count" in dict(net.named_parameters())
    del net.count
    assert not hasattr(net, "count")
    net.tensor = fw.zeros(1)
    assert "tensor" not in net.state_dict()
    net.kept = fw.nn.Buffer(fw.zeros(3))
    net.dropped = fw.nn.Buffer(fw.zeros(3), persistent=False)
    assert isinstance(net.kept, fw.nn.Buffer)
    assert not isinstance(fw.zeros(1), fw.nn.Buffer)
    assert "kept" in net.state_dict()
    assert "dropped" not in net.state_dict()
    assert "dropped" in dict(net.named_buffers())


def test_access_by_dotted_name(fw):
    net = make_net(fw)
    assert net.get_submodule("block.0") is net.block[0]
    assert net.get_submodule("") is net
    assert net.get_parameter("first.weight") is net.first.weight
    assert net.get_buffer("block.0.running_mean") is net.block[0].running_mean
    for call, name in [
        (net.get_submodule, "block.7"),
        (net.get_submodule, "scale"),
        (net.get_parameter, "offset"),
        (net.get_buffer, "scale"),
        (net.get_parameter, "first.nothing"),
    ]:
        with pytest.raises(AttributeError):
            call(name)
    net.set_submodule("block.1", fw.nn.Tanh())
    assert isinstance(net.block[1], fw.nn.Tanh)
    with pytest.raises(AttributeError):
        net.set_submodule("block.9", fw.nn.Tanh(), strict=True)
    with pytest.raises(ValueError, match="target"):
        net.set_submodule("", fw.nn.Tanh())


def test_modes_and_gradients(fw):
    net = make_net(fw)
    assert net.training
    assert net.eval() is net
    assert not net.block[0].training
    net.train()
    assert net.block[0].training
    with pytest.raises(ValueError, match="boolean"):
        net.train(1)
    net(fw.ones(2, 3)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert float(net.scale.grad.abs().sum()) == 0
    net.zero_grad()
    assert net.scale.grad is None
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())


def test_apply_visits_children_first(fw):
    seen = []
    make_net(fw).apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Linear", "BatchNorm1d", "ReLU", "Sequential", "Net"]


def test_conversion(fw):
    net = make_net(fw)
    weight = net.first.weight
    assert net.double() is net
    assert net.first.weight is weight
    assert weight.dtype == fw.float64
    assert net.block[0].running_mean.dtype == fw.float64
    assert net.block[0].num_batches_tracked.dtype == fw.int64
    net.to(fw.float32)
    net(fw.ones(2, 3)).sum().backward()
    net.to("cpu", fw.float64)
    assert weight.grad.dtype == fw.float64
    net.to(fw.ones(1))
    assert weight.dtype == fw.float32
    assert net.half().offset.dtype == fw.float16
    assert net.bfloat16().offset.dtype == fw.bfloat16
    assert net.float().offset.dtype == fw.float32
    assert net.to(device="cpu", dtype=fw.float64, non_blocking=True).offset.dtype == fw.float64
    assert net.type(fw.float32).scale.dtype == fw.float32
    assert net.cpu() is net
    with pytest.raises(TypeError, match="floating point or complex dtypes"):
        net.to(fw.int64)
    assert tuple(net.to_empty(device="cpu").scale.shape) == (4,)
    conv = fw.nn.Conv2d(2, 3, 3).to(memory_format=fw.channels_last)
    assert conv.weight.is_contiguous(memory_format=fw.channels_last)


def test_copy_and_pickle(fw):
    net = fw.nn.Sequential(fw.nn.Linear(2, 3), fw.nn.BatchNorm1d(3), fw.nn.LSTM(3, 2))
    net[0].bias.requires_grad_(False)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert repr(other) == repr(net)
        assert not other[0].bias.requires_grad
        assert isinstance(other[0].weight, fw.nn.Parameter)
        assert other[0].weight is not net[0].weight
        for a, b in zip(net.state_dict().values(), other.state_dict().values(), strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())
    tied = fw.nn.Linear(2, 2)
    pair = fw.nn.ModuleList([tied, tied])
    twin = copy.deepcopy(pair)
    assert twin[0] is twin[1]


def test_repr(fw):
    net = make_net(fw)
    net.empty = fw.nn.Module()
    assert repr(net) == (
        "Net(\n  (first): Linear(in_features=3, out_features=4, bias=True)\n  (block): Sequential(\n    (0): "
        "BatchNorm1d(4, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)\n    (1): ReLU()\n"
        "  )\n  (empty): Module()\n)"
    )

    class Extra(fw.nn.Module):
        def extra_repr(self):
            return "one\ntwo"

    assert repr(Extra()) == "Extra(\n  one\n  two\n)"


def test_dir_and_delattr(fw):
    net = make_net(fw)
    assert {"scale", "offset", "first", "forward"} <= set(dir(net))
    assert "0" not in dir(net.block)
    del net.offset
    del net.first
    with pytest.raises(AttributeError):
        del net.first


def test_missing_forward(fw):
    with pytest.raises(NotImplementedError, match='missing the required "forward"'):
        fw.nn.Module()(1)


def test_parameter(fw):
    data = fw.ones(2)
    param = fw.nn.Parameter(data)
    assert param.requires_grad
    assert param.is_leaf
    assert isinstance(param, fw.Tensor)
    assert repr(param).startswith("Parameter containing:\ntensor([1., 1.], requires_grad=True)")
    data.zero_()
    assert float(param.sum()) == 0
    assert type(param + 1) is fw.Tensor
    assert type(param.detach()) is fw.Tensor
    assert type(param.data) is fw.Tensor
    assert tuple(fw.nn.Parameter().shape) == (0,)
    frozen = fw.nn.Parameter(fw.arange(3), requires_grad=False)
    assert frozen.dtype == fw.int64
    with pytest.raises(RuntimeError, match="floating"):
        fw.nn.Parameter(fw.arange(3))
    twin = copy.deepcopy(param)
    assert isinstance(twin, fw.nn.Parameter)
    assert twin is not param
    back = pickle.loads(pickle.dumps(frozen))
    assert isinstance(back, fw.nn.Parameter)
    assert not back.requires_grad
    assert not isinstance(fw.ones(1), fw.nn.Parameter)


def test_sequential(fw):
    nn = fw.nn
    net = nn.Sequential(OrderedDict(a=nn.Linear(2, 3), b=nn.ReLU()))
    assert net.a is net[0]
    assert net[-1] is net.b
    assert list(net[:1]._modules) == ["a"]
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    net.append(nn.Tanh()).insert(1, nn.Sigmoid())
    assert [type(m).__name__ for m in net] == ["Linear", "Sigmoid", "ReLU", "Tanh"]
    assert type(net.pop(1)).__name__ == "Sigmoid"
    del net[-1]
    assert list(net._modules) == ["0", "1"]
    net[1] = nn.Tanh()
    assert len(net + net) == 4
    assert len(2 * net) == 4
    net *= 2
    assert len(net) == 4
    net.extend(nn.Sequential(nn.ReLU()))
    with pytest.raises(IndexError, match="out of range"):
        net[9]
    with pytest.raises(TypeError):
        nn.Sequential(3)


def test_module_list(fw):
    nn = fw.nn
    blocks = nn.ModuleList([nn.ReLU(), nn.Linear(1, 1)])
    blocks.append(nn.Tanh())
    blocks.extend([nn.ReLU()])
    blocks += [nn.ReLU()]
    blocks.insert(0, nn.Sigmoid())
    assert [type(m).__name__ for m in blocks] == ["Sigmoid", "ReLU", "Linear", "Tanh", "ReLU", "ReLU"]
    assert isinstance(blocks[1:3], nn.ModuleList)
    del blocks[0]
    assert type(blocks.pop(-1)).__name__ == "ReLU"
    assert len(blocks + [nn.ReLU()]) == 5
    assert repr(nn.ModuleList([nn.ReLU()] * 3)) == "ModuleList(\n  (0-2): 3 x ReLU()\n)"
    with pytest.raises(NotImplementedError):
        blocks(1)


def test_module_dict(fw):
    nn = fw.nn
    table = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Tanh()})
    table["c"] = nn.Sigmoid()
    table.update([["d", nn.ReLU()]])
    assert list(table.keys()) == list("abcd")
    assert "a" in table
    assert type(table.pop("a")).__name__ == "ReLU"
    del table["b"]
    assert [k for k, _ in table.items()] == ["c", "d"]
    assert len(table) == 2
    table.clear()
    assert len(table) == 0


def test_parameter_list_and_dict(fw):
    nn = fw.nn
    values = nn.ParameterList([nn.Parameter(fw.zeros(2)), fw.ones(3), 5])
    assert isinstance(values[1], nn.Parameter)
    assert values[2] == 5
    values.append(fw.zeros(1))
    values.extend([fw.zeros(2)])
    values += [fw.zeros(2)]
    assert len(values) == 6
    values[0] = fw.ones(4)
    assert tuple(values[-6].shape) == (4,)
    assert len(values[1:3]) == 2
    assert list(values.state_dict()) == ["0", "1", "3", "4", "5"]
    assert repr(values).split("\n")[1:4] == [
        "    (0): Parameter containing: [torch.float32 of size 4]",
        "    (1): Parameter containing: [torch.float32 of size 3]",
        "    (2): Object of type: int",
    ]
    table = nn.ParameterDict({"x": fw.zeros(2), "y": "text"})
    table["z"] = nn.Parameter(fw.ones(1))
    assert list(table) == ["x", "y", "z"]
    assert table.get("q", 3) == 3
    assert table.setdefault("w", fw.zeros(1)).requires_grad
    assert table.popitem()[0] == "w"
    assert "y" in table
    assert table.pop("y") == "text"
    assert list((table | {"a": fw.zeros(1)}).keys()) == ["x", "z", "a"]
    assert list(table.state_dict()) == ["x", "z"]
    assert list(reversed(table)) == ["z", "x"]
    assert len(table.copy()) == 2
    table.clear()
    assert len(table) == 0


def test_lazy_modules(fw):
    nn = fw.nn
    cases = [
        (nn.LazyLinear(3), (2, 5), nn.Linear),
        (nn.LazyConv2d(4, 3, groups=2), (1, 6, 5, 5), nn.Conv2d),
        (nn.LazyConv1d(4, 3, bias=False), (6, 5), nn.Conv1d),
        (nn.LazyConvTranspose2d(4, 2), (1, 3, 4, 4), nn.ConvTranspose2d),
        (nn.LazyBatchNorm2d(), (2, 3, 4, 4), nn.BatchNorm2d),
        (nn.LazyInstanceNorm1d(), (2, 3, 4), nn.InstanceNorm1d),
    ]
    for module, shape, final in cases:
        assert module.has_uninitialized_params()
        param = next(module.parameters())
        assert isinstance(param, nn.UninitializedParameter)
        with pytest.raises((RuntimeError, ValueError)):
            param.shape  # noqa: B018
        with pytest.raises(ValueError, match="uninitialized"):
            param + 1
        module.double().float()
        module(fw.ones(*shape))
        assert type(module) is final
        assert next(module.parameters()) is param
        assert type(param) is nn.Parameter
        assert bool(fw.isfinite(param).all())
    source, target = nn.Linear(5, 3), nn.LazyLinear(3)
    target.load_state_dict(source.state_dict())
    assert tuple(target.weight.shape) == (3, 5)
    assert type(target(fw.ones(1, 5))) is fw.Tensor
    fresh = pickle.loads(pickle.dumps(nn.LazyLinear(3)))
    assert repr(fresh) == "LazyLinear(in_features=0, out_features=3, bias=True)"
    assert list(copy.deepcopy(nn.LazyLinear(3)).state_dict()) == ["weight", "bias"]


def test_compile_uses_the_compiled_call():
    calls = []
    net = engine.nn.Linear(2, 2)
    net._compiled_call_impl = lambda *a: calls.append(a) or "compiled"
    assert net(1) == "compiled"
    assert "_compiled_call_impl" not in net.__getstate__()


def test_call_super_init():
    class Other:
        def __init__(self, value):
            self.value = value

    class Net(engine.nn.Module, Other):
        call_super_init = True

    assert Net(4).value == 4


def test_no_warning_in_ordinary_use():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net = make_net(engine)
        net(engine.ones(2, 3)).sum().backward()
        net.load_state_dict(net.state_dict())
