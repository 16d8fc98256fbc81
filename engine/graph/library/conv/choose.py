"""The table from problem to kernel, and the three entry points of the convolutions."""

from __future__ import annotations

from typing import Any

from engine.graph.library.call import KernelCall
from engine.graph.library.conv import depthwise, direct, rows, tiled, winograd_weight
from engine.graph.library.conv import winograd as wino
from engine.graph.library.conv.problem import ConvProblem

FORWARD, INPUT, WEIGHT = "FORWARD", "INPUT", "WEIGHT"
_DIRECT = {FORWARD: direct.forward, INPUT: direct.grad_input, WEIGHT: direct.grad_weight}


def _winograd_supports(caps: Any, name: str, problem: ConvProblem, op: str) -> bool:
    if op == WEIGHT:
        return winograd_weight.supports(caps, name, problem)
    return wino.supports(caps, name, problem, op)


def candidates(caps: Any, dtype: Any, problem: ConvProblem, op: str = FORWARD, *, winograd: bool = False) -> list[str]:
    """Names of the variants that can compute ``op`` ("FORWARD", "INPUT", "WEIGHT") here, the preferred one first."""
    name = getattr(dtype, "name", dtype)
    names = []
    if name in ("float32", "float64", "float16", "bfloat16"):
        vectors = caps.kind != "gpu" and not getattr(caps, "software", False)
        if vectors and winograd and _winograd_supports(caps, name, problem, op) and wino.pays(problem, op):
            names.append("winograd")
        if vectors and rows.supports(caps, name, problem, op) and rows.pays(problem, op):
            names.append("rows")
        if vectors and depthwise.supports(caps, name, problem, op):
            names.append("depthwise")
        if vectors and direct.supports(caps, name, problem, op):
            names.append("direct")
        names.append("tiled")
    names.append("plain")
    return names


def choose(caps: Any, dtype: Any, problem: ConvProblem, op: str = FORWARD, *, winograd: bool = False) -> str:
    """The variant used when none is named."""
    return candidates(caps, dtype, problem, op, winograd=winograd)[0]


def _build(
    caps: Any, dtype: Any, problem: ConvProblem, op: str, epilogue: bool, variant: str | None, winograd: bool
) -> list[KernelCall]:
    name = getattr(dtype, "name", dtype)
    variant = variant or choose(caps, name, problem, op, winograd=winograd)
    if variant == "direct":
        extra = {"epilogue": epilogue} if op == FORWARD else {}
        return _DIRECT[op](caps, name, problem, **extra)
    if variant == "winograd" and op == WEIGHT:
        return winograd_weight.convolution(caps, problem)
    if variant == "winograd":
        return wino.convolution(caps, problem, op, epilogue=epilogue)
    if variant == "rows":
        return rows.convolution(caps, name, problem, op, epilogue=epilogue)
    if variant == "depthwise":
        return depthwise.convolution(caps, name, problem, op, epilogue=epilogue)
    if variant == "tiled":
        return tiled.convolution(caps, name, problem, op, tile=tiled.LARGE, epilogue=epilogue)
    if variant == "plain":
        return tiled.convolution(caps, name, problem, op, tile=None, epilogue=epilogue)
    raise ValueError(f"unknown convolution variant {variant!r}")


def conv_forward(
    caps: Any,
    dtype: Any,
    problem: ConvProblem,
    *,
    epilogue: bool = False,
    variant: str | None = None,
    winograd: bool = False,
) -> list[KernelCall]:
    """out = conv(x, w). Operands: x [N, C, *in], w [O, C/groups, *kernel], out [N, O, *out], contiguous, of ``dtype``.

    With ``epilogue`` the call that writes final values offers the EPILOGUE hook: the planner prepends text defining
    EPILOGUE_PARAMS and EPILOGUE(c, n, oc, pix0, npix); the names it brings must start with ``ep_``. ``winograd``
    permits Winograd kernels, whose largest error is about 7e-6 of the output's standard deviation (direct: 3e-6).
    """
    return _build(caps, dtype, problem, FORWARD, epilogue, variant, winograd)


def conv_grad_input(
    caps: Any, dtype: Any, problem: ConvProblem, *, variant: str | None = None, winograd: bool = False
) -> list[KernelCall]:
    """out = gradient of x. Operands: dy [N, O, *out], w, out [N, C, *in].

    Also the forward pass of a transposed convolution (mirror the problem; in_size may include output padding).
    """
    return _build(caps, dtype, problem, INPUT, False, variant, winograd)


def conv_grad_weight(
    caps: Any, dtype: Any, problem: ConvProblem, *, variant: str | None = None, winograd: bool = False
) -> list[KernelCall]:
    """out = gradient of w. Operands: x, dy, out [O, C/groups, *kernel]."""
    return _build(caps, dtype, problem, WEIGHT, False, variant, winograd)
