"""Small programs on third-party packages written for PyTorch, each returning numbers to compare.

Run as ``python programs.py NAME FILE [engine]``: writes the numbers as JSON. With ``engine``, ``torch`` is this
library. Packages are used unmodified. Parameters are filled from NumPy, as the two libraries draw different random
numbers.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

PROGRAMS: dict[str, Callable[[], list[Any]]] = {}
PACKAGES: dict[str, str] = {}


def program(package: str) -> Callable:
    """Publish a program that needs a package."""

    def publish(function: Callable) -> Callable:
        PROGRAMS[function.__name__] = function
        PACKAGES[function.__name__] = package
        return function

    return publish


def array(*shape: int, seed: int = 0, scale: float = 1.0) -> Any:
    """A float32 tensor of normal numbers."""
    import torch

    values = np.random.default_rng(seed).normal(0, scale, shape).astype(np.float32)
    return torch.from_numpy(values)


def filled(module: Any, scale: float = 0.2) -> Any:
    """The module with parameters drawn by NumPy."""
    import torch

    rng = np.random.default_rng(7)
    with torch.no_grad():
        for parameter in module.parameters():
            values = rng.normal(0, scale, tuple(parameter.shape)).astype(np.float32)
            parameter.copy_(torch.from_numpy(np.asarray(values)))
    return module


def gradients(module: Any) -> list[Any]:
    """Sums of the absolute gradients of a module's parameters."""
    return [p.grad.abs().sum() for p in module.parameters() if p.grad is not None]


def trained(make: Callable[[Any], Any], steps: int = 5) -> list[Any]:
    """Losses and final parameters of a small regression under an optimizer ``make(parameters)``."""
    import torch
    from torch import nn

    model = filled(nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 1)))
    optimizer = make(model.parameters())
    x, y = array(32, 6, seed=1), array(32, 1, seed=2)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return [torch.stack(losses), *[p.detach() for p in model.parameters()]]


# -- einops and layers ------------------------------------------------------------------------------------------------
@program("einops")
def einops() -> list[Any]:
    """rearrange, reduce, repeat, einsum, layers in a Sequential with gradients."""
    import torch
    from einops import einsum, pack, rearrange, reduce, repeat, unpack
    from einops.layers.torch import EinMix, Rearrange, Reduce
    from torch import nn

    x = array(2, 3, 8, 8).requires_grad_()
    patches = rearrange(x, "b c (h p) (w q) -> b (h w) (p q c)", p=4, q=4)
    small = reduce(x, "b c (h 2) (w 2) -> b c h w", "max")
    wide = repeat(small.mean((2, 3)), "b c -> b c n", n=3)
    product = einsum(patches, patches, "b i d, b j d -> b i j")
    packed, shapes = pack([patches, patches[:, :2]], "b * d")
    parts = unpack(packed, shapes, "b * d")
    net = nn.Sequential(
        Rearrange("b c h w -> b h w c"),
        filled(EinMix("b h w c -> b h w d", weight_shape="c d", bias_shape="d", c=3, d=5)),
        Reduce("b h w d -> b d", "mean"),
    )
    out = net(x)
    (out.sum() + product.sum() + wide.pow(2).sum()).backward()
    return [patches, small, wide, product, parts[1], out, x.grad, torch.tensor(packed.shape)]


@program("rotary_embedding_torch")
def rotary_embedding_torch() -> list[Any]:
    """Rotary positions of queries and keys, also two-dimensional."""
    from rotary_embedding_torch import RotaryEmbedding, apply_rotary_emb

    rotary = RotaryEmbedding(dim=16)
    q = array(1, 2, 10, 32).requires_grad_()
    out = rotary.rotate_queries_or_keys(q)
    out.pow(3).sum().backward()
    axial = RotaryEmbedding(dim=8, freqs_for="pixel", max_freq=32)
    freqs = axial.get_axial_freqs(4, 4)
    grid = apply_rotary_emb(freqs, array(1, 4, 4, 32, seed=3))
    return [out, q.grad, grid]


