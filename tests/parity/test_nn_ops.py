"""The primitives of neural networks against torch: value, gradient, second derivative, layout and names of records."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import engine  # noqa: E402
from engine import ops  # noqa: E402

F = torch.nn.functional
pytestmark = pytest.mark.filterwarnings("ignore")


def pair(rng, shape, low=-1.5, high=2.5):
    """The same float64 leaf for torch and for engine."""
    a = rng.uniform(low, high, shape)
    return torch.tensor(a, requires_grad=True), engine.tensor(a).requires_grad_(True)


def same(got, want, what):
    if want is None or got is None:
        rest = got if want is None else want
        assert rest is None or not rest.detach().numpy().any(), what
        return
    assert tuple(got.shape) == tuple(want.shape), what
    np.testing.assert_allclose(
        got.detach().numpy(), want.detach().numpy(force=True), rtol=1e-8, atol=1e-10, err_msg=what
    )


def check(theirs, ours, *pairs):
    """Value, gradients and second derivatives, also by the incoming gradient."""
    rng = np.random.default_rng(1)
    ts, es = [p[0] for p in pairs], [p[1] for p in pairs]
    t, e = theirs(*ts), ours(*es)
    same(e, t, "value")
    assert e.stride() == t.stride()
    gt, ge = pair(rng, tuple(t.shape))
    dt = torch.autograd.grad(t, ts, gt, create_graph=True, allow_unused=True)
    de = engine.autograd.grad(e, es, ge, create_graph=True, allow_unused=True)
    for i, (a, b) in enumerate(zip(de, dt)):
        same(a, b, f"gradient {i}")
    live = [i for i, d in enumerate(dt) if d is not None and d.requires_grad]
    hs = [rng.standard_normal(tuple(dt[i].shape)) for i in live]
    st = torch.autograd.grad([dt[i] for i in live], [*ts, gt], [torch.tensor(h) for h in hs], allow_unused=True)
    se = engine.autograd.grad([de[i] for i in live], [*es, ge], [engine.tensor(h) for h in hs], allow_unused=True)
    for i, (a, b) in enumerate(zip(se, st)):
        same(a, b, f"second derivative {i}")


CONVOLUTIONS = [
    ("conv1d", (2, 4, 9), (6, 4, 3), {"stride": 2}),
    ("conv2d", (2, 4, 8, 9), (6, 2, 3, 3), {"padding": (1, 2), "stride": (2, 1), "dilation": (1, 2), "groups": 2}),
    ("conv2d", (2, 4, 8, 9), (8, 1, 3, 3), {"padding": 1, "groups": 4}),
    ("conv2d", (2, 3, 6, 5), (4, 3, 4, 4), {"padding": "same"}),
    ("conv3d", (2, 2, 5, 6, 4), (3, 2, 2, 3, 2), {"stride": (1, 2, 1), "padding": 1}),
    ("conv_transpose1d", (4, 6), (4, 3, 3), {"stride": 3}),
    ("conv_transpose2d", (2, 4, 5, 6), (4, 3, 3, 3), {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2}),
    ("conv_transpose2d", (2, 4, 5, 6), (4, 3, 3, 3), {"dilation": 3, "output_padding": 2}),
]


@pytest.mark.parametrize("name, xs, ws, options", CONVOLUTIONS)
def test_convolutions(name, xs, ws, options):
    rng = np.random.default_rng(0)
    out = ws[1] * options.get("groups", 1) if "transpose" in name else ws[0]
    operands = [pair(rng, s) for s in (xs, ws, (out,))]
    check(lambda *a: getattr(F, name)(*a, **options), lambda *a: getattr(ops, name)(*a, **options), *operands)


NORMS = {
    "layer": (
        lambda x, w, b: F.layer_norm(x, (3, 2), w.reshape(3, 2), b.reshape(3, 2)),
        lambda x, w, b: ops.layer_norm(x, (3, 2), w.reshape(3, 2), b.reshape(3, 2)),
    ),
    "group": (lambda x, w, b: F.group_norm(x, 3, w, b), lambda x, w, b: ops.group_norm(x, 3, w, b)),
    "batch": (
        lambda x, w, b: F.batch_norm(x, None, None, w, b, True, 0.1, 1e-3),
        lambda x, w, b: ops.batch_norm(x, w, b, None, None, True, 0.1, 1e-3),
    ),
    "instance": (
        lambda x, w, b: F.instance_norm(x, None, None, w, b, eps=1e-3),
        lambda x, w, b: ops.instance_norm(x, w, b, None, None, True, 0.1, 1e-3),
    ),
    "rms": (
        lambda x, w, b: F.rms_norm(x, (2,), w[:2], 1e-3) * b[0],
        lambda x, w, b: ops.rms_norm(x, (2,), w[:2], 1e-3) * b[0],
    ),
}


@pytest.mark.parametrize("name", NORMS)
def test_norms(name):
    rng = np.random.default_rng(0)
    check(*NORMS[name], *(pair(rng, s) for s in ((4, 6, 3, 2), (6,), (6,))))


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("shape", [(5,), (7, 5), (2, 5, 3, 2)])
def test_cross_entropy(reduction, smoothing, shape):
    rng = np.random.default_rng(0)
    target = rng.integers(0, 5, shape[:1] * (len(shape) > 1) + shape[2:])
    if len(shape) > 1:
        target.flat[1] = -100
    weight = rng.uniform(0.5, 2, 5)
    options = {"reduction": reduction, "label_smoothing": smoothing}
    check(
        lambda x: F.cross_entropy(x, torch.tensor(target), torch.tensor(weight), **options),
        lambda x: ops.cross_entropy(x, engine.tensor(target), engine.tensor(weight), **options),
        pair(rng, shape),
    )
    check(
        lambda x, y: F.cross_entropy(x, y, torch.tensor(weight), **options),
        lambda x, y: ops.cross_entropy(x, y, engine.tensor(weight), **options),
        pair(rng, shape),
        pair(rng, shape),
    )


@pytest.mark.parametrize("n", [1, 2, 3])
def test_pools(n):
    rng = np.random.default_rng(0)
    shape = (2, 3, *(7, 6, 5)[:n])
    for name, args in (
        (f"max_pool{n}d", (3, 2, 1, 1, True)),
        (f"max_pool{n}d", (2, 1, 1, 2)),
        (f"avg_pool{n}d", (3, 2, 1, True, False)),
        (f"adaptive_avg_pool{n}d", (3,)),
    ):
        theirs, ours = getattr(F, name), getattr(ops, name)
        check(lambda x, f=theirs, a=args: f(x, *a), lambda x, f=ours, a=args: f(x, *a), pair(rng, shape))
    name = f"adaptive_max_pool{n}d"
    check(lambda x: getattr(F, name)(x, 3), lambda x: getattr(ops, name)(x, 3)[0], pair(rng, shape))


NAMES = [
    (lambda f, x, t: f.gelu(x), "GeluBackward0"),
    (lambda f, x, t: f.silu(x), "SiluBackward0"),
    (lambda f, x, t: f.leaky_relu(x), "LeakyReluBackward0"),
    (lambda f, x, t: f.hardtanh(x), "HardtanhBackward0"),
    (lambda f, x, t: f.elu(x), "EluBackward0"),
    (lambda f, x, t: f.cross_entropy(x, t), "NllLossBackward0"),
    (lambda f, x, t: f.cross_entropy(x[..., None], t[..., None]), "NllLoss2DBackward0"),
    (lambda f, x, t: f.mse_loss(x, x * 2), "MseLossBackward0"),
    (lambda f, x, t: f.smooth_l1_loss(x, x * 2), "SmoothL1LossBackward0"),
    (lambda f, x, t: f.huber_loss(x, x * 2), "HuberLossBackward0"),
    (lambda f, x, t: f.layer_norm(x, (4,)), "NativeLayerNormBackward0"),
    (lambda f, x, t: f.group_norm(x, 2), "NativeGroupNormBackward0"),
    (lambda f, x, t: f.max_pool2d(x.reshape(1, 1, 3, 4), 2), "MaxPool2DWithIndicesBackward0"),
    (lambda f, x, t: f.avg_pool2d(x.reshape(1, 1, 3, 4), 2), "AvgPool2DBackward0"),
    (lambda f, x, t: f.conv2d(x.reshape(1, 1, 3, 4), x.reshape(1, 1, 3, 4)), "ConvolutionBackward0"),
]


@pytest.mark.parametrize("fn, name", NAMES, ids=[n for _, n in NAMES])
def test_names_of_records(fn, name):
    x, t = np.random.default_rng(0).standard_normal((3, 4)), np.array([0, 3, 1])
    theirs = fn(F, torch.tensor(x, requires_grad=True), torch.tensor(t))
    ours = fn(ops, engine.tensor(x).requires_grad_(True), engine.tensor(t))
    assert theirs.grad_fn.name() == ours.grad_fn.name() == name
