"""nn.functional against torch: values, gradients, and (for what is composed of other ops) second derivatives."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nn_compare import array, both, check_function, compare_results, leaves  # noqa: E402

import engine.nn  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")
RNG = np.random.default_rng(3)


def call(name, *args, second=False, tol=None, grad=True, **kwargs):
    shown = [f"{a.shape}" if isinstance(a, np.ndarray) else str(a) for a in args]
    shown += [f"{k}={v.shape if isinstance(v, np.ndarray) else v}" for k, v in kwargs.items()]
    return pytest.param(name, args, kwargs, second, grad, tol or {}, id=f"{name}({','.join(shown)})")


def x(*shape, low=-1.0, high=1.0, dtype="float32"):
    return array(RNG, *shape, low=low, high=high, dtype=dtype)


INTERPOLATE = [
    call("interpolate", x(2, 3, *size), mode=mode, **{"align_corners": align, **target})
    for mode, size in [("linear", (5,)), ("bilinear", (5, 6)), ("bicubic", (5, 6)), ("trilinear", (3, 4, 5))]
    for align in (False, True)
    for target in (
        {"size": [7, 9, 4][: len(size)]},
        {"scale_factor": 2.0},
        {"scale_factor": 3.0},
        {"scale_factor": 1.3},
        {"scale_factor": 0.6},
        {"scale_factor": 1.7, "recompute_scale_factor": True},
        {"size": [1] * len(size)},
    )
]
INTERPOLATE += [
    call("interpolate", x(2, 3, *size), mode=mode, **target)
    for mode in ("nearest", "nearest-exact", "area")
    for size in ((6,), (6, 8), (4, 5, 6))
    for target in (
        {"size": [7, 4, 9][: len(size)]},
        {"scale_factor": 2},
        {"scale_factor": 0.5},
        {"scale_factor": 2.6},
        {"scale_factor": 1.7, "recompute_scale_factor": True},
    )
]
INTERPOLATE += [
    call("interpolate", x(2, 3, 8, 9), mode=mode, antialias=True, **target)
    for mode in ("bilinear", "bicubic", "lanczos")
    for target in (
        {"size": (4, 5)},
        {"size": (11, 3), **({} if mode == "lanczos" else {"align_corners": True})},
        {"scale_factor": 0.4},
        {"scale_factor": (2.0, 1.3)},
    )
]
INTERPOLATE += [
    call("interpolate", x(1, 2, 1, 3), size=(4, 5), mode="bilinear"),
    call("interpolate", x(1, 2, 4, 4, dtype="float64"), size=(7, 5), mode="bicubic"),
    call("interpolate", RNG.integers(0, 255, (1, 2, 4, 5)).astype("uint8"), scale_factor=2, mode="nearest"),
    call("upsample", x(1, 2, 3, 3), scale_factor=2),
    call("upsample_nearest", x(1, 2, 3, 3), size=5),
    call("upsample_bilinear", x(1, 2, 3, 3), scale_factor=2),
    call("interpolate", x(1, 2, 3, 4), size=(5, 7), mode="area", second=True),
]

GRID = [
    call("grid_sample", x(2, 3, 5, 6), x(2, 4, 7, 2, low=-1.4, high=1.4), mode, padding, align)
    for mode in ("bilinear", "nearest", "bicubic")
    for padding in ("zeros", "border", "reflection")
    for align in (False, True)
]
GRID += [
    call("grid_sample", x(2, 3, 4, 5, 6), x(2, 3, 4, 5, 3, low=-1.4, high=1.4), mode, padding, align)
    for mode in ("bilinear", "nearest")
    for padding, align in (("zeros", False), ("border", True), ("reflection", False))
]
GRID += [
    call("affine_grid", x(2, 2, 3), [2, 3, 4, 5], align_corners=False),
    call("affine_grid", x(2, 2, 3), [2, 3, 4, 1], align_corners=True),
    call("affine_grid", x(2, 3, 4), [2, 3, 3, 4, 5], align_corners=True),
    call("affine_grid", x(2, 3, 4), [2, 3, 3, 4, 5]),
]

PAD = [
    call("pad", x(2, 3, 4, 5), pad, mode, **kw)
    for pad, mode, kw in [
        ([1, 2], "constant", {"value": 3.0}),
        ([1, -1, -2, 2, 0, 1], "constant", {}),
        ([1, 2, 3, 1], "reflect", {}),
        ([1, 2, 5, 1], "replicate", {}),
        ([5, 2, 3, 4], "circular", {}),
        ([-1, 2, 1, -1], "reflect", {}),
    ]
]
PAD += [
    call("pad", x(2, 3, 4, 5, 6), [1, 2, 2, 1, 0, 1], mode, second=mode == "circular")
    for mode in ("reflect", "replicate", "circular")
]
PAD += [call("pad", RNG.integers(0, 9, (2, 3, 4)), [1, 1], "reflect"), call("pad", x(3), [1, 2], value=7)]

LABELS = np.array([[3, 0, -1, 1], [0, -1, 2, 3], [1, 2, 3, 0]])


def target(*shape):
    """Numbers that take part in the function but need no gradient: passed as the nearest integers."""
    return RNG.integers(0, 5, shape)


REDUCTIONS = ("mean", "sum", "none")
LOSSES = []
for reduction in REDUCTIONS:
    r = {"reduction": reduction}
    signs = np.where(RNG.random(6) < 0.5, -1, 1)
    LOSSES += [
        call("cross_entropy", x(4, 5), np.array([0, 2, 4, 1]), **r),
        call("cross_entropy", x(4, 5, 3), RNG.integers(0, 5, (4, 3)), weight=x(5, low=0.1), label_smoothing=0.2, **r),
        call("cross_entropy", x(4, 5), np.array([0, -100, 4, 1]), **r),
        call("cross_entropy", x(4, 5), x(4, 5, low=0), **r),
        call("nll_loss", x(4, 5), np.array([0, 2, 4, 1]), ignore_index=2, **r),
        call("binary_cross_entropy", x(3, 4, low=0.05, high=0.95), x(3, 4, low=0, high=1), weight=x(4, low=0), **r),
        call("binary_cross_entropy_with_logits", x(3, 4), x(3, 4, low=0), pos_weight=x(4, low=0.5), **r),
        call("l1_loss", x(3, 4), x(3, 4), **r),
        call("mse_loss", x(3, 4), x(3, 4), **r),
        call("mse_loss", x(3, 4), x(3, 4), weight=x(3, 4, low=0.1), **r),
        call("l1_loss", x(3, 4), x(3, 4), weight=x(3, 4, low=0.1), **r),
        call("huber_loss", x(3, 4), x(3, 4), delta=0.4, **r),
        call("huber_loss", x(3, 4), x(3, 4), delta=0.4, weight=x(3, 4, low=0.1), **r),
        call("smooth_l1_loss", x(3, 4), x(3, 4), beta=0.5, **r),
        call("smooth_l1_loss", x(3, 4), x(3, 4), beta=0.0, **r),
        call("kl_div", x(3, 4, low=-3, high=-0.1), x(3, 4, low=0.1), **r),
        call("kl_div", x(3, 4, low=-3, high=-0.1), x(3, 4, low=-3, high=-0.1), log_target=True, **r),
        call("poisson_nll_loss", x(3, 4), target(3, 4), full=True, **r),
        call("poisson_nll_loss", x(3, 4, low=0.1), x(3, 4, low=0, high=4), log_input=False, **r),
        call("gaussian_nll_loss", x(3, 4), x(3, 4), x(3, 4, low=0.1), full=True, **r),
        call("gaussian_nll_loss", x(3, 4), x(3, 4), x(3, low=0.1), **r),
        call("gaussian_nll_loss", x(3, 4), x(3, 4), x(3, 1, low=1e-9, high=1e-8), eps=1e-2, **r),
        call("cosine_embedding_loss", x(6, 4), x(6, 4), signs, margin=0.2, second=True, **r),
        call("hinge_embedding_loss", x(6, 4), np.where(x(6, 4) < 0, -1, 1), margin=0.3, **r),
        call("margin_ranking_loss", x(6), x(6), signs, margin=0.2, **r),
        call("soft_margin_loss", x(6), signs, **r),
        call("multilabel_soft_margin_loss", x(3, 4), (x(3, 4) > 0).astype("int64"), x(4, low=0.1), second=True, **r),
        call("multilabel_margin_loss", x(3, 4), LABELS, **r),
        call("multilabel_margin_loss", x(4), LABELS[0], **r),
        call("multi_margin_loss", x(3, 4), np.array([0, 3, 1]), p=2, margin=0.7, weight=x(4, low=0.1), **r),
        call("multi_margin_loss", x(4), np.array(2), **r),
        call("triplet_margin_loss", x(5, 4), x(5, 4), x(5, 4), p=2, swap=True, **r),
        call("triplet_margin_loss", x(5, 4), x(5, 4), x(5, 4), p=1, margin=0.3, **r),
        call("triplet_margin_with_distance_loss", x(5, 4), x(5, 4), x(5, 4), swap=True, **r),
    ]
LOSSES += [
    call("kl_div", x(3, 4, low=-3, high=-0.1), x(3, 4, low=0.1), reduction="batchmean"),
    call("cosine_embedding_loss", x(4), x(4), np.array(1)),
    call("mse_loss", x(3, 4), x(3, 4), size_average=False),
    call("l1_loss", x(3, 4), x(3, 4), reduce=False),
]

OTHERS = [
    call("normalize", x(3, 4), second=True),
    call("normalize", x(3, 4, 5), 3.0, 2, 0.5),
    call("normalize", x(3, 4), 1.0, 0),
    call("cosine_similarity", x(3, 4), x(3, 4), second=True),
    call("cosine_similarity", x(3, 1, 4), x(5, 4), dim=-1),
    call("pairwise_distance", x(3, 4), x(3, 4), 3.0),
    call("pairwise_distance", x(3, 4), x(4), 1.0, 1e-3, True),
    call("pairwise_distance", x(4), x(4), float("inf")),
    call("pdist", x(5, 3)),
    call("pdist", x(5, 3), 1.0),
    call("pdist", x(5, 3), 3.5),
    call("pdist", x(5, 3), float("inf")),
    call("pdist", x(5, 3), 0.0, grad=False),
    call("one_hot", np.array([[0, 3], [1, 2]])),
    call("one_hot", np.array([0, 3]), 6),
    call("bilinear", x(5, 3), x(5, 4), x(2, 3, 4), x(2), second=True),
    call("glu", x(3, 4), 1),
    call("local_response_norm", x(2, 6, 3, 4), 4, 0.3, 0.6, 1.5, second=True),
    call("lp_pool2d", x(2, 3, 6, 6, low=0.1), 2.5, 2, ceil_mode=True),
    call("unfold", x(2, 3, 5, 6), 2, second=True),
    call("fold", x(2, 12, 20), (5, 6), 2, second=True),
    call("pixel_shuffle", x(2, 12, 3, 4), 2, second=True),
    call("pixel_unshuffle", x(2, 3, 4, 6), 2),
    call("channel_shuffle", x(2, 6, 3), 3),
    call("embedding", np.array([[1, 2], [2, 9]]), x(10, 3), padding_idx=2),
    call("embedding_bag", np.array([1, 2, 4, 5, 4, 3]), x(10, 3), np.array([0, 4]), mode="mean"),
    call("embedding_bag", np.array([1, 2, 4, 5]), x(9, 3), np.array([0, 2]), mode="sum", per_sample_weights=x(4)),
    call("embedding_bag", np.array([[1, 2], [4, 5]]), x(9, 3), mode="sum", per_sample_weights=x(2, 2), padding_idx=4),
    call("embedding_bag", np.array([1, 2, 2, 5, 2]), x(9, 3), np.array([0, 3, 3]), mode="max", padding_idx=2),
    call("instance_norm", x(2, 3, 5), tol={"atol": 1e-4}),
    call("threshold", x(3, 4), 0.1, 20.0),
    call("softmax", x(3, 4), 1, dtype=None),
    call("max_pool2d", x(2, 3, 6, 6), 2, return_indices=True),
    call("adaptive_max_pool2d_with_indices", x(2, 3, 6, 6), 2),
    call("relu6", x(3, 4, low=-9, high=9)),
]
CTC_ARGS = (np.array([[1, 2, 2, 3], [3, 1, 4, 1], [2, 2, 1, 1]]), [9, 8, 5], [4, 2, 3])
CTC = [
    call("ctc_loss", np.log(x(9, 3, 5, low=0.05)), *args, **kw)
    for args, kw in [
        (CTC_ARGS, {}),
        (CTC_ARGS, {"reduction": "sum"}),
        (CTC_ARGS, {"reduction": "none"}),
        ((CTC_ARGS[0][:, :3] % 4, [9, 8, 5], [3, 0, 2]), {"blank": 4, "reduction": "none"}),
        ((np.array([1, 2, 2, 3, 3, 1, 2]), [9, 9, 9], [4, 2, 1]), {}),
        ((CTC_ARGS[0], np.array([9, 3, 2]), np.array([4, 4, 3])), {"zero_infinity": True, "reduction": "none"}),
    ]
]
CTC += [call("ctc_loss", np.log(x(7, 5, low=0.05)), np.array([1, 2, 2]), (7,), (3,))]

ALL = INTERPOLATE + GRID + PAD + LOSSES + OTHERS + CTC


@pytest.mark.parametrize(("name", "args", "kwargs", "second", "grad", "tol"), ALL)
def test_function(name, args, kwargs, second, grad, tol):
    check_function(name, args, kwargs, grad=grad, **tol)
    if second:
        check_function(name, args, kwargs, second=True, **{"rtol": 1e-3, "atol": 1e-4, **tol})


def test_every_function_is_there():
    names = [n for n in dir(torch.nn.functional) if not n.startswith("_") and callable(getattr(torch.nn.functional, n))]
    skipped = {
        "Callable", "DType", "Optional", "ScalingType", "SwizzleType", "Tensor", "assert_int_or_pair",
        "boolean_dispatch",
        "conv_tbc", "grouped_mm", "handle_torch_function", "has_torch_function", "has_torch_function_unary",
        "has_torch_function_variadic", "linear_cross_entropy", "native_channel_shuffle", "scaled_grouped_mm",
        "scaled_mm",
        "BroadcastingList1", "BroadcastingList2", "BroadcastingList3",
    }  # fmt: skip
    assert [n for n in names if n not in skipped and not hasattr(engine.nn.functional, n)] == []


BAD = [
    ("interpolate", (x(1, 2, 3, 4),), {}, ValueError, "either size or scale_factor"),
    ("interpolate", (x(1, 2, 3, 4),), {"size": 2, "scale_factor": 2}, ValueError, "only one of size or scale_factor"),
    ("interpolate", (x(1, 2, 3, 4),), {"size": 2, "align_corners": True}, ValueError, "align_corners option"),
    ("interpolate", (x(1, 2, 3),), {"size": 2, "mode": "bilinear"}, NotImplementedError, "needs 4D input"),
    ("interpolate", (x(1, 2, 3),), {"size": 2, "mode": "linear", "antialias": True}, ValueError, "Anti-alias"),
    ("grid_sample", (x(1, 2, 3, 4), x(1, 2, 2, 2)), {"mode": "cubic"}, ValueError, "expected mode"),
    ("grid_sample", (x(1, 2, 3, 4), x(2, 2, 2, 2)), {}, RuntimeError, "same batch size"),
    ("pad", (x(1, 2, 3), [3, 3], "reflect"), {}, RuntimeError, "Padding size should be less"),
    ("pad", (x(1, 2, 3), [1, 1, 1]), {}, RuntimeError, "divisible by 2"),
    ("dropout", (x(3), 1.5), {}, ValueError, "has to be between 0 and 1"),
    ("dropout1d", (x(3), 0.5), {}, RuntimeError, "dropout1d: Expected 2D or 3D input"),
    ("binary_cross_entropy", (x(3), x(4)), {}, ValueError, "target size"),
    ("mse_loss", (x(3), x(3)), {"reduction": "avg"}, ValueError, "not a valid value for reduction"),
    ("triplet_margin_loss", (x(3), x(3), x(3)), {"margin": 0.0}, ValueError, "margin must be greater than 0"),
    ("gaussian_nll_loss", (x(3), x(3), -np.ones(3, "float32")), {}, ValueError, "negative entry"),
    ("one_hot", (np.array([-1, 2]),), {}, RuntimeError, "non-negative"),
    ("pixel_shuffle", (x(1, 3, 2, 2), 2), {}, RuntimeError, "divisible by the square"),
    ("fold", (x(1, 12, 7), (4, 5), 2), {}, RuntimeError, "number of sliding blocks"),
    ("embedding_bag", (np.array([1, 2]), x(3, 2)), {}, ValueError, "offsets has to be a 1D Tensor"),
    (
        "max_unpool2d",
        (x(1, 1, 2, 2), np.zeros((1, 1, 2, 2), "int64"), 2),
        {"output_size": (9, 9)},
        ValueError,
        "output_size",
    ),
    ("batch_norm", (x(1, 3), x(3), x(3)), {"training": True}, ValueError, "more than 1 value per channel"),
    ("instance_norm", (x(2, 3, 1),), {}, ValueError, "more than 1 spatial element"),
    ("glu", (np.ones((), "float32"),), {}, RuntimeError, "does not support scalars"),
    ("ctc_loss", (x(4, 2, 3), np.zeros((2, 2), "int64"), [5, 4], [2, 2]), {}, RuntimeError, "input_lengths"),
]


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "error", "text"), BAD, ids=lambda v: v if isinstance(v, str) else ""
)
def test_errors_agree(name, args, kwargs, error, text):
    for framework in (engine, torch):
        converted = [framework.tensor(a) if isinstance(a, np.ndarray) else a for a in args]
        with pytest.raises(error, match=text if framework is engine else None):
            getattr(framework.nn.functional, name)(*converted, **kwargs)


def test_gumbel_softmax_hard_is_one_hot_and_differentiable():
    logits = engine.tensor(x(40, 6)).requires_grad_()
    sample = engine.nn.functional.gumbel_softmax(logits, tau=0.7, hard=True)
    values = sample.detach().numpy()
    np.testing.assert_allclose(np.sort(values, 1)[:, :5], 0, atol=1e-6)
    np.testing.assert_allclose(values.max(1), 1, atol=1e-6)
    (sample * engine.tensor(x(40, 6))).sum().backward()
    assert np.abs(logits.grad.numpy()).sum() > 0


def test_dropout_keeps_the_mean_and_whole_channels():
    ones = engine.ones(64, 50, 4, 4)
    F = engine.nn.functional
    elementwise = F.dropout(ones, 0.3).numpy()
    assert abs(elementwise.mean() - 1) < 0.02
    np.testing.assert_allclose(np.unique(elementwise), [0, 1 / 0.7], rtol=1e-6)
    channels = F.dropout2d(ones, 0.3).numpy().reshape(3200, 16)
    assert (channels.min(1) == channels.max(1)).all()
    assert abs((channels[:, 0] > 0).mean() - 0.7) < 0.05
    normal = engine.randn(400, 500)
    kept = F.alpha_dropout(normal, 0.2, training=True).numpy()
    assert abs(kept.mean()) < 0.02
    assert abs(kept.std() - 1) < 0.02


RNN_FLAGS = (False, 1, 0.0, True, False, False)


def test_top_level_signatures():
    from engine.nn.functional import top_level

    rng = np.random.default_rng(0)
    a, b, c = (array(rng, 4, 3) for _ in range(3))
    y = np.array([1, -1, 1, -1])
    image, grid = array(rng, 1, 2, 4, 5), array(rng, 1, 3, 3, 2)
    calls = [
        ("cosine_embedding_loss", (a, b, y, 0.1, 2)),
        ("hinge_embedding_loss", (a[:, 0], y, 1.0, 0)),
        ("margin_ranking_loss", (a[:, 0], b[:, 0], y, 0.1)),
        ("triplet_margin_loss", (a, b, c, 1.0, 2, 1e-6, True, 2)),
        ("poisson_nll_loss", (a, np.abs(b), True, False, 1e-8, 1)),
        ("kl_div", (a, np.abs(b), 2)),
        ("binary_cross_entropy_with_logits", (a, np.abs(b))),
        ("grid_sampler", (image, grid, 2, 1, True)),
        ("grid_sampler_2d", (image, grid, 0, 2, False)),
        ("instance_norm", (image, None, None, None, None, True, 0.1, 1e-3, False)),
        ("alpha_dropout", (a, 0.0, True)),
        ("ctc_loss", (np.log(np.abs(array(rng, 5, 2, 4))), *(np.array(v) for v in ([[1, 2], [3, 1]], [5, 4], [2, 1])))),
        ("rnn_tanh", (array(rng, 3, 2, 4), array(rng, 1, 2, 5), [array(rng, 5, 4), array(rng, 5, 5)], *RNN_FLAGS)),
        ("lstm_cell", (array(rng, 2, 4), [array(rng, 2, 5), array(rng, 2, 5)], array(rng, 20, 4), array(rng, 20, 5))),
    ]  # fmt: skip
    for name, args in calls:
        args_e, args_t = both(args, False)
        got, expected = getattr(top_level, name)(*args_e), getattr(torch, name)(*args_t)
        assert [tuple(t.shape) for t in leaves(got)] == [tuple(t.shape) for t in leaves(expected)], name
        compare_results(got, expected)
