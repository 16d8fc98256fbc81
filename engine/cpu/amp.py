"""torch.cpu.amp: mixed precision by its older names."""

from ..amp.legacy import CpuAutocast as autocast
from ..amp.legacy import CpuGradScaler as GradScaler

__all__ = ["GradScaler", "autocast"]
