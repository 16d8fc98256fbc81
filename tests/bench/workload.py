"""What a workload is, and the registry the workload modules fill."""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

MODULES = tuple(
    f"tests.bench.workloads.{name}"
    for name in (
        "matmul",
        "pointwise",
        "reduction",
        "movement",
        "convolution",
        "attention",
        "steps",
        "optimizers",
        "overhead",
    )
)


@dataclass
class Case:
    """A workload built on one side, ready to run.

    step: the call that is timed; returns the tensor or tensors it computed (or None).
    check: tensors to compare between the sides; by default what the first `calls` calls of step returned.
    calls: number of first calls whose results are compared.
    per: how many of the named thing one call of step does; times are divided by it.
    timed: step measures by itself and returns seconds (for work in fresh processes).
    force: realize what step returns, so that a lazy engine does the work; off where only building is timed.
    """

    step: Callable[[], Any]
    check: Callable[[], Any] | None = None
    calls: int = 1
    per: int = 1
    timed: bool = False
    force: bool = True


@dataclass(frozen=True)
class Workload:
    """A named builder with the figures it must reach.

    floor: least ratio of this row where it is not its group's; limit: most seconds engine may take;
    tol: tolerance of the comparison, relative to the largest value; rounds: at most so many rounds.
    """

    group: str
    name: str
    build: Callable[[ModuleType, Bench], Case]
    floor: float | None = None
    limit: float | None = None
    tol: float = 1e-4
    rounds: int | None = None
    compiled: bool = False


@dataclass
class Bench:
    """Helpers handed to every builder: equal data on both sides, compile, wait.

    All data come from one NumPy generator seeded by the workload's name, so both sides get the same numbers.
    """

    torch: ModuleType
    name: str
    compile: Callable[[Callable], Callable]
    wait: Callable[[], None]
    force: Callable[[Any], Any]
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(zlib.crc32(self.name.encode()))

    def randn(self, *shape: int, scale: float = 1.0, shift: float = 0.0, grad: bool = False):
        """A float32 tensor of normal numbers times scale plus shift."""
        values = self.rng.standard_normal(shape, dtype=np.float32) * np.float32(scale) + np.float32(shift)
        tensor = self.torch.tensor(values)
        return tensor.requires_grad_() if grad else tensor

    def rand(self, *shape: int, low: float = 0.0, high: float = 1.0):
        """A float32 tensor of numbers uniform in [low, high)."""
        return self.torch.tensor(self.rng.uniform(low, high, shape).astype(np.float32))

    def ints(self, high: int, *shape: int):
        """An int64 tensor of numbers uniform in [0, high)."""
        return self.torch.tensor(self.rng.integers(0, high, shape))

    def permutation(self, n: int):
        """An int64 tensor with 0 .. n-1 in random order."""
        return self.torch.tensor(self.rng.permutation(n))

    def fill(self, model):
        """Give the parameters of a module fixed, sensibly scaled values, so that both sides start alike."""
        with self.torch.no_grad():
            for name, parameter in model.named_parameters():
                shape = tuple(parameter.shape)
                fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else 1
                if len(shape) > 1:
                    values = self.rng.standard_normal(shape, dtype=np.float32) / np.float32(np.sqrt(fan_in))
                elif "bias" in name:
                    values = self.rng.standard_normal(shape, dtype=np.float32) * np.float32(0.01)
                else:
                    values = np.ones(shape, np.float32)
                parameter.copy_(self.torch.tensor(values))
        return model


REGISTRY: dict[str, Workload] = {}


def workload(group: str, name: str, **figures: Any) -> Callable:
    """Register the decorated builder `build(torch, bench) -> Case | step function` under "group/name"."""

    def register(build: Callable) -> Callable:
        entry = Workload(group, name, build, **figures)
        key = f"{group}/{name}"
        if key in REGISTRY:
            raise ValueError(f"two workloads are called {key!r}")
        REGISTRY[key] = entry
        return build

    return register


def load(modules: tuple[str, ...] = MODULES) -> dict[str, Workload]:
    """Import the workload modules and return the registry, in their order."""
    for module in modules:
        importlib.import_module(module)
    return REGISTRY


def select(groups: list[str], names: list[str]) -> Iterator[tuple[str, Workload]]:
    """The registered workloads, group by group, of the given groups and with one of the names in their key.

    Empty lists select all.
    """
    order = {group: place for place, group in enumerate(dict.fromkeys(entry.group for entry in REGISTRY.values()))}
    for key, entry in sorted(REGISTRY.items(), key=lambda item: order[item[1].group]):
        if (not groups or entry.group in groups) and (not names or any(n.lower() in key.lower() for n in names)):
            yield key, entry
