"""``FakeTensor``, for programs that ask whether a tensor is one: here none is (tensors on "meta" have no content)."""

from __future__ import annotations

from ..tensor import Tensor


class FakeTensor(Tensor):
    """A tensor without content of PyTorch's tracing; never made here."""


class FakeTensorMode:
    """PyTorch's mode that makes such tensors. Raises RuntimeError when entered."""

    def __enter__(self) -> FakeTensorMode:
        raise RuntimeError("FakeTensorMode is not available: make tensors on the device 'meta' instead")

    def __exit__(self, *details: object) -> None:
        """Nothing to leave."""


def is_fake(x: object) -> bool:
    """Whether a value is a FakeTensor: no."""
    return isinstance(x, FakeTensor)
