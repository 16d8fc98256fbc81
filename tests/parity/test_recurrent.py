"""RNN, LSTM, GRU, their cells, packed sequences, attention and transformers against torch."""

import itertools
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nn_compare import (  # noqa: E402
    array,
    assert_same,
    backward_both,
    both,
    check_module,
    compare_gradients,
    compare_results,
    leaves,
    load_from_torch,
)

import engine.nn  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")

OPTIONS = [
    {},
    {"num_layers": 2, "bidirectional": True},
    {"bias": False, "batch_first": True},
    {"num_layers": 2, "batch_first": True, "bidirectional": True, "dropout": 1.0},
]
RNN_CASES = [(name, o) for name in ("LSTM", "GRU", "RNN") for o in OPTIONS]
RNN_CASES += [("LSTM", {"proj_size": 3, **o}) for o in OPTIONS[:3]] + [("RNN", {"nonlinearity": "relu"})]


def state_arrays(rng, name, options, batch):
    directions = 2 if options.get("bidirectional") else 1
    rows = options.get("num_layers", 1) * directions
    width = options.get("proj_size") or 5
    shape = (rows,) if batch is None else (rows, batch)
    h = array(rng, *shape, width)
    return (h, array(rng, *shape, 5)) if name == "LSTM" else h


@pytest.mark.parametrize(("name", "options"), RNN_CASES, ids=str)
@pytest.mark.parametrize("with_state", [False, True])
def test_layers(name, options, with_state):
    def inputs(rng):
        x = array(rng, 3, 6, 4)  # (L, N, I) or (N, L, I)
        batch = 3 if options.get("batch_first") else 6
        return (x, state_arrays(rng, name, options, batch)) if with_state else (x,)

    check_module(name, (4, 5), options, inputs)


@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
def test_unbatched(name):
    check_module(name, (4, 5), {}, lambda rng: (array(rng, 3, 4), state_arrays(rng, name, {}, None)))
    check_module(name, (4, 5), {"batch_first": True, "bidirectional": True}, lambda rng: (array(rng, 3, 4),))


@pytest.mark.parametrize(("name", "options"), RNN_CASES, ids=str)
def test_packed(name, options):
    reference = getattr(torch.nn, name)(4, 5, **options)
    module = getattr(engine.nn, name)(4, 5, **options)
    load_from_torch(module, reference)
    rng = np.random.default_rng(0)
    batch_first = options.get("batch_first", False)
    x_e, x_t = both(array(rng, 4, 6, 4) if batch_first else array(rng, 6, 4, 4), True)
    state_e, state_t = both(state_arrays(rng, name, options, 4), True)
    lengths = [3, 6, 1, 3]
    results = []
    for framework, net, x, state in ((engine, module, x_e, state_e), (torch, reference, x_t, state_t)):
        tools = framework.nn.utils.rnn
        packed = tools.pack_padded_sequence(x, lengths, batch_first, enforce_sorted=False)
        output, hidden = net(packed, state)
        padded, sizes = tools.pad_packed_sequence(output, batch_first, padding_value=-7.0, total_length=8)
        assert sizes.tolist() == lengths
        results.append((padded, hidden, packed.data, packed.batch_sizes, packed.sorted_indices))
    compare_results(*results)
    backward_both(rng, *results)
    compare_gradients(leaves([x_e, state_e]), leaves([x_t, state_t]))
    compare_gradients(list(module.parameters()), list(reference.parameters()))


