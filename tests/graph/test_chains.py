"""Writes of parts into one array: one kernel where the parts have one shape and do not overlap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import engine
from engine.graph.chains import disjoint
from engine.graph.view import View

_RANDOM = np.random.default_rng(0)


def _launches(program: Callable[[], Any]) -> tuple[np.ndarray, int]:
    engine.synchronize()
    before = engine.launch_count()
    result = program()
    engine.synchronize()
    return result.numpy(), engine.launch_count() - before


@pytest.mark.parametrize("count", [2, 4, 16])
@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_parts_of_one_shape(count: int, dim: int, dtype: str) -> None:
    parts = [(_RANDOM.standard_normal((25, 30)) * 9).astype(dtype) for _ in range(count)]
    tensors = [engine.from_numpy(p) for p in parts]
    made, kernels = _launches(lambda: engine.stack(tensors, dim))
    assert np.array_equal(made, np.stack(parts, dim)) and kernels <= (count + 13) // 14
    made, kernels = _launches(lambda: engine.cat(tensors, dim % 2))
    assert np.array_equal(made, np.concatenate(parts, dim % 2)) and kernels <= (count + 13) // 14


def test_many_parts_of_several_shapes_and_views() -> None:
    parts = [_RANDOM.standard_normal((6, 3 + k % 3, 5)).astype(np.float32) for k in range(40)]
    tensors = [engine.from_numpy(p) for p in parts]
    assert np.array_equal(engine.cat([t * 2 for t in tensors], 1).numpy(), np.concatenate(parts, 1) * 2)
    views = [engine.from_numpy(p).permute(2, 0, 1)[:, :, :3] for p in parts]
    want = np.stack([p.transpose(2, 0, 1)[:, :, :3] for p in parts], 2)
    assert np.array_equal(engine.stack(views, 2).numpy(), want)


def test_slices_assigned_one_after_another() -> None:
    x = engine.zeros(10, 20)
    x[0:5], x[5:10], x[2:7] = 1, 2, 3  # the third overlaps
    assert x[:, 0].tolist() == [1, 1, 3, 3, 3, 3, 3, 2, 2, 2]
    y = engine.arange(20.0)
    y[0:10] = y[10:20]
    y[10:20] = y[0:10].clone() * 2
    assert y.tolist() == [*range(10, 20), *range(20, 40, 2)]
    z = engine.arange(20.0)
    a, b = z[0:10] + 0, z[10:20] + 0
    z[0:10], z[10:20] = b, a
    assert z.tolist() == [*range(10, 20), *range(10)]
    w = engine.arange(6.0)
    w[0:3] = 9
    kept = w.clone()  # what lies between the two writes is seen
    w[3:6] = 8
    assert kept.tolist() == [9, 9, 9, 3, 4, 5] and w.tolist() == [9, 9, 9, 8, 8, 8]


def test_disjoint_views_by_enumeration() -> None:
    shapes = [(3, 4), (2, 1, 5), (6,)]
    for shape in shapes:
        for strides in (
            ((10, 1), (12, 3), (5, 1), (2, 10)) if len(shape) == 2 else ((20, 7, 2),) if shape[1:] else ((3,),)
        ):
            places = [sum(i * s for i, s in zip(at, strides)) for at in np.ndindex(*shape)]
            for offset in range(40):
                meet = bool(set(places) & {p + offset for p in places})
                assert not (disjoint(View(shape, strides, 0), View(shape, strides, offset)) and meet)
    assert disjoint(View((3, 4), (8, 1), 0), View((3, 4), (8, 1), 4))
