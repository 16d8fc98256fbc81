"""Declaring elementwise ops: one-operand and two-operand families with torch's broadcasting, promotion and layout."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from numbers import Number
from typing import Any

import numpy as np

from .. import dtypes
from ..autograd.mode import mode
from ..autograd.variable import Tensor
from ..device import device as Device
from ..dtypes import scalar_type_name
from ..graph.ir import Ref
from ..graph.log import log_of
from ..graph.node import Storage
from ..graph.spec import Spec, spec
from . import op as op_module
from .op import Op, dense_strides, memory_order
from .publish import function

_new = object.__new__
_KINDS = {bool: "b", int: "i", float: "f", complex: "c"}


def pointwise_spec(dtype: dtypes.dtype, *specs: Spec) -> Spec:
    """Description of an elementwise result: broadcast shape, and a layout that follows the operands'."""
    shape = broadcast_shapes(*(s.shape for s in specs))
    device = next((s.device for s in specs if s.ndim), specs[0].device)
    return spec(dtype, device, shape, dense_strides(shape, memory_order(_broadcast(specs, shape))))


def _broadcast(specs: tuple[Spec, ...], shape: tuple[int, ...]) -> list[Spec]:
    return [s for s in specs if s.ndim == len(shape)] or [specs[0]]


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """Common shape. Raises RuntimeError as torch where sizes do not match."""
    first = shapes[0]
    if all(s == first for s in shapes):
        return tuple(first)
    out = [1] * max(len(s) for s in shapes)
    for shape in shapes:
        lead = len(out) - len(shape)
        for i, size in enumerate(shape):
            if size != 1:
                if out[lead + i] not in (1, size):
                    a, b = out[lead + i], size
                    raise RuntimeError(
                        f"The size of tensor a ({a}) must match the size of tensor b ({b}) at non-singleton dimension "
                        f"{lead + i}"
                    )
                out[lead + i] = size
    return tuple(out)


def promoted(operands: Iterable[Spec | Ref], kinds: Iterable[str] = ()) -> dtypes.dtype:
    """The dtype that arrays and Python numbers (by kind: "b", "i", "f", "c") promote to."""
    table = {"b": dtypes.bool, "i": dtypes.int64, "f": dtypes.default.get(), "c": dtypes.default.get_complex()}
    weighed = [(o.dtype, dtypes.Category.DIMENSIONED if o.ndim else dtypes.Category.ZERO_DIM) for o in operands]
    return dtypes.result_type(weighed + [(table[k], dtypes.Category.WRAPPED) for k in kinds])


def float_of(dtype: dtypes.dtype) -> dtypes.dtype:
    """The dtype of a float-valued function of ``dtype``: itself if floating, else the default dtype."""
    return dtype if dtype.is_floating_point or dtype.is_complex else dtypes.default.get()


def compute(x: Ref) -> Ref:
    """A 16-bit float operand in float32, in which arithmetic happens."""
    return x.cast(dtypes.float32) if x.dtype in (dtypes.float16, dtypes.bfloat16) else x


def wide(dtype: dtypes.dtype) -> dtypes.dtype:
    """The dtype arithmetic on ``dtype`` happens in."""
    return dtypes.float32 if dtype in (dtypes.float16, dtypes.bfloat16) else dtype


def check_tensor(name: str, value: Any, argument: str = "input", position: int = 1) -> None:
    """Raise torch's TypeError unless ``value`` is a tensor."""
    if not isinstance(value, Tensor):
        kind = type(value).__name__
        raise TypeError(f"{name}(): argument '{argument}' (position {position}) must be Tensor, not {kind}")


