"""Several writes into one array by one kernel: parts of a concatenation or a stack, neighbouring slices.

Each write of a chain replaces a part of what the one before it made. Where the parts do not overlap and nothing else
sees the values in between, their order does not matter.
"""

from __future__ import annotations

from .ir import Val
from .view import View

_PARAMETERS = 900  # bytes: pointers, offsets and strides of all parts; every device takes 1024


def disjoint(a: View, b: View) -> bool:
    """Whether two views of one shape and the same strides, neither of which meets itself, surely share no element."""
    if a.shape != b.shape or any(s != t for s, t, n in zip(a.strides, b.strides, a.shape) if n > 1):
        return False
    dims = sorted(((abs(s), n) for s, n in zip(a.strides, a.shape) if n > 1 and s), reverse=True)
    reach = [0]
    for stride, size in reversed(dims):
        reach.append(reach[-1] + stride * (size - 1))
    return not _meet(b.offset - a.offset, dims, reach[::-1])


def _meet(distance: int, dims: list[tuple[int, int]], reach: list[int]) -> bool:
    """Whether ``distance`` is a sum of steps along dimensions, outermost first. ``reach``: the most from each on."""
    if abs(distance) > reach[0]:
        return False
    if not dims:
        return distance == 0
    (stride, size), *inner = dims
    low, high = -(-(distance - reach[1]) // stride), (distance + reach[1]) // stride
    if high - low > 64:  # strides in no order of size: not worth a search
        return True
    return any(
        _meet(distance - step * stride, inner, reach[1:]) for step in range(max(low, 1 - size), min(high, size - 1) + 1)
    )


def _runs(view: View) -> int:
    """Dimensions that are left when those walked as one are merged."""
    dims = [(s, n) for s, n in zip(view.strides, view.shape) if n > 1]
    return sum(1 for (s, _), (t, n) in zip(dims, dims[1:]) if s != t * n) + bool(dims)


def extends(val: Val, into: View, written: dict[Val, View], users: dict[Val, int]) -> bool:
    """Whether a write may join the kernel that makes its base.

    ``written``: the kernel's results and where they go; ``users``: how often each value is used (results of the plan
    once more).
    """
    base = val.args[0][0]
    if base.kind != "write" or base not in written or users[base] != 1:
        return False
    if (len(written) + 1) * (32 + 16 * _runs(into)) > _PARAMETERS:
        return False
    while base in written:
        if not disjoint(written[base], into):
            return False
        if base.kind != "write":
            return False
        base = base.args[0][0]
    return True
