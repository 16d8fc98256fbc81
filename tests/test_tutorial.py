"""A walk through the PyTorch tutorial this library set out to run: everything it shows, in its order, with values."""

from __future__ import annotations

import re
from collections import OrderedDict

import numpy as np
import pytest

import engine as torch
import engine.optim as optim
from engine.device import default
from engine.utils.data import DataLoader, Dataset, IterableDataset
from engine.utils.data.dataset import TensorDataset


def same(tensor, values, dtype=None):
    """Exact values, and the shape that goes with them."""
    expected = np.asarray(values)
    assert tuple(tensor.shape) == expected.shape
    np.testing.assert_array_equal(tensor.detach().numpy(), expected)
    if dtype is not None:
        assert tensor.dtype is dtype


def near(tensor, values, tolerance=1e-6):
    """Values within a tolerance."""
    np.testing.assert_allclose(tensor.detach().numpy(), np.asarray(values), rtol=tolerance, atol=tolerance)


# -- 2.3, 4: installation test and devices --------------------------------------------------------------------------
def test_installation_check():
    assert re.match(r"\d+\.\d+", torch.__version__)
    assert torch.version.cuda is None
    assert isinstance(torch.cuda.is_available(), bool)


def test_devices():
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    a, b = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])
    a = a.to(device)
    assert a.device == device
    assert str(a.cpu().device) == "cpu"
    same((a + b.to(device)).cpu(), [4.0, 6.0])
    np.testing.assert_array_equal(a.cpu().numpy(), [1.0, 2.0])
    made = torch.tensor([1, 2], device=device)
    assert made.device == device
    assert made.tolist() == [1, 2]


# -- 3.1: creation --------------------------------------------------------------------------------------------------
def test_creation():
    same(torch.zeros(3, 3), np.zeros((3, 3)), torch.float32)
    same(torch.ones(3, 3), np.ones((3, 3)), torch.float32)
    same(torch.eye(3, 3), np.eye(3), torch.float32)
    same(torch.Tensor([1, 3]), [1.0, 3.0], torch.float32)
    b = torch.zeros(2, 4)
    same(torch.IntTensor([7]).new_ones(size=b.size()), np.ones((2, 4)), torch.int32)
    same(torch.randn(3, 3).new_ones(size=b.size()), np.ones((2, 4)), torch.float32)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("FloatTensor", "float32"), ("DoubleTensor", "float64"), ("HalfTensor", "float16"), ("BFloat16Tensor",
            "bfloat16"),
        ("ByteTensor", "uint8"), ("CharTensor", "int8"), ("ShortTensor", "int16"), ("IntTensor", "int32"),
        ("LongTensor", "int64"), ("BoolTensor", "bool"),
    ],
)  # fmt: skip
def test_typed_constructors(name, dtype, request):
    if dtype == "float64":
        request.getfixturevalue("double")
    kind = getattr(torch, name)
    made = kind([1, 2])
    assert made.dtype is getattr(torch, dtype)
    assert made.tolist() == ([True, True] if dtype == "bool" else [1, 2])
    assert kind(2, 3).shape == (2, 3)
    assert isinstance(made, kind)


def test_sizes_against_data():
    assert torch.Tensor(2, 3).shape == (2, 3)
    same(torch.Tensor([2, 3]), [2.0, 3.0], torch.float32)
    same(torch.tensor([2, 3]), [2, 3], torch.int64)


def test_random_numbers():
    torch.manual_seed(0)
    x = torch.randn(200, 300)
    assert x.dtype is torch.float32
    assert x.shape == (200, 300)
    assert abs(x.mean().item()) < 0.02
    assert abs(x.var().item() - 1) < 0.03
    order = torch.randperm(10)
    assert order.dtype is torch.int64
    assert sorted(order.tolist()) == list(range(10))
    assert any(torch.randperm(10).tolist() != list(range(10)) for _ in range(3))


