"""Running one program with this library and with torch, and comparing what comes out."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import engine

torch = pytest.importorskip("torch")


def plain(value: Any) -> Any:
    """Tensors as (shape, stride, dtype, values, requires_grad); other things as they are."""
    if isinstance(value, (engine.Tensor, torch.Tensor)):
        seen = value.detach()
        values = np.array(seen.tolist(), dtype=None if seen.numel() else np.float32)
        return ("tensor", tuple(value.shape), tuple(value.stride()), str(value.dtype), values, value.requires_grad)
    if isinstance(value, (engine.Size, torch.Size)):
        return ("size", tuple(value))
    if isinstance(value, (engine.dtype, torch.dtype)):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return value


def outcome(program: Callable[[Any], Any], library: Any) -> Any:
    """What a program returns, or the exception it raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return plain(program(library))
        except Exception as error:
            return error


def same(a: Any, b: Any, tolerance: float, strides: bool) -> bool:
    """Whether two outcomes agree."""
    if isinstance(a, tuple) and isinstance(b, tuple) and a and b and a[0] == b[0] == "tensor":
        return (
            a[1] == b[1]
            and (not strides or a[2] == b[2] or 0 in a[1])
            and a[3] == b[3]
            and a[5] == b[5]
            and np.allclose(a[4], b[4], rtol=tolerance, atol=tolerance, equal_nan=True)
        )
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(same(x, y, tolerance, strides) for x, y in zip(a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k], tolerance, strides) for k in a)
    if isinstance(a, float) and isinstance(b, float):
        return bool(np.isclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True))
    return bool(a == b)


def agree(program: Callable[[Any], Any], *, tolerance: float = 1e-5, strides: bool = True, text: int = 40) -> None:
    """Assert that both libraries give the same values or raise the same kind of error.

    text: so many first characters of the error messages must agree.
    """
    ours, theirs = outcome(program, engine), outcome(program, torch)
    if isinstance(theirs, Exception) or isinstance(ours, Exception):
        if isinstance(ours, Exception) and not isinstance(theirs, Exception):
            raise AssertionError(f"raises {type(ours).__name__}: {ours}; torch gives {theirs}") from ours
        assert isinstance(ours, Exception), f"torch raises {type(theirs).__name__}: {theirs}; here {ours}"
        assert isinstance(ours, type(theirs)), (
            f"{type(ours).__name__}: {ours} against {type(theirs).__name__}: {theirs}"
        )
        assert str(ours)[:text] == str(theirs)[:text], f"{ours}\nagainst\n{theirs}"
        return
    assert same(ours, theirs, tolerance, strides), f"{ours}\nagainst\n{theirs}"