@program("local_attention")
def local_attention() -> list[Any]:
    """Windowed causal attention with padding."""
    import torch
    from local_attention import LocalAttention

    attend = LocalAttention(dim=8, window_size=4, causal=True, look_backward=1, look_forward=0, autopad=True)
    q, k, v = (array(2, 2, 10, 8, seed=s).requires_grad_() for s in (1, 2, 3))
    mask = torch.arange(10)[None] < torch.tensor([[10], [7]])
    out = attend(q, k, v, mask=mask)
    out.sum().backward()
    return [out, q.grad, k.grad, v.grad]


@program("entmax")
def entmax() -> list[Any]:
    """Sparse softmaxes and their gradients."""
    import torch
    from entmax import entmax15, entmax_bisect, sparsemax, sparsemax_loss

    x = array(4, 9).requires_grad_()
    outs = [sparsemax(x, dim=-1), entmax15(x, dim=-1), entmax_bisect(x, alpha=1.3, dim=-1)]
    loss = sparsemax_loss(x, torch.tensor([1, 2, 3, 4])).sum()
    (loss + sum((o * array(4, 9, seed=5)).sum() for o in outs)).backward()
    return [*outs, loss, x.grad]


@program("siren_pytorch")
def siren_pytorch() -> list[Any]:
    """A SIREN network fitted for some steps."""
    import torch
    from siren_pytorch import SirenNet

    net = filled(SirenNet(dim_in=2, dim_hidden=16, dim_out=3, num_layers=3, final_activation=torch.nn.Sigmoid()))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    x, y = array(64, 2), array(64, 3, seed=1).sigmoid()
    losses = []
    for _ in range(5):
        loss = (net(x) - y).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return [torch.stack(losses), net(x)]


# -- transformers -----------------------------------------------------------------------------------------------------
@program("x_transformers")
def x_transformers() -> list[Any]:
    """A decoder with rotary positions and its loss; an encoder with a mask."""
    import torch
    from x_transformers import AutoregressiveWrapper, Decoder, Encoder, TransformerWrapper

    tokens = torch.from_numpy(np.random.default_rng(0).integers(0, 40, (2, 12)))
    decoder = TransformerWrapper(
        num_tokens=40,
        max_seq_len=16,
        attn_layers=Decoder(dim=32, depth=2, heads=4, rotary_pos_emb=True, attn_dim_head=8),
    )
    model = filled(AutoregressiveWrapper(decoder))
    loss = model(tokens)
    loss.backward()
    encoder = filled(
        TransformerWrapper(
            num_tokens=40, max_seq_len=16, attn_layers=Encoder(dim=32, depth=1, heads=4, attn_dim_head=8, ff_glu=True)
        )
    ).eval()
    mask = torch.arange(12)[None] < torch.tensor([[12], [9]])
    return [loss, *gradients(model), encoder(tokens, mask=mask)]


@program("performer_pytorch")
def performer_pytorch() -> list[Any]:
    """Linear attention by random features (given ones), causal and not."""
    import torch
    from performer_pytorch import FastAttention

    attend = FastAttention(dim_heads=8, nb_features=16, causal=False)
    attend.projection_matrix.copy_(array(16, 8, seed=9))
    q, k, v = (array(1, 2, 12, 8, seed=s, scale=0.5).requires_grad_() for s in (1, 2, 3))
    out = attend(q, k, v)
    out.sum().backward()
    return [out, q.grad, v.grad, torch.tensor(attend.nb_features)]


@program("linformer")
def linformer() -> list[Any]:
    """Attention through a projection of the sequence."""
    from linformer import Linformer

    model = filled(Linformer(dim=16, seq_len=24, depth=2, heads=2, k=8, one_kv_head=True, share_kv=True))
    x = array(2, 24, 16)
    out = model(x)
    out.pow(2).sum().backward()
    return [out, *gradients(model)]


