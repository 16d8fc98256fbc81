"""Measured choices of variants: found by ``python -m engine tune``, kept per device in the cache folder."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import cl_kernels
from engine import opencl
from engine.graph.library.call import Int, KernelCall, Operand
from engine.settings import settings

from .build import gemm_calls
from .problem import Problem, Strides, Variant
from .table import candidates

_FORMAT = 1
_GOOD = 0.97  # a variant must take less than this part of the built-in choice's time to replace it

# (batch, m, n, k, layout): products of common networks
SHAPES = (
    *((1, n, n, n, layout) for n in (64, 128, 256, 512, 1024) for layout in ("NN", "NT", "TN")),
    *((1, rows, 3072, 768, "NT") for rows in (1, 32, 64, 128, 256)),
    *((1, rows, 768, 3072, layout) for rows in (1, 32, 64, 128, 256) for layout in ("NT", "NN")),
    *((1, 3072, 768, rows, "TN") for rows in (32, 64, 128, 256)),
    *((1, rows, 768, 768, "NT") for rows in (32, 128, 512)),
    (96, 128, 64, 128, "NN"),
    (96, 128, 128, 64, "NT"),
)


def _file(caps: Any) -> Path:
    parts = (caps.name, caps.platform_version, caps.driver_version, caps.compute_units, caps.float_vector_width)
    key = hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:24]
    return settings.cache_path("tuned", f"{key}.json")


def tuned(caps: Any) -> dict[str, Variant]:
    """Choices stored for a device, by ``Problem.key``; empty where there are none or the file is not usable."""
    return _read(_file(caps)) if settings.tuned else {}


@lru_cache(maxsize=16)
def _read(path: Path) -> dict[str, Variant]:
    try:
        found = json.loads(path.read_text())
        return {key: Variant(**v) for key, v in found["gemm"].items()} if found["format"] == _FORMAT else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def store(caps: Any, choices: dict[str, Variant]) -> Path:
    """Add choices to a device's file (written whole or not at all) and return its path."""
    path = _file(caps)
    _read.cache_clear()
    merged = {**_read(path), **choices}
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"format": _FORMAT, "gemm": {key: v.to_dict() for key, v in sorted(merged.items())}}, indent=1)
    handle, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    os.replace(name, path)
    _read.cache_clear()
    return path


def problem_of(shape: tuple[int, int, int, int, str], dtype: str = "float32") -> Problem:
    """A contiguous product; a T in the layout means that operand is stored transposed."""
    batch, m, n, k, layout = shape
    a = Strides(m * k, k, 1) if layout[0] == "N" else Strides(m * k, 1, m)
    b = Strides(k * n, n, 1) if layout[1] == "N" else Strides(k * n, 1, k)
    return Problem(dtype, batch, m, n, k, a, b, n, m * n)


def search(runtime: opencl.Runtime, problem: Problem, most: int = 12) -> Iterator[tuple[Variant, float]]:
    """(variant, seconds) of the likeliest variants of a problem, the built-in choice first."""
    size = problem.element.storage_size
    span = max(problem.batch, 1) * size
    operands = {
        name: runtime.upload(np.zeros(count * span, np.uint8))
        for name, count in (
            ("a", problem.m * problem.k),
            ("b", problem.k * problem.n),
            ("out", problem.m * problem.n),
        )
    }
    for variant, calls in _candidates(runtime.caps, problem, most):
        yield variant, _measure(runtime, calls, operands)


def _measure(runtime: opencl.Runtime, calls: list[KernelCall], operands: dict[str, opencl.Buffer]) -> float:
    """Seconds of the fastest of several runs."""
    scratch: dict[str, opencl.Buffer] = {}
    launches = []
    for call in calls:
        kernel = runtime.programs.kernel(cl_kernels.source(call.source), call.kernel, call.options)
        bound = opencl.BoundKernel(runtime.queue, kernel, call.global_size, call.local_size)
        index = 0
        for arg in call.args:
            if isinstance(arg, Int):
                bound.set_long(index, arg.value)
                index += 1
                continue
            if isinstance(arg, Operand):
                buffer = operands[arg.name]
            else:
                buffer = scratch.setdefault(arg.name, runtime.memory.alloc(arg.nbytes))
            bound.set_buffer(index, buffer)
            bound.set_long(index + 1, 0)
            index += 2
        launches.append(bound)
    best, spent = float("inf"), 0.0
    for _ in range(50):
        start = time.perf_counter()
        for bound in launches:
            bound.enqueue()
        runtime.queue.finish()
        taken = time.perf_counter() - start
        best, spent = min(best, taken), spent + taken
        if spent > 0.2:
            break
    return best


def _candidates(caps: Any, problem: Problem, most: int) -> list[tuple[Variant, list[KernelCall]]]:
    p = problem
    found = []
    for variant in candidates(caps, p)[:most]:
        calls = gemm_calls(caps, p.dtype, p.batch, p.m, p.n, p.k, p.a, p.b, p.c_ld, p.c_batch, variant=variant)
        found.append((variant, calls))
    return found


def tune(runtime: opencl.Runtime, shapes: Any = SHAPES, dtype: str = "float32") -> Iterator[str]:
    """Measure products and store what beats the built-in choice; yields a line of text a product."""
    choices: dict[str, Variant] = {}
    for shape in shapes:
        problem = problem_of(shape, dtype)
        times = list(search(runtime, problem))
        built_in = times[0][1]
        best, taken = min(times, key=lambda item: item[1])
        if taken < _GOOD * built_in:
            choices[problem.key] = best
        rate = problem.flops / min(taken, built_in) / 1e9
        yield f"{problem.key:<36} {built_in * 1e6:9.1f} us -> {taken * 1e6:9.1f} us {rate:8.1f} GFLOP/s"
    yield f"{len(choices)} choices stored in {store(runtime.caps, choices)}"
