"""tensorboardX's SummaryWriter with this library's tensors, read back from its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import engine

pytest.importorskip("tensorboardX")

from tensorboardX.proto import event_pb2  # noqa: E402

from engine.utils.tensorboard import SummaryWriter  # noqa: E402


def events(folder: Path) -> dict:
    """The values of an event file by tag."""
    found = {}
    data = next(path for path in folder.iterdir() if path.is_file()).read_bytes()
    at = 0
    while at < len(data):  # length, its checksum, the record, its checksum
        size = int.from_bytes(data[at : at + 8], "little")
        event = event_pb2.Event.FromString(data[at + 12 : at + 12 + size])
        at += 16 + size
        for value in event.summary.value:
            found[value.tag] = value
    return found


def test_scalars_histograms_and_images(tmp_path: Path) -> None:
    layer = engine.nn.Linear(4, 3)
    loss = layer(engine.ones(2, 4)).pow(2).mean()
    loss.backward()
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_scalar("loss", loss, 1)
        writer.add_scalar("half", engine.tensor(0.5, dtype=engine.float16), 1)
        writer.add_scalars("both", {"a": engine.tensor(1.0), "b": 2.0}, 1)
        writer.add_histogram("weight", layer.weight, 1)
        writer.add_histogram("gradient", layer.weight.grad, 1)
        writer.add_image("image", engine.rand(3, 8, 8), 1)
        writer.add_images("images", engine.rand(2, 3, 8, 8), 1)
        writer.add_text("text", "words", 1)
    found = events(tmp_path)
    assert found["loss"].simple_value == pytest.approx(loss.item())
    assert found["half"].simple_value == 0.5
    assert found["weight"].histo.num == 12
    np.testing.assert_allclose(found["weight"].histo.min, layer.weight.min().item(), rtol=1e-6)
    np.testing.assert_allclose(found["gradient"].histo.sum, layer.weight.grad.sum().item(), rtol=1e-5)
    assert (found["image"].image.height, found["image"].image.width) == (8, 8)
