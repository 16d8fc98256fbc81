"""PyTorch's way of working on any OpenCL device: ``import engine as torch``."""

from __future__ import annotations

from importlib import import_module
from math import e, inf, nan, pi
from typing import Any

from . import (
    amp,
    autograd,
    backends,
    cpu,
    cuda,
    data,
    errors,
    nn,
    opencl,
    ops,
    optim,
    random,
    serialization,
    types,
    utils,
    version,
)
from .amp import GradScaler, autocast
from .amp.state import (
    autocast_decrement_nesting,
    autocast_increment_nesting,
    clear_autocast_cache,
    get_autocast_cpu_dtype,
    get_autocast_dtype,
    get_autocast_gpu_dtype,
    is_autocast_cache_enabled,
    is_autocast_cpu_enabled,
    is_autocast_enabled,
    set_autocast_cache_enabled,
    set_autocast_cpu_dtype,
    set_autocast_cpu_enabled,
    set_autocast_dtype,
    set_autocast_enabled,
    set_autocast_gpu_dtype,
)
from .as_torch import install_as_torch
from .autograd import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from .capture import compile
from .controls import (
    are_deterministic_algorithms_enabled,
    get_deterministic_debug_mode,
    get_float32_matmul_precision,
    get_num_interop_threads,
    get_num_threads,
    is_deterministic_algorithms_warn_only_enabled,
    is_warn_always_enabled,
    set_deterministic_debug_mode,
    set_float32_matmul_precision,
    set_flush_denormal,
    set_num_interop_threads,
    set_num_threads,
    set_warn_always,
    use_deterministic_algorithms,
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

from .nn.functional.top_level import *  # isort: skip  (over the ops of these names: other signatures)
from .queries import (
    get_device_module,
    is_complex,
    is_conj,
    is_floating_point,
    is_inference,
    is_neg,
    is_nonzero,
    is_same_size,
    is_signed,
    is_storage,
    is_tensor,
    numel,
    result_type,
    typename,
)
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
from .tensor import LEGACY_TYPES, Tensor, UntypedStorage, set_default_tensor_type
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

_LAZY = frozenset(
    (
        "_C", "_dynamo", "_subclasses", "_utils", "accelerator", "compiler", "distributed", "distributions",
        "fft", "func", "functional", "fx", "hub", "jit", "library", "linalg", "models", "mps", "mtia",
        "multiprocessing", "profiler", "signal", "special", "storage", "testing", "types", "viz", "xpu",
    )
)  # fmt: skip
_LAZY_FUNCTIONS = {
    "from_dlpack": "utils.dlpack", "summary": "model_summary", "to_dlpack": "utils.dlpack",
    "vmap": "func",
}  # fmt: skip
_IN_PLACE = frozenset(
    """abs acos acosh addmv arccos arccosh arcsin arcsinh arctan arctanh as_strided asin asinh atan atanh ceil
    clamp clamp_max clamp_min clip conj_physical cos cosh deg2rad detach dropout erf erfc exp exp2 expm1
    fill fix floor frac gcd i0 index_put lcm ldexp log log10 log1p log2 logit nan_to_num neg negative
    rad2deg reciprocal resize_as round rsqrt sigmoid sin sinc sinh sqrt square tan tanh trunc xlogy zero""".split()
)  # the methods ``name_`` that are functions, too
_METHODS = ("detach", "get_device")  # methods that are functions, too


def __getattr__(name: str) -> Any:
    """Parts that few programs use are imported when they are first named."""
    if name in _LAZY:
        return import_module(f"{__name__}.{name}")
    if name.startswith("_foreach_"):
        return getattr(import_module(f"{__name__}.foreach"), name)
    if name in _LAZY_FUNCTIONS:
        return getattr(import_module(f"{__name__}.{_LAZY_FUNCTIONS[name]}"), name)
    if name in _METHODS or (name[:-1] in _IN_PLACE and name[-1] == "_"):
        return getattr(Tensor, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