def unary(
    name: str,
    lower: Callable[..., Ref],
    grad: Callable[..., Any] | None = None,
    *,
    result: str = "float",
    saves: tuple[int, ...] = (0,),
    saves_out: bool = False,
    allow: str = "biufc",
    inplace: bool = True,
    functional: bool = False,
    torch: bool = True,
    method: bool = True,
    special: bool = False,
    aliases: tuple[str, ...] = (),
    samples: Callable[..., Any] | None = None,
    gradcheck: bool = True,
    grad_name: str | None = None,
    doc: str | None = None,
    holomorphic: bool = True,
) -> Callable[[Tensor], Tensor]:
    """Declare an elementwise function of one tensor.

    Args:
        lower: ``lower(b, x) -> Ref`` on an operand already in the dtype arithmetic happens in.
        grad: ``grad(g, x, out) -> gradient`` (x or out None when not saved).
        holomorphic: ``grad`` multiplies g by f'(x); for complex operands it gets conj(g) and the result is conjugated.
        result: "float" (integers become the default dtype), "same", "bool", "real" (complex become real), "angle"
            (complex become real, integers the default dtype).
        allow: kinds of dtype accepted: b bool, i signed, u unsigned, f float, c complex.
    """

    def rule(x: Spec) -> Spec:
        check_kind(name, x.dtype, allow)
        return pointwise_spec(result_of(x.dtype), x)

    def result_of(dtype: dtypes.dtype) -> dtypes.dtype:
        if result == "bool":
            return dtypes.bool
        if result in ("real", "angle") and dtype.is_complex:
            return dtype.to_real()
        return float_of(dtype) if result in ("float", "angle") else dtype

    def low(b: Any, x: Ref) -> Ref:
        dtype = result_of(x.dtype)
        if result == "float":
            x = x.cast(wide(dtype))
        return lower(b, compute(x)).cast(dtype)

    derivative = None
    if grad is not None:

        def derivative(ctx: Any, g: Tensor) -> Any:
            x = ctx.inputs[0] if saves else None
            out = ctx.outputs[0] if saves_out else None
            if holomorphic and g._spec.dtype.is_complex:
                return (grad(g.conj(), x, out).conj(),)
            return (grad(g, x, out),)

    op = Op(name, rule, low, derivative, saves=saves if grad is not None else (), grad_name=grad_name,
            saves_out=(0,) if saves_out and grad is not None else ())  # fmt: skip
    calls = op.calls

    def call(input: Tensor) -> Tensor:
        try:
            seen = input._spec
        except AttributeError:
            check_tensor(name, input)
            raise
        found = calls.get(((seen,), ()))
        if found is None:
            found = op.resolve((seen,), ())
        device = seen.device
        node = (device.graph or log_of(device)).add(found, (input._storage.node,))
        t = _new(Tensor)
        t._storage = Storage(node)
        t._spec = found.out
        if input._rg and mode.grad and derivative is not None:
            op.record(found, (input,), (t,), (), ())
        elif mode.inference:
            t._inference = True
        return t

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc or f"Elementwise ``{name}`` of a tensor of any shape."
    call.op = op
    function(
        name, torch=torch, method=method, inplace=inplace, functional=functional, out=True, special=special,
        aliases=aliases, samples=samples, gradcheck=gradcheck and grad is not None,
    )(call)  # fmt: skip
    return call


def check_kind(name: str, dtype: dtypes.dtype, allow: str) -> None:
    """Raise where an op is not defined for a dtype."""
    kind = (
        "b"
        if dtype is dtypes.bool
        else "c"
        if dtype.is_complex
        else "f"
        if dtype.is_floating_point
        else ("i" if dtype.is_signed else "u")
    )
    if kind not in allow:
        raise NotImplementedError(f'"{name}" not implemented for {scalar_type_name(dtype)!r}')


