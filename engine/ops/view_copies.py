"""Views as copies: ``expand_copy`` and its kind give what the view of that name shows, in memory of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..autograd.variable import Tensor
from .publish import function, registry, write_out

_VIEWS = (
    "as_strided", "detach", "diagonal", "expand", "permute", "select", "split", "split_with_sizes", "squeeze", "t",
    "transpose", "unbind", "unfold", "unsqueeze", "view", "view_as_complex", "view_as_real",
)  # fmt: skip


def _copied(view: Any) -> Any:
    if isinstance(view, (tuple, list)):
        return tuple(part.clone() for part in view)
    return view.clone()


def _copy_of(name: str) -> Callable[..., Any]:
    published = registry.get(name)

    def copy(input: Tensor, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        view = published.call if published is not None else getattr(type(input), name)
        value = _copied(view(input, *args, **kwargs))
        if out is None:
            return value
        pairs = zip(out, value) if isinstance(value, tuple) else ((out, value),)
        for target, part in pairs:
            write_out(target, part)
        return out

    copy.__name__ = copy.__qualname__ = f"{name}_copy"
    copy.__doc__ = f"``{name}`` as a copy."
    return copy


for _name in _VIEWS:
    function(f"{_name}_copy", method=False, gradcheck=False)(_copy_of(_name))


@function("alias_copy", method=False)
def alias_copy(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """A copy of the tensor."""
    value = input.clone()
    if out is None:
        return value
    write_out(out, value)
    return out


@function("slice_copy", method=False)
def slice_copy(
    input: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1, *, out: Any = None
) -> Tensor:
    """``input[start:end:step]`` along ``dim`` as a copy."""
    index = (slice(None),) * (dim % max(input.ndim, 1)) + (slice(start, end, step),)
    return alias_copy(input[index], out=out)
