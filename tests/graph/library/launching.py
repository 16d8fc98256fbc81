"""Runs lists of KernelCall on the default device, for tests of the kernel library."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

import cl_kernels
from engine.graph.library.call import Float, Int, KernelCall, Operand, Scratch
from engine.opencl import BoundKernel, default_runtime

GUARD = 13  # elements before and after every operand, to see that offsets are kept and nothing is overrun


def device_caps(**changes: Any) -> Any:
    """The default device's capabilities with some of them changed."""
    return replace(default_runtime().caps, **changes)


def run_calls(
    calls: list[KernelCall],
    operands: dict[str, np.ndarray],
    *,
    prefix: str = "",
    extra: tuple[np.ndarray, ...] = (),
    include: str = "",
) -> dict[str, np.ndarray]:
    """Launch ``calls`` over copies of ``operands``; the operands after the run. ``include``: a file put before theirs.

    ``prefix`` is put before the source of the calls that offer the epilogue, ``extra`` are the buffers its parameters
    name (each without an offset).
    """
    runtime = default_runtime()
    padded = {}
    for name, value in operands.items():
        flat = np.full(value.size + 2 * GUARD, 99, value.dtype)
        flat[GUARD : GUARD + value.size] = value.ravel()
        padded[name] = flat
    buffers = {name: runtime.upload(flat) for name, flat in padded.items()}
    sizes: dict[str, int] = {}
    for call in calls:
        for a in call.args:
            if isinstance(a, Scratch):
                sizes[a.name] = max(sizes.get(a.name, 64), a.nbytes)
    scratch = {name: runtime.memory.alloc(n) for name, n in sizes.items()}
    added = [runtime.upload(a) for a in extra]
    bound = []
    for call in calls:
        with_hook = call.epilogue and prefix
        text = (prefix if with_hook else "") + (cl_kernels.source(include) if include else "")
        text += cl_kernels.source(call.source)
        kernel = runtime.programs.kernel(text, call.kernel, call.options)
        launch = BoundKernel(runtime.queue, kernel, call.global_size, call.local_size)
        i = 0
        for a in call.args:
            if isinstance(a, Operand | Scratch):
                launch.set_buffer(i, buffers[a.name] if isinstance(a, Operand) else scratch[a.name])
                launch.set_long(i + 1, GUARD if isinstance(a, Operand) else 0)
                i += 2
            elif isinstance(a, Int):
                launch.set_long(i, a.value)
                i += 1
            elif isinstance(a, Float):
                launch.set_float(i, a.value)
                i += 1
        for buffer in added if with_hook else []:
            launch.set_buffer(i, buffer)
            i += 1
        bound.append(launch)
    for launch in bound:
        launch.enqueue()
    runtime.queue.finish()
    results = {}
    for name, value in operands.items():
        flat = np.empty_like(padded[name])
        runtime.queue.read(buffers[name], 0, flat)
        assert (flat[:GUARD] == 99).all(), f"{name}: written before its start"
        assert (flat[GUARD + value.size :] == 99).all(), f"{name}: written after its end"
        results[name] = flat[GUARD : GUARD + value.size].reshape(value.shape)
    return results
