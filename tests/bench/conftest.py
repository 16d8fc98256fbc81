"""Puts the repository root on the path: the benchmark is imported as tests.bench, as `python -m` does."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
