"""Parameters and buffers: tensors that a Module registers when they are assigned as attributes."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from engine import ops
from engine.autograd.variable import user_attributes
from engine.tensor import Tensor

__all__ = ["Buffer", "Parameter", "UninitializedBuffer", "UninitializedParameter", "is_lazy"]


class _ParameterMeta(type(Tensor)):
    """Lets tensors of a foreign subclass count as Parameters when they carry ``_is_param``."""

    def __instancecheck__(cls, instance: Any) -> bool:
        if super().__instancecheck__(instance):
            return True
        return cls is Parameter and isinstance(instance, Tensor) and getattr(instance, "_is_param", False)


class _BufferMeta(type(Tensor)):
    """Buffers are plain tensors that carry ``_is_buffer``."""

    def __instancecheck__(cls, instance: Any) -> bool:
        if super().__instancecheck__(instance):
            return True
        return cls is Buffer and isinstance(instance, Tensor) and getattr(instance, "_is_buffer", False)


def _rebuild_parameter(data: Tensor, requires_grad: bool, backward_hooks: Any) -> Parameter:
    """Unpickling entry; the hooks slot is kept for the layout of .pth files and is always empty."""
    return Parameter(data, requires_grad)


def _rebuild_parameter_with_state(data: Tensor, requires_grad: bool, backward_hooks: Any, state: dict) -> Parameter:
    parameter = Parameter(data, requires_grad)
    parameter.__dict__.update(state)
    return parameter


class Parameter(Tensor, metaclass=_ParameterMeta):
    """A tensor that is a trainable part of a Module.

    Shares storage with ``data`` (any shape; floating or complex when it requires gradients). Assigning one to a
    Module attribute registers it, so that it shows up in ``Module.parameters()``.
    """

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Parameter:
        if data is None:
            data = ops.empty(0)
        if type(data) is Tensor or isinstance(data, Parameter):
            return data.detach().as_subclass(cls).requires_grad_(requires_grad)
        if not isinstance(data, Tensor):
            raise TypeError(f"Parameter() expects a Tensor as data, but received {type(data).__name__}")
        # A user's Tensor subclass keeps its type and is marked instead.
        marked = data.detach().requires_grad_(requires_grad)
        if type(marked) is not type(data):
            marked = marked.as_subclass(type(data)).requires_grad_(requires_grad)
        marked._is_param = True
        return marked

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True) -> None:
        # __new__ has done all the work; Tensor.__init__ must not see these arguments.
        pass

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.detach().clone(), self.requires_grad)
        return memo[id(self)]

    def __repr__(self, *args: Any, **kwargs: Any) -> str:
        # Printed as the plain tensor it is besides.
        plain = self.detach().requires_grad_(self.requires_grad)
        return "Parameter containing:\n" + repr(plain)

    def __reduce_ex__(self, protocol: Any) -> tuple:
        state = user_attributes(self)
        if not state:
            return _rebuild_parameter, (self.data, self.requires_grad, OrderedDict())
        return _rebuild_parameter_with_state, (self.data, self.requires_grad, OrderedDict(), state)


class Buffer(Tensor, metaclass=_BufferMeta):
    """A tensor that is state of a Module but not trained; ``Buffer(data, persistent=True)``.

    The result is an ordinary Tensor that shares storage with ``data``. Assigning it to a Module attribute calls
    ``register_buffer`` with its ``persistent`` flag.
    """

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True) -> Tensor:
        if data is None:
            data = ops.empty(0)
        buffer = data.detach().requires_grad_(data.requires_grad)
        buffer.persistent = persistent
        buffer._is_buffer = True
        return buffer


_LAZY_MESSAGE = (
    "Attempted to use an uninitialized parameter or buffer in {}. This error happens when you use a lazy module "
    "or explicitly manipulate uninitialized parameters. Call forward with a dummy batch first to initialize them."
)

# What conversion, pickling and registration of a Module need before the shape is known.
_ALLOWED_LAZY = frozenset(
    """as_subclass bfloat16 copy_ cpu cuda data detach detach_ device double dtype float get_device grad half int
    is_complex is_cpu is_cuda is_floating_point is_leaf is_shared layout long materialize name register_hook
    register_post_accumulate_grad_hook requires_grad requires_grad_ retain_grad share_memory_ short to type
    type_as byte char bool cfloat cdouble is_inference is_pinned pin_memory cls_to_become""".split()
)
_LAZY_OPERATORS = tuple(
    f"__{name}__"
    for name in """add radd iadd sub rsub isub mul rmul imul truediv rtruediv itruediv matmul rmatmul pow rpow ipow neg
    abs floordiv rfloordiv mod rmod lt le gt ge getitem setitem len iter""".split()
)


def _refusal(name: str) -> Any:
    def refuse(self: Tensor, *args: Any, **kwargs: Any) -> None:
        raise ValueError(_LAZY_MESSAGE.format(name))

    refuse.__name__ = name
    return refuse


class UninitializedTensorMixin:
    """A parameter or buffer whose shape is not known yet; ``materialize`` gives it one."""

    cls_to_become: type[Tensor]

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Become an ordinary tensor of ``shape``, uninitialised, by default of the same device and dtype."""
        device = self.data.device if device is None else device
        dtype = self.data.dtype if dtype is None else dtype
        self.data = ops.empty(shape, device=device, dtype=dtype)
        self.__class__ = self.cls_to_become

    @property
    def shape(self) -> Any:
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. This error usually happens in "
            "`load_state_dict` when trying to load an uninitialized parameter into an initialized one. Call `forward` "
            "to initialize the parameters before accessing their attributes."
        )

    def share_memory_(self) -> Any:
        raise RuntimeError(
            "Can't share memory on an uninitialized parameter or buffer. Call `forward` to initialize the parameters "
            "before calling `module.share_memory()`."
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce_ex__(self, protocol: Any) -> tuple:
        # The data cannot be pickled as it is empty; device and dtype are all there is to keep.
        return type(self), (self.requires_grad, self.device, self.dtype)


for _name in [n for n in dir(Tensor) if not n.startswith("_")] + list(_LAZY_OPERATORS):
    if (
        _name not in _ALLOWED_LAZY
        and not hasattr(UninitializedTensorMixin, _name)
        and callable(getattr(Tensor, _name, None))
    ):
        setattr(UninitializedTensorMixin, _name, _refusal(_name))


class UninitializedParameter(UninitializedTensorMixin, Parameter):
    """A Parameter whose shape a lazy Module infers at its first call. It has no usable data until then."""

    cls_to_become = Parameter

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> UninitializedParameter:
        data = ops.empty(0, device=device, dtype=dtype)
        return data.as_subclass(cls).requires_grad_(requires_grad)

    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> None:
        pass

    def __deepcopy__(self, memo: dict[int, Any]) -> UninitializedParameter:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.requires_grad, self.data.device, self.data.dtype)
        return memo[id(self)]


