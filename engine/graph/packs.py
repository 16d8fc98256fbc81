"""Which program a generated kernel is compiled in."""

from __future__ import annotations

from . import codegen, mathlib
from .batch_kernel import Batch

_PACK = 24  # kernels in one program: bounds what one compiler error or cache entry concerns


class Packs:
    """Programs of generated kernels: what a plan adds is compiled as one text, as each program costs by itself."""

    def __init__(self) -> None:
        self._programs: dict[tuple[bool, str], str] = {}  # (inline, kernel name) -> text of the program that has it

    def add(self, kernels: list[codegen.Generated | Batch], inline: bool) -> None:
        """Put kernels that are in no program yet into a new one. ``inline``: programs for the calling thread have
        other companions, as each text is compiled for one of the two only."""
        new = {k.name: k.source for k in kernels if (inline, k.name) not in self._programs}
        names = list(new)
        for at in range(0, len(names), _PACK):
            part = names[at : at + _PACK]
            text = "\n".join(new[name] for name in part)
            program = mathlib.needed(text) + text
            self._programs.update(((inline, name), program) for name in part)

    def program_of(self, kernel: codegen.Generated | Batch, inline: bool) -> str:
        """The text of the program that has a kernel."""
        return self._programs[inline, kernel.name]

    def forget(self, program: str) -> None:
        """A program does not compile: its kernels, of which one alone may be at fault, go into others when next
        used.
        """
        self._programs = {key: text for key, text in self._programs.items() if text != program}
