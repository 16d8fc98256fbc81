"""Devices by name: ``device("cpu")``, ``device("gpu:1")``; "cuda" and "opencl" are other names of "gpu"."""

from __future__ import annotations

import threading
from typing import Any

from . import opencl
from .errors import NoDeviceError
from .settings import settings

_GPU_NAMES = ("gpu", "cuda", "opencl", "xpu", "mps", "hip")


class device:
    """Where a tensor lives.

    Args:
        type: "cpu", "gpu" (also "cuda", "opencl"), "meta", with an optional ":index"; or another device; or an
            index of a GPU.
        index: which of several devices of that type.

    Raises RuntimeError for a type that is not known. Whether the device exists is checked at first use.
    """

    __slots__ = ("type", "index", "kind", "graph", "_stack", "__weakref__")
    _made: dict[tuple[str, int | None], device] = {}

    type: str
    index: int | None

    def __new__(cls, type: str | int | device = "cpu", index: int | None = None) -> device:
        if isinstance(type, device):
            return type
        if isinstance(type, int) and not isinstance(type, bool):
            type, index = "gpu", type
        if not isinstance(type, str):
            raise TypeError(f"device(): argument 'type' must be str or int, not {type.__class__.__name__}")
        name, _, number = type.partition(":")
        if number:
            if index is not None:
                raise RuntimeError(f"'type' must not include an index because index was passed explicitly: {type}")
            if not number.isdigit():
                raise RuntimeError(f"Invalid device string: '{type}'")
            index = int(number)
        if name not in ("cpu", "meta") and name not in _GPU_NAMES:
            raise RuntimeError(
                f"Expected one of cpu, gpu, cuda, opencl, meta device type at start of device string: {type}"
            )
        made = cls._made.get((name, index))
        if made is None:
            made = object.__new__(cls)
            made.type = name
            made.index = index
            made.kind = "gpu" if name in _GPU_NAMES else name
            made.graph = None
            made._stack = []
            cls._made[name, index] = made
        return made

    @property
    def canonical(self) -> device:
        """The device a tensor made here reports: "cpu" for the first CPU, "cuda:0" style for GPUs."""
        if self.kind == "gpu":
            return device("cuda", self.index or 0)
        if self.kind == "cpu":
            return device("cpu", self.index or None)
        return device("meta")

    @property
    def runtime(self) -> opencl.Runtime:
        """The OpenCL runtime behind the device. Raises RuntimeError where there is no such device."""
        if self.kind == "meta":
            raise RuntimeError("Cannot access data of a meta tensor: it has a shape and a dtype but no content")
        return opencl.runtime_for(record_of(self.kind, self.index or 0))

    def __repr__(self) -> str:
        if self.index is None:
            return f"device(type='{self.type}')"
        return f"device(type='{self.type}', index={self.index})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (self.kind, self.index) == (other.kind, other.index)

    def __hash__(self) -> int:
        return hash((self.kind, self.index))

    def __reduce__(self) -> tuple[Any, ...]:
        return device, (self.type, self.index)

    def __enter__(self) -> device:
        self._stack.append(default.override)
        default.override = self
        return self

    def __exit__(self, *exc: object) -> None:
        default.override = self._stack.pop()


def records(kind: str) -> list[opencl.DeviceRecord]:
    """The devices behind "cpu", "cpu:1" ... or "gpu:0", "gpu:1" ...: the one that ENGINE_DEVICE names, then the
    best.
    """
    kinds = ("cpu",) if kind == "cpu" else ("gpu", "accelerator")
    ranked = sorted((r for r in opencl.discover() if r.kind in kinds), key=lambda r: (kinds.index(r.kind), r.index))
    if settings.device:
        chosen = opencl.find(settings.device)
        ranked.sort(key=lambda r: r is not chosen)
    return ranked


def record_of(kind: str, index: int) -> opencl.DeviceRecord:
    """The device behind a kind and an index. Raises NoDeviceError where there is none."""
    found = records(kind)
    if index >= len(found):
        raise NoDeviceError(f"there is no device {kind}:{index}; devices are:\n{opencl.listing()}")
    return found[index]


class _Default(threading.local):
    """The default device: an override set by the program, else ENGINE_DEVICE, else the best there is."""

    def __init__(self) -> None:
        self.override: device | None = None
        self._found: device | None = None

    def get(self) -> device:
        if self.override is not None:
            return self.override.canonical
        if self._found is None:
            record = opencl.find(settings.device) if settings.device else opencl.default_record()
            self._found = device("cpu" if record.kind == "cpu" else "gpu").canonical
        return self._found


default = _Default()


def get_default_device() -> device:
    """The device new tensors are made on."""
    return default.get()


def set_default_device(where: str | int | device | None) -> None:
    """Make new tensors on ``where`` from now on (None: back to the standard choice)."""
    default.override = None if where is None else device(where)


def resolve(where: str | int | device | None) -> device:
    """The canonical device for an argument of a factory function."""
    return default.get() if where is None else device(where).canonical