def test_range_includes_its_end():
    with pytest.warns(UserWarning, match="range"):
        made = torch.range(1, 10, 2)
    same(made, [1.0, 3.0, 5.0, 7.0, 9.0], torch.float32)
    assert str(made) == "tensor([1., 3., 5., 7., 9.])"


def test_from_numpy():
    same(torch.tensor(np.arange(15).reshape(3, 5)), np.arange(15).reshape(3, 5), torch.int64)
    array = np.arange(3, dtype=np.float32)
    shared = torch.from_numpy(array)
    same(shared, [0.0, 1.0, 2.0])
    if default.get().runtime.host_visible:
        array[0] = 5
        same(shared, [5.0, 1.0, 2.0])


# -- 3.2: operations ------------------------------------------------------------------------------------------------
def operands():
    return torch.tensor([[1.0, -2.0, 3.0], [-4.0, 5.0, -6.0]]), torch.tensor([[2.0, 2.0, 2.0], [4.0, 4.0, 4.0]])


def test_arithmetic():
    a, b = operands()
    x, y = a.numpy().copy(), b.numpy().copy()
    same(torch.abs(a), abs(x))
    same(torch.add(a, b), x + y)
    same(torch.add(a, 1), x + 1)
    same(torch.clamp(a, max=2, min=-1), x.clip(-1, 2))
    same(torch.clamp(a, min=-1), x.clip(-1))
    same(torch.div(a, b), x / y)
    same(torch.div(a, 2), x / 2)
    same(torch.mul(a, b), x * y)
    same(torch.mul(a, 3), x * 3)
    same(torch.pow(a, 2), x**2)
    near(torch.pow(a, 3), x**3)
    same(torch.mm(a, b.T), x @ y.T)
    same(torch.mv(a, torch.tensor([1.0, 2.0, 3.0])), x @ np.array([1.0, 2.0, 3.0]))


def test_to_python_and_numpy():
    a, _ = operands()
    assert a[0, 1].item() == -2.0
    assert isinstance(torch.tensor(3).item(), int)
    with pytest.raises(RuntimeError, match="a Tensor with 6 elements cannot be converted to Scalar"):
        a.item()
    assert isinstance(a.numpy(), np.ndarray)
    assert a.size() == torch.Size([2, 3])
    assert a.shape == (2, 3)
    assert a.dtype is torch.float32
    with pytest.raises(TypeError, match="not callable"):
        a.dtype()


def test_shapes_and_slices():
    a, b = operands()
    x = a.numpy().copy()
    same(a.view(3, 2), x.reshape(3, 2))
    same(a.view(-1), x.reshape(-1))
    same(a.transpose(0, 1), x.T)
    same(a[1:], x[1:])
    a[-1, -1] = 100
    x[-1, -1] = 100
    same(a, x)
    a[0, 1:] = b[0, :2]
    x[0, 1:] = 2
    same(a, x)
    same(torch.stack((a, b), dim=-1), np.stack((x, b.numpy()), -1))
    same(torch.stack((a, b), dim=0), np.stack((x, b.numpy()), 0))
    same(torch.diag(torch.tensor([[1, 2], [3, 4]])), [1, 4])
    same(torch.diag(torch.tensor([1, 2])), [[1, 0], [0, 2]])
    same(torch.diag_embed(torch.tensor([1.0, 2.0])), [[1.0, 0.0], [0.0, 2.0]])
    assert torch.unsqueeze(a, 0).shape == (1, 2, 3)
    assert torch.unsqueeze(a, dim=-1).shape == (2, 3, 1)
    assert torch.squeeze(torch.zeros(1, 2, 1)).shape == (2,)
    assert torch.squeeze(torch.zeros(1, 2, 1), 0).shape == (2, 1)
    assert a.zero_() is a
    same(a, np.zeros((2, 3)))


def test_add_against_add_in_place():
    b = torch.tensor([1.0, 2.0])
    same(b.add(1), [2.0, 3.0])
    same(b, [1.0, 2.0])
    assert b.add_(1) is b
    same(b, [2.0, 3.0])