@program("linear_attention_transformer")
def linear_attention_transformer() -> list[Any]:
    """A language model with linear attention."""
    import torch
    from linear_attention_transformer import LinearAttentionTransformerLM

    model = filled(
        LinearAttentionTransformerLM(
            num_tokens=30, dim=16, heads=2, depth=2, max_seq_len=32, causal=True, blindspot_size=1,
            n_local_attn_heads=1, local_attn_window_size=8,
        )
    )  # fmt: skip
    tokens = torch.from_numpy(np.random.default_rng(0).integers(0, 30, (1, 32)))
    out = model(tokens)
    out.pow(2).mean().backward()
    return [out, *gradients(model)]


@program("memory_efficient_attention_pytorch")
def memory_efficient_attention_pytorch() -> list[Any]:
    """Attention in pieces that are computed again in the backward pass."""
    from memory_efficient_attention_pytorch import Attention

    model = filled(
        Attention(dim=16, heads=2, dim_head=8, memory_efficient=True, q_bucket_size=4, k_bucket_size=4, causal=True)
    )
    x = array(1, 12, 16).requires_grad_()
    out = model(x)
    out.sum().backward()
    return [out, x.grad, *gradients(model)]


@program("axial_positional_embedding")
def axial_positional_embedding() -> list[Any]:
    """Positions of a grid."""
    import torch
    from axial_positional_embedding import AxialPositionalEmbedding

    model = filled(AxialPositionalEmbedding(dim=16, axial_shape=(4, 4)))
    out = model(array(1, 16, 16)) if "x" in model.forward.__code__.co_varnames else model((4, 4))
    out.pow(2).sum().backward()
    return [out, *gradients(model), torch.ones(1)]


@program("product_key_memory")
def product_key_memory() -> list[Any]:
    """A memory layer with products of keys."""
    from product_key_memory import PKM

    model = filled(PKM(dim=16, heads=2, num_keys=8, topk=4, dim_head=8)).eval()
    x = array(1, 6, 16).requires_grad_()
    out = model(x)
    out.sum().backward()
    return [out, x.grad]


@program("hyper_connections")
def hyper_connections() -> list[Any]:
    """Several residual streams around a layer."""
    from hyper_connections import HyperConnections
    from torch import nn

    init, expand, reduce = HyperConnections.get_init_and_expand_reduce_stream_functions(2)
    block = filled(init(dim=8, branch=nn.Linear(8, 8), layer_index=0))
    x = array(2, 5, 8)
    out = reduce(block(expand(x)))
    out.pow(2).sum().backward()
    return [out, *gradients(block)]


# -- optimizers -------------------------------------------------------------------------------------------------------
@program("lion_pytorch")
def lion_pytorch() -> list[Any]:
    """Lion."""
    from lion_pytorch import Lion

    return trained(lambda p: Lion(p, lr=1e-2, weight_decay=1e-2))


@program("madgrad")
def madgrad() -> list[Any]:
    """MADGRAD and its mirror descent form."""
    from madgrad import MADGRAD, MirrorMADGRAD

    return trained(lambda p: MADGRAD(p, lr=1e-2)) + trained(lambda p: MirrorMADGRAD(p, lr=1e-2))


@program("adabelief_pytorch")
def adabelief_pytorch() -> list[Any]:
    """AdaBelief."""
    from adabelief_pytorch import AdaBelief

    return trained(lambda p: AdaBelief(p, lr=1e-2, eps=1e-8, rectify=True, print_change_log=False))


@program("torch_optimizer")
def torch_optimizer() -> list[Any]:
    """Many optimizers of one collection."""
    import torch_optimizer as extra

    out: list[Any] = []
    names = "AdaBound AdaMod AggMo DiffGrad Lamb NovoGrad PID QHAdam QHM RAdam SGDW SWATS Yogi Shampoo AccSGD".split()
    for name in names:
        cls = getattr(extra, name)
        out += trained(lambda p, cls=cls: cls(p, lr=1e-2), steps=3)
    return out


@program("pytorch_ranger")
def pytorch_ranger() -> list[Any]:
    """Ranger and RangerQH."""
    from pytorch_ranger import Ranger, RangerQH

    return trained(lambda p: Ranger(p, lr=1e-2), 7) + trained(lambda p: RangerQH(p, lr=1e-2), 7)


