"""Names of classes and functions in files: torch's there, this library's here.

Files carry torch's names, so that torch reads what is saved here; reading maps `torch.*` to this library.
"""

from __future__ import annotations

import importlib
import pickle
import sys
from typing import Any

ROOT = __name__.partition(".")[0]

# where torch's layout of files is not the one here: prefixes, longest first
_PREFIXES = (
    (f"{ROOT}.models", "torchvision.models"),
    (f"{ROOT}.data", "torch.utils.data"),
    (f"{ROOT}.optim.lr_scheduler", "torch.optim.lr_scheduler"),
    (f"{ROOT}.nn.functional", "torch.nn.functional"),
)
_ONE_FILE = ("torch.optim.lr_scheduler", "torch.nn.functional")
_TOP_LEVEL = ("Tensor", "Size", "device", "dtype", "Generator", "layout", "memory_format")
_SAME_PLACE = ("nn", "optim", "utils", "distributions", "amp", "autograd", "cuda", "models", "data")
_READ_PREFIXES = (
    ("torchvision.models", f"{ROOT}.models"),
    ("torch.utils.data", f"{ROOT}.data"),
    ("torch", ROOT),
)
_OLD_MODULES = {"torch.tensor": "torch._tensor", "torch._six": "torch"}

_NN_FILES = {
    "activation": "CELU ELU GELU GLU Hardshrink Hardsigmoid Hardswish Hardtanh LeakyReLU LogSigmoid LogSoftmax Mish "
    "MultiheadAttention PReLU RReLU ReLU ReLU6 SELU SiLU Sigmoid Softmax Softmax2d Softmin Softplus Softshrink "
    "Softsign Tanh Tanhshrink Threshold",
    "adaptive": "AdaptiveLogSoftmaxWithLoss",
    "batchnorm": "BatchNorm1d BatchNorm2d BatchNorm3d LazyBatchNorm1d LazyBatchNorm2d LazyBatchNorm3d SyncBatchNorm",
    "channelshuffle": "ChannelShuffle",
    "container": "ModuleDict ModuleList ParameterDict ParameterList Sequential",
    "conv": "Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d LazyConv1d LazyConv2d LazyConv3d "
    "LazyConvTranspose1d LazyConvTranspose2d LazyConvTranspose3d",
    "distance": "CosineSimilarity PairwiseDistance",
    "dropout": "AlphaDropout Dropout Dropout1d Dropout2d Dropout3d FeatureAlphaDropout",
    "flatten": "Flatten Unflatten",
    "fold": "Fold Unfold",
    "instancenorm": "InstanceNorm1d InstanceNorm2d InstanceNorm3d LazyInstanceNorm1d LazyInstanceNorm2d "
    "LazyInstanceNorm3d",
    "linear": "Bilinear Identity LazyLinear Linear",
    "loss": "BCELoss BCEWithLogitsLoss CTCLoss CosineEmbeddingLoss CrossEntropyLoss GaussianNLLLoss "
    "HingeEmbeddingLoss HuberLoss KLDivLoss L1Loss MSELoss MarginRankingLoss MultiLabelMarginLoss "
    "MultiLabelSoftMarginLoss MultiMarginLoss NLLLoss NLLLoss2d PoissonNLLLoss SmoothL1Loss SoftMarginLoss "
    "TripletMarginLoss TripletMarginWithDistanceLoss",
    "module": "Module",
    "normalization": "CrossMapLRN2d GroupNorm LayerNorm LocalResponseNorm RMSNorm",
    "padding": "CircularPad1d CircularPad2d CircularPad3d ConstantPad1d ConstantPad2d ConstantPad3d ReflectionPad1d "
    "ReflectionPad2d ReflectionPad3d ReplicationPad1d ReplicationPad2d ReplicationPad3d ZeroPad1d ZeroPad2d ZeroPad3d",
    "pixelshuffle": "PixelShuffle PixelUnshuffle",
    "pooling": "AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d "
    "AdaptiveMaxPool3d AvgPool1d AvgPool2d AvgPool3d FractionalMaxPool2d FractionalMaxPool3d LPPool1d LPPool2d "
    "LPPool3d MaxPool1d MaxPool2d MaxPool3d MaxUnpool1d MaxUnpool2d MaxUnpool3d",
    "rnn": "GRU GRUCell LSTM LSTMCell RNN RNNBase RNNCell RNNCellBase",
    "sparse": "Embedding EmbeddingBag",
    "transformer": "Transformer TransformerDecoder TransformerDecoderLayer TransformerEncoder TransformerEncoderLayer",
    "upsampling": "Upsample UpsamplingBilinear2d UpsamplingNearest2d",
}
_NN_FILE_OF = {name: file for file, names in _NN_FILES.items() for name in names.split()}


def _replace_prefix(module: str, old: str, new: str) -> str | None:
    if module == old or module.startswith(old + "."):
        return new + module[len(old) :]
    return None


def written_name(module: str, name: str) -> tuple[str, str] | None:
    """Torch's (module, name) of a class or function of this library; None for those of anybody else."""
    if module != ROOT and not module.startswith(ROOT + "."):
        return None
    if name in _TOP_LEVEL:
        return "torch", name
    if module.startswith(f"{ROOT}.nn.modules") and name in _NN_FILE_OF:
        return f"torch.nn.modules.{_NN_FILE_OF[name]}", name
    for old, new in _PREFIXES:
        mapped = _replace_prefix(module, old, new)
        if mapped is not None:
            return (new if new in _ONE_FILE else mapped), name
    if module.removeprefix(ROOT + ".").partition(".")[0] in _SAME_PLACE:
        return "torch" + module[len(ROOT) :], name
    in_functional = hasattr(sys.modules.get(f"{ROOT}.nn.functional"), name)
    return "torch.nn.functional" if in_functional and not hasattr(sys.modules[ROOT], name) else "torch", name


def modern_name(module: str, name: str) -> tuple[str, str]:
    """The (module, name) without what only old files say."""
    return _OLD_MODULES.get(module, module), name


def is_torch_name(module: str) -> bool:
    """Whether a module named in a file stands for one of this library."""
    return module.partition(".")[0] in ("torch", "torchvision")


def resolve(module: str, name: str) -> Any:
    """This library's class or function for a name of torch or torchvision.

    Looks in the module of the same place, then in the packages around it. UnpicklingError if it is in none of them.
    """
    for old, new in _READ_PREFIXES:
        mapped = _replace_prefix(module, old, new)
        if mapped is not None:
            break
    else:
        raise pickle.UnpicklingError(f"{module} is no module of torch")
    while mapped:
        found = _attribute(_import(mapped), name)
        if found is not None:
            return found
        mapped = mapped.rpartition(".")[0]
    raise pickle.UnpicklingError(f"The file needs {module}.{name}, which {ROOT} does not have")


def _import(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(error.name + ".")):
            return None
        raise


def _attribute(owner: Any, dotted: str) -> Any:
    for part in dotted.split("."):
        owner = getattr(owner, part, None)
    return owner
