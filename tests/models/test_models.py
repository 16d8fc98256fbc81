"""Reference networks against torchvision's key lists, parameter counts and outputs (kept in this folder as text)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine
from engine import models, nn
from engine.models import convnext, efficientnet, resnet

FOLDER = Path(__file__).parent
STATE_DICTS = [line.split() for line in (FOLDER / "state_dicts.txt").read_text().splitlines()]
OUTPUTS = json.loads((FOLDER / "outputs.json").read_text())

SMALL: dict[str, Callable[[], nn.Module]] = {
    "resnext": lambda: models.ResNet(
        resnet.Bottleneck,
        [1, 1, 1, 1],
        num_classes=6,
        groups=4,
        width_per_group=8,
        replace_stride_with_dilation=[False, False, True],
    ),
    "vgg": lambda: models.VGG(nn.Sequential(nn.Conv2d(3, 512, 3, 8), nn.ReLU(True)), 6),
    "convnext": lambda: models.ConvNeXt(
        [convnext.CNBlockConfig(16, 32, 1), convnext.CNBlockConfig(32, None, 2)], num_classes=6, layer_scale=0.5
    ),
    "vit": lambda: models.VisionTransformer(32, 8, 2, 2, 32, 64, num_classes=6, representation_size=16),
    "efficientnet_v2": lambda: models.EfficientNet(
        [
            efficientnet.FusedMBConvConfig(1, 3, 1, 16, 16, 1),
            efficientnet.FusedMBConvConfig(4, 3, 2, 16, 24, 2),
            efficientnet.MBConvConfig(4, 3, 2, 24, 32, 2),
        ],
        0.2,
        num_classes=6,
        last_channel=64,
    ),
}


def numbers(shape: tuple[int, ...], name: str, rng: np.random.Generator) -> np.ndarray:
    """A parameter or buffer, drawn so that activations keep their size."""
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if name.endswith("running_var"):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    if name.endswith("running_mean"):
        return rng.normal(0, 0.1, shape).astype(np.float32)
    if len(shape) <= 1:
        return (rng.normal(0, 0.1, shape) + (1 if name.endswith("weight") else 0)).astype(np.float32)
    return (rng.normal(0, 1, shape) / np.sqrt(int(np.prod(shape[1:])))).astype(np.float32)


def fill(model: nn.Module) -> nn.Module:
    rng = np.random.default_rng(0)
    state = {k: engine.from_numpy(numbers(tuple(v.shape), k, rng)) for k, v in model.state_dict().items()}
    model.load_state_dict(state)
    return model.eval()


@pytest.mark.parametrize(("name", "count", "parameters", "digest"), STATE_DICTS, ids=[row[0] for row in STATE_DICTS])
def test_state_dict_keys_and_shapes(name: str, count: str, parameters: str, digest: str) -> None:
    with engine.device("meta"):
        model = models.get_model(name)
    state = model.state_dict()
    assert len(state) == int(count)
    assert sum(p.numel() for p in model.parameters()) == int(parameters)
    text = "\n".join(f"{key} {tuple(value.shape)}" for key, value in state.items())
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == digest
    meta = models.get_model_weights(name).DEFAULT.meta
    if name not in ("vit_h_14",):  # its only weights are for larger images
        assert meta["num_params"] == int(parameters)


@pytest.mark.parametrize("name", sorted(OUTPUTS))
def test_outputs(name: str) -> None:
    model = fill(SMALL[name]() if name in SMALL else models.get_model(name))
    side = 32 if name in SMALL else 96
    x = engine.from_numpy(np.random.default_rng(1).normal(0, 1, (2, 3, side, side)).astype(np.float32))
    with engine.no_grad():
        out = model(x)
    np.testing.assert_allclose(out[1, :6].numpy(), OUTPUTS[name], rtol=1e-4, atol=1e-5)


def test_every_model_has_weights_and_a_builder() -> None:
    names = models.list_models()
    assert names == sorted(row[0] for row in STATE_DICTS)
    assert models.list_models(include="resnet*", exclude=["*101", "*152"]) == ["resnet18", "resnet34", "resnet50"]
    assert models.list_models(module=models.vgg)[0] == "vgg11"
    for name in names:
        enum = models.get_model_weights(name)
        assert enum.DEFAULT.url.startswith("https://download.pytorch.org/models/")
        assert models.get_weight(f"{enum.__name__}.DEFAULT") is enum.DEFAULT
    with pytest.raises(ValueError, match="Unknown model"):
        models.get_model("resnet19")


def test_weights_enum() -> None:
    weights = models.ResNet50_Weights
    assert weights.DEFAULT is weights.IMAGENET1K_V2
    assert weights.IMAGENET1K_V1.url.endswith("/resnet50-0676ba61.pth")
    assert len(weights.DEFAULT.meta["categories"]) == 1000
    assert weights.DEFAULT.meta["categories"][207] == "golden retriever"
    assert weights.verify("IMAGENET1K_V1") is weights.IMAGENET1K_V1
    with pytest.raises(TypeError, match="Invalid Weight class"):
        weights.verify(models.ResNet18_Weights.DEFAULT)
    with pytest.raises(ValueError, match="there are: IMAGENET1K_V1"):
        weights.verify("V9")


def test_weights_argument(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = models.squeezenet1_1(num_classes=7)
    path = tmp_path / "mine.pth"
    engine.save(trained.state_dict(), path)
    for weights in (path, str(path), trained.state_dict()):
        loaded = models.squeezenet1_1(weights=weights, num_classes=7)
        assert engine.equal(loaded.classifier[1].weight, trained.classifier[1].weight)
    with pytest.raises(FileNotFoundError, match="no file, and no name of SqueezeNet1_1_Weights: IMAGENET1K_V1"):
        models.squeezenet1_1(weights="elsewhere.pth")
    with pytest.raises(TypeError, match="weights must be"):
        models.squeezenet1_1(weights=3)


def test_named_weights_come_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.hub._Hub, "folder", str(tmp_path))
    enum = models.ShuffleNet_V2_X0_5_Weights
    trained = models.shufflenet_v2_x0_5()
    (tmp_path / "checkpoints").mkdir()
    engine.save(trained.state_dict(), tmp_path / "checkpoints" / Path(enum.DEFAULT.url).name)
    for given in ({"weights": enum.DEFAULT}, {"weights": "DEFAULT"}, {"pretrained": True}):
        assert engine.equal(models.shufflenet_v2_x0_5(**given).fc.weight, trained.fc.weight)
    with pytest.raises(ValueError, match="num_classes"):
        models.shufflenet_v2_x0_5(weights="DEFAULT", num_classes=10)


def test_old_densenet_keys_are_understood() -> None:
    trained = models.densenet121(num_classes=3)
    old = {
        key.replace("norm1", "norm.1").replace("norm2", "norm.2").replace("conv1", "conv.1").replace("conv2", "conv.2")
        if "denselayer" in key
        else key: value
        for key, value in trained.state_dict().items()
    }
    loaded = models.densenet121(weights=old, num_classes=3)
    assert engine.equal(loaded.features.denseblock2.denselayer3.conv2.weight,
                        trained.features.denseblock2.denselayer3.conv2.weight)  # fmt: skip


def test_preprocessing() -> None:
    image = engine.arange(3 * 40 * 60, dtype=engine.uint8).reshape(3, 40, 60)
    out = models.ResNet18_Weights.DEFAULT.transforms(crop_size=16, resize_size=20)(image)
    assert out.shape == (3, 16, 16) and out.dtype == engine.float32
    flat = models.ResNet18_Weights.DEFAULT.transforms(crop_size=16, resize_size=40)(engine.full((3, 40, 40), 0.5))
    expected = [(0.5 - m) / s for m, s in zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
    np.testing.assert_allclose(flat[:, 3, 3].numpy(), expected, rtol=1e-5)


def test_training_step_of_a_residual_network() -> None:
    engine.manual_seed(0)
    model = models.ResNet(resnet.BasicBlock, [1, 1, 1, 1], num_classes=4, zero_init_residual=True)
    optimizer = engine.optim.SGD(model.parameters(), lr=0.05)
    x, y = engine.randn(8, 3, 32, 32), engine.arange(8) % 4
    losses: list[Any] = []
    for _ in range(4):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
