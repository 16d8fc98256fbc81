"""Hooks of Module, each statement also checked against torch where it is installed."""

import importlib
import importlib.util

import numpy as np
import pytest

FRAMEWORKS = ["engine"] + (["torch"] if importlib.util.find_spec("torch") else [])
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(params=FRAMEWORKS)
def fw(request):
    framework = importlib.import_module(request.param)
    importlib.import_module(request.param + ".nn.modules.module")
    return framework


def linear(fw):
    net = fw.nn.Linear(2, 1, bias=False)
    with fw.no_grad():
        net.weight.copy_(fw.tensor([[2.0, 3.0]]))
    return net


def test_forward_hooks_change_values(fw):
    net = linear(fw)
    x = fw.ones(1, 2)
    pre = net.register_forward_pre_hook(lambda m, args: args[0] * 2)
    post = net.register_forward_hook(lambda m, args, out: out + args[0].sum())
    assert net(x).item() == 14
    pre.remove()
    assert net(x).item() == 7
    post.remove()
    post.remove()
    assert net(x).item() == 5


def test_order_prepend_and_kwargs(fw):
    class Net(fw.nn.Module):
        def forward(self, x, *, y=1):
            return x * y

    net, log = Net(), []
    net.register_forward_hook(lambda m, a, o: log.append("second"))
    net.register_forward_hook(lambda m, a, o: log.append("first"), prepend=True)
    net.register_forward_hook(lambda m, a, k, o: log.append(k), with_kwargs=True)
    net.register_forward_pre_hook(lambda m, a, k: (a, {"y": k["y"] + 1}), with_kwargs=True)
    assert net(3, y=4) == 15
    assert log == ["first", "second", {"y": 5}]
    net.register_forward_pre_hook(lambda m, a, k: 3, with_kwargs=True)
    with pytest.raises(RuntimeError, match="None or a tuple"):
        net(3, y=4)


def test_always_call(fw):
    class Broken(fw.nn.Module):
        def forward(self, x):
            raise OSError("no")

    net, log = Broken(), []
    net.register_forward_hook(lambda m, a, o: log.append(("always", o)), always_call=True)
    net.register_forward_hook(lambda m, a, o: log.append("never"))
    with pytest.raises(OSError, match="no"):
        net(1)
    assert log == [("always", None)]


def test_handle_as_context(fw):
    net, log = linear(fw), []
    with net.register_forward_hook(lambda *a: log.append(1)):
        net(fw.ones(1, 2))
    net(fw.ones(1, 2))
    assert log == [1]


def test_full_backward_hooks(fw):
    net, log = linear(fw), []
    net.register_full_backward_hook(lambda m, gi, go: log.append((gi[0].tolist(), go[0].tolist())))
    x = fw.ones(1, 2, requires_grad=True)
    (net(x) * 4).sum().backward()
    assert log == [([[8.0, 12.0]], [[4.0]])]
    assert x.grad.tolist() == [[8.0, 12.0]]
    assert net.weight.grad.tolist() == [[4.0, 4.0]]


def test_full_backward_hook_replaces_gradient(fw):
    net = linear(fw)
    net.register_full_backward_hook(lambda m, gi, go: (gi[0] * 10,))
    net.register_full_backward_pre_hook(lambda m, go: (go[0] * 2,))
    x = fw.ones(1, 2, requires_grad=True)
    net(x).sum().backward()
    assert x.grad.tolist() == [[40.0, 60.0]]
    assert net.weight.grad.tolist() == [[2.0, 2.0]]


def test_full_backward_hook_without_input_gradient(fw):
    net, log = linear(fw), []
    net.register_full_backward_hook(lambda m, gi, go: log.append((gi, go[0].tolist())))
    net(fw.ones(1, 2)).sum().backward()
    assert log == [((None,), [[1.0]])]


def test_hook_sees_several_inputs_and_outputs(fw):
    class Two(fw.nn.Module):
        def forward(self, a, b, flag):
            return a * b, a + b

    net, log = Two(), []
    net.register_full_backward_hook(
        lambda m, gi, go: log.append(
            ([None if g is None else g.item() for g in gi], [None if g is None else g.item() for g in go])
        )
    )
    a, b = fw.tensor(2.0, requires_grad=True), fw.tensor(3.0)
    first, _ = net(a, b, "x")
    first.backward()
    assert log == [([3.0, 0.0, None], [1.0, None])]


def test_double_backward_through_hooks(fw):
    net = fw.nn.Tanh()
    net.register_full_backward_hook(lambda m, gi, go: None)
    x = fw.tensor([0.3], requires_grad=True)
    (grad,) = fw.autograd.grad(net(x).sum(), x, create_graph=True)
    (second,) = fw.autograd.grad(grad.sum(), x)
    t = np.tanh(0.3)
    np.testing.assert_allclose(second.item(), -2 * t * (1 - t * t), rtol=1e-5)


def test_last_node_hook_and_conflict(fw):
    net, log = fw.nn.Tanh(), []
    net.register_backward_hook(lambda m, gi, go: log.append(go[0].tolist()))
    x = fw.zeros(2, requires_grad=True)
    net(x).sum().backward()
    assert log == [[1.0, 1.0]]
    with pytest.raises(RuntimeError, match="Cannot use both"):
        net.register_full_backward_hook(lambda *a: None)


def test_wrong_number_of_gradients(fw):
    net = linear(fw)
    net.register_full_backward_hook(lambda m, gi, go: (gi[0], gi[0]))
    with pytest.raises(RuntimeError, match="invalid number of grad_input"):
        net(fw.ones(1, 2, requires_grad=True)).sum().backward()


def test_global_hooks(fw):
    hooks, log = fw.nn.modules.module, []
    handles = [
        hooks.register_module_forward_pre_hook(lambda m, a: log.append("pre")),
        hooks.register_module_forward_hook(lambda m, a, o: log.append("post")),
        hooks.register_module_full_backward_pre_hook(lambda m, go: log.append("backward pre")),
        hooks.register_module_full_backward_hook(lambda m, gi, go: log.append("backward")),
        hooks.register_module_parameter_registration_hook(lambda m, n, p: log.append(n)),
        hooks.register_module_buffer_registration_hook(lambda m, n, b: log.append(n)),
        hooks.register_module_module_registration_hook(lambda m, n, s: log.append(n)),
    ]
    try:
        fw.nn.Tanh()(fw.ones(1, requires_grad=True)).sum().backward()
        assert log == ["pre", "post", "backward pre", "backward"]
        log.clear()
        net = fw.nn.Module()
        net.w = fw.nn.Parameter(fw.ones(1))
        net.register_buffer("b", fw.ones(1))
        net.m = fw.nn.ReLU()
        assert log == ["w", "b", "m"]
    finally:
        for handle in handles:
            handle.remove()
    log.clear()
    fw.nn.Tanh()(fw.ones(1))
    assert log == []


def test_hooks_survive_copying(fw):
    import copy

    net = linear(fw)
    net.register_forward_hook(lambda m, a, o: o + 1)
    assert copy.deepcopy(net)(fw.ones(1, 2)).item() == 6
