"""Flags of torch.backends that programs read and set.

Those of torch's backends choose nothing here: there is one backend, OpenCL, and ``opencl`` holds its flags.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from .settings import settings


class _Flags(ModuleType):
    """A module of flags that may be set freely, with an ``is_available`` that says False."""

    def __init__(self, **values: Any) -> None:
        super().__init__(__name__)
        self.__dict__.update(values)

    def is_available(self) -> bool:
        """Whether the vendor's backend is there: never."""
        return False

    def is_built(self) -> bool:
        """Whether the vendor's backend was built in: never."""
        return False

    def version(self) -> None:
        """No version."""

    @contextlib.contextmanager
    def flags(self, **values: Any) -> Iterator[None]:
        """Set flags inside."""
        before = dict(self.__dict__)
        self.__dict__.update(values)
        try:
            yield
        finally:
            self.__dict__.clear()
            self.__dict__.update(before)


cudnn = _Flags(enabled=False, benchmark=False, deterministic=True, allow_tf32=False, benchmark_limit=10)
cuda = _Flags(
    matmul=_Flags(allow_tf32=False, allow_fp16_reduced_precision_reduction=False, fp32_precision="ieee"),
    enable_flash_sdp=lambda enabled: None,
    enable_mem_efficient_sdp=lambda enabled: None,
    enable_math_sdp=lambda enabled: None,
    flash_sdp_enabled=lambda: False,
    mem_efficient_sdp_enabled=lambda: True,
    math_sdp_enabled=lambda: True,
)
mkldnn = _Flags(enabled=False)
mkl = _Flags()
openmp = _Flags()
mps = _Flags()
opt_einsum = _Flags(enabled=False, strategy=None)
quantized = _Flags(engine="none", supported_engines=["none"])


class _Cpu(_Flags):
    def get_cpu_capability(self) -> str:
        """What torch calls a machine whose vector units it does not use."""
        return "DEFAULT"


class _OpenCL(_Flags):
    """``winograd``: whether 3x3 convolutions may use Winograd's algorithm (the setting ``conv_winograd``)."""

    def is_available(self) -> bool:
        """Whether there is such a backend: always."""
        return True

    def is_built(self) -> bool:
        """Whether it was built in: always."""
        return True

    @property
    def winograd(self) -> bool:
        """Whether Winograd's algorithm may be used."""
        return settings.conv_winograd

    @winograd.setter
    def winograd(self, allowed: bool) -> None:
        settings.conv_winograd = bool(allowed)

    @contextlib.contextmanager
    def flags(self, winograd: bool = True) -> Iterator[None]:
        """Set flags inside."""
        before, self.winograd = self.winograd, winograd
        try:
            yield
        finally:
            self.winograd = before


cpu = _Cpu()
opencl = _OpenCL()


def _publish() -> None:
    """``import torch.backends.cudnn as cudnn`` finds the flags as modules."""
    for name, value in list(globals().items()):
        if isinstance(value, _Flags):
            value.__name__ = f"{__name__}.{name}"
            sys.modules[value.__name__] = value


_publish()
