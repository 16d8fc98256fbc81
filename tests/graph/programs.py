"""Random tensor programs: the same ones can run on a device and in NumPy."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy as np

import engine as torch
from engine.device import default
from engine.graph.host import HostLog

SIZES = (1, 2, 3, 5, 8)
_BINARY = ("add", "sub", "mul", "maximum", "minimum", "where", "addk", "rsubk", "mulk", "lt", "floordiv")
_UNARY = ("neg", "abs", "relu", "clamp", "square", "sign", "int", "bool", "half")
_SMOOTH = ("exp", "sigmoid", "tanh", "softmax", "log_softmax", "mean", "standardise", "var")


@contextlib.contextmanager
def on_host() -> Iterator[None]:
    """Tensors made inside live in NumPy: every op is computed by itself, in the order it was written."""
    cpu = torch.device("cpu")
    before, override = cpu.graph, default.override
    cpu.graph, default.override = HostLog(cpu), cpu
    try:
        yield
    finally:
        cpu.graph, default.override = before, override


class Program:
    """A random straight-line program over a few tensors, the same for the same seed.

    Exact programs stay within small multiples of 1/8, so that any order of summation gives the same bits; ``smooth``
    ones add transcendental functions and softmax-like patterns and are compared within a tolerance. With ``grad`` the
    gradients of the inputs belong to the results (None where a changed value cannot be differentiated).
    """

    def __init__(self, seed: int, smooth: bool = False, grad: bool = False, steps: int = 14) -> None:
        self.seed = seed
        self.smooth = smooth
        self.grad = grad
        self.steps = steps

    def inputs(self, round_: int) -> list[np.ndarray]:
        """Values of the tensors a run starts from; shapes are the same in every round."""
        rng = random.Random(self.seed)
        values = np.random.default_rng((self.seed, round_))
        shapes = [tuple(rng.choice(SIZES) for _ in range(rng.randint(1, 4))) for _ in range(2)]
        shapes.append(tuple(1 if rng.random() < 0.4 else n for n in shapes[0]))
        return [values.integers(-16, 17, s).astype(np.float32) / 8 for s in shapes]

    def run(self, round_: int) -> list[np.ndarray]:
        """All results of one run."""
        inputs = [torch.tensor(a, requires_grad=self.grad) for a in self.inputs(round_)]
        run = _Run(random.Random(self.seed), self.smooth, [x * 1 for x in inputs] if self.grad else inputs)
        for _ in range(self.steps):
            run.step()
        return [t.detach().numpy().copy() for t in run.live + (_gradients(run.live, inputs) if self.grad else [])]


def _gradients(results: list[torch.Tensor], inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    """Gradients of a sum of all results, where autograd allows it."""
    used = [t for t in results if t.requires_grad]
    if not used:
        return []
    try:
        found = torch.autograd.grad([(t * 0.5).sum() for t in used], inputs, allow_unused=True)
    except RuntimeError as error:
        assert "modified by an inplace operation" in str(error), error
        return []
    return [g for g in found if g is not None]


class _Run:
    def __init__(self, rng: random.Random, smooth: bool, live: list[torch.Tensor]) -> None:
        self.rng = rng
        self.smooth = smooth
        self.live = live

    def pick(self) -> torch.Tensor:
        return self.live[self.rng.randrange(len(self.live))]

    def pick_float(self) -> torch.Tensor:
        t = self.pick()
        return t if t.dtype is torch.float32 else t.float()

    def like(self, x: torch.Tensor) -> torch.Tensor:
        """A tensor that broadcasts with ``x``."""
        fits = [t for t in self.live if _broadcasts(t.shape, x.shape) and t.dtype is torch.float32]
        return self.rng.choice(fits) if fits else x

    def step(self) -> None:
        kinds = (self.unary, self.binary, self.view, self.view, self.reduce, self.write, self.write, self.gather,
                 self.drop, self.read, self.join, self.product,
                 self.ordered)  # fmt: skip
        kind = self.rng.choice(kinds)
        if self.smooth and self.rng.random() < 0.3:
            kind = self.smooth_op
        result = kind()
        if result is not None:
            if result.numel() <= 4096:
                self.live.append(result)

    def unary(self) -> torch.Tensor:
        x, name = self.pick_float(), self.rng.choice(_UNARY)
        return {
            "neg": lambda: -x, "abs": lambda: x.abs(), "relu": lambda: x.relu(), "clamp": lambda: x.clamp(-2, 1.5),
            "square": lambda: (x * x).clamp(max=16).mul(8).floor() / 8, "sign": lambda: x.sign(),
            "int": lambda: x.int().float(), "bool": lambda: (x > 0), "half": lambda: x.clamp(-64, 64).half().float(),
        }[name]()  # fmt: skip

    def binary(self) -> torch.Tensor:
        x = self.pick_float()
        y, name = self.like(x), self.rng.choice(_BINARY)
        k = self.rng.randint(-3, 3) / 4
        out = {
            "add": lambda: x + y, "sub": lambda: x - y, "mul": lambda: x.clamp(-4, 4).floor() * y.clamp(-4, 4),
            "maximum": lambda: torch.maximum(x, y), "minimum": lambda: torch.minimum(x, y),
            "where": lambda: torch.where(x > y, x, y + 1), "addk": lambda: x + k, "rsubk": lambda: k - y,
            "mulk": lambda: x.floor() * k, "lt": lambda: (x < y).float(),
            "floordiv": lambda: (x.clamp(-8, 8) / 0.5).floor(),
        }[name]()  # fmt: skip
        return out.clamp(-256, 256)

    def smooth_op(self) -> torch.Tensor:
        x, name = self.pick_float(), self.rng.choice(_SMOOTH)
        x = x.clamp(-4, 4)
        dim = self.rng.randrange(x.ndim) if x.ndim else 0
        return {
            "exp": lambda: x.exp(), "sigmoid": lambda: x.sigmoid(), "tanh": lambda: x.tanh(),
            "softmax": lambda: x.softmax(dim), "log_softmax": lambda: x.log_softmax(dim), "mean": lambda: x.mean(),
            "standardise": lambda: (x - x.mean(dim, True)) / (1 + (x * x).mean(dim, True)).sqrt(),
            "var": lambda: x.var(dim, correction=0),
        }[name]()  # fmt: skip

    def view(self) -> torch.Tensor:
        x, rng = self.pick(), self.rng
        if not x.ndim:
            return x.unsqueeze(0)
        d = rng.randrange(x.ndim)
        dims = list(range(x.ndim))
        rng.shuffle(dims)
        choice = rng.randrange(9)
        if choice == 0:
            return x.permute(*dims)
        if choice == 1:
            start = rng.randrange(x.shape[d])
            return x.narrow(d, start, rng.randint(1, x.shape[d] - start))
        if choice == 2:
            return x[(slice(None),) * d + (slice(None, None, rng.choice((2, 3))),)]
        if choice == 3:
            return x.select(d, rng.randrange(x.shape[d]))
        if choice == 4 and x.ndim < 4:
            return x.unsqueeze(d).expand(*x.shape[:d], rng.choice((2, 3)), *x.shape[d:])
        if choice == 5:
            return x.reshape(-1)
        if choice == 6:
            return x.reshape(*x.shape[d:], *x.shape[:d])
        if choice == 7:
            return x.flip(d)
        if x.ndim >= 2 and d:
            return x.diagonal(0, d - 1, d)
        return x.unsqueeze(-1)

    def reduce(self) -> torch.Tensor:
        x, rng = self.pick_float(), self.rng
        dims = [d for d in range(x.ndim) if rng.random() < 0.5]
        keep = rng.random() < 0.5
        if not dims:
            return x.sum().clamp(-256, 256)
        name = rng.choice(("sum", "amax", "amin", "sum", "all"))
        if name == "all":
            return (x > 0).all(dims[0], keepdim=keep)
        return getattr(x, name)(dims, keepdim=keep).clamp(-256, 256)

    def writable(self) -> torch.Tensor | None:
        fits = [t for t in self.live if not any(s == 0 and n > 1 for s, n in zip(t.stride(), t.shape))]
        return self.rng.choice(fits) if fits else None

    def write(self) -> None:
        x, rng = self.writable(), self.rng
        if x is None:
            return
        choice = rng.randrange(9)
        y = self.like(x) if choice < 4 else None
        fits = (
            y is not None
            and _broadcasts(y.shape, x.shape)
            and tuple(torch.broadcast_shapes(y.shape, x.shape)) == tuple(x.shape)
        )
        if x.dtype is not torch.float32:
            x.zero_()
        elif choice == 0 and fits:
            x.add_(y)
        elif choice == 1 and fits:
            x.copy_(y)
        elif choice == 2 and x.ndim and fits:
            x[...] = y + x
        elif choice == 3 and fits:
            x.masked_fill_(y > 0.5, 1.0)
        elif choice == 4:
            x.fill_(rng.randint(-4, 4) / 4)
        elif choice == 5 and x.ndim and x.shape[0] > 1:
            x[1:] = x[:-1]
        elif choice == 6 and x.ndim and x.shape[-1] > 1:
            x[..., 0] = x[..., -1] + 0.5
        elif choice == 7 and x.ndim:
            x[:: rng.choice((1, 2))] = rng.randint(-4, 4) / 4
        else:
            x.mul_(0.5).floor_()
        x.clamp_(-256, 256) if x.dtype is torch.float32 else None

    def gather(self) -> torch.Tensor | None:
        x, rng = self.pick(), self.rng
        if not x.ndim:
            return None
        d = rng.randrange(x.ndim)
        index = torch.tensor([rng.randrange(x.shape[d]) for _ in range(rng.randint(1, 5))])
        if rng.random() < 0.5:
            return x.index_select(d, index)
        if x.dtype is torch.float32 and rng.random() < 0.6:
            return self.scatter(x, d)
        return x[(slice(None),) * d + (index,)]

    def scatter(self, x: torch.Tensor, d: int) -> torch.Tensor:
        order = list(range(x.shape[d]))
        self.rng.shuffle(order)
        choice = self.rng.randrange(3)
        if choice == 0:
            return x.index_copy(d, torch.tensor(order), x)
        if choice == 1:
            return x.index_add(d, torch.tensor([n // 2 for n in order]), x).clamp(-256, 256)
        return torch.zeros_like(x).scatter(d, torch.zeros_like(x, dtype=torch.int64), x.narrow(d, 0, 1).expand(x.shape))

    def ordered(self) -> torch.Tensor | None:
        x, rng = self.pick_float(), self.rng
        if not x.ndim:
            return None
        d, choice = rng.randrange(x.ndim), rng.randrange(4)
        if choice == 0:
            return x.cumsum(d).clamp(-256, 256)
        if choice == 1:
            return x.cummax(d)[0]
        if choice == 2:
            return x.sort(d, descending=rng.random() < 0.5)[0]
        return x.median(d)[0]

    def join(self) -> torch.Tensor:
        x, rng = self.pick_float(), self.rng
        y = next((t for t in self.live[::-1] if t.shape == x.shape and t.dtype is torch.float32), x)
        return (
            torch.stack((x, y), rng.randint(0, x.ndim)) if rng.random() < 0.5 or not x.ndim else torch.cat((x, y), -1)
        )

    def product(self) -> torch.Tensor:
        x = self.pick_float()
        if x.ndim < 2:
            return x + 1
        return (x.clamp(-4, 4).floor() @ x.clamp(-4, 4).transpose(-1, -2)).clamp(-256, 256)

    def drop(self) -> None:
        if len(self.live) > 3:
            del self.live[self.rng.randrange(len(self.live))]

    def read(self) -> None:
        if self.rng.random() < 0.4:
            self.pick().sum().item()


def _broadcasts(a: tuple, b: tuple) -> bool:
    return all(x == y or x == 1 or y == 1 for x, y in zip(reversed(tuple(a)), reversed(tuple(b))))
