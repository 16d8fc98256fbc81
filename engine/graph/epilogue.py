"""Pointwise work on the result of a library kernel, done by the kernel itself: text for its EPILOGUE hook.

A kernel with the hook calls ``EPILOGUE(c, i, j, k0, count)`` once for every element of its result, seen as a space of
three dimensions: ``c`` points at ``count`` final values from (i, j, k0), adjacent along the last dimension and still in
a cache. The members of a library kernel's group are computed there and stored at the same places.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from .elements import storage
from .fuse import Group
from .ir import Val
from .nest import ELEMENT, ROW, Access, Instr, NestBuilder
from .writer import Arg, BufferArg, Writer


@dataclass(frozen=True, slots=True)
class Epilogue:
    """What goes before a kernel's source, and the arguments that follow the kernel's own."""

    source: str
    args: tuple[Arg, ...]


class _SpaceBuilder(NestBuilder):
    """The body over the kernel's own three dimensions."""

    def _collapse(self) -> None:
        self.outer_dims = [(size, d) for d, size in enumerate(self.group.outer)]
        self.inner_dims = []


def epilogue(group: Group, fp64: bool, width: int) -> Epilogue:
    """The epilogue of a library kernel's group that has members."""
    space = group.native.attrs.epilogue
    members = Group(space, (), group.members, reads=group.reads, maps=group.maps, stores=group.stores)
    writer = _EpilogueWriter(_SpaceBuilder(members).build(), 1, fp64)
    writer.width = width
    return writer.epilogue(group.native, group.host)


class _EpilogueWriter(Writer):
    """One function over a run of the last dimension. The kernel's own result is ``c``; no other pointer leads there."""

    def epilogue(self, product: Val, host: Val | None) -> Epilogue:
        self.own = {product, host}
        self._parameters()
        self._body()
        kind = storage(product.dtype)
        params = "".join(f", {p}" for p in self.params)
        apart = [p.rpartition(" ") for p in self.params]  # in the kernel the names must not meet its own
        arguments = "".join(f", ep_{name}" for _, _, name in apart)
        formal = "".join(f", {what} ep_{name}" for what, _, name in apart)
        body = "\n".join(self.lines)
        head = f"__global {kind}* c, long i, long j, long k0, long count{params}"
        source = (
            f"static void eng_epilogue({head})\n{{\n{body}\n}}\n"
            f"#define EPILOGUE_PARAMS {formal}\n"
            f"#define EPILOGUE(c, i, j, k0, count) eng_epilogue((__global {kind}*)(c), i, j, k0, count{arguments})\n"
        )
        return Epilogue(source, tuple(self.args))

    def _parameters(self) -> None:
        nest = self.nest
        for i, val in enumerate(nest.buffers):
            if val in self.own:
                continue
            const = "" if i in nest.written else "const "
            self.params += [f"__global {const}{storage(val.dtype)}* b{i}", f"long o{i}"]
            self.args.append(BufferArg(val, i in nest.written))
        self.run_time_numbers()

    def place(self, access: Access, outer: list[str], inner: list[str]) -> tuple[str, str]:
        if self.nest.buffers[access.buffer] in self.own:
            return "c", f"{outer[-1]} - k0"
        return super().place(access, outer, inner)

    def _body(self) -> None:
        nest = self.nest
        self.constants()
        values = [s.value for s in nest.stores]
        done = self.needed(values, ROW)
        for instr in done:
            self.declare(instr, [], [])
        for instr in self.needed(values, ELEMENT):
            if not self._varies(instr):
                self.declare(instr, ["i", "j", "0"], [])
                done.append(instr)
        self.vectorise(prod(nest.outer[-1:]))
        self.open("for (long k = k0; k < k0 + count; k++)")
        names = {instr.name for instr in done}
        for instr in self.needed(values, ELEMENT):
            if instr.name not in names:
                self.declare(instr, ["i", "j", "k"], [])
        for store in nest.stores:
            self.put(store, ["i", "j", "k"], [])
        self.close()

    def _varies(self, instr: Instr) -> bool:
        """Whether a value changes along the last dimension."""
        known = self.varying.get(instr.name)
        if known is None:
            known = instr.access is not None and instr.access.outer[-1] != 0
            known = known or (instr.access is not None and self.nest.buffers[instr.access.buffer] in self.own)
            known = self.varying[instr.name] = known or any(self._varies(o) for o in instr.operands)
        return known
