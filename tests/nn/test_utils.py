"""nn.utils, each statement also checked against torch where it is installed."""

import copy
import importlib
import importlib.util
import math

import numpy as np
import pytest

FRAMEWORKS = ["engine"] + (["torch"] if importlib.util.find_spec("torch") else [])
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(params=FRAMEWORKS)
def fw(request):
    framework = importlib.import_module(request.param)
    for name in (".nn", ".nn.utils", ".nn.utils.parametrize", ".nn.utils.parametrizations", ".nn.utils.stateless"):
        importlib.import_module(request.param + name)
    return framework


def with_grads(fw, *values):
    params = [fw.nn.Parameter(fw.zeros(len(v))) for v in values]
    for param, v in zip(params, values, strict=True):
        param.grad = fw.tensor(v)
    return [*params, fw.nn.Parameter(fw.zeros(1))]


@pytest.mark.parametrize(("kind", "norm"), [(2.0, 13.0), (1.0, 19.0), (math.inf, 12.0), (2, 13.0)])
def test_clip_grad_norm(fw, kind, norm):
    params = with_grads(fw, [3.0, 4.0], [12.0])
    total = fw.nn.utils.clip_grad_norm_(params, norm / 2, kind)
    assert total.item() == pytest.approx(norm)
    np.testing.assert_allclose(params[0].grad.numpy(), [1.5, 2], rtol=1e-5)
    assert fw.nn.utils.clip_grad_norm_(iter(params), 100.0, kind).item() == pytest.approx(norm / 2, rel=1e-5)
    np.testing.assert_allclose(params[1].grad.numpy(), [6], rtol=1e-5)
    assert fw.nn.utils.get_total_norm([p.grad for p in params[:2]], kind).item() == pytest.approx(norm / 2, rel=1e-5)


def test_clip_details(fw):
    params = with_grads(fw, [3.0, -4.0])
    fw.nn.utils.clip_grad_value_(params, 3.5)
    assert params[0].grad.tolist() == [3.0, -3.5]
    fw.nn.utils.clip_grad_value_(params[0], 1)
    assert params[0].grad.tolist() == [1.0, -1.0]
    params[0].grad = fw.tensor([math.inf, 1.0])
    with pytest.raises(RuntimeError, match="non-finite"):
        fw.nn.utils.clip_grad_norm_(params, 1.0, error_if_nonfinite=True)
    assert fw.nn.utils.clip_grad_norm_([], 1.0).item() == 0
    fw.nn.utils.clip_grads_with_norm_(with_grads(fw, [2.0]), 1.0, fw.tensor(2.0))


def test_vector_round_trip(fw):
    net = fw.nn.Linear(2, 3)
    vector = fw.nn.utils.parameters_to_vector(net.parameters())
    assert tuple(vector.shape) == (9,)
    fw.nn.utils.vector_to_parameters(fw.arange(9.0), net.parameters())
    assert net.bias.tolist() == [6, 7, 8]
    with pytest.raises(TypeError, match="expected torch.Tensor"):
        fw.nn.utils.vector_to_parameters([1], net.parameters())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("transpose", [True, False])
