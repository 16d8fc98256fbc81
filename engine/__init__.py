"""PyTorch's way of working on any OpenCL device: ``import engine as torch``."""

from __future__ import annotations

from .tensor import Tensor
