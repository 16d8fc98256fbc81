"""Per-parameter optimizer state whose 0-dim counters live on the host.

PyTorch keeps ``state["step"]`` (and NAdam's ``mu_product``, ASGD's ``eta`` and ``mu``) as 0-dim tensors. Reading them
back every step would wait for the device and writing them costs a tensor op per parameter, so here the host's number is
the truth and a tensor is made only when somebody looks.
"""

import sys
from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any

import numpy as np

from .. import ops
from ..dtypes import float32, float64, get_default_dtype
from ..tensor import Tensor

# References to an exposed tensor when nobody outside holds it: the slot, the local name and getrefcount's argument.
_OWN_REFERENCES = 3


def scalar_dtype() -> Any:
    """Dtype of 0-dim state: float64 if that is the default dtype, else float32."""
    return float64 if get_default_dtype() == float64 else float32


class HostScalar:
    """A 0-dim tensor known by value; `expose` makes the tensor, which follows the value while somebody holds it."""

    __slots__ = ("_loaded", "_tensor", "_value", "_version", "device", "dtype")

    def __init__(self, value: float | Tensor, dtype: Any = None, device: Any = "cpu"):
        self._tensor = None
        self._version = 0
        self._loaded = False
        self.dtype = dtype if dtype is not None else scalar_dtype()
        self.device = device
        if isinstance(value, Tensor):
            self.dtype, self.device = value.dtype, value.device
            self._value = None
            self._tensor, self._version, self._loaded = value, value._version, True
        else:
            self._value = self._rounded(value)

    def _rounded(self, value: float) -> float:
        return float(np.float32(value)) if self.dtype == float32 else float(value)

    def get(self) -> float:
        """The value, after taking in what the user wrote into the exposed tensor."""
        tensor = self._tensor
        if tensor is not None and (self._value is None or tensor._version != self._version):
            self._value, self._version = float(tensor.item()), tensor._version
        return self._value

    def set(self, value: float) -> float:
        """Set the value; an exposed tensor is updated if it is held elsewhere, else forgotten."""
        value = self._value = self._rounded(value)
        tensor = self._tensor
        if tensor is not None:
            if not self._loaded and sys.getrefcount(tensor) > _OWN_REFERENCES:
                tensor.fill_(value)
                self._version = tensor._version
            else:
                self._tensor = None
            self._loaded = False
        return value

    def expose(self) -> Tensor:
        """The value as a 0-dim tensor; the same object as long as somebody holds it."""
        if self._tensor is None:
            self._tensor = ops.full((), self._value, dtype=self.dtype, device=self.device)
            self._version = self._tensor._version
        return self._tensor


class ParamState(dict):
    """A parameter's state: a dict of tensors in which some keys are `HostScalar`.

    It reads and pickles as the plain dict that PyTorch has: host scalars come first, as tensors. Ordinary keys are
    stored in the dict itself and are as fast to read.
    """

    __slots__ = ("host",)

    def __init__(self, values: Mapping[str, Any], host: Mapping[str, float | Tensor | HostScalar]):
        super().__init__(values)
        self.host: dict[str, HostScalar] = {
            name: value if isinstance(value, HostScalar) else HostScalar(value) for name, value in host.items()
        }

    def advance(self) -> float:
        """Count one step and return the new count."""
        step = self.host["step"]
        if step._tensor is None:  # the usual case, inlined: counts below 2**24 are exact in float32
            step._value += 1.0
            return step._value
        return step.set(step.get() + 1.0)

    def plain(self) -> dict[str, Any]:
        """An ordinary dict of the same values."""
        return dict(self.items())

    def __missing__(self, key: str) -> Tensor:
        if key in self.host:
            return self.host[key].expose()
        raise KeyError(key)

    def __setitem__(self, key: str, value: Any) -> None:
        if key in self.host:
            if isinstance(value, Tensor) and value is self.host[key]._tensor:
                return  # `state[key] += 1`: the exposed tensor was changed in place and its version tells so
            self.host[key] = HostScalar(value)
        else:
            super().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        if key in self.host:
            del self.host[key]
        else:
            super().__delitem__(key)

    def __contains__(self, key: object) -> bool:
        return key in self.host or super().__contains__(key)

    def __iter__(self) -> Iterator[str]:
        yield from self.host
        yield from super().__iter__()

    def __reversed__(self) -> Iterator[str]:
        return reversed(list(self))

    def __len__(self) -> int:
        return len(self.host) + super().__len__()

    def keys(self) -> KeysView:
        return KeysView(self)

    def values(self) -> ValuesView:
        return ValuesView(self)

    def items(self) -> ItemsView:
        return ItemsView(self)

    def get(self, key: str, default: Any = None) -> Any:
        try:
            return self[key]
        except KeyError:
            return default

    def pop(self, key: str, *default: Any) -> Any:
        if key in self.host:
            return self.host.pop(key).expose()
        return super().pop(key, *default)

    def popitem(self) -> tuple[str, Any]:
        if super().__len__():
            return super().popitem()
        name, scalar = self.host.popitem()
        return name, scalar.expose()

    def setdefault(self, key: str, default: Any = None) -> Any:
        return self[key] if key in self else super().setdefault(key, default)

    def update(self, *others: Any, **values: Any) -> None:
        for key, value in dict(*others, **values).items():
            self[key] = value

    def clear(self) -> None:
        self.host.clear()
        super().clear()

    def copy(self) -> dict[str, Any]:
        return self.plain()

    def __or__(self, other: Mapping) -> dict[str, Any]:
        return self.plain() | dict(other)

    def __eq__(self, other: object) -> bool:
        return self.plain() == (other.plain() if isinstance(other, ParamState) else other)

    __hash__ = None

    def __repr__(self) -> str:
        return repr(self.plain())

    def __reduce__(self) -> tuple:
        host = {name: scalar.expose() for name, scalar in self.host.items()}
        return ParamState, (dict(super().items()), host)
