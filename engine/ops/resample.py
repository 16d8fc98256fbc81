"""Resampling to another size: nearest, linear and cubic, in one kernel over all axes."""

from __future__ import annotations

from functools import partial
from math import prod
from typing import Any

from ..autograd.variable import Tensor
from ..graph.library import resample as library
from ..graph.native import Native
from ..graph.spec import Spec
from .op import Op

Sizes = tuple[int, ...]


# Static argument: a ResampleProblem with planes 0.
def _shape(x: Spec, p: library.ResampleProblem, back: bool) -> Sizes:
    return (*x.shape[: x.ndim - len(p.in_size)], *(p.in_size if back else p.out_size))


def _lower(b: Any, x: Any, p: library.ResampleProblem, back: bool) -> Any:
    lead = x.shape[: x.ndim - len(p.in_size)]
    shape = (*lead, *(p.in_size if back else p.out_size))
    if not x.size or not prod(shape):
        return b.const(0, x.dtype, shape).contiguous()
    full = library.ResampleProblem(prod(lead), p.kind, p.in_size, p.out_size, p.ratio, p.flag)
    native = Native(
        "resample_backward" if back else "resample", ("x",), ("out",), ((shape, x.dtype),),
        lambda caps: library.resample(caps, x.dtype, full, back=back), reference=partial(library.reference, full, back),
    )  # fmt: skip
    return b.kernel(native, [x if x.view.contiguous else x.contiguous()], native.outputs)[0]


def _pair(name: str) -> Op:
    grad_name = f"{name}Backward0"
    forward = Op(
        name, lambda x, p: (_shape(x, p, False), x.dtype), lambda b, x, p: _lower(b, x, p, False),
        lambda ctx, g: (back((g,), ctx.static),), grad_name=grad_name,
    )  # fmt: skip
    back = Op(
        f"{name}_backward", lambda g, p: (_shape(g, p, True), g.dtype), lambda b, g, p: _lower(b, g, p, True),
        lambda ctx, h: (forward((h,), ctx.static),), grad_name=f"{name}BackwardBackward0",
    )  # fmt: skip
    return forward


_OPS = {
    ("linear", 1): _pair("UpsampleLinear1D"),
    ("linear", 2): _pair("UpsampleBilinear2D"),
    ("linear", 3): _pair("UpsampleTrilinear3D"),
    ("cubic", 2): _pair("UpsampleBicubic2D"),
    **{("nearest", n): _pair(f"UpsampleNearest{n}D") for n in (1, 2, 3)},
    **{("nearest-exact", n): _pair(f"UpsampleNearestExact{n}D") for n in (1, 2, 3)},
}
_KINDS = {
    "nearest": library.NEAREST, "nearest-exact": library.NEAREST, "linear": library.LINEAR, "cubic": library.CUBIC,
}  # fmt: skip


def resample(x: Tensor, kind: str, out: Sizes, ratio: tuple[float, ...], align_corners: bool = False) -> Tensor:
    """(*, *spatial) floats to the spatial size ``out``. ``ratio``: input positions an output position, for each axis.

    ``kind``: nearest, nearest-exact, linear or cubic (two axes).
    """
    n = len(out)
    flag = kind == "nearest-exact" or align_corners
    p = library.ResampleProblem(0, _KINDS[kind], tuple(x._spec.shape[-n:]), out, ratio, flag)
    return _OPS[kind, n]((x,), (p,))
