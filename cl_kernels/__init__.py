"""OpenCL C sources as package data, one file a family."""

from __future__ import annotations

from functools import cache
from importlib import resources


@cache
def source(name: str) -> str:
    """Text of one source file of this package, for example ``source("gemm.cl")``.

    Raises FileNotFoundError, with the list of what there is, for an unknown name.
    """
    path = resources.files(__name__).joinpath(name)
    if not path.is_file():
        raise FileNotFoundError(f"no kernel source {name!r}; there are: {', '.join(names())}")
    return path.read_text(encoding="utf-8")


def names() -> list[str]:
    """Names of all source files (``.cl`` and ``.h``)."""
    return sorted(p.name for p in resources.files(__name__).iterdir() if p.name.endswith((".cl", ".h")))
