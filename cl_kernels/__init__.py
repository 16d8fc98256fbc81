"""OpenCL C sources as package data, one file a family."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

_INCLUDE = re.compile(r'^#include "([\w.]+)"\n', re.MULTILINE)


@cache
def source(name: str) -> str:
    """Text of one source file of this package, for example ``source("sort.cl")``, with what it includes put in place.

    Raises FileNotFoundError, with the list of what there is, for an unknown name.
    """
    path = resources.files(__name__).joinpath(name)
    if not path.is_file():
        raise FileNotFoundError(f"no kernel source {name!r}; there are: {', '.join(names())}")
    text = path.read_text(encoding="utf-8")
    return _INCLUDE.sub(lambda found: source(found[1]), text)


def names() -> list[str]:
    """Names of all source files (``.cl`` and ``.h``)."""
    return sorted(p.name for p in resources.files(__name__).iterdir() if p.name.endswith((".cl", ".h")))
