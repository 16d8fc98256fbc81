"""Text of a tensor."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import formatting, ops
from ..autograd.records import current_grad_fn
from ..autograd.variable import Tensor, view
from .attach import method, quiet
from .content import values_of


def show(t: Tensor) -> str:
    """Text of a tensor as torch prints it."""
    seen = t._spec
    meta = seen.device.kind == "meta"
    grad_fn = current_grad_fn(t).name() if t._rg and t._grad_fn is not None else None
    shown_device = str(seen.device) if meta or seen.device.kind != "cpu" or seen.device.index else None

    def fetch(segments: Any) -> np.ndarray:
        part = view(t, seen)
        with quiet():
            for d, ranges in enumerate(segments):
                pieces = [part.narrow(d, a, b - a) for a, b in ranges]
                part = pieces[0] if len(pieces) == 1 else ops.cat(pieces, d)
            return values_of(part)

    return formatting.format_tensor(
        None if meta else fetch,
        seen.dtype,
        shape=tuple(seen.shape),
        device=shown_device,
        requires_grad=t._rg,
        grad_fn=grad_fn,
        type_name="tensor" if type(t) is Tensor or getattr(type(t), "_prints_as_tensor", False) else type(t).__name__,
    )


@method
def __repr__(self: Tensor, *, tensor_contents: Any = None) -> str:
    return show(self)
