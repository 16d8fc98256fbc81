"""Memory formats and layouts: ``channels_last`` and the like."""

from __future__ import annotations

from .graph.spec import Spec


class memory_format:
    """An order in which the dimensions of a tensor lie in memory."""

    __slots__ = ("name", "_ndim")

    def __init__(self, name: str, ndim: int | None) -> None:
        self.name = name
        self._ndim = ndim

    def order(self, ndim: int) -> tuple[int, ...] | None:
        """Dimensions from outermost to innermost; None for row-major. Raises RuntimeError for another rank."""
        if self._ndim is None:
            return None
        if ndim != self._ndim:
            raise RuntimeError(f"required rank {self._ndim} tensor to use {self.name} format")
        return (0, *range(2, ndim), 1)

    def holds(self, spec: Spec) -> bool:
        """Whether a tensor of that description lies in this order."""
        order = self.order(spec.ndim) or range(spec.ndim)
        step = 1
        for d in reversed(tuple(order)):
            if spec.shape[d] != 1:
                if spec.stride[d] != step:
                    return False
            step *= spec.shape[d]
        return True

    def __repr__(self) -> str:
        return f"torch.{self.name}" if self.name.startswith("channels") else f"torch.{self.name}_format"

    def __reduce__(self) -> str:
        return self.name if self.name.startswith("channels") else f"{self.name}_format"


class layout:
    """How elements are stored; only ``strided`` here."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        return self.name


contiguous_format = memory_format("contiguous", None)
preserve_format = memory_format("preserve", None)
channels_last = memory_format("channels_last", 4)
channels_last_3d = memory_format("channels_last_3d", 5)
strided = layout("strided")