IN_PLACE = {
    "abs_": ((), abs), "add_": ((2,), lambda x: x + 2), "sub_": ((2,), lambda x: x - 2), "mul_": ((2,),
        lambda x: x * 2),
    "div_": ((2,), lambda x: x / 2), "pow_": ((2,), lambda x: x * x), "clamp_": ((-1, 2), lambda x: x.clip(-1, 2)),
    "zero_": ((), np.zeros_like), "transpose_": ((0, 1), np.transpose), "unsqueeze_": ((0,), lambda x: x[None]),
    "squeeze_": ((), lambda x: x), "neg_": ((), lambda x: -x), "fill_": ((3,), lambda x: x * 0 + 3),
    "t_": ((), np.transpose), "sqrt_": ((), np.sqrt), "exp_": ((), np.exp), "sigmoid_": ((),
        lambda x: 1 / (1 + np.exp(-x))),
}  # fmt: skip


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_twins(name):
    arguments, reference = IN_PLACE[name]
    x = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], np.float32)
    tensor = torch.tensor(x)
    seen = tensor.view(-1)
    assert getattr(tensor, name)(*arguments) is tensor
    near(tensor, reference(x))
    if tensor.shape == x.shape:
        near(seen.view(2, 3), reference(x))


def test_in_place_twins_of_two_tensors():
    a, b = operands()
    x, y = a.numpy().copy(), b.numpy().copy()
    a.add_(b).mul_(b).sub_(b).div_(b)
    near(a, ((x + y) * y - y) / y)
    a.copy_(b)
    same(a, y)


# -- 5.1: automatic differentiation ---------------------------------------------------------------------------------
def polynomial(x, power=2):
    a, b, c = torch.tensor(1.0), torch.tensor(2.0), torch.tensor(3.0)
    return a * torch.pow(x, power) + b * x + c


POINTS = [[-2.0, -1.0], [0.0, 1.0]]
SLOPES = [[-2.0, 0.0], [2.0, 4.0]]


def test_backward_of_a_scalar():
    x = torch.tensor(-2.0, requires_grad=True)
    y = polynomial(x)
    assert y.item() == 3.0
    y.backward()
    assert x.grad.item() == -2.0


def test_backward_of_a_tensor_needs_a_gradient():
    x = torch.tensor(POINTS, requires_grad=True)
    y = polynomial(x)
    with pytest.raises(RuntimeError, match="grad can be implicitly created only for scalar outputs"):
        y.backward()
    y.backward(gradient=torch.tensor([[1.0, 1.0], [1.0, 1.0]]))
    same(x.grad, SLOPES)


def test_backward_of_a_weighted_sum():
    x = torch.tensor(POINTS, requires_grad=True)
    z = torch.sum(polynomial(x) * torch.tensor([[1.0, 1.0], [1.0, 1.0]]))
    z.backward()
    same(x.grad, SLOPES)


def test_grad_to_third_order():
    x = torch.tensor(1.0, requires_grad=True)
    y = polynomial(x, 4)
    dy_dx = torch.autograd.grad(y, x, create_graph=True)[0]
    dy2_dx2 = torch.autograd.grad(dy_dx, x, create_graph=True)[0]
    dy3_dx3 = torch.autograd.grad(dy2_dx2, x)[0]
    assert [dy_dx.item(), dy2_dx2.item(), dy3_dx3.item()] == pytest.approx([6.0, 12.0, 24.0])
    assert x.grad is None
    assert dy_dx.requires_grad
    assert not dy3_dx3.requires_grad


def test_grad_of_several_inputs_and_outputs():
    x1 = torch.tensor(1.0, requires_grad=True)
    x2 = torch.tensor(2.0, requires_grad=True)
    y1, y2 = x1 * x2, x1 + x2
    dy1_dx1, dy1_dx2 = torch.autograd.grad(outputs=y1, inputs=[x1, x2], retain_graph=True)
    assert (dy1_dx1.item(), dy1_dx2.item()) == (2.0, 1.0)
    dy1_dx, dy2_dx = torch.autograd.grad(outputs=[y1, y2], inputs=[x1, x2])
    assert (dy1_dx.item(), dy2_dx.item()) == (3.0, 2.0)


