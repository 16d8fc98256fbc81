"""tensorboardX's writer, given NumPy arrays in place of tensors: it knows those of some libraries by name."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ...dtypes import bfloat16, float32
from ...tensor import Tensor

try:
    import tensorboardX
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.record_writer import RecordWriter
except ModuleNotFoundError as error:
    if error.name != "tensorboardX":
        raise
    raise ModuleNotFoundError(
        "SummaryWriter needs the tensorboardX package: pip install tensorboardX", name="tensorboardX"
    ) from None

FileWriter = tensorboardX.FileWriter

__all__ = ["EventsWriter", "FileWriter", "RecordWriter", "SummaryWriter"]


def _plain(value: Any) -> Any:
    """The value with tensors in it, also inside lists and dicts, as NumPy arrays."""
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        return (value.to(float32) if value.dtype is bfloat16 else value).numpy()
    if type(value) in (list, tuple):
        return type(value)(_plain(item) for item in value)
    if type(value) is dict:
        return {key: _plain(item) for key, item in value.items()}
    return value


def _converting(name: str) -> Callable[..., Any]:
    original = getattr(tensorboardX.SummaryWriter, name)

    @functools.wraps(original)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return original(self, *map(_plain, args), **{key: _plain(value) for key, value in kwargs.items()})

    return method


class SummaryWriter(tensorboardX.SummaryWriter):
    """Writes scalars, histograms, images ... for TensorBoard; see tensorboardX for the methods ``add_*``."""

    def add_graph(self, model: Any, *args: Any, **kwargs: Any) -> None:
        """Raises RuntimeError: a network has no graph apart from its runs; see ``viz`` and ``summary``."""
        raise RuntimeError(
            "add_graph is not supported: use viz.graph(output) for a drawing, summary(model) for a table"
        )


for _name in dir(tensorboardX.SummaryWriter):
    if _name.startswith("add_") and _name not in ("add_graph", "add_onnx_graph", "add_openvino_graph"):
        setattr(SummaryWriter, _name, _converting(_name))
