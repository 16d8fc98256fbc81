"""Derivatives by central differences, against which tests hold the library's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import engine


def leaf(array: np.ndarray) -> Any:
    """A float64 leaf that requires a gradient."""
    return engine.tensor(np.asarray(array, np.float64)).requires_grad_(True)


def numeric_gradients(scalar: Callable[..., float], arrays: list[np.ndarray], step: float) -> list[np.ndarray]:
    """d scalar / d array, element by element."""
    grads = []
    for array in arrays:
        grad = np.zeros(array.shape)
        for at in np.ndindex(*array.shape):
            kept = array[at]
            array[at] = kept + step
            high = scalar(*arrays)
            array[at] = kept - step
            low = scalar(*arrays)
            array[at] = kept
            grad[at] = (high - low) / (2 * step)
        grads.append(grad)
    return grads


def check_gradients(fn: Callable[..., Any], *arrays: np.ndarray, step: float = 1e-5, tol: float = 1e-6) -> None:
    """First and second derivatives of ``fn(*tensors) -> tensor`` against central differences."""
    rng = np.random.default_rng(0)
    arrays = [np.array(a, np.float64) for a in arrays]
    with engine.no_grad():
        out = fn(*(engine.tensor(a) for a in arrays))
    up = rng.uniform(0.5, 1.5, tuple(out.shape))
    other = [rng.uniform(0.5, 1.5, a.shape) for a in arrays]

    def first(*values: np.ndarray) -> float:
        with engine.no_grad():
            return float((fn(*(engine.tensor(v) for v in values)) * engine.tensor(up)).sum())

    def gradients(values: Any, create_graph: bool) -> tuple[list, list]:
        leaves = [leaf(v) for v in values]
        loss = (fn(*leaves) * engine.tensor(up)).sum()
        return leaves, list(engine.autograd.grad(loss, leaves, create_graph=create_graph))

    def mixed(grads: list) -> Any:
        return sum((g * engine.tensor(o)).sum() for g, o in zip(grads, other))

    leaves, grads = gradients(arrays, True)
    for got, want in zip(grads, numeric_gradients(first, arrays, step)):
        np.testing.assert_allclose(got.detach().numpy(), want, rtol=tol, atol=tol)
    total = mixed(grads)
    seconds = engine.autograd.grad(total, leaves, allow_unused=True) if total.requires_grad else [None] * len(leaves)
    wanted = numeric_gradients(lambda *values: float(mixed(gradients(values, False)[1])), arrays, step)
    for got, want in zip(seconds, wanted):
        have = np.zeros(want.shape) if got is None else got.numpy()
        np.testing.assert_allclose(have, want, rtol=tol, atol=tol)
