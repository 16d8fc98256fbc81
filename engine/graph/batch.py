"""Horizontal fusion: independent kernels of the same text, over other buffers and sizes, run as one launch.

An optimizer that updates a hundred parameters needs one kernel a parameter, all with the same code.
"""

from __future__ import annotations

from collections.abc import Callable

from .fuse import Group
from .ir import Val
from .memory_plan import made, nbytes
from .writer import Generated

_LIGHT = 1 << 16  # bytes of temporaries that a kernel may make earlier than its place in the order
_PLACES = ("get_num_groups", "get_global_size", "get_local_size", "__kernel", "get_global_offset")


def fits(kernel: Generated) -> bool:
    """Whether a kernel's work-groups can be told where they are by numbers."""
    body = kernel.source.split("\n{\n", 1)[-1]
    return len(kernel.global_size) == 1 and not any(name in body for name in _PLACES)


def batches(groups: list[Group], name_of: Callable[[Group], object], outputs: set[Val]) -> list[list[Group]]:
    """Kernels in an order that respects their dependencies, those of equal name (None: alone) together where none of
    them needs another, and where running them early costs no memory to speak of.

    ``groups``: in order. ``outputs``: values whose memory is there before the plan runs.
    """
    names = [name_of(g) for g in groups]
    if len({n for n in names if n is not None}) == sum(n is not None for n in names):
        return [[g] for g in groups]
    return _Scheduler(groups, names, outputs).run()


class _Scheduler:
    def __init__(self, groups: list[Group], names: list[object], outputs: set[Val]) -> None:
        self.groups = groups
        self.names = names
        self.outputs = outputs
        self.done = [False] * len(groups)
        self.readers: dict[Val, list[int]] = {}
        home: dict[Val, int] = {}
        for i, group in enumerate(groups):
            home.update(dict.fromkeys(made(group), i))
            if group.native is not None:
                home[group.native] = i
            for val in group.reads:
                self.readers.setdefault(val, []).append(i)
        self.waiting = [0] * len(groups)
        self.users: list[list[int]] = [[] for _ in groups]
        for i, group in enumerate(groups):
            needed = {home[v] for v in group.reads if v in home} - {i}
            self.waiting[i] = len(needed)
            for n in needed:
                self.users[n].append(i)
        self.ready: dict[object, list[int]] = {}  # by name, those with nothing to wait for
        for i in range(len(groups)):
            if not self.waiting[i]:
                self.ready.setdefault(names[i], []).append(i)

    def run(self) -> list[list[Group]]:
        out = []
        for i in range(len(self.groups)):  # the given order is one that works
            if self.done[i]:
                continue
            batch = [i]
            if self.names[i] is not None:
                batch += [k for k in self.ready[self.names[i]] if k != i and self._early(k)]
            for k in batch:
                self._finish(k)
            out.append([self.groups[k] for k in batch])
        return out

    def _finish(self, k: int) -> None:
        self.done[k] = True
        self.ready[self.names[k]].remove(k)
        for user in self.users[k]:
            self.waiting[user] -= 1
            if not self.waiting[user]:
                self.ready.setdefault(self.names[user], []).append(user)

    def _early(self, k: int) -> bool:
        """Whether a ready kernel may run before its place: it makes no large temporaries, and nobody still has to read
        what it may overwrite."""
        group = self.groups[k]
        if sum(nbytes(v) for v in made(group) if v not in self.outputs) > _LIGHT:
            return False
        large = [v for v in group.reads if nbytes(v) > _LIGHT]
        return all(self.done[r] for v in large for r in self.readers[v] if r < k)
