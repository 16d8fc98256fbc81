"""``engine.summary``."""

from __future__ import annotations

import pytest

import engine
from engine import models, nn


def test_resnet_has_the_published_figures(capsys: pytest.CaptureFixture) -> None:
    model = models.resnet18()
    found = engine.summary(model, (1, 3, 224, 224), depth=1)
    assert found.total_params == found.trainable_params == 11_689_512
    assert found.total_mult_adds == 1_814_073_344
    assert found.input_bytes == 3 * 224 * 224 * 4
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["Layer", "Output", "shape", "Parameters", "Multiply-adds"]
    assert lines[4].split() == ["conv1", "(Conv2d)", "[1,", "64,", "112,", "112]", "9,408", "118,013,952"]
    assert lines[8].split() == ["layer1", "(Sequential)", "[1,", "64,", "56,", "56]", "147,968", "462,422,016"]
    assert lines[-4] == "Parameters: 11,689,512 (11,689,512 trainable, 0 fixed)"
    assert all(m.training for m in model.modules()) and not model.conv1._forward_hooks


def test_nothing_is_computed() -> None:
    before = engine.launch_count()
    engine.summary(nn.Sequential(nn.Linear(8, 8), nn.ReLU()), (2, 8), verbose=False)
    assert engine.launch_count() == before


def test_shared_and_fixed_parameters() -> None:
    layer = nn.Linear(4, 4)
    model = nn.Sequential(layer, nn.Tanh(), layer)
    layer.bias.requires_grad_(False)
    found = engine.summary(model, input_data=engine.ones(3, 4), verbose=False)
    assert (found.total_params, found.trainable_params) == (20, 16)
    assert [x.again for x in found.layers] == [False, False, False, True]
    assert found.total_mult_adds == 2 * 3 * 4 * 4 and found.output_bytes == 3 * 3 * 4 * 4
    assert "again" in str(found) and repr(found) == "<Summary of Sequential: 20 parameters>"


@pytest.mark.parametrize(
    ("make", "size", "expected"),
    [
        (lambda: nn.Conv2d(4, 8, 3, groups=2), (2, 4, 6, 6), 2 * 8 * 16 * 2 * 9),
        (lambda: nn.ConvTranspose2d(4, 8, 2, 2), (1, 4, 3, 3), 4 * 9 * 8 * 4),
        (lambda: nn.LSTM(8, 16, 2, batch_first=True), (2, 5, 8), 10 * (64 * 8 + 3 * 64 * 16)),
        (lambda: nn.GRUCell(3, 5), (4, 3), 4 * 15 * 8),
    ],
)
def test_multiply_adds(make: object, size: tuple, expected: int) -> None:
    assert engine.summary(make(), size, verbose=False).total_mult_adds == expected


def test_attention() -> None:
    found = engine.summary(nn.TransformerEncoderLayer(32, 4, 64, batch_first=True), (2, 7, 32), verbose=False)
    attention = next(x for x in found.layers if x.kind == "MultiheadAttention")
    assert attention.params == 4 * 32 * 32 + 4 * 32
    assert attention.mult_adds == 14 * 32 * 32 * 4 + 2 * 14 * 7 * 32
    assert sum(x.params for x in found.layers) == found.total_params


def test_arguments() -> None:
    class Two(nn.Module):
        def forward(self, a: engine.Tensor, b: engine.Tensor, scale: float = 1.0) -> dict:
            return {"sum": a + b, "first": a * scale}

    found = engine.summary(Two(), [(2, 3), (2, 3)], dtypes=[engine.float32, engine.int64], verbose=False, scale=2.0)
    assert found.root.output_size == [[2, 3], [2, 3]] and found.input_bytes == 24 + 48
    assert engine.summary(Two(), input_data={"a": engine.ones(1), "b": engine.ones(1)}, verbose=False).total_params == 0
    with pytest.raises(ValueError, match="either"):
        engine.summary(Two())
