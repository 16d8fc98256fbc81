"""One program for all kernels of a tiny plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import dtypes
from . import codegen
from .steps import packer

if TYPE_CHECKING:
    from .plan import Plan


class Merged:
    """The program that runs the kernels of a plan one after another."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.params: list[str] = []
        self.buffers: list[tuple[int, int, int]] = []
        self.numbers: list[tuple] = []
        self.faults: list[int] = []
        self._pointers: dict[tuple[int, int], str] = {}
        self._numbers: dict[tuple[int, str], str] = {}
        functions, calls = [], []
        for i, made_ in enumerate(plan.generated):
            functions.append(self._function(i, made_))
            groups = made_.global_size[0]
            call = f"eng_part{i}({', '.join(self._actuals(made_))}"
            calls.append(f"  for (long g = 0; g < {groups}; g++) {call}, g);" if groups > 1 else f"  {call}, 0);")
        body = "\n".join(calls)
        self.source = (
            "\n".join(functions) + f"\nKATTR __kernel void eng_plan({', '.join(self.params)})\n{{\n{body}\n}}\n"
        )

    @staticmethod
    def _function(number: int, made_: codegen.Generated) -> str:
        """A kernel's text as a function of its work-group number, with known numbers as constants."""
        head, body = made_.source.split("\n{\n", 1)
        names = head[head.index("(") + 1 : -1].split(", ")
        formal, constants = [], []
        at = 0
        for arg in made_.args:
            if isinstance(arg, codegen.BufferArg):
                formal += names[at : at + 2]
                at += 1
            elif isinstance(arg, codegen.IntArg):
                constants.append(f"  const {names[at]} = {arg.value}L;\n")
            else:
                formal.append(names[at])
            at += 1
        body = body.replace("get_group_id(0)", "gid")
        return (
            f"static inline void eng_part{number}({', '.join([*formal, 'long gid'])})\n{{\n{''.join(constants)}{body}"
        )

    def _actuals(self, made_: codegen.Generated) -> list[str]:
        out = []
        for arg in made_.args:
            if isinstance(arg, codegen.BufferArg):
                kind, number, offset = self.plan.place(self.plan.memory.slots[arg.val])
                out += [self._pointer(kind, number, arg.val.dtype), f"{offset // arg.val.dtype.itemsize}L"]
            elif isinstance(arg, codegen.FaultArg):
                if not self.faults:
                    self.faults.append(len(self.params))
                    self.params.append("__global int* fault")
                out.append("fault")
            elif isinstance(arg, codegen.ScalarArg):
                out.append(self._number(arg))
        return out

    def _pointer(self, kind: int, number: int, dtype: dtypes.dtype) -> str:
        name = self._pointers.get((kind, number))
        if name is None:
            name = self._pointers[kind, number] = f"m{len(self._pointers)}"
            self.buffers.append((len(self.params), kind, number))
            self.params.append(f"__global char* {name}")
        return f"(__global {codegen.storage(dtype)}*){name}"

    def _number(self, arg: codegen.ScalarArg) -> str:
        kind = codegen.scalar_param(arg.dtype, self.plan.caps.fp64)
        name = self._numbers.get((arg.number, kind))
        if name is None:
            name = self._numbers[arg.number, kind] = f"s{len(self._numbers)}"
            self.numbers.append((len(self.params), arg.number, packer(arg.dtype)))
            self.params.append(f"{kind} {name}")
        return name
