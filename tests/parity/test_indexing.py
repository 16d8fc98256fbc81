"""Indexing against torch: random mixtures, masks, errors, assignment, gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from both import agree

SHAPE = (4, 3, 5)


def array(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def random_key(rng: np.random.Generator, shape: tuple[int, ...]) -> list[Any]:
    """An index as a list of descriptions that both libraries can build."""
    key: list[Any] = []
    advanced = tuple(int(n) for n in rng.integers(1, 4, rng.integers(0, 3)))
    ellipsis_used = False
    d = 0
    while d < len(shape):
        kind = rng.integers(10)
        n = shape[d]
        if kind == 0:
            key.append(("int", int(rng.integers(-n, n))))
        elif kind in (1, 2):
            a, b = sorted(int(v) for v in rng.integers(-n, n + 1, 2))
            key.append(
                ("slice", a if rng.random() < 0.7 else None, b if rng.random() < 0.7 else None, int(rng.integers(1, 3)))
            )
        elif kind == 3:
            key.append(("none",))
            continue
        elif kind == 4 and not ellipsis_used:
            ellipsis_used = True
            key.append(("ellipsis",))
            d += int(rng.integers(0, len(shape) - d + 1))
            continue
        elif kind in (5, 6):
            cut = advanced[int(rng.integers(0, len(advanced) + 1)) :]
            key.append(("tensor", rng.integers(-n, n, cut).tolist()))
        elif kind == 7:
            key.append(("list", rng.integers(-n, n, advanced[-1] if advanced else 2).tolist()))
        elif kind == 8 and not advanced:
            key.append(("mask", (rng.random(n) < 0.6).tolist()))
        elif kind == 9 and d + 1 < len(shape) and not advanced:
            key.append(("mask", (rng.random((n, shape[d + 1])) < 0.5).tolist()))
            d += 1
        else:
            key.append(("slice", None, None, 1))
        d += 1
        if rng.random() < 0.15:
            break
    return key


def build(t: Any, key: list[Any]) -> Any:
    out = []
    for kind, *rest in key:
        if kind == "slice":
            out.append(slice(*rest))
        elif kind == "none":
            out.append(None)
        elif kind == "ellipsis":
            out.append(Ellipsis)
        elif kind in ("tensor", "mask"):
            out.append(t.tensor(rest[0]))
        else:
            out.append(rest[0])
    return tuple(out) if len(out) != 1 else out[0]


@pytest.mark.parametrize("seed", range(20))
def test_random_reads_and_gradients(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(6):
        key = random_key(rng, SHAPE)

        def run(t: Any, key: list = key) -> Any:
            x = t.tensor(array(*SHAPE).tolist()).requires_grad_()
            y = x[build(t, key)]
            (y * y).sum().backward()
            return y, x.grad

        agree(run, strides=False, text=12)


@pytest.mark.parametrize("seed", range(20))
def test_random_writes_and_gradients(seed: int) -> None:
    rng = np.random.default_rng(1000 + seed)
    for _ in range(6):
        key = random_key(rng, SHAPE)
        number = bool(rng.integers(2))

        def run(t: Any, key: list = key, number: bool = number) -> Any:
            x = t.tensor(array(*SHAPE).tolist()).requires_grad_()
            y = x * 1
            where = build(t, key)
            shape = tuple(y[where].shape)
            if number:
                y[where] = 3.5
                (y * y).sum().backward()
                return y, x.grad
            size = int(np.prod(shape, dtype=int))
            v = t.full((max(size, 1),), 2.0)[:size].reshape(shape).requires_grad_()
            y[where] = v
            return y, v.requires_grad

        agree(run, strides=False, text=12)


READS = {
    "bool scalar": lambda t, x: x[True],
    "bool scalar false": lambda t, x: x[False],
    "tensor bool scalar": lambda t, x: x[t.tensor(True)],
    "0-dim index": lambda t, x: x[t.tensor(1)],
    "0-dim index in tuple": lambda t, x: x[t.tensor(1), 0],
    "0-dim with vector": lambda t, x: x[t.tensor(1), t.tensor([0, 2])],
    "empty list": lambda t, x: x[[]],
    "empty tensor": lambda t, x: x[t.tensor([], dtype=t.long)],
    "nested list": lambda t, x: x[[[0, 1], [1, 2]]],
    "list of lists in tuple": lambda t, x: x[[0, 1], [1, 2]],
    "numpy": lambda t, x: x[np.array([0, 2])],
    "numpy mask": lambda t, x: x[np.array([True, False, True, False])],
    "numpy int": lambda t, x: x[np.int64(1)],
    "range": lambda t, x: x[range(2)],
    "full mask": lambda t, x: x[x > 0],
    "mask of rows": lambda t, x: x[x[:, 0, 0] > 0],
    "mask and int": lambda t, x: x[t.tensor([True, False, True, True]), 1],
    "mask in the middle": lambda t, x: x[:, t.tensor([True, False, True])],
    "uint8 mask": lambda t, x: x[t.tensor([1, 0, 1, 0], dtype=t.uint8)],
    "int32": lambda t, x: x[t.tensor([1, 0], dtype=t.int32)],
    "separated": lambda t, x: x[t.tensor([0, 1]), :, t.tensor([1, 2])],
    "broadcast": lambda t, x: x[t.tensor([[0], [1]]), t.tensor([0, 2])],
    "none and tensor": lambda t, x: x[None, t.tensor([0, 1]), None],
    "slice object of tensors": lambda t, x: x[t.tensor(1) : t.tensor(3)],
    "out of range": lambda t, x: x[4],
    "out of range negative": lambda t, x: x[-5],
    "tensor out of range": lambda t, x: x[t.tensor([0, 4])],
    "too many": lambda t, x: x[0, 0, 0, 0],
    "negative step": lambda t, x: x[::-1],
    "zero step": lambda t, x: x[::0],
    "float index": lambda t, x: x[1.0],
    "float tensor": lambda t, x: x[t.tensor([1.0])],
    "mask of wrong size": lambda t, x: x[t.tensor([True, False])],
    "not broadcastable": lambda t, x: x[t.tensor([0, 1]), t.tensor([0, 1, 2])],
    "0-dim tensor by int": lambda t, x: x.sum()[0],
    "0-dim by ellipsis": lambda t, x: x.sum()[...],
    "0-dim by none": lambda t, x: x.sum()[None],
    "0-dim by empty tuple": lambda t, x: x.sum()[()],
    "all by empty tuple": lambda t, x: x[()],
    "string": lambda t, x: x["a"],
    "beyond slice": lambda t, x: x[2:100],
    "reversed slice": lambda t, x: x[3:1],
    "take": lambda t, x: t.take(x, t.tensor([0, 5, -1])),
    "index_select": lambda t, x: t.index_select(x, 1, t.tensor([2, 0])),
    "masked_select": lambda t, x: t.masked_select(x, x > 0),
    "gather": lambda t, x: t.gather(x, 2, t.tensor([[[0, 1]]])),
    "iteration": lambda t, x: [row.sum() for row in x],
    "unpacking": lambda t, x: (lambda a, b, c, d: a + d)(*x),
    "contains": lambda t, x: (1e9 in x, x[0, 0, 0] in x),
}


@pytest.mark.parametrize("name", READS)
def test_reads(name: str) -> None:
    agree(lambda t: READS[name](t, t.tensor(array(*SHAPE).tolist())), strides=False, text=18)


def _put(accumulate: bool) -> Any:
    def run(t: Any, x: Any) -> Any:
        x.index_put_((t.tensor([0, 0, 2]), t.tensor([1, 1, 2])), t.ones(3, 5), accumulate=accumulate)
        return x

    return run


def _set(key: Any, value: Any) -> Any:
    def run(t: Any, x: Any) -> Any:
        x[key(t) if callable(key) else key] = value(t) if callable(value) else value
        return x

    return run


WRITES = {
    "accumulate": _put(True),
    "put": _put(False),
    "number": _set(1, 5),
    "row": _set(0, lambda t: t.arange(5.0)),
    "leading ones": _set(0, lambda t: t.ones(1, 1, 3, 5)),
    "cast": _set(0, lambda t: t.arange(5)),
    "mask number": _set(lambda t: t.tensor([True, False, True, False]), 7.0),
    "mask tensor": _set(lambda t: t.tensor([True, False, True, False]), lambda t: t.ones(2, 3, 5)),
    "mask of wrong count": _set(lambda t: t.tensor([True, False, True, False]), lambda t: t.ones(3, 3, 5)),
    "shape mismatch": _set(0, lambda t: t.ones(4)),
    "index tensor mismatch": _set(lambda t: t.tensor([0, 1]), lambda t: t.ones(3)),
    "numpy value": _set(0, np.float64(2)),
    "list value": _set(0, [1.0]),
    "string value": _set(0, "a"),
    "none value": _set(0, None),
    "strided": _set((slice(None, None, 2), Ellipsis, -1), 0.0),
    "none key": _set(None, 2.0),
    "everything": _set(Ellipsis, 4.0),
    "false": _set(False, 4.0),
    "out of range": _set(9, 4.0),
    "empty target": _set(slice(3, 1), 4.0),
    "0-dim value in vector": _set(lambda t: t.tensor([0, 2]), lambda t: t.tensor(3.0)),
    "column": _set((slice(None), 1, lambda t: 0) [:2], lambda t: t.arange(5.0)),
    "repeated": _set(lambda t: t.tensor([1, 1]), lambda t: t.ones(2, 3, 5)),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITES)
def test_writes(name: str) -> None:
    agree(lambda t: WRITES[name](t, t.tensor(array(*SHAPE).tolist())), strides=False, text=18)
