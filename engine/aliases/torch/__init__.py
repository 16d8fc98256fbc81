"""Found as ``torch`` by processes that a program under ``python -m engine run`` starts; replaces itself."""

import sys
from pathlib import Path

del sys.modules[__name__]
try:
    from engine.as_torch import install_as_torch
except ModuleNotFoundError:
    sys.path.append(str(Path(__file__).parents[3]))
    from engine.as_torch import install_as_torch

install_as_torch()