class UninitializedBuffer(UninitializedTensorMixin, Tensor):
    """A buffer whose shape a lazy Module infers at its first call."""

    cls_to_become = Tensor

    def __new__(
        cls, requires_grad: bool = False, device: Any = None, dtype: Any = None, persistent: bool = True
    ) -> UninitializedBuffer:
        data = ops.empty(0, device=device, dtype=dtype)
        buffer = data.as_subclass(cls).requires_grad_(requires_grad)
        buffer.persistent = persistent
        buffer._is_buffer = True
        return buffer

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __deepcopy__(self, memo: dict[int, Any]) -> UninitializedBuffer:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.requires_grad, self.data.device, self.data.dtype, self.persistent)
        return memo[id(self)]


def _converting(name: str) -> Any:
    """A conversion that stays an UninitializedBuffer."""

    def convert(self: UninitializedBuffer, *args: Any, **kwargs: Any) -> UninitializedBuffer:
        converted = getattr(Tensor, name)(self, *args, **kwargs)
        return type(self)(self.requires_grad, converted.device, converted.dtype, self.persistent)

    convert.__name__ = name
    return convert


for _name in ("to", "float", "double", "half", "bfloat16", "cpu", "cuda", "type"):
    setattr(UninitializedBuffer, _name, _converting(_name))


def is_lazy(param: Any) -> bool:
    """Whether ``param`` is an uninitialized parameter or buffer."""
    return isinstance(param, UninitializedTensorMixin)