@program("warmup_scheduler")
def warmup_scheduler() -> list[Any]:
    """A schedule around another."""
    import torch
    from warmup_scheduler import GradualWarmupScheduler

    optimizer = torch.optim.SGD([array(2).requires_grad_()], lr=0.1)
    after = torch.optim.lr_scheduler.StepLR(optimizer, step_size=3, gamma=0.5)
    schedule = GradualWarmupScheduler(optimizer, multiplier=1, total_epoch=4, after_scheduler=after)
    rates = []
    for epoch in range(1, 12):
        optimizer.step()
        schedule.step(epoch)
        rates.append(optimizer.param_groups[0]["lr"])
    return [torch.tensor(rates)]


@program("torch_ema")
def torch_ema() -> list[Any]:
    """Averages of parameters, and swapping them in."""
    import torch
    from torch_ema import ExponentialMovingAverage

    net = filled(torch.nn.Linear(4, 3))
    ema = ExponentialMovingAverage(net.parameters(), decay=0.9)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    x = array(8, 4)
    for _ in range(4):
        optimizer.zero_grad()
        net(x).pow(2).mean().backward()
        optimizer.step()
        ema.update()
    with ema.average_parameters():
        averaged = net(x).detach().clone()
    return [averaged, net(x), *ema.state_dict()["shadow_params"]]


@program("ema_pytorch")
def ema_pytorch() -> list[Any]:
    """A copy of a model that follows it."""
    import torch
    from ema_pytorch import EMA

    net = filled(torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.BatchNorm1d(5)))
    ema = EMA(net, beta=0.9, update_after_step=1, update_every=1)
    x = array(8, 4)
    for i in range(6):
        with torch.no_grad():
            for p in net.parameters():
                p.add_(0.1 * (i + 1))
        net(x)
        ema.update()
    return [ema(x), net(x), *list(ema.ema_model.parameters())]


# -- losses and measures ----------------------------------------------------------------------------------------------
@program("pytorch_msssim")
def pytorch_msssim() -> list[Any]:
    """Structural similarity and its gradient."""
    import torch
    from pytorch_msssim import SSIM, ms_ssim, ssim

    x, y = (array(1, 3, 176, 176, seed=s).sigmoid() for s in (1, 2))
    x.requires_grad_()
    value = ssim(x, y, data_range=1.0)
    value.backward()
    module = SSIM(data_range=1.0, size_average=False, channel=3)
    return [value, x.grad.abs().sum(), module(x, y), ms_ssim(x, 0.5 * x + 0.5 * y, data_range=1.0), torch.ones(1)]


@program("focal_loss")
def focal_loss() -> list[Any]:
    """Focal losses."""
    import torch
    from focal_loss.focal_loss import FocalLoss

    x = array(8, 5).requires_grad_()
    target = torch.tensor([0, 1, 2, 3, 4, 0, 1, 2])
    loss = FocalLoss(gamma=0.7, weights=torch.tensor([1.0, 2.0, 0.5, 1.0, 1.0]))(torch.softmax(x, -1), target)
    loss.backward()
    return [loss, x.grad]


@program("torchmetrics")
def torchmetrics() -> list[Any]:
    """Metrics of classification and regression over batches, in a collection."""
    import torch
    import torchmetrics as tm

    rng = np.random.default_rng(0)
    target = torch.from_numpy(rng.integers(0, 4, 200))
    scores = array(200, 4).softmax(-1)
    metrics = tm.MetricCollection(
        [
            tm.Accuracy(task="multiclass", num_classes=4),
            tm.F1Score(task="multiclass", num_classes=4, average="macro"),
            tm.AUROC(task="multiclass", num_classes=4),
            tm.ConfusionMatrix(task="multiclass", num_classes=4),
            tm.CohenKappa(task="multiclass", num_classes=4),
            tm.CalibrationError(task="multiclass", num_classes=4),
        ]
    )
    for i in range(0, 200, 50):
        metrics.update(scores[i : i + 50], target[i : i + 50])
    found = metrics.compute()
    measures = (
        tm.MeanSquaredError(),
        tm.R2Score(),
        tm.PearsonCorrCoef(),
        tm.SpearmanCorrCoef(),
        tm.MeanAbsoluteError(),
    )
    regression = [m(array(50, seed=1), array(50, seed=2)) for m in measures]
    return [*[found[k] for k in sorted(found)], *regression]