class Binary:
    """An elementwise function of two operands, each a tensor or a Python number.

    ``static`` of the underlying op is () for two tensors, ("s", kind) for tensor and number, ("r", kind) for number and
    tensor; kind is the number's Python type ("b", "i", "f", "c") as it decides promotion.
    """

    def __init__(
        self,
        name: str,
        lower: Callable[..., Ref],
        grad_x: Callable[..., Any] | None,
        grad_y: Callable[..., Any] | None,
        saves: dict[int, tuple[int, ...]],
        saves_out: bool,
        result: str,
        allow: str,
        grad_name: str | None,
        holomorphic: bool = False,
    ) -> None:
        self.name = name
        self.lower = lower
        self.grad_x = grad_x
        self.grad_y = grad_y
        self.result = result
        self.allow = allow
        self.holomorphic = holomorphic
        derivative = self._derivative if grad_x is not None or grad_y is not None else None
        self.op = Op(
            name, self._rule, self._lower, derivative, saves=saves, saves_out=(0,) if saves_out else (),
            scalars=self._scalars, grad_name=grad_name,
        )  # fmt: skip
        self.saves_out = saves_out
        self.calls = self.op.calls
        # With one tensor operand it is saved only if its own gradient reads it.
        self.number_saves = {"s": (0,) if 0 in saves[0] else (), "r": (0,) if 1 in saves[1] else ()}

    # -- rules ------------------------------------------------------------------------------------------------------
    def compute_dtype(self, specs: Sequence[Spec | Ref], static: tuple) -> dtypes.dtype:
        """The promoted dtype of the operands."""
        dtype = promoted(specs, static[1:])
        return float_of(dtype) if self.result == "float" else dtype

    def _rule(self, *args: Any) -> Spec:
        specs = tuple(a for a in args if type(a) is Spec)
        static = args[len(specs) :]
        dtype = self.compute_dtype(specs, static)
        check_kind(self.name, dtype, self.allow)
        return pointwise_spec(self._result(dtype), *specs)

    def _result(self, dtype: dtypes.dtype) -> dtypes.dtype:
        if self.result == "complex":
            return dtype.to_complex()
        return dtypes.bool if self.result == "bool" else dtype

    def _scalars(self, *args: Any) -> tuple[dtypes.dtype, ...]:
        specs = tuple(a for a in args if type(a) is Spec)
        static = args[len(specs) :]
        if not static:
            return ()
        dtype = wide(self.compute_dtype(specs, static))
        if dtype is dtypes.bool:
            dtype = dtypes.int64
        if dtype.is_complex and static[1] != "c":
            dtype = dtype.to_real()
        return (dtype,)

    def _lower(self, b: Any, *args: Any) -> Ref:
        refs = [a for a in args if isinstance(a, Ref)]
        static = args[len(refs) :]
        dtype = self.compute_dtype(refs[:-1] if static else refs, static)
        x, y = (r.cast(wide(dtype)) for r in refs)
        if static and static[0] == "r":
            x, y = y, x
        out = self.lower(b, x, y)
        return out.cast(self._result(dtype))

    def _derivative(self, ctx: Any, g: Tensor) -> tuple:
        if self.holomorphic and g._spec.dtype.is_complex:
            return tuple([d if d is None else d.conj() for d in self._plain_derivative(ctx, g.conj())])
        return self._plain_derivative(ctx, g)

    def _plain_derivative(self, ctx: Any, g: Tensor) -> tuple:
        saved = ctx.inputs if ctx.saved_in or ctx.freed else (None, None)
        out = ctx.outputs[0] if self.saves_out else None
        if ctx.static:
            number = ctx.scalars[0]
            if ctx.static[0] == "s":
                return (self.grad_x(g, saved[0], number, out),)
            return (self.grad_y(g, number, saved[0], out),)
        x, y = saved
        needs = ctx.edges
        return (
            self.grad_x(g, x, y, out) if needs[0] is not None and self.grad_x is not None else None,
            self.grad_y(g, x, y, out) if needs[1] is not None and self.grad_y is not None else None,
        )

    # -- applying ---------------------------------------------------------------------------------------------------
    def tensors(self, a: Tensor, b: Tensor) -> Tensor:
        """Both operands are tensors."""
        key = ((a._spec, b._spec), ())
        call = self.calls.get(key)
        if call is None:
            if a._spec.device is not b._spec.device:
                a, b = _same_device(a, b)
            key = ((a._spec, b._spec), ())
            call = self.calls.get(key) or self.op.resolve(*key)
        out = call.out
        device = out.device
        node = (device.graph or log_of(device)).add(call, (a._storage.node, b._storage.node))
        t = _new(Tensor)
        t._storage = Storage(node)
        t._spec = out
        if mode.grad and (a._rg or b._rg) and self.op.derivative is not None:
            self.op.record(call, (a, b), (t,), (), ())
        elif mode.inference:
            t._inference = True
        return t

    def number(self, a: Tensor, value: Any, side: str) -> Tensor:
        """One operand is a Python number: the right one (side "s") or the left one ("r")."""
        kind = _KINDS.get(type(value))
        if kind is None:
            value, kind = _plain(value)
        static = (side, kind)
        seen = a._spec
        call = self.calls.get(((seen,), static))
        if call is None:
            call = self.op.resolve((seen,), static)
        device = seen.device
        scalars = (value,)
        node = (device.graph or log_of(device)).add(call, (a._storage.node,), scalars)
        t = _new(Tensor)
        t._storage = Storage(node)
        t._spec = call.out
        if a._rg and mode.grad and self.op.derivative is not None:
            self.op.record(call, (a,), (t,), static, scalars, self.number_saves[side])
        elif mode.inference:
            t._inference = True
        return t

    def __call__(self, x: Any, y: Any) -> Tensor:
        """Any mixture; at least one operand is a tensor."""
        if isinstance(x, Tensor):
            if isinstance(y, Tensor):
                return self.tensors(x, y)
            if is_number(y):
                return self.number(x, y, "s")
            raise TypeError(
                f"{self.name}(): argument 'other' (position 2) must be Tensor or Number, not {type(y).__name__}"
            )
        if isinstance(y, Tensor) and is_number(x):
            return self.number(y, x, "r")
        raise TypeError(f"{self.name}(): argument 'input' (position 1) must be Tensor, not {type(x).__name__}")


