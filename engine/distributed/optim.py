"""torch.distributed.optim: optimizers whose state is split over processes; with one there is nothing to split."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..optim import Optimizer

__all__ = ["ZeroRedundancyOptimizer"]


class ZeroRedundancyOptimizer(Optimizer):
    """The optimizer ``optimizer_class(params, **defaults)``, which this process runs alone."""

    def __init__(
        self,
        params: Iterable[Any],
        optimizer_class: type[Optimizer],
        process_group: Any = None,
        parameters_as_bucket_view: bool = False,
        overlap_with_ddp: bool = False,
        **defaults: Any,
    ) -> None:
        self.optim = optimizer_class(params, **defaults)
        super().__init__(self.optim.param_groups, self.optim.defaults)
        self.param_groups = self.optim.param_groups
        self.state = self.optim.state

    def step(self, closure: Callable[[], Any] | None = None, **kwargs: Any) -> Any:
        """One step of the optimizer."""
        return self.optim.step(closure=closure, **kwargs)

    def consolidate_state_dict(self, to: int = 0) -> None:
        """The state is in one place anyway."""

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's state_dict."""
        return self.optim.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the optimizer's state_dict."""
        self.optim.load_state_dict(state_dict)
        self.param_groups = self.optim.param_groups
        self.state = self.optim.state
