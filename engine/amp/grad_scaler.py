"""Loss scaling for float16 gradients (Micikevicius et al., 2018)."""

import inspect
import math
import warnings
from collections import defaultdict
from collections.abc import Iterable
from enum import Enum
from typing import Any

import numpy as np

from .. import ops
from ..autograd import no_grad
from ..dtypes import float16, float32, int32
from ..optim import Optimizer
from ..optim.state import HostScalar
from ..tensor import Tensor
from .regions import has_device

__all__ = ["GradScaler", "OptState"]


class OptState(Enum):
    """What was done to an optimizer's gradients since the last `update`."""

    READY = 0
    UNSCALED = 1
    STEPPED = 2


def _fresh_state() -> dict[str, Any]:
    return {"stage": OptState.READY, "found_inf_per_device": {}}


class GradScaler:
    """Multiplies the loss by a scale, the gradients by its inverse, and skips steps with inf or NaN in them.

    The scale is multiplied by `backoff_factor` after a skipped step and by `growth_factor` after `growth_interval`
    steps in a row that were not skipped.
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self._device = device
        self._enabled = enabled
        if enabled and not has_device(device):
            warnings.warn(
                f"torch.{device}.amp.GradScaler is enabled, but {device.upper()} is not available.  Disabling.",
                stacklevel=2,
            )
            self._enabled = False
        if not self._enabled:
            return
        if not growth_factor > 1.0:
            raise AssertionError("The growth factor must be > 1.0.")
        if not backoff_factor < 1.0:
            raise AssertionError("The backoff factor must be < 1.0.")
        self._init_scale = init_scale
        self._growth_factor = growth_factor
        self._backoff_factor = backoff_factor
        self._growth_interval = growth_interval
        self._init_growth_tracker = 0
        # Known by value on the host: whether a step is skipped is decided there anyway.
        self._scale_value: HostScalar | None = None
        self._tracker_value: HostScalar | None = None
        self._factors: dict[Any, tuple[float, Tensor]] = {}
        self._per_optimizer_states: defaultdict[int, dict[str, Any]] = defaultdict(_fresh_state)

    # -- scaling ---------------------------------------------------------------------------------------------------

    @property
    def _scale(self) -> Tensor | None:
        """The scale as a 0-dim float32 tensor, None before the first `scale`."""
        return None if self._scale_value is None else self._scale_value.expose()

    @property
    def _growth_tracker(self) -> Tensor | None:
        """Steps in a row without inf, as a 0-dim int32 tensor, None before the first `scale`."""
        return None if self._tracker_value is None else self._tracker_value.expose()

    def _lazy_init_scale_growth_tracker(self, dev: Any) -> None:
        self._scale_value = HostScalar(self._init_scale, float32, dev)
        self._tracker_value = HostScalar(self._init_growth_tracker, int32, dev)

    def _check_scale_growth_tracker(self, funcname: str) -> None:
        if self._scale_value is None:
            raise AssertionError(
                f"Attempted {funcname} but _scale is None.  This may indicate your script did not use "
                "scaler.scale(loss or outputs) earlier in the iteration."
            )

    def scale(self, outputs: Any) -> Any:
        """Multiply a tensor, or the tensors of nested lists, tuples and iterables, by the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            if self._scale_value is None:
                self._lazy_init_scale_growth_tracker(outputs.device)
            return outputs * self._factor(outputs.device)
        if isinstance(outputs, list | tuple):
            items = [self.scale(item) for item in outputs]
            return type(outputs)(*items) if hasattr(outputs, "_fields") else type(outputs)(items)
        if isinstance(outputs, Iterable):
            return map(self.scale, outputs)
        raise ValueError("outputs must be a Tensor or an iterable of Tensors")

    def _factor(self, dev: Any) -> Tensor:
        """The scale on a device, as a tensor that is never written: autograd keeps it for the backward pass."""
        value = self._scale_value.get()
        held = self._factors.get(dev)
        if held is None or held[0] != value:
            held = self._factors[dev] = (value, ops.full((), value, dtype=float32, device=dev))
        return held[1]

    def _unscale_grads_(self, optimizer: Optimizer, inv_scale: float | None, allow_fp16: bool) -> dict[Any, Tensor]:
        """Multiply the gradients by `inv_scale` (None: only look) and say, a device, whether one was inf or NaN."""
        finite: dict[Any, list[Tensor]] = {}
        with no_grad():
            for group in optimizer.param_groups:
                for p in group["params"]:
                    grad = p.grad
                    if grad is None:
                        continue
                    if not allow_fp16 and grad.dtype == float16:
                        raise ValueError("Attempting to unscale FP16 gradients.")
                    finite.setdefault(grad.device, []).append(ops.isfinite(grad).all())
                    if inv_scale is not None:
                        grad.mul_(inv_scale)
            return {dev: ops.logical_not(ops.stack(flags).all()).to(float32) for dev, flags in finite.items()}

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divide the optimizer's gradients by the scale, for example before clipping them.

        Raises:
            RuntimeError: the second time since `update`, or after `step`.
            ValueError: for float16 gradients.
        """
        if not self._enabled:
            return
        self._check_scale_growth_tracker("unscale_")
        state = self._per_optimizer_states[id(optimizer)]
        if state["stage"] is OptState.UNSCALED:
            raise RuntimeError("unscale_() has already been called on this optimizer since the last update().")
        if state["stage"] is OptState.STEPPED:
            raise RuntimeError("unscale_() is being called after step().")
        inverse = float(np.float32(1.0 / self._scale_value.get()))
        state["found_inf_per_device"] = self._unscale_grads_(optimizer, inverse, allow_fp16=False)
        state["stage"] = OptState.UNSCALED

    # -- steps -----------------------------------------------------------------------------------------------------

    def step(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        """Unscale the gradients unless that was done, and step the optimizer unless one of them is inf or NaN.

        Returns: what ``optimizer.step`` returned, None for a skipped step.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        self._check_scale_growth_tracker("step")
        state = self._per_optimizer_states[id(optimizer)]
        if state["stage"] is OptState.STEPPED:
            raise RuntimeError("step() has already been called since the last update().")
        if getattr(optimizer, "_step_supports_amp_scaling", False):
            result = self._delegated_step(optimizer, state, args, kwargs)
        else:
            if state["stage"] is OptState.READY:
                self.unscale_(optimizer)
            if not state["found_inf_per_device"]:
                raise AssertionError("No inf checks were recorded for this optimizer.")
            result = self._maybe_opt_step(optimizer, state, *args, **kwargs)
        state["stage"] = OptState.STEPPED
        return result

    def _maybe_opt_step(self, optimizer: Optimizer, state: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        return None if self._found_inf(state) else optimizer.step(*args, **kwargs)

    def _delegated_step(self, optimizer: Optimizer, state: dict[str, Any], args: tuple, kwargs: dict) -> Any:
        """Step of an optimizer that unscales and skips by itself.

        It is given the scaler as ``grad_scaler=`` if its step takes that, else `grad_scale` (None if the gradients are
        unscaled already) and `found_inf` as attributes.
        """
        if "grad_scaler" in inspect.signature(optimizer.step).parameters:
            warnings.warn(
                "GradScaler passes itself as `grad_scaler` to `Optimizer.step`; this is deprecated in favour of the "
                "attributes `grad_scale` and `found_inf`.",
                FutureWarning,
                stacklevel=3,
            )
            return optimizer.step(*args, **kwargs, grad_scaler=self)
        if state["stage"] is OptState.READY:
            self._check_inf_per_device(optimizer)
        optimizer.grad_scale = None if state["stage"] is OptState.UNSCALED else self._scale
        found = [flag.to(self._scale.device) for flag in state["found_inf_per_device"].values()]
        optimizer.found_inf = ops.stack(found).sum()
        result = optimizer.step(*args, **kwargs)
        del optimizer.grad_scale, optimizer.found_inf
        return result

    @staticmethod
    def _found_inf(state: dict[str, Any]) -> bool:
        """Read, once, whether an optimizer's gradients had inf or NaN."""
        if "found_inf" not in state:
            state["found_inf"] = any(float(flag) for flag in state["found_inf_per_device"].values())
        return state["found_inf"]

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Adapt the scale to what was found since the last update, or set it to `new_scale`."""
        if not self._enabled:
            return
        self._check_scale_growth_tracker("update")
        if new_scale is None:
            self._adapt()
        elif isinstance(new_scale, Tensor):
            if new_scale.numel() != 1 or new_scale.requires_grad or not new_scale.is_floating_point():
                raise AssertionError(
                    "new_scale should be a float or a 1-element torch.cuda.FloatTensor or torch.FloatTensor with "
                    "requires_grad=False."
                )
            self._scale_value.set(float(new_scale))
        else:
            self._scale_value.set(float(new_scale))
        self._per_optimizer_states = defaultdict(_fresh_state)

    def _adapt(self) -> None:
        states = [state for state in self._per_optimizer_states.values() if state["found_inf_per_device"]]
        if not states:
            raise AssertionError("No inf checks were recorded prior to update.")
        scale, steps = self._scale_value.get(), self._tracker_value.get() + 1
        found = [self._found_inf(state) for state in states]
        if any(found):
            self._scale_value.set(scale * self._backoff_factor)
            steps = 0
        elif steps == self._growth_interval:
            with np.errstate(over="ignore"):
                grown = float(np.float32(scale * self._growth_factor))
            if math.isfinite(grown):
                self._scale_value.set(grown)
            steps = 0
        self._tracker_value.set(steps)

    def _check_inf_per_device(self, optimizer: Optimizer) -> dict[Any, Tensor]:
        self._check_scale_growth_tracker("_check_inf_per_device")
        state = self._per_optimizer_states[id(optimizer)]
        state.pop("found_inf", None)
        state["found_inf_per_device"] = self._unscale_grads_(optimizer, None, allow_fp16=True)
        return state["found_inf_per_device"]

    def _found_inf_per_device(self, optimizer: Optimizer) -> dict[Any, Tensor]:
        return self._per_optimizer_states[id(optimizer)]["found_inf_per_device"]

    # -- settings --------------------------------------------------------------------------------------------------

    def _get_scale_async(self) -> Tensor | None:
        return self._scale

    def get_scale(self) -> float:
        """The scale; 1.0 if disabled."""
        if not self._enabled:
            return 1.0
        return self._init_scale if self._scale_value is None else self._scale_value.get()

    def get_growth_factor(self) -> float:
        """Factor of the scale when it grows."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Set the factor of the scale when it grows."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """Factor of the scale after inf or NaN."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Set the factor of the scale after inf or NaN."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """Steps without inf or NaN until the scale grows."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Set the number of steps without inf or NaN until the scale grows."""
        self._growth_interval = new_interval

    def _get_growth_tracker(self) -> int:
        if not self._enabled:
            return 0
        return self._init_growth_tracker if self._tracker_value is None else int(self._tracker_value.get())

    def is_enabled(self) -> bool:
        """Whether the scaler does anything."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """Scale, factors and counts; empty if disabled. To be called after `update`."""
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._get_growth_tracker(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a `state_dict`; nothing happens if disabled.

        Raises:
            RuntimeError: for an empty dict.
        """
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "The source state dict is empty, possibly because it was saved from a disabled instance of GradScaler."
            )
        self._init_scale = state_dict["scale"]
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._init_growth_tracker = state_dict["_growth_tracker"]
        if self._scale_value is not None:
            self._scale_value.set(self._init_scale)
            self._tracker_value.set(self._init_growth_tracker)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        if self._enabled:
            if self._per_optimizer_states:
                raise AssertionError(
                    "A GradScaler instance may only be pickled at the beginning of an iteration, or at the end after "
                    "scaler.update()."
                )
            state["_init_scale"] = self.get_scale()
            state["_init_growth_tracker"] = self._get_growth_tracker()
            state["_scale_value"] = state["_tracker_value"] = None
            state["_factors"] = {}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