# -- tools ------------------------------------------------------------------------------------------------------------
def _small_cnn() -> Any:
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * 16, 10),
    )


@program("torchinfo")
def torchinfo() -> list[Any]:
    """A table of layers."""
    import torch
    from torchinfo import summary

    found = summary(_small_cnn(), input_size=(2, 3, 8, 8), verbose=0)
    return [torch.tensor([found.total_params, found.trainable_params, found.total_mult_adds, found.total_output_bytes])]


@program("torchsummary")
def torchsummary() -> list[Any]:
    """A table of layers on standard output."""
    import contextlib
    import io

    import torch
    from torchsummary import summary

    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        summary(_small_cnn(), (3, 8, 8), device="cpu")
    numbers = [
        int(w.replace(",", ""))
        for line in text.getvalue().splitlines()
        for w in line.split()
        if w.replace(",", "").isdigit()
    ]
    return [torch.tensor(numbers)]


@program("torchdiffeq")
def torchdiffeq() -> list[Any]:
    """Differential equations with adaptive and fixed steps, and gradients by the adjoint method."""
    import torch
    from torchdiffeq import odeint, odeint_adjoint

    class Field(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = filled(torch.nn.Linear(2, 2))

        def forward(self, t: Any, y: Any) -> Any:
            return torch.tanh(self.net(y)) - 0.1 * y * t

    field = Field()
    y0 = array(3, 2).requires_grad_()
    t = torch.linspace(0.0, 1.0, 5)
    fixed = odeint(field, y0, t, method="rk4")
    adaptive = odeint(field, y0, t, rtol=1e-5, atol=1e-6)
    out = odeint_adjoint(field, y0, t, rtol=1e-5, atol=1e-6)
    out[-1].pow(2).sum().backward()
    return [fixed, adaptive, y0.grad, *gradients(field)]


@program("ignite")
def ignite() -> list[Any]:
    """An engine that trains, with handlers and metrics."""
    import torch
    from ignite.engine import Events, create_supervised_evaluator, create_supervised_trainer
    from ignite.metrics import Accuracy, Loss
    from torch.utils.data import DataLoader, TensorDataset

    model = filled(torch.nn.Linear(6, 3))
    data = TensorDataset(array(40, 6), torch.from_numpy(np.random.default_rng(0).integers(0, 3, 40)))
    loader = DataLoader(data, batch_size=10)
    criterion = torch.nn.CrossEntropyLoss()
    trainer = create_supervised_trainer(model, torch.optim.SGD(model.parameters(), lr=0.1), criterion)
    evaluator = create_supervised_evaluator(model, metrics={"accuracy": Accuracy(), "loss": Loss(criterion)})
    history = []

    @trainer.on(Events.EPOCH_COMPLETED)
    def _evaluate(engine: Any) -> None:
        evaluator.run(loader)
        history.append([evaluator.state.metrics["accuracy"], evaluator.state.metrics["loss"]])

    trainer.run(loader, max_epochs=3)
    return [torch.tensor(history), *model.parameters()]


def numbers_of(values: list[Any]) -> list[dict[str, Any]]:
    """Shape, sum, sum of magnitudes and some elements of each value."""
    out = []
    for value in values:
        flat = np.asarray(value.detach().numpy() if hasattr(value, "detach") else value, dtype=np.float64)
        picked = flat.reshape(-1)[:: max(1, flat.size // 8)][:8]
        out.append(
            {
                "shape": list(flat.shape),
                "sum": float(flat.sum()),
                "magnitude": float(np.abs(flat).sum()),
                "elements": [float(v) for v in picked],
            }
        )
    return out


def main(name: str, file: str, library: str = "torch") -> None:
    """Run one program and write its numbers."""
    if library == "engine":
        import engine

        engine.install_as_torch()
    with open(file, "w", encoding="utf-8") as out:
        json.dump(numbers_of(PROGRAMS[name]()), out)


if __name__ == "__main__":
    main(*sys.argv[1:])
