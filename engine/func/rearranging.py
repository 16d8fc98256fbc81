"""rearrange: reshaping and reordering by a pattern of names, after einops (Rogozhnikov, ICLR 2022)."""

from __future__ import annotations

import re
from math import prod
from typing import Any

from ..autograd.backward import Ops
from ..autograd.variable import Tensor

_TOKEN = re.compile(r"\(|\)|\.\.\.|[A-Za-z_][A-Za-z0-9_]*|1|\S")


def _parse(side: str, pattern: str) -> list[list[str]]:
    """Groups of names, one a dimension."""
    groups: list[list[str]] = []
    inside: list[str] | None = None
    for token in _TOKEN.findall(side):
        if token == "(":
            if inside is not None:
                raise ValueError(f"brackets within brackets in the pattern '{pattern}'")
            inside = []
        elif token == ")":
            if inside is None:
                raise ValueError(f"brackets are not balanced in the pattern '{pattern}'")
            groups.append(inside)
            inside = None
        elif token == "1":
            if inside is None:
                groups.append([])
        elif token == "..." or token.isidentifier():
            if inside is None:
                groups.append([token])
            else:
                inside.append(token)
        else:
            raise ValueError(f"unexpected '{token}' in the pattern '{pattern}'")
    if inside is not None:
        raise ValueError(f"brackets are not balanced in the pattern '{pattern}'")
    return groups


def rearrange(tensor: Tensor | list[Tensor] | tuple[Tensor, ...], pattern: str, **axes_lengths: int) -> Tensor:
    """``rearrange(x, "b c (h p) -> b h (p c)", p=2)``: split, reorder and merge dimensions.

    Raises ValueError for a pattern that does not fit.
    """
    if not isinstance(tensor, Tensor):
        tensor = Ops.stack(list(tensor))
    if pattern.count("->") != 1:
        raise ValueError(f"the pattern '{pattern}' must have exactly one '->'")
    left, right = (_parse(side, pattern) for side in pattern.split("->"))
    left, right = (_spread(groups, left, tensor.ndim, pattern) for groups in (left, right))
    names = [n for g in left for n in g]
    wanted = [n for g in right for n in g]
    if len(set(names)) != len(names) or sorted(names) != sorted(wanted):
        raise ValueError(f"identifiers only on one side of the pattern, or repeated: '{pattern}'")
    if len(left) != tensor.ndim:
        raise ValueError(f"the pattern '{pattern}' has {len(left)} dimensions, the tensor {tensor.ndim}")
    sizes = _sizes(left, tuple(tensor.shape), dict(axes_lengths), pattern)
    split = tensor.reshape([sizes[n] for n in names])
    moved = split.permute(*[names.index(n) for n in wanted]) if names else split
    return moved.reshape([prod(sizes[n] for n in group) for group in right])


def _spread(groups: list[list[str]], left: list[list[str]], ndim: int, pattern: str) -> list[list[str]]:
    """``...`` as so many numbered names."""
    count = ndim - sum(g != ["..."] for g in left)
    names = [f"...{i}" for i in range(count)]
    out: list[list[str]] = []
    for group in groups:
        if group == ["..."]:
            out.extend([n] for n in names)
        else:
            out.append([m for n in group for m in (names if n == "..." else [n])])
    return out


def _sizes(left: list[list[str]], shape: tuple[int, ...], known: dict[str, Any], pattern: str) -> dict[str, int]:
    for group, size in zip(left, shape):
        unknown = [n for n in group if n not in known]
        have = prod(known[n] for n in group if n in known)
        if len(unknown) > 1:
            raise ValueError(f"could not infer sizes of {unknown} in the pattern '{pattern}'")
        if unknown:
            if not have or size % have:
                raise ValueError(f"dimension of size {size} is not divisible by {have} in the pattern '{pattern}'")
            known[unknown[0]] = size // have
        elif have != size:
            raise ValueError(f"dimension of size {size} does not match the given sizes ({have}) in '{pattern}'")
    return known
