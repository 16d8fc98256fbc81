"""Moving and casting all tensors of a Module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine import autograd, dtypes, ops
from engine.tensor import Tensor

__all__ = ["ConversionMixin"]


def _parse_to(args: tuple, kwargs: dict[str, Any]) -> tuple[Any, Any, bool, Any]:
    """(device, dtype, non_blocking, memory_format) of the three call forms of ``to``."""
    names = {"device", "dtype", "non_blocking", "memory_format", "other", "tensor", "copy"}
    if unknown := set(kwargs) - names:
        raise TypeError(f"to() received an unexpected keyword argument '{min(unknown)}'")
    device, dtype = kwargs.get("device"), kwargs.get("dtype")
    non_blocking, memory_format = kwargs.get("non_blocking", False), kwargs.get("memory_format")
    other = kwargs.get("other", kwargs.get("tensor"))
    rest = list(args)
    if rest and isinstance(rest[0], Tensor):
        other = rest.pop(0)
    elif rest and isinstance(rest[0], dtypes.dtype):
        dtype = rest.pop(0)
    elif rest:
        device = rest.pop(0)
        if rest and (rest[0] is None or isinstance(rest[0], dtypes.dtype)):
            dtype = rest.pop(0)
    if other is not None:
        device, dtype = other.device, other.dtype
    if rest:
        non_blocking = rest.pop(0)
    if len(rest) > 1 or (rest and not isinstance(rest[0], bool)):
        raise TypeError("to() received an invalid combination of arguments; expected a device, dtype, or Tensor")
    return device, dtype, bool(non_blocking), memory_format


class ConversionMixin:
    """``to`` and its relatives; part of Module. All of them change the module in place and return it."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Replace each parameter's data (and gradient) and each buffer by ``fn`` of it; parameters keep identity."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        for param in self._parameters.values():
            if param is None:
                continue
            with autograd.no_grad():
                new_data = fn(param)
                grad = param.grad
                new_grad = None if grad is None else fn(grad)
                param.data = new_data.data
                if grad is not None and new_grad is not grad:
                    # The old gradient no longer fits its parameter's type, so it cannot be edited in place.
                    requires_grad = grad.requires_grad
                    param.grad = None
                    param.grad = new_grad.detach().requires_grad_(requires_grad)
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def apply(self, fn: Callable[[Any], None]) -> Any:
        """Call ``fn`` on every submodule, children first, then on this module."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """Move and/or cast parameters and buffers.

        Forms: ``to(device=None, dtype=None, non_blocking=False)``, ``to(dtype)``, ``to(tensor)``,
        ``to(memory_format=...)``. A dtype must be floating or complex and is applied to floating and complex tensors
        only; a memory format is applied to 4-D and 5-D tensors.
        """
        device, dtype, non_blocking, memory_format = _parse_to(args, kwargs)
        if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
            raise TypeError(
                f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={dtype}"
            )

        def convert(t: Tensor) -> Tensor:
            target = dtype if t.is_floating_point() or t.is_complex() else None
            options = {"device": device, "dtype": target, "non_blocking": non_blocking}
            if memory_format is not None and t.dim() in (4, 5):
                options["memory_format"] = memory_format
            return t.to(**{k: v for k, v in options.items() if v is not None})

        return self._apply(convert)

    def to_empty(self, *, device: Any, recurse: bool = True) -> Any:
        """Move to ``device`` without copying: parameters and buffers have uninitialised contents there."""
        return self._apply(lambda t: ops.empty_like(t, device=device), recurse=recurse)

    def cpu(self) -> Any:
        """Move parameters and buffers to the CPU device."""
        return self._apply(lambda t: t.cpu())

    def cuda(self, device: Any = None) -> Any:
        """Move parameters and buffers to the GPU ``device``."""
        return self._apply(lambda t: t.cuda(device))

    def type(self, dst_type: Any) -> Any:
        """Cast all parameters and buffers to ``dst_type``."""
        return self._apply(lambda t: t.type(dst_type))

    def _cast_floating(self, dtype: Any) -> Any:
        return self._apply(lambda t: t.to(dtype) if t.is_floating_point() else t)

    def float(self) -> Any:
        """Cast floating parameters and buffers to float32."""
        return self._cast_floating(dtypes.float32)

    def double(self) -> Any:
        """Cast floating parameters and buffers to float64."""
        return self._cast_floating(dtypes.float64)

    def half(self) -> Any:
        """Cast floating parameters and buffers to float16."""
        return self._cast_floating(dtypes.float16)

    def bfloat16(self) -> Any:
        """Cast floating parameters and buffers to bfloat16."""
        return self._cast_floating(dtypes.bfloat16)

    def share_memory(self) -> Any:
        """Put parameters and buffers into memory that other processes can map."""
        return self._apply(lambda t: t.share_memory_())