def test_minimum_by_gradient_descent(capsys):
    x = torch.tensor(0.0, requires_grad=True)
    a, b, c = torch.tensor(1.0), torch.tensor(-2.0), torch.tensor(1.0)
    optimizer = torch.optim.SGD(params=[x], lr=0.01)

    def f(x):
        return a * torch.pow(x, 2) + b * x + c

    for _ in range(500):
        optimizer.zero_grad()
        y = f(x)
        y.backward()
        optimizer.step()
    print("y=", y.data, "->", "x=", x.data)
    assert capsys.readouterr().out == "y= tensor(0.) -> x= tensor(1.0000)\n"
    assert x.item() == pytest.approx(1.0, abs=1e-4)


# -- 6: data --------------------------------------------------------------------------------------------------------
def test_tensor_dataset_in_batches():
    dataset = TensorDataset(torch.arange(1, 40))
    loader = DataLoader(dataset, batch_size=10, shuffle=True, num_workers=0, drop_last=True)
    batches = list(loader)
    assert len(loader) == len(batches) == 3
    assert all(isinstance(batch, list) and batch[0].shape == (10,) for batch in batches)
    seen = torch.cat([batch[0] for batch in batches]).tolist()
    assert len(set(seen)) == 30
    assert set(seen) < set(range(1, 40))
    assert seen != sorted(seen)


class Squares(Dataset):
    """The numbers below ``n`` and their squares."""

    def __init__(self, n):
        self.n = n

    def __getitem__(self, index):
        return torch.tensor(float(index)), index * index

    def __len__(self):
        return self.n


class Countdown(IterableDataset):
    def __iter__(self):
        return iter([3.0, 2.0, 1.0])


def started(worker):
    """A worker_init_fn; workers import this module by name."""


def first_of(batch):
    return batch[0]


def test_all_parameters_of_the_loader():
    loader = DataLoader(
        Squares(7), batch_size=3, shuffle=False, sampler=None, batch_sampler=None, num_workers=0, collate_fn=None,
        pin_memory=False, drop_last=False, timeout=0, worker_init_fn=None, multiprocessing_context=None,
    )  # fmt: skip
    numbers, squares = zip(*loader)
    assert [n.tolist() for n in numbers] == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0]]
    assert [s.tolist() for s in squares] == [[0, 1, 4], [9, 16, 25], [36]]
    assert squares[0].dtype is torch.int64


def test_samplers_and_collation():
    sampler = torch.utils.data.SequentialSampler(range(4))
    assert [b[1].tolist() for b in DataLoader(Squares(9), batch_size=2, sampler=sampler)] == [[0, 1], [4, 9]]
    batches = torch.utils.data.BatchSampler(sampler, 3, drop_last=False)
    assert [b[1].tolist() for b in DataLoader(Squares(9), batch_sampler=batches)] == [[0, 1, 4], [9]]
    assert [int(b[1]) for b in DataLoader(Squares(3), batch_size=2, collate_fn=first_of)] == [0, 4]
    assert [b.tolist() for b in DataLoader(Countdown(), batch_size=2)] == [[3.0, 2.0], [1.0]]
    with pytest.raises(ValueError, match="sampler option is mutually exclusive with shuffle"):
        DataLoader(Squares(3), sampler=sampler, shuffle=True)


def test_loader_with_workers():
    loader = DataLoader(Squares(7), batch_size=3, num_workers=1, timeout=60, worker_init_fn=started)
    assert [b[1].tolist() for b in loader] == [[0, 1, 4], [9, 16, 25], [36]]


