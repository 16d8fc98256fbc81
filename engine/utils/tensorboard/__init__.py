"""torch.utils.tensorboard: ``SummaryWriter`` of the tensorboardX package, which takes this library's tensors."""

try:
    from tensorboardX import FileWriter, SummaryWriter
    from tensorboardX.record_writer import RecordWriter
except ModuleNotFoundError as error:
    if error.name != "tensorboardX":
        raise
    raise ModuleNotFoundError(
        "SummaryWriter needs the tensorboardX package: pip install tensorboardX", name="tensorboardX"
    ) from None

__all__ = ["FileWriter", "RecordWriter", "SummaryWriter"]
