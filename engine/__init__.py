"""PyTorch's way of working on any OpenCL device: ``import engine as torch``."""

from __future__ import annotations

from math import e, inf, nan, pi

from . import (
    amp,
    autograd,
    backends,
    cuda,
    data,
    errors,
    nn,
    opencl,
    ops,
    optim,
    random,
    serialization,
    utils,
    version,
)
from .amp import GradScaler, autocast
from .autograd import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from .device import device, get_default_device, set_default_device
from .dtypes import (
    bfloat16,
    bool,
    can_cast,
    complex32,
    complex64,
    complex128,
    dtype,
    finfo,
    float16,
    float32,
    float64,
    get_default_dtype,
    iinfo,
    int8,
    int16,
    int32,
    int64,
    promote_types,
    set_default_dtype,
    uint8,
    uint16,
    uint32,
    uint64,
)
from .errors import OutOfMemoryError
from .formatting import set_printoptions
from .graph.spec import Size
from .layout import channels_last, channels_last_3d, contiguous_format, layout, memory_format, preserve_format, strided
from .ops import *
from .random import (
    Generator,
    default_generator,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)
from .runtime_info import empty_cache, launch_count, memory_stats, plan_stats, reset_peak_memory_stats, synchronize
from .serialization import load, save
from .settings import settings as config
from .tensor import LEGACY_TYPES, Tensor, UntypedStorage
from .version import __version__

float = float32
double = float64
half = float16
short = int16
int = int32
long = int64
cfloat = complex64
cdouble = complex128
chalf = complex32
newaxis = None

globals().update(LEGACY_TYPES)
