"""Division of a row's elements by one number: its reciprocal is taken once a row, the quotients are as exact."""

from __future__ import annotations

from .. import dtypes
from .nest import ELEMENT, ROW, Instr, Nest

_LEAST = 64  # elements of a row from which the reciprocal pays


def by_reciprocal(nest: Nest) -> None:
    """Rewrite the divisions of float32 elements by row-level values (see eng_over_f32)."""
    if nest.row_length < _LEAST:
        return
    known: dict[str, tuple[Instr, ...]] = {}
    for instr in list(nest.instrs):
        if instr.kind != "expr" or instr.level != ELEMENT or instr.dtype is not dtypes.float32:
            continue
        if len(instr.operands) != 2 or instr.operands[1].level != ROW:
            continue
        a, b = instr.operands
        if b.dtype is not dtypes.float32 or instr.text != f"({a.name} / {b.name})":
            continue
        if b.name not in known:
            lift = _row(nest, f"eng_lift_f32({b.name})", (b,))
            known[b.name] = lift, _row(nest, f"1.0f / ({b.name} * {lift.name})", (b, lift))
        lift, inverse = known[b.name]
        instr.operands = (a, b, lift, inverse)
        instr.text = f"eng_over_f32({a.name}, {b.name}, {lift.name}, {inverse.name})"


def _row(nest: Nest, text: str, operands: tuple[Instr, ...]) -> Instr:
    """A new row-level value."""
    phase = max(o.phase for o in operands)
    made = Instr(f"v{len(nest.instrs)}", "expr", dtypes.float32, text, operands, ROW, phase, None, operands[0].cost)
    nest.instrs.append(made)
    return made