@pytest.mark.parametrize("name", ["LSTMCell", "GRUCell", "RNNCell"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch", [None, 3])
def test_cells(name, bias, batch):
    def inputs(rng):
        lead = () if batch is None else (batch,)
        h = array(rng, *lead, 5)
        return array(rng, *lead, 4), ((h, array(rng, *lead, 5)) if name == "LSTMCell" else h)

    check_module(name, (4, 5, bias), {}, inputs)
    check_module(name, (4, 5, bias), {}, lambda rng: inputs(rng)[:1])


def test_relu_cell():
    check_module("RNNCell", (4, 5), {"nonlinearity": "relu"}, lambda rng: (array(rng, 3, 4),))


BAD = [
    ((2, 3), {}, ((2,),), ValueError),
    ((2, 3), {}, ((4, 2, 3),), RuntimeError),
    ((2, 3), {}, ((4, 2, 2), ((1, 1, 3), (1, 2, 3))), RuntimeError),
    ((2, 3), {}, ((4, 2, 2), ((1, 3), (1, 3))), RuntimeError),
    ((2, 3), {}, ((4, 2), ((1, 1, 3), (1, 1, 3))), RuntimeError),
]


@pytest.mark.parametrize(("args", "kwargs", "shapes", "error"), BAD)
def test_bad_inputs_give_torchs_message(args, kwargs, shapes, error):
    messages = []
    for framework in (engine, torch):
        net = framework.nn.LSTM(*args, **kwargs)
        values = [
            tuple(framework.zeros(*s) for s in shape) if isinstance(shape[0], tuple) else framework.zeros(*shape)
            for shape in shapes
        ]
        with pytest.raises(error) as caught:
            net(*values)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((2, 0), {}),
        ((2, 3, 0), {}),
        ((2, 3), {"proj_size": 3}),
        ((2, 3), {"dropout": 2}),
        ((2, 3.0), {}),
        ((2, 3), {"proj_size": -1}),
        ((2, 3, 2, True, "a"), {}),
    ],
)
def test_bad_arguments_give_torchs_message(args, kwargs):
    caught = []
    for framework in (engine, torch):
        with pytest.raises((ValueError, TypeError)) as error:
            framework.nn.LSTM(*args, **kwargs)
        caught.append((error.type, str(error.value)))
    assert caught[0] == caught[1]


def test_flat_weights_follow_assignment():
    net = engine.nn.LSTM(2, 3)
    assert [tuple(w.shape) for w in net.all_weights[0]] == [(12, 2), (12, 3), (12,), (12,)]
    net.weight_hh_l0 = engine.nn.Parameter(engine.zeros(12, 3))
    assert net._flat_weights[1] is net.weight_hh_l0


def test_pad_and_pack_utilities():
    rng = np.random.default_rng(0)
    arrays = [array(rng, n, 3) for n in (4, 2, 3)]
    tools_e, tools_t = engine.nn.utils.rnn, torch.nn.utils.rnn
    ours, theirs = [engine.tensor(a) for a in arrays], [torch.tensor(a) for a in arrays]
    for batch_first, side in itertools.product((True, False), ("left", "right")):
        assert_same(
            tools_e.pad_sequence(ours, batch_first, 2.0, side), tools_t.pad_sequence(theirs, batch_first, 2.0, side)
        )
    packed_e, packed_t = tools_e.pack_sequence(ours, False), tools_t.pack_sequence(theirs, False)
    compare_results(list(packed_e), list(packed_t))
    for a, b in zip(tools_e.unpack_sequence(packed_e), arrays, strict=True):
        np.testing.assert_array_equal(a.numpy(), b)
    assert packed_e.double().data.dtype == engine.float64
    assert packed_e.to(engine.float32) is packed_e
    with pytest.raises(RuntimeError, match="sorted in decreasing order"):
        tools_e.pack_sequence([ours[1], ours[0]])


MHA = [
    ({}, {}),
    ({"bias": False}, {"need_weights": False}),
    ({"add_bias_kv": True, "add_zero_attn": True}, {}),
    ({"kdim": 5, "vdim": 6}, {"average_attn_weights": False}),
    ({"batch_first": True}, {"attn_mask": "float", "key_padding_mask": "bool"}),
    ({}, {"attn_mask": "bool", "need_weights": False}),
    ({"add_zero_attn": True, "add_bias_kv": True}, {"attn_mask": "heads", "key_padding_mask": "bool"}),
    ({}, {"attn_mask": "float", "is_causal": True, "need_weights": False}),
]


@pytest.mark.parametrize(("options", "call"), MHA, ids=str)
def test_multihead_attention(options, call):
    target, source, batch, heads = 4, (4 if call.get("is_causal") else 5), 3, 2
    rng = np.random.default_rng(0)
    call = dict(call)
    kind = call.get("attn_mask")
    if kind == "float":
        call["attn_mask"] = np.triu(np.full((target, source), -np.inf, "float32"), 1)
    elif kind == "bool":
        call["attn_mask"] = np.triu(np.ones((target, source), bool), 1)
    elif kind == "heads":
        call["attn_mask"] = rng.random((batch * heads, target, source)) < 0.3
        call["attn_mask"][..., 0] = False
    if "key_padding_mask" in call:
        call["key_padding_mask"] = np.array([[0, 0, 0, 0, 0], [0, 0, 0, 1, 1], [0, 0, 1, 1, 1]], bool)[:, :source]

    def inputs(rng):
        shapes = [(target, batch, 4), (source, batch, options.get("kdim", 4)), (source, batch, options.get("vdim", 4))]
        if options.get("batch_first"):
            shapes = [(b, a, c) for a, b, c in shapes]
        return tuple(array(rng, *s) for s in shapes)

    check_module("MultiheadAttention", (4, heads), options, inputs, call)


