"""The half-Cauchy distribution."""

from __future__ import annotations

import math
from typing import Any

from .. import ops
from ..tensor import Tensor
from .cauchy import Cauchy
from .folded import Folded


class HalfCauchy(Folded):
    """|x| of a Cauchy variate of median 0 and half width ``scale``."""

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        super().__init__(Cauchy(0, scale, validate_args=False), validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> HalfCauchy:
        return super().expand(batch_shape, _instance=self._get_checked_instance(HalfCauchy, _instance))

    @property
    def mean(self) -> Tensor:
        """Infinite."""
        return self.base_dist._filled(math.inf)

    @property
    def variance(self) -> Tensor:
        """Infinite."""
        return self.base_dist.variance

    def log_prob(self, value: Any) -> Tensor:
        return super().log_prob(ops.as_tensor(value, dtype=self.scale.dtype, device=self.scale.device))