def test_fusion(fw, bias, transpose):
    conv = (fw.nn.ConvTranspose2d if transpose else fw.nn.Conv2d)(2, 3, 3, bias=bias)
    norm = fw.nn.BatchNorm2d(3)
    norm(fw.randn(4, 3, 5, 5))
    with pytest.raises(AssertionError, match="only for eval"):
        fw.nn.utils.fuse_conv_bn_eval(conv, norm)
    conv.eval()
    norm.eval()
    x = fw.randn(2, 2, 6, 6)
    fused = fw.nn.utils.fuse_conv_bn_eval(conv, norm, transpose)
    np.testing.assert_allclose(fused(x).detach().numpy(), norm(conv(x)).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_linear_fusion(fw):
    linear, norm = fw.nn.Linear(3, 4), fw.nn.BatchNorm1d(4)
    norm(fw.randn(6, 4))
    linear.eval()
    norm.eval()
    x = fw.randn(5, 3)
    fused = fw.nn.utils.fuse_linear_bn_eval(linear, norm)
    np.testing.assert_allclose(fused(x).detach().numpy(), norm(linear(x)).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_memory_format_and_skip_init(fw):
    net = fw.nn.Sequential(fw.nn.Conv2d(2, 3, 3), fw.nn.Conv3d(2, 3, 3))
    fw.nn.utils.convert_conv2d_weight_memory_format(net, fw.channels_last)
    fw.nn.utils.convert_conv3d_weight_memory_format(net, fw.channels_last_3d)
    assert net[0].weight.is_contiguous(memory_format=fw.channels_last)
    assert net[1].weight.is_contiguous(memory_format=fw.channels_last_3d)
    layer = fw.nn.utils.skip_init(fw.nn.Linear, 3, 4, bias=False)
    assert repr(layer) == "Linear(in_features=3, out_features=4, bias=False)"
    with pytest.raises(RuntimeError, match="Module"):
        fw.nn.utils.skip_init(int)


def test_functional_call(fw):
    call = fw.nn.utils.stateless.functional_call
    net = fw.nn.Sequential(fw.nn.Linear(2, 2, bias=False), fw.nn.BatchNorm1d(2, affine=False))
    net[0].weight.requires_grad_(False)
    own = net[0].weight.clone()
    weight = fw.ones(2, 2, requires_grad=True)
    buffers = {"1.running_mean": fw.zeros(2)}
    out = call(net, {"0.weight": weight, **buffers}, (fw.randn(5, 2),))
    (out * fw.randn(5, 2)).sum().backward()
    assert weight.grad is not None
    assert (net[0].weight == own).all()
    assert float(buffers["1.running_mean"].abs().sum()) > 0
    assert float(net[1].running_mean.abs().sum()) == 0
    with pytest.raises(RuntimeError, match="Missing key"):
        call(net, {"0.weight": weight}, fw.randn(5, 2), strict=True)
    call(net, {"0.nothing": weight}, fw.randn(5, 2))
    assert not hasattr(net[0], "nothing")
    with pytest.raises(AttributeError):
        call(net, {"7.nothing": weight}, fw.randn(5, 2))


def test_functional_call_with_tied_weights(fw):
    call = fw.nn.utils.stateless.functional_call

    class Tied(fw.nn.Module):
        def __init__(self):
            super().__init__()
            self.a = fw.nn.Parameter(fw.ones(1))
            self.b = self.a

        def forward(self):
            return self.a + self.b

    assert call(Tied(), {"a": fw.tensor([5.0])}, ()).item() == 10
    assert call(Tied(), {"a": fw.tensor([5.0])}, (), tie_weights=False).item() == 6
    with pytest.raises(ValueError, match="tied"):
        call(Tied(), {"a": fw.tensor([5.0]), "b": fw.tensor([6.0])}, ())


def symmetric(fw):
    class Symmetric(fw.nn.Module):
        def forward(self, x):
            return x.triu() + x.triu(1).T

        def right_inverse(self, a):
            return a.triu()

    return Symmetric()


def test_parametrize(fw):
    tools = fw.nn.utils.parametrize
    net = fw.nn.Linear(3, 3)
    before = net.weight
    tools.register_parametrization(net, "weight", symmetric(fw))
    assert type(net).__name__ == "ParametrizedLinear"
    assert isinstance(net, fw.nn.Linear)
    assert tools.is_parametrized(net)
    assert tools.is_parametrized(net, "weight")
    assert not tools.is_parametrized(net, "bias")
    assert net.parametrizations.weight.original is before
    assert list(net.state_dict()) == ["bias", "parametrizations.weight.original"]
    assert (net.weight == net.weight.T).all()
    net(fw.ones(1, 3)).sum().backward()
    assert before.grad is not None
    with fw.no_grad():
        net.weight = fw.ones(3, 3)
    assert (net.weight == 1).all()
    assert (before.tril(-1) == 0).all()
    with tools.cached():
        assert net.weight is net.weight
    assert net.weight is not net.weight
    twin = copy.deepcopy(net)
    assert (twin.weight == net.weight).all()
    assert tools.type_before_parametrizations(net) is fw.nn.Linear
    with pytest.raises(RuntimeError, match="state_dict"):
        net.__getstate__()
    lone = fw.nn.Linear(3, 3)
    tools.transfer_parametrizations_and_params(net, lone, "weight")
    assert (lone.weight == 1).all()
    tools.remove_parametrizations(net, "weight")
    assert type(net) is fw.nn.Linear
    assert net.weight is before
    assert (net.weight == 1).all()
    with pytest.raises(ValueError, match="does not have a parametrization"):
        tools.remove_parametrizations(net, "weight")


def test_parametrize_checks_and_chains(fw):
    tools = fw.nn.utils.parametrize

    class Double(fw.nn.Module):
        def forward(self, x):
            return 2 * x

    class Cut(fw.nn.Module):
        def forward(self, x):
            return x[:1]

    net = fw.nn.Linear(2, 2)
    bias = net.bias.detach().clone()
    tools.register_parametrization(net, "bias", Double())
    tools.register_parametrization(net, "bias", Double())
    np.testing.assert_allclose(net.bias.detach().numpy(), 4 * bias.numpy(), rtol=1e-6)
    with pytest.raises(ValueError, match="may not change the shape"):
        tools.register_parametrization(net, "weight", Cut())
    with pytest.raises(ValueError, match="may not change the shape"):
        tools.register_parametrization(net, "bias", Cut())
    with pytest.raises(RuntimeError, match="right_inverse"):
        net.bias = fw.zeros(2)
    with pytest.raises(ValueError, match="does not have a parameter"):
        tools.register_parametrization(net, "nothing", Double())
    tools.remove_parametrizations(net, "bias", leave_parametrized=False)
    np.testing.assert_allclose(net.bias.detach().numpy(), bias.numpy())
    norm = fw.nn.BatchNorm1d(2)
    tools.register_parametrization(norm, "running_mean", Double())
    assert [n for n, _ in norm.named_buffers()][-1] == "parametrizations.running_mean.original"


@pytest.mark.parametrize("kind", ["matrix_exp", "cayley", "householder", None])
@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 3)])
@pytest.mark.parametrize("trivial", [True, False])
def test_orthogonal(fw, kind, shape, trivial):
    net = fw.nn.Linear(shape[1], shape[0])
    fw.nn.utils.parametrizations.orthogonal(net, "weight", kind, use_trivialization=trivial)
    q = net.weight.detach().numpy()
    gram = q.T @ q if shape[0] >= shape[1] else q @ q.T
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-5)
    net(fw.randn(2, shape[1])).sum().backward()
    assert net.parametrizations.weight.original.grad is not None
    if trivial or kind == "householder":
        target = fw.nn.init.orthogonal_(fw.empty(*shape))
        net.weight = target
        np.testing.assert_allclose(net.weight.detach().numpy(), target.numpy(), atol=1e-5)