def is_number(value: Any) -> bool:
    """A Python or NumPy number (not an array)."""
    return isinstance(value, (Number, np.generic))


def _plain(value: Any) -> tuple[Any, str]:
    if isinstance(value, np.generic):
        value = value.item()
    for kind in (bool, int, float, complex):
        if isinstance(value, kind):
            return kind(value), _KINDS[kind]
    if hasattr(value, "__index__"):
        return operator.index(value), "i"
    return float(value), "f"


def _same_device(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """0-dim CPU tensors mix with any device, as in torch; others do not."""
    a, b = mix((a, b))
    return a, b


def mix(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    """Operands of an op brought to one device where that is allowed; as they are otherwise."""
    specs = [t._spec for t in tensors]
    if any([type(s.device) is not Device for s in specs]):
        return VIRTUAL(tensors)
    target = next((s.device for s in specs if s.ndim or s.device.kind != "cpu"), None)
    if target is None or target.kind == "meta":
        return tensors
    return [
        TO_DEVICE(t, target) if s.device is not target and not s.ndim and s.device.kind == "cpu" else t
        for t, s in zip(tensors, specs)
    ]


op_module.MIX = mix
VIRTUAL: Any = None  # set by func: operands of which some are on a virtual device, brought to it
LIFT: Any = None  # set by func: a tensor brought to a virtual device
TO_DEVICE: Any = None  # set by ops.creation


def binary(
    name: str,
    lower: Callable[..., Ref],
    grad_x: Callable[..., Any] | None = None,
    grad_y: Callable[..., Any] | None = None,
    *,
    dx: str = "",
    dy: str = "",
    saves_out: bool = False,
    result: str = "promote",
    allow: str = "biufc",
    inplace: bool = True,
    publish: bool = True,
    torch: bool = True,
    method: bool = True,
    special: bool = False,
    aliases: tuple[str, ...] = (),
    samples: Callable[..., Any] | None = None,
    gradcheck: bool = True,
    grad_name: str | None = None,
    doc: str | None = None,
    holomorphic: bool = False,
    numbers: bool = True,
) -> Binary:
    """Declare an elementwise function of two operands.

    Args:
        lower: ``lower(b, x, y) -> Ref`` on operands already in the common compute dtype.
        grad_x, grad_y: ``grad(g, x, y, out) -> gradient``; a number operand is passed as a number.
        dx, dy: which operands each of them reads: "", "x", "y" or "xy" (saved only when that gradient is wanted).
        result: "promote", "float", "bool" or "complex" (of the promoted real dtype).
        holomorphic: gradients multiply g by a derivative; conjugated as for ``unary`` where operands are complex.
        numbers: whether the published function takes Python numbers for operands.
    """
    where = {"x": 0, "y": 1}
    saves = {0: tuple(where[c] for c in dx), 1: tuple(where[c] for c in dy)}
    made = Binary(name, lower, grad_x, grad_y, saves, saves_out, result, allow, grad_name, holomorphic)
    if publish:

        def call(input: Any, other: Any) -> Tensor:
            if not numbers:
                check_tensor(name, input)
                check_tensor(name, other, "other", 2)
            return made(input, other)

        call.__name__ = call.__qualname__ = name
        call.__doc__ = doc or f"Elementwise ``{name}`` of two operands (tensors or numbers) with broadcasting."
        call.binary = made
        function(
            name, torch=torch, method=method, inplace=inplace, out=True, special=special, aliases=aliases,
            samples=samples, gradcheck=gradcheck and (grad_x is not None or grad_y is not None),
        )(call)  # fmt: skip
    return made
