"""What ``Module.compile`` calls: set by the module that captures calls, which itself builds on modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class _Compiler:
    """Holds ``engine.compile`` once it is there."""

    function: Callable[..., Any]


compiler = _Compiler()
