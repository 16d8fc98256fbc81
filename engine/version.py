"""The library's version, and the PyTorch release whose interface it serves."""

from __future__ import annotations

import re
from itertools import zip_longest
from typing import Any

__version__ = "0.1.0"
engine_version = __version__
torch_version = "2.13.0"
cuda = None
hip = None
xpu = None
git_version = "unknown"
debug = False

_PART = re.compile(r"\d+|[a-z]+")
_PRE_RELEASE = ("dev", "a", "alpha", "b", "beta", "c", "rc")


def _parts(version: Any) -> list[int]:
    """A version as numbers to compare: (2, 13, 0) or "2.13.0rc1+cpu"; pre-releases count below the release."""
    if isinstance(version, (tuple, list)):
        version = ".".join(str(part) for part in version)
    text = str(version).lower().partition("+")[0]
    return [int(p) if p.isdigit() else -1 if p in _PRE_RELEASE else 0 for p in _PART.findall(text)]


def _compare(a: Any, b: Any) -> int:
    for x, y in zip_longest(_parts(a), _parts(b), fillvalue=0):
        if x != y:
            return -1 if x < y else 1
    return 0


class TorchVersion(str):
    """A version that compares by its numbers with strings and tuples: ``torch.__version__ >= (2, 1)``."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (str, tuple, list)) and _compare(self, other) == 0

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __lt__(self, other: Any) -> bool:
        return _compare(self, other) < 0

    def __le__(self, other: Any) -> bool:
        return _compare(self, other) <= 0

    def __gt__(self, other: Any) -> bool:
        return _compare(self, other) > 0

    def __ge__(self, other: Any) -> bool:
        return _compare(self, other) >= 0