def test_self_attention_unbatched():
    reference = torch.nn.MultiheadAttention(6, 3)
    module = engine.nn.MultiheadAttention(6, 3)
    load_from_torch(module, reference)
    (x_e, x_t) = both(array(np.random.default_rng(0), 5, 6), True)
    got, expected = module(x_e, x_e, x_e), reference(x_t, x_t, x_t)
    compare_results(got, expected)
    backward_both(np.random.default_rng(1), got, expected)
    compare_gradients([x_e], [x_t])


TRANSFORMER = [
    {},
    {"batch_first": True, "norm_first": True, "activation": "gelu"},
    {"bias": False, "layer_norm_eps": 1e-3},
]


def causal(n):
    return np.triu(np.full((n, n), -np.inf, "float32"), 1)


@pytest.mark.parametrize("options", TRANSFORMER, ids=str)
def test_transformer_layers(options):
    options = {"dropout": 0.0, **options}
    pad = np.array([[0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 1, 1]], bool)
    shape = (3, 4, 6) if options.get("batch_first") else (4, 3, 6)

    def one(rng):
        return (array(rng, *shape),)

    def two(rng):
        return array(rng, *shape), array(rng, *shape)

    check_module("TransformerEncoderLayer", (6, 2, 8), options, one, atol=1e-4)
    check_module(
        "TransformerEncoderLayer",
        (6, 2, 8),
        options,
        one,
        {"src_mask": causal(4), "src_key_padding_mask": pad},
        atol=1e-4,
    )
    check_module(
        "TransformerEncoderLayer", (6, 2, 8), options, one, {"src_mask": causal(4), "is_causal": True}, atol=1e-4
    )
    check_module("TransformerDecoderLayer", (6, 2, 8), options, two, atol=1e-4)
    masks = {"tgt_mask": causal(4), "memory_key_padding_mask": pad, "tgt_is_causal": True}
    check_module("TransformerDecoderLayer", (6, 2, 8), options, two, masks, atol=1e-4)


@pytest.mark.parametrize("options", TRANSFORMER, ids=str)
def test_whole_transformer(options):
    options = {"dropout": 0.0, **options}
    src, tgt = ((2, 5, 6), (2, 3, 6)) if options.get("batch_first") else ((5, 2, 6), (3, 2, 6))
    check_module(
        "Transformer",
        (6, 2, 2, 2, 8),
        options,
        lambda rng: (array(rng, *src), array(rng, *tgt)),
        {"tgt_mask": causal(3), "src_key_padding_mask": np.array([[0, 0, 0, 0, 1], [0] * 5], bool)},
        atol=1e-4,
    )


@pytest.mark.parametrize("padding", [[[0, 0, 1, 1], [0, 0, 0, 0]], [[1, 0, 0, 1], [0, 0, 0, 0]]])
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_encoder_in_evaluation_without_gradients(padding, norm, masked):
    if masked and padding[0][0]:
        pytest.skip("torch's fast path gives NaN where every key is masked")
    nets = []
    for framework in (torch, engine):
        layer = framework.nn.TransformerEncoderLayer(6, 2, 8, batch_first=True)
        nets.append(framework.nn.TransformerEncoder(layer, 2, framework.nn.LayerNorm(6) if norm else None).eval())
    load_from_torch(nets[1], nets[0])
    x = array(np.random.default_rng(0), 2, 4, 6)
    results = []
    for framework, net in zip((torch, engine), nets, strict=True):
        with framework.no_grad():
            mask = framework.tensor(causal(4)) if masked else None
            results.append(
                net(framework.tensor(x), mask, src_key_padding_mask=framework.tensor(np.array(padding, bool)))
            )
    assert_same(results[1], results[0])


def test_nested_tensor_warnings():
    def messages(framework):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for options in ({}, {"batch_first": True, "norm_first": True}, {"batch_first": True}):
                layer = framework.nn.TransformerEncoderLayer(6, 2, 8, **options)
                framework.nn.TransformerEncoder(layer, 1)
        return [str(w.message) for w in caught]

    assert messages(engine) == messages(torch)


def test_subsequent_mask():
    assert_same(
        engine.nn.Transformer.generate_square_subsequent_mask(4),
        torch.nn.Transformer.generate_square_subsequent_mask(4),
    )
