"""The scalar functions of cl_kernels as a library of definitions: a program gets those it uses, since parsing costs.

A file is a sequence of definitions with blank lines between them. Files named ``*_real.cl`` are written once for
float32 and float64: ``real`` is the type, ``bits`` the integer of its size, ``_t`` the suffix of names, and constants
with a point get the type's suffix.
"""

from __future__ import annotations

import re
from functools import lru_cache

import cl_kernels

_FILES = (
    "math_base.cl", "math_real.cl", "math_f32.cl", "math_f64.cl", "random.cl", "turn.cl", "series_f32.cl",
    "series_f64.cl", "special_real.cl", "igamma_real.cl", "bessel_real.cl", "math_complex_real.cl",
    "polynomial_real.cl", "gamma_draw_real.cl",
)  # fmt: skip
_NAME = re.compile(r"\b(?:eng|ENG)_\w+(?:##)?")
_DEFINED = re.compile(r"^(?:\s*#define\s+|ENG_FN\s+\w+\s+|__constant\s+\w+\s+)((?:eng|ENG)_\w+)", re.MULTILINE)
_COMMENT = re.compile(r"^[ \t]*//[^\n]*\n|[ \t]*//[^\n]*", re.MULTILINE)
_CONSTANT = re.compile(r"(?<![\w.])(\d+\.\d*(?:[eE][-+]?\d+)?|\d+[eE][-+]?\d+|0x[\da-fA-F.]+p[-+]?\d+)(?![\w.])")
_REAL = {"f32": ("float", "int"), "f64": ("double", "long")}


class _Definition:
    """One piece of the library: its text (skipped without doubles where it is for them) and the names it needs."""

    __slots__ = ("needs", "text")

    def __init__(self, text: str, names: list[str]) -> None:
        double = any(name.endswith(("_f64", "_c128")) for name in names)
        self.text = f"#ifdef ENGINE_FP64\n{text}\n#endif" if double else text
        self.needs = sorted(set(_NAME.findall(text)))


def _for_type(text: str, suffix: str) -> str:
    """A definition of a ``*_real.cl`` file for one type."""
    real, bits = _REAL[suffix]
    text = text.replace('.real"', f'.{suffix}"')
    text = re.sub(r"\b((?:eng|ENG)_\w+?)_t\b", rf"\1_{suffix}", text)
    text = re.sub(r"\b((?:eng|ENG)_\w+?)_c\b", rf"\1_c{2 * int(suffix[1:])}", text)
    text = re.sub(r"\breal(\d*)\b", rf"{real}\1", text)
    text = re.sub(r"\bas_real\b", f"as_{real}", text)
    text = re.sub(r"\bas_bits\b", f"as_{bits}", text)
    text = re.sub(r"\bbits\b", bits, text)
    return _CONSTANT.sub(r"\1f", text) if suffix == "f32" else text


@lru_cache(maxsize=1)
def _library() -> dict[str, _Definition]:
    """Definitions by name."""
    found: dict[str, _Definition] = {}
    for file in _FILES:
        plain = _COMMENT.sub("", cl_kernels.source(file))
        for paragraph in re.split(r"\n\s*\n", plain):
            text = paragraph.strip("\n")
            if not text.strip():
                continue
            versions = [_for_type(text, s) for s in _REAL] if file.endswith("_real.cl") else [text]
            for version in versions:
                names = _DEFINED.findall(version)
                piece = _Definition(version, names)
                found.update(dict.fromkeys(names, piece))
    return found


def needed(text: str) -> str:
    """The definitions that ``text`` uses, each after those it uses itself ("" for none).

    A name that is put together (``eng_key_max_##t``, ``CAT(eng_key_, t)``) brings all definitions that start like it.
    """
    return _closure(tuple(sorted(set(_NAME.findall(text))))) if "eng_" in text else ""


@lru_cache(maxsize=4096)
def _closure(names: tuple[str, ...]) -> str:
    library = _library()
    parts: list[str] = []
    seen: set[_Definition] = set()

    def visit(name: str) -> None:
        if name.endswith(("_", "##")):
            for known in library:
                if known.startswith(name.rstrip("#")):
                    visit(known)
        piece = library.get(name)
        if piece is None or piece in seen:
            return
        seen.add(piece)
        for other in piece.needs:
            visit(other)
        parts.append(piece.text)

    for name in names:
        visit(name)
    return "\n".join([*parts, ""]) if parts else ""
