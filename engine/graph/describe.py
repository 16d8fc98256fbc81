"""What a kernel does, for people: the ops it came from, its operations and bytes, its members as text."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from .fuse import Group
from .ir import Val
from .memory_plan import nbytes

_FREE = frozenset(("id", "bitcast", "const"))
_MANY = 4  # names of ops in a label before it is shortened


def values_of(group: Group) -> Iterator[Val]:
    """All values that a kernel computes, also those computed only where they are used."""
    seen: set[Val] = set()
    stack = [m.val for m in (*group.members, *group.reduces)]
    if group.native is not None:
        stack.append(group.native)
    roots = set(stack)
    while stack:
        val = stack.pop()
        if val in seen or val.kind in ("input", "const", "scalar") or (val in group.reads and val not in roots):
            continue
        seen.add(val)
        yield val
        if val is not group.native:
            stack.extend(v for v, _ in val.args)


def origins(group: Group) -> list[tuple[int, str]]:
    """(position in the log, name) of the ops whose values a kernel computes, in order."""
    found = {val.origin for val in values_of(group) if val.origin is not None}
    return sorted(found)


def label(group: Group) -> str:
    """Names of these ops: "linear+relu"; a number stands for those in the middle of a long row."""
    names = [name.lstrip("_") for _, name in origins(group)]
    if not names:
        return group.native.kind if group.native is not None else "copy"
    if len(names) > 2 * _MANY:
        names = [*names[:_MANY], f"({len(names) - 2 * _MANY} more)", *names[-_MANY:]]
    return "+".join(names)


def cost(group: Group) -> tuple[float, float]:
    """Floating-point operations, counting each scalar function as one, and bytes that must move at least."""
    flops = 0
    for val in values_of(group):
        if val.kind == "pw" and val.fn not in _FREE:
            flops += val.size
        elif val.kind == "reduce" and val.args:
            flops += prod(val.args[0][1].shape)
    moved = sum(nbytes(v) for v in group.reads) + sum(nbytes(v) for v in group.stores)
    return float(flops), float(moved)


def text(group: Group) -> str:
    """The members of a kernel, one a line."""
    if group.native is not None and not group.members:
        return f"    {group.native!r}"
    lines = [f"    over {list(group.outer)} x {list(group.inner)}"] if group.native is None else []
    for val in sorted(values_of(group), key=lambda v: v.uid):
        kept = " -> memory" if val in group.stores else ""
        lines.append(f"    {val!r}{kept}")
    return "\n".join(lines)