# -- 7: a network ---------------------------------------------------------------------------------------------------
class DiabetesDataset(Dataset):
    """Tab-separated rows, every column scaled to 0..1; the last one is the target."""

    def __init__(self, filepath):
        xy = np.loadtxt(filepath, delimiter="\t", dtype=np.float32, encoding="utf-8")
        self.len = xy.shape[0]
        for i in range(xy.shape[1]):
            xy_max = np.max(xy[:, i])
            xy_min = np.min(xy[:, i])
            xy[:, i] = (xy[:, i] - xy_min) / (xy_max - xy_min)
        self.x_data = torch.from_numpy(xy[:, :-1])
        self.y_data = torch.from_numpy(xy[:, -1])

    def __getitem__(self, index):
        return self.x_data[index], self.y_data[index]

    def __len__(self):
        return self.len


class FNNModel(torch.nn.Module):
    """Fully connected: 10 features, hidden layers of 6, 4 and 2, one output."""

    def __init__(self):
        super(FNNModel, self).__init__()  # noqa: UP008 (as the tutorial writes it)
        self.linear1 = torch.nn.Linear(10, 6)
        self.linear2 = torch.nn.Linear(6, 4)
        self.linear3 = torch.nn.Linear(4, 2)
        self.linear4 = torch.nn.Linear(2, 1)
        self.sigmoid = torch.nn.Sigmoid()

    def forward(self, x):
        x = self.sigmoid(self.linear1(x))
        x = self.sigmoid(self.linear2(x))
        x = self.sigmoid(self.linear3(x))
        return self.sigmoid(self.linear4(x))


@pytest.fixture
def table(tmp_path):
    """A file of 100 rows whose target follows from the features."""
    rng = np.random.default_rng(0)
    features = rng.random((100, 10))
    target = features @ np.linspace(-1, 2, 10)
    path = tmp_path / "diabetes.txt"
    np.savetxt(path, np.column_stack((features, target)), delimiter="\t")
    return path


def test_training_the_network(table, capsys):
    torch.manual_seed(1)
    dataset = DiabetesDataset(str(table))
    epochs, batchsize = 30, 32
    iters = dataset.len / batchsize
    loader = DataLoader(dataset=dataset, batch_size=batchsize, shuffle=True, drop_last=True, num_workers=0)
    model = FNNModel()
    criterion = torch.nn.BCELoss(reduction="mean")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    losses = []
    for epoch in range(epochs):
        loss_one_epoch = 0
        for _, data in enumerate(loader, 0):
            inputs, labels = data
            assert inputs.shape == (32, 10)
            y_pred = model(inputs)
            loss = criterion(y_pred, labels.unsqueeze(dim=1))
            loss_one_epoch += loss.item()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses.append(loss_one_epoch / iters)
        print(f"Epoch[{epoch + 1}/{epochs}], loss:{loss_one_epoch / iters:.6f}")
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == epochs
    assert re.fullmatch(r"Epoch\[30/30\], loss:\d\.\d{6}", printed[-1])
    assert losses[-1] < losses[0]
    assert np.isfinite(losses).all()


def test_one_training_step_by_hand():
    """The step's loss and new weights against the same formulas in NumPy, in double precision."""
    torch.manual_seed(3)
    model = FNNModel()
    rng = np.random.default_rng(5)
    x, y = rng.random((32, 10)), rng.random((32, 1))
    layers = [(m.weight.detach().numpy().astype(float), m.bias.detach().numpy().astype(float))
              for m in (model.linear1, model.linear2, model.linear3, model.linear4)]  # fmt: skip
    values = [x]
    for w, b in layers:
        values.append(1 / (1 + np.exp(-(values[-1] @ w.T + b))))
    p = values[-1]
    expected_loss = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
    delta = (p - y) / y.size
    updated = []
    for (w, b), a in zip(reversed(layers), reversed(values[:-1])):
        updated.append((w - 0.01 * delta.T @ a, b - 0.01 * delta.sum(0)))
        delta = (delta @ w) * a * (1 - a)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    loss = torch.nn.BCELoss(reduction="mean")(model(torch.tensor(x.astype("f"))), torch.tensor(y.astype("f")))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    assert loss.item() == pytest.approx(expected_loss, rel=1e-5)
    for m, (w, b) in zip((model.linear4, model.linear3, model.linear2, model.linear1), updated):
        near(m.weight, w, 1e-5)
        near(m.bias, b, 1e-5)