def test_parametrized_weight_norm(fw):
    net = fw.nn.Conv1d(3, 4, 2)
    weight = net.weight.detach().clone()
    fw.nn.utils.parametrizations.weight_norm(net)
    assert list(net.state_dict()) == ["bias", "parametrizations.weight.original0", "parametrizations.weight.original1"]
    assert tuple(net.parametrizations.weight.original0.shape) == (4, 1, 1)
    np.testing.assert_allclose(net.weight.detach().numpy(), weight.numpy(), rtol=1e-5, atol=1e-6)
    other = fw.nn.Conv1d(3, 4, 2)
    old = fw.nn.utils.weight_norm(other)
    assert list(old.state_dict()) == ["bias", "weight_g", "weight_v"]
    net.load_state_dict(old.state_dict())
    np.testing.assert_allclose(net.weight.detach().numpy(), old.weight.detach().numpy(), rtol=1e-5, atol=1e-6)
    whole = fw.nn.utils.parametrizations.weight_norm(fw.nn.Linear(2, 3), dim=None)
    assert tuple(whole.parametrizations.weight.original0.shape) == ()


def test_old_weight_norm(fw):
    net = fw.nn.Linear(3, 2)
    weight = net.weight.detach().clone()
    fw.nn.utils.weight_norm(net, dim=1)
    assert tuple(net.weight_g.shape) == (1, 3)
    with fw.no_grad():
        net.weight_g.mul_(2)
    net(fw.ones(1, 3)).sum().backward()
    assert net.weight_v.grad is not None
    np.testing.assert_allclose(net.weight.detach().numpy(), 2 * weight.numpy(), rtol=1e-5)
    with pytest.raises(RuntimeError, match="two weight_norm hooks"):
        fw.nn.utils.weight_norm(net)
    fw.nn.utils.remove_weight_norm(net)
    assert isinstance(net.weight, fw.nn.Parameter)
    with pytest.raises(ValueError, match="not found"):
        fw.nn.utils.remove_weight_norm(net)


@pytest.mark.parametrize("old", [True, False])
def test_spectral_norm(fw, old):
    apply = fw.nn.utils.spectral_norm if old else fw.nn.utils.parametrizations.spectral_norm
    net = apply(fw.nn.Conv2d(2, 4, 3), n_power_iterations=5)
    for _ in range(20):
        net(fw.ones(1, 2, 5, 5))
    sigma = np.linalg.svd(net.weight.detach().numpy().reshape(4, -1), compute_uv=False)[0]
    assert sigma == pytest.approx(1, abs=1e-3)
    net.eval()
    first = net.weight.detach().clone()
    net(fw.ones(1, 2, 5, 5)).sum().backward()
    np.testing.assert_allclose(net.weight.detach().numpy(), first.numpy(), rtol=1e-6)
    names = (
        ["bias", "weight_orig", "weight_u", "weight_v"]
        if old
        else [
            "bias",
            "parametrizations.weight.original",
            "parametrizations.weight.0._u",
            "parametrizations.weight.0._v",
        ]  # fmt: skip
    )
    assert list(net.state_dict()) == names
    twin = apply(fw.nn.Conv2d(2, 4, 3))
    twin.load_state_dict(net.state_dict())
    if old:
        assert net.state_dict()._metadata[""]["spectral_norm"] == {"weight.version": 1}
        fw.nn.utils.remove_spectral_norm(net)
        assert list(net.state_dict()) == ["bias", "weight"]
    deconv = apply(fw.nn.ConvTranspose2d(2, 4, 3))
    u = deconv.weight_u if old else deconv.parametrizations.weight[0]._u
    assert tuple(u.shape) == (4,)
    with pytest.raises(ValueError, match="n_power_iterations"):
        apply(fw.nn.Linear(2, 2), n_power_iterations=0)


def test_spectral_norm_of_a_vector(fw):
    net = fw.nn.utils.parametrizations.spectral_norm(fw.nn.Linear(2, 3), "bias")
    assert float(net.bias.detach().norm()) == pytest.approx(1, rel=1e-5)
