"""torch.library's way of declaring operators in Python: ``custom_op`` and ``Library``.

An operator is called through ``torch.ops.<namespace>.<name>`` or the object that ``custom_op`` returns. Derivatives
come from ``register_autograd``; without one the function's result does not require gradients, as in torch.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

from . import ops as operators
from .autograd.custom import Function
from .autograd.mode import no_grad
from .autograd.variable import Tensor

__all__ = [
    "CustomOpDef",
    "Library",
    "custom_op",
    "define",
    "get_ctx",
    "impl",
    "register_autograd",
    "register_fake",
    "register_kernel",
]


class CustomOpDef:
    """An operator of a program. Call it as a function.

    Attributes: the namespace and name; kernels by device type (None: any).
    """

    def __init__(self, qualname: str) -> None:
        if qualname.count("::") != 1:
            raise ValueError(f"expected the name of an operator as namespace::name, got {qualname!r}")
        self._qualname = qualname
        self._namespace, self._name = qualname.split("::")
        self.kernels: dict[str | None, Callable] = {}
        self._signature: inspect.Signature | None = None
        self._backward: Callable | None = None
        self._setup_context: Callable | None = None
        self.default = self

    def register_kernel(self, device_types: Any, func: Callable | None = None) -> Callable:
        """The implementation on some device types ("cpu", ["cpu", "cuda"]); also a decorator."""
        kinds = [device_types] if device_types is None or isinstance(device_types, str) else list(device_types)

        def register(function: Callable) -> Callable:
            self.kernels.update(dict.fromkeys(kinds, function))
            if self._signature is None:
                self._signature = inspect.signature(function)
            return function

        return register if func is None else register(func)

    def register_fake(self, func: Callable, /) -> Callable:
        """The shapes of results, for tensors on the "meta" device."""
        self.kernels["meta"] = func
        return func

    register_meta = register_fake

    def register_autograd(self, backward: Callable, /, *, setup_context: Callable | None = None) -> None:
        """``backward(ctx, *grads)`` gives a gradient an argument, ``setup_context(ctx, inputs, output)`` saves."""
        self._backward = backward
        self._setup_context = setup_context

    def register_vmap(self, func: Callable | None = None) -> Any:
        """Accepted; batching goes through the function itself."""
        return func if func is not None else lambda function: function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        values = tuple(bound.arguments.values())
        if self._backward is None:
            with no_grad():
                return self._kernel(values)(*args, **kwargs)
        return self._function().apply(*values)

    def _kernel(self, values: Iterable[Any]) -> Callable:
        kind = next((value.device.type for value in values if isinstance(value, Tensor)), None)
        found = self.kernels.get(kind) or self.kernels.get(None)
        if found is None:
            raise RuntimeError(f"{self._qualname} has no implementation for tensors on device type {kind!r}")
        return found

    def _function(self) -> type[Function]:
        op = self

        class _CustomOp(Function):
            @staticmethod
            def forward(ctx: Any, *values: Any) -> Any:
                output = op._kernel(values)(*values)
                if op._setup_context is not None:
                    op._setup_context(ctx, values, output)
                return output

            @staticmethod
            def backward(ctx: Any, *grads: Any) -> Any:
                return op._backward(ctx, *grads)

        return _CustomOp

    def __repr__(self) -> str:
        return f"<CustomOpDef({self._qualname})>"


_known: dict[str, CustomOpDef] = {}


def _operator(qualname: str) -> CustomOpDef:
    """The operator of a name, made and published at first use."""
    op = _known.get(qualname)
    if op is None:
        op = _known[qualname] = CustomOpDef(qualname)
        space = getattr(operators, op._namespace, None)
        if space is None:
            space = SimpleNamespace()
            setattr(operators, op._namespace, space)
        setattr(space, op._name, op)
    return op


def custom_op(
    name: str,
    fn: Callable | None = None,
    /,
    *,
    mutates_args: Any = (),
    device_types: Any = None,
    schema: str | None = None,
    tags: Any = None,
) -> Any:
    """Make a function an operator named ``namespace::name``; also a decorator."""

    def declare(function: Callable) -> CustomOpDef:
        op = _operator(name)
        op.register_kernel(device_types, function)
        op._signature = inspect.signature(function)
        return op

    return declare if fn is None else declare(fn)


def _named(op: Any) -> CustomOpDef:
    return op if isinstance(op, CustomOpDef) else _operator(op)


def register_fake(op: Any, func: Callable | None = None, /, *, lib: Any = None, **_: Any) -> Any:
    """Shapes of an operator's results; also a decorator."""
    return _named(op).register_fake if func is None else _named(op).register_fake(func)


impl_abstract = register_fake


def register_kernel(op: Any, device_types: Any, func: Callable | None = None, /, *, lib: Any = None) -> Any:
    """An operator's implementation on some device types; also a decorator."""
    return _named(op).register_kernel(device_types, func)


def register_autograd(
    op: Any, backward: Callable, /, *, setup_context: Callable | None = None, lib: Any = None
) -> None:
    """An operator's derivative."""
    _named(op).register_autograd(backward, setup_context=setup_context)


def define(qualname: str, schema: str, *, lib: Any = None, tags: Any = ()) -> None:
    """Declare an operator by its schema; ``impl`` gives the function."""
    _operator(qualname)


_KEYS = {"CPU": "cpu", "cpu": "cpu", "CUDA": "cuda", "cuda": "cuda", "Meta": "meta", "meta": "meta"}


def impl(qualname: str, types: Any, func: Callable | None = None, *, lib: Any = None) -> Any:
    """The implementation of a declared operator for device types or dispatch keys; also a decorator."""
    kinds = [_KEYS.get(kind) for kind in ([types] if isinstance(types, str) else types)]
    return _operator(qualname).register_kernel(kinds, func)


class Library:
    """Operators of one namespace, declared by schema and implemented one by one."""

    def __init__(self, ns: str, kind: str, dispatch_key: str = "") -> None:
        self.ns = ns
        self.kind = kind
        self.dispatch_key = dispatch_key

    def define(self, schema: str, alias_analysis: str = "", *, tags: Any = ()) -> str:
        """Declare an operator, "name(Tensor x) -> Tensor"; returns its name."""
        name = schema.partition("(")[0].strip()
        _operator(f"{self.ns}::{name}")
        return name

    def impl(self, op_name: Any, fn: Callable, dispatch_key: str = "", **_: Any) -> None:
        """Implement an operator."""
        name = op_name if isinstance(op_name, str) else op_name._qualname
        impl(
            name if "::" in name else f"{self.ns}::{name}", dispatch_key or self.dispatch_key or "CompositeImplicit", fn
        )


class _Context:
    """What shape functions ask for sizes that depend on data."""

    def new_dynamic_size(self, *, min: int = 0, max: int | None = None) -> int:
        """A size; the smallest allowed."""
        return min


def get_ctx() -> _Context:
    """The context of a shape function."""
    return _Context()
