"""torch.autograd.grad_mode: switches of recording."""

from .mode import (
    enable_grad,
    force_original_view_tracking,
    inference_mode,
    no_grad,
    set_grad_enabled,
    set_multithreading_enabled,
    unsafe_preserve_version_counter,
)

__all__ = [
    "enable_grad",
    "force_original_view_tracking",
    "inference_mode",
    "no_grad",
    "set_grad_enabled",
    "set_multithreading_enabled",
    "unsafe_preserve_version_counter",
]