# -- 8: saving ------------------------------------------------------------------------------------------------------
def test_state_dict_of_model_and_optimizer(capsys):
    model = FNNModel()
    optimizer = optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
    state = model.state_dict()
    assert isinstance(state, OrderedDict)
    assert [(k, tuple(v.size())) for k, v in state.items()] == [
        ("linear1.weight", (6, 10)), ("linear1.bias", (6,)), ("linear2.weight", (4, 6)), ("linear2.bias", (4,)),
        ("linear3.weight", (2, 4)), ("linear3.bias", (2,)), ("linear4.weight", (1, 2)), ("linear4.bias", (1,)),
    ]  # fmt: skip
    assert "generator object" in str(model.parameters())
    assert [tuple(p.size()) for p in model.parameters()] == [tuple(v.size()) for v in state.values()]
    for key, value in optimizer.state_dict().items():
        print(key, value)
    printed = capsys.readouterr().out
    assert printed.startswith(
        "state {}\nparam_groups [{'lr': 0.001, 'momentum': 0.9, 'dampening': 0, 'weight_decay': 0,"
    )
    assert printed.endswith("'params': [0, 1, 2, 3, 4, 5, 6, 7]}]\n")


@pytest.mark.parametrize("suffix", ["pth", "pt", "pkl"])
def test_saving_and_loading_a_state_dict(tmp_path, suffix):
    path = str(tmp_path / f"model.{suffix}")
    model = FNNModel()
    torch.save(model.state_dict(), path)
    other = FNNModel()
    result = other.load_state_dict(torch.load(path))
    assert str(result) == "<All keys matched successfully>"
    for a, b in zip(model.parameters(), other.parameters()):
        same(a, b.detach().numpy())


def test_strict_loading():
    model = FNNModel()
    state = model.state_dict()
    weight = state.pop("linear1.weight")
    state["extra"] = weight
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "linear1.weight"'):
        model.load_state_dict(state, strict=True)
    result = model.load_state_dict(state, strict=False)
    assert result.missing_keys == ["linear1.weight"]
    assert result.unexpected_keys == ["extra"]


def test_optimizer_state_comes_back():
    model = FNNModel()
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.ones(4, 10)).sum().backward()
    optimizer.step()
    state = optimizer.state_dict()
    other = optim.SGD(model.parameters(), lr=0.5)
    other.load_state_dict(state)
    assert other.param_groups[0]["lr"] == 0.1
    same(other.state_dict()["state"][0]["momentum_buffer"], state["state"][0]["momentum_buffer"].numpy())


def test_saving_and_loading_a_whole_module(tmp_path):
    path = str(tmp_path / "model.pth")
    model = FNNModel()
    torch.save(model, path)
    with pytest.raises(Exception, match="weights_only"):
        torch.load(path)
    loaded = torch.load(path, weights_only=False)
    assert type(loaded) is FNNModel
    x = torch.ones(2, 10)
    same(loaded(x), model(x).detach().numpy())


def test_resnet18_as_in_the_tutorial(tmp_path):
    models = pytest.importorskip("engine.models")
    torch.manual_seed(0)
    model = models.resnet18()
    optimizer = optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
    state = model.state_dict()
    assert len(state) == 122
    assert state["layer4.1.conv2.weight"].size() == (512, 512, 3, 3)
    assert len(list(model.parameters())) == 62
    assert len(optimizer.state_dict()["param_groups"][0]["params"]) == 62
    path = tmp_path / "model.pth"
    torch.save(state, path)
    again = models.resnet18()
    again.load_state_dict(torch.load(path))
    same(again.fc.weight, model.fc.weight.detach().numpy())
    torch.save(model, path)
    whole = torch.load(path, weights_only=False)
    same(whole.conv1.weight, model.conv1.weight.detach().numpy())
