"""Publishing a Python function with torch's signature, from which method, in-place twin and ``out=`` form follow."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from sys import getrefcount
from typing import Any

from .. import dtypes
from ..amp.cast import autocast_call
from ..amp.policy import POLICIES
from ..amp.state import autocast_state
from ..autograd.inplace import Before, check_inplace
from ..autograd.mode import mode
from ..autograd.variable import Tensor
from ..dtypes import scalar_type_name
from ..graph.spec import Spec
from . import storing
from .storing import assign, store


@dataclass
class Public:
    """A published function: where it appears and sample inputs for tests.

    ``samples``: a function of a tensor maker that yields (args, kwargs); ``grad_samples`` likewise for gradient checks.
    """

    name: str
    call: Callable[..., Any]
    torch: bool = True
    method: bool = True
    inplace: bool = False
    functional: bool = False
    out: bool = False
    special: bool = False
    linalg: bool = False
    aliases: tuple[str, ...] = ()
    samples: Callable[..., Any] | None = None
    gradcheck: bool = True
    ref: Callable[..., Any] | None = None
    extra: dict[str, Any] = field(default_factory=dict)


registry: dict[str, Public] = {}
AUTOCAST_NAMES = frozenset(name for table in POLICIES.values() for name in table)


def function(
    name: str | None = None,
    *,
    torch: bool = True,
    method: bool = True,
    inplace: bool = False,
    functional: bool = False,
    out: bool = False,
    special: bool = False,
    linalg: bool = False,
    aliases: tuple[str, ...] = (),
    samples: Callable[..., Any] | None = None,
    gradcheck: bool = True,
    ref: Callable[..., Any] | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Publish a function ``f(input, ...)``.

    Args:
        torch, method, functional, special, linalg: appears in the top namespace, as a Tensor method, in nn.functional,
            in special, in linalg.
        inplace: also as ``name_`` method (result assigned to self). out: accepts ``out=``.
        aliases: further names (with the same in-place twins). samples: sample inputs. ref: NumPy reference.
    """

    def publish(call: Callable[..., Any]) -> Callable[..., Any]:
        public = name or call.__name__
        if public in AUTOCAST_NAMES:
            call = _autocasting(public, call)
        registry[public] = Public(
            public, call, torch, method, inplace, functional, out, special, linalg, aliases, samples, gradcheck, ref
        )
        return call

    return publish


