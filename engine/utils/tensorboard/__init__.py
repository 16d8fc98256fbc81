"""torch.utils.tensorboard: ``SummaryWriter`` of the tensorboardX package for this library's tensors."""

from .writer import FileWriter, RecordWriter, SummaryWriter

__all__ = ["FileWriter", "RecordWriter", "SummaryWriter"]
