"""What a tensor is: shape, strides, dtype, device, flags."""

from __future__ import annotations

from typing import Any

from .. import layout as layouts
from .. import ops
from ..autograd.records import current_grad_fn
from ..autograd.variable import Tensor, log
from .attach import method

for _name, _get in {
    "shape": lambda self: self._spec.shape,
    "dtype": lambda self: self._spec.dtype,
    "device": lambda self: self._spec.device,
    "ndim": lambda self: self._spec.ndim,
    "layout": lambda self: layouts.strided,
    "is_leaf": lambda self: not self._rg or current_grad_fn(self) is None,
    "is_cuda": lambda self: self._spec.device.kind == "gpu",
    "is_cpu": lambda self: self._spec.device.kind == "cpu",
    "is_meta": lambda self: self._spec.device.kind == "meta",
    "is_sparse": lambda self: False,
    "is_quantized": lambda self: False,
    "is_nested": lambda self: False,
    "is_mkldnn": lambda self: False,
    "is_mps": lambda self: False,
    "is_xpu": lambda self: False,
    "is_vulkan": lambda self: False,
    "is_sparse_csr": lambda self: False,
    "is_ipu": lambda self: False,
    "is_xla": lambda self: False,
    "is_mtia": lambda self: False,
    "is_maia": lambda self: False,
    "volatile": lambda self: False,
    "_cdata": lambda self: id(self),
    "itemsize": lambda self: self._spec.dtype.itemsize,
    "nbytes": lambda self: self._spec.numel * self._spec.dtype.itemsize,
    "output_nr": lambda self: self._out_nr,
    "name": lambda self: None,
    "names": lambda self: (None,) * self._spec.ndim,
    "retains_grad": lambda self: self._retain,
    "_version": lambda self: self._storage.version,
}.items():
    setattr(Tensor, _name, property(_get))


@method
def size(self: Tensor, dim: int | None = None) -> Any:
    """The shape, or one size."""
    if dim is None:
        return self._spec.shape
    ndim = self._spec.ndim
    if not -ndim <= dim < ndim:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-max(ndim, 1)}, {max(ndim, 1) - 1}], but got {dim})"
        )
    return self._spec.shape[dim]


@method
def stride(self: Tensor, dim: int | None = None) -> Any:
    """Strides in elements, or one of them."""
    if dim is None:
        return self._spec.stride
    ndim = self._spec.ndim
    if not -ndim <= dim < ndim:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-max(ndim, 1)}, {max(ndim, 1) - 1}], but got {dim})"
        )
    return self._spec.stride[dim]


@method
def dim_order(self: Tensor, *, ambiguity_check: Any = False) -> tuple[int, ...]:
    """Dimensions from outermost to innermost in memory."""
    seen = self._spec
    return tuple(sorted(range(seen.ndim), key=lambda d: (-seen.stride[d], d)))


@method
def _is_view(self: Tensor) -> bool:
    return self._base is not None


@method
def _use_count(self: Tensor) -> int:
    return 1


@method
def has_names(self: Tensor) -> bool:
    """Whether dimensions have names: never."""
    return False


@method
def is_distributed(self: Tensor) -> bool:
    """Whether the tensor is spread over processes: never."""
    return False


@method
def is_coalesced(self: Tensor) -> bool:
    """Raises RuntimeError: the tensor is not sparse."""
    raise RuntimeError("is_coalesced expected sparse coordinate tensor layout but got Strided")


@method
def sparse_dim(self: Tensor) -> int:
    """Number of sparse dimensions: none."""
    return 0


@method
def dense_dim(self: Tensor) -> int:
    """Number of dense dimensions: all."""
    return self._spec.ndim


@method
def dim(self: Tensor) -> int:
    """Number of dimensions."""
    return self._spec.ndim


@method
def numel(self: Tensor) -> int:
    """Number of elements."""
    return self._spec.numel


Tensor.ndimension = dim
Tensor.nelement = numel


@method
def storage_offset(self: Tensor) -> int:
    """Elements of the storage before the first one of this tensor."""
    return self._spec.offset


@method
def element_size(self: Tensor) -> int:
    """Bytes an element."""
    return self._spec.dtype.itemsize


@method
def is_floating_point(self: Tensor) -> bool:
    """Whether the dtype is a float."""
    return self._spec.dtype.is_floating_point


@method
def is_complex(self: Tensor) -> bool:
    """Whether the dtype is complex."""
    return self._spec.dtype.is_complex


@method
def is_signed(self: Tensor) -> bool:
    """Whether the dtype has negative values."""
    return self._spec.dtype.is_signed


@method
def is_contiguous(self: Tensor, memory_format: Any = None) -> bool:
    """Whether elements lie in memory in row-major (or the given) order without gaps."""
    return self._spec.contiguous if memory_format is None else memory_format.holds(self._spec)


@method
def is_same_size(self: Tensor, other: Tensor) -> bool:
    """Whether the shapes are equal."""
    return self._spec.shape == other._spec.shape


@method
def is_inference(self: Tensor) -> bool:
    """Whether the tensor was made in inference mode."""
    return self._inference


@method
def is_pinned(self: Tensor, device: Any = None) -> bool:
    """Whether the memory is page-locked: never."""
    return False


@method
def is_shared(self: Tensor) -> bool:
    """Whether the memory is shared between processes: never."""
    return False


for _name in ("is_conj", "is_neg"):
    setattr(Tensor, _name, lambda self: False)
for _name in ("resolve_conj", "resolve_neg"):
    setattr(Tensor, _name, lambda self, *args, **kwargs: self)


@method
def get_device(self: Tensor) -> int:
    """Index of the GPU, -1 on a CPU."""
    return self._spec.device.index if self._spec.device.kind == "gpu" else -1


@method
def data_ptr(self: Tensor) -> int:
    """Address of the first element where the memory is the host's, else a number that is unique to the storage."""
    where = log(self)
    if self._spec.device.kind == "meta" or not self._spec.numel:
        return 0
    raw = where.host_view(self._storage.node)
    base = raw.ctypes.data if raw is not None else id(self._storage)
    return base + self._spec.offset * self._spec.dtype.itemsize


for _name, _get in {
    "T": lambda self: self.permute(*reversed(range(self._spec.ndim))),
    "mT": lambda self: self.transpose(-2, -1),
    "H": lambda self: self.t() if not self._spec.dtype.is_complex else self.t().conj(),
    "mH": lambda self: self.adjoint(),
}.items():
    setattr(Tensor, _name, property(_get))
for _name, _get in {"real": ops.real, "imag": ops.imag}.items():
    setattr(Tensor, _name, property(_get, lambda self, value, part=_get: part(self).__setitem__(..., value)))
