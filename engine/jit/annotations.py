"""Type names that scripted programs import from ``torch.jit.annotations``."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple, Union  # noqa: UP035 (these very names are asked for)

__all__ = ["Any", "Dict", "List", "Optional", "Tuple", "Union"]