def _autocasting(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """A function that autocast may run in another precision."""

    @functools.wraps(call)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if autocast_state.active:
            return autocast_call(name, call, args, kwargs)
        return call(*args, **kwargs)

    return wrapped


def inplace_of(call: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The in-place twin of a function."""

    @functools.wraps(call)
    def twin(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if mode.grad and (self._rg or _any_rg(args, kwargs)):
            return _recorded_twin(call, name, self, args, kwargs)
        check_inplace(self, name)
        value = call(self, *args, **kwargs)
        alone = getrefcount(value) <= 2 and getrefcount(value._storage) <= 2
        return assign(self, value, name, alone, True)

    twin.__name__ = twin.__qualname__ = name
    twin.__doc__ = f"In-place version of ``{call.__name__}``: the result replaces the content of this tensor."
    return twin


def _any_rg(args: tuple, kwargs: dict) -> bool:
    for a in args:
        if isinstance(a, Tensor) and a._rg:
            return True
    return bool(kwargs) and any(isinstance(a, Tensor) and a._rg for a in kwargs.values())


def _recorded_twin(call: Callable[..., Any], name: str, x: Tensor, args: tuple, kwargs: dict) -> Tensor:
    """In place with a record: computed from the old value set apart, which the derivative may need."""
    check_inplace(x, name, True)
    before = Before(x)
    try:
        assign(x, call(before.old, *args, **kwargs), name, False, True)
    finally:
        before.done()
    return x


# Functions whose ``out=`` must have the dtype of the result, by the form of PyTorch's message.
_EXACT = dict.fromkeys(
    """addmm addmv baddbmm bmm mm cross diag gather index_add index_copy index_reduce linalg_cholesky linalg_cross
    linalg_det linalg_eigvalsh linalg_inv linalg_ldl_solve linalg_lu_solve linalg_solve linalg_svdvals vector_norm
    log_softmax lu_solve msort renorm scatter scatter_add scatter_reduce softmax take_along_dim tril triu""".split(),
    "Expected out tensor to have dtype {want}, but got {got} instead",
) | dict.fromkeys(
    "abs ceil conj_physical floor frac neg round sgn sign trunc".split(), "Found dtype {Got} but expected {Want}"
)  # fmt: skip
_C_NAMES = {"float32": "float", "float64": "double", "int64": "long", "int32": "int", "int16": "short",
            "int8": "signed char", "uint8": "unsigned char", "float16": "c10::Half", "bfloat16": "c10::BFloat16",
            "complex64": "c10::complex<float>", "complex128": "c10::complex<double>"}  # fmt: skip


def _check_exact(message: str, want: dtypes.dtype, got: dtypes.dtype) -> None:
    if want is not got:
        names = {"want": _C_NAMES.get(want.name, want.name), "got": _C_NAMES.get(got.name, got.name)}
        raise RuntimeError(message.format(**names, Want=scalar_type_name(want), Got=scalar_type_name(got)))


def out_of(call: Callable[..., Any], name: str = "") -> Callable[..., Any]:
    """The form of a function that takes ``out=``."""
    exact = _EXACT.get(name)

    @functools.wraps(call)
    def wrapped(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        if out is None:
            return call(*args, **kwargs)
        outs = out if isinstance(out, (tuple, list)) else (out,)
        if mode.grad and any(isinstance(a, Tensor) and a._rg for a in (*args, *kwargs.values(), *outs)):
            raise RuntimeError(
                f"{call.__name__}(): functions with out=... arguments don't support automatic differentiation, but "
                f"one of "
                f"the arguments requires grad."
            )
        for target in outs:
            _check_overlap(target, (*args, *kwargs.values()))
        active, autocast_state.active = autocast_state.active, False  # a result with a place of its own is never cast
        try:
            result = call(*args, **kwargs)
        finally:
            autocast_state.active = active
        results = result if isinstance(result, tuple) else (result,)
        for target, value in zip(outs, results):
            if exact is not None:
                _check_exact(exact, value._spec.dtype, target._spec.dtype)
            write_out(target, value)
        return out

    return wrapped


def _check_overlap(target: Any, operands: Sequence[Any]) -> None:
    """Raise RuntimeError for an ``out=`` tensor that overlaps an operand partly (it may be that operand)."""
    if not isinstance(target, Tensor):
        raise TypeError(f"argument 'out' must be Tensor, not {type(target).__name__}")
    seen = target._spec
    for x in operands:
        if not isinstance(x, Tensor) or x._storage is not target._storage or x._spec is seen:
            continue
        first, second = _extent(x._spec), _extent(seen)
        dense = x._spec.contiguous and seen.contiguous
        if dense and first[0] < second[1] and second[0] < first[1] and x._spec.shape == seen.shape:
            raise RuntimeError(
                "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single "
                "memory location. Please clone() the tensor before performing the operation."
            )


def _extent(s: Spec) -> tuple[int, int]:
    """First and last memory position, the last one excluded."""
    if not s.numel:
        return s.offset, s.offset
    return s.offset, s.offset + sum((n - 1) * st for n, st in zip(s.shape, s.stride)) + 1


def write_out(target: Tensor, value: Tensor) -> None:
    """Store a result in an ``out=`` tensor, resizing it if need be.

    Raises RuntimeError for a dtype that cannot be cast and for a tensor of which elements share memory.
    """
    seen, new = target._spec, value._spec
    if any(stride == 0 and size > 1 for stride, size in zip(seen.stride, seen.shape)):
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory "
            "location. Please clone() the tensor before performing the operation."
        )
    if not dtypes.can_cast(new.dtype, seen.dtype):
        raise RuntimeError(
            f"result type {scalar_type_name(new.dtype)} can't be cast to the desired output type "
            f"{scalar_type_name(seen.dtype)}"
        )
    if seen.shape != new.shape:
        RESIZE(target, tuple(new.shape))
    if new.dtype is not target._spec.dtype:
        value = storing.CAST(value, target._spec.dtype)
    store(target, value)


RESIZE: Any = None  # set by ops.creation: resize_ as a tensor op
