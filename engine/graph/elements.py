"""How elements lie in memory and how reductions combine, as OpenCL C text."""

from __future__ import annotations

from .. import dtypes
from . import scalar
from .nest import Instr

_STORAGE = {"bool": "uchar", "float16": "ushort", "bfloat16": "ushort"}


def storage(dtype: dtypes.dtype) -> str:
    """The C type elements have in memory."""
    return _STORAGE.get(dtype.name) or scalar.c_type(dtype)


def scalar_param(dtype: dtypes.dtype, fp64: bool) -> str:
    """The C type of a run-time number argument."""
    if dtype.is_complex:
        return scalar.c_type(dtype)
    if dtype.is_floating_point:
        return "double" if dtype is dtypes.float64 else "float"
    return "long"


def load(dtype: dtypes.dtype, pointer: str, index: str) -> str:
    """Expression that reads one element."""
    place = f"{pointer}[{index}]"
    if dtype is dtypes.float16:
        return f"eng_from_f16({place})"
    if dtype is dtypes.bfloat16:
        return f"eng_from_bf16({place})"
    return place


def save(dtype: dtypes.dtype, pointer: str, index: str, value: str) -> str:
    """Statement that writes one element."""
    if dtype is dtypes.float16:
        value = f"eng_to_f16({value})"
    elif dtype is dtypes.bfloat16:
        value = f"eng_to_bf16({value})"
    elif dtype is dtypes.bool:
        value = f"(uchar)({value} != 0)"
    return f"{pointer}[{index}] = {value};"


# -- reductions ----------------------------------------------------------------------------------------------------
def _key_type(dtype: dtypes.dtype) -> str | None:
    """Floats are compared as integers in order of value with NaN above all: exact, and it vectorises."""
    if dtype.is_floating_point:
        return "long" if dtype is dtypes.float64 else "int"
    return None


def accumulator(r: Instr) -> str:
    """C type of a reduction's running value."""
    if r.text in ("max", "min"):
        return _key_type(r.dtype) or scalar.c_type(r.dtype)
    return scalar.c_type(r.dtype)


def identity(r: Instr) -> str:
    """The neutral element, in the accumulator's type."""
    if r.text == "sum":
        return "0"
    if r.text == "prod":
        return "1" if not r.dtype.is_complex else f"(({scalar.c_type(r.dtype)})(1, 0))"
    lowest = r.text == "max"
    if r.dtype.is_floating_point:
        wide = r.dtype is dtypes.float64
        # Keys of -inf and +inf.
        return {
            (True, False): "(int)0x807fffff", (False, False): "0x7f800000",
            (True, True): "(long)0x800fffffffffffffL", (False, True): "0x7ff0000000000000L",
        }[lowest, wide]  # fmt: skip
    if r.dtype is dtypes.bool:
        return "0" if lowest else "1"
    bits = r.dtype.itemsize * 8
    if not r.dtype.is_signed:
        return "0" if lowest else f"({scalar.c_type(r.dtype)})~0UL"
    if bits == 64:
        return "(-9223372036854775807L - 1)" if lowest else "9223372036854775807L"
    return f"({-(1 << (bits - 1))})" if lowest else f"({(1 << (bits - 1)) - 1})"


def combine_raw(r: Instr, into: str, value: str) -> str:
    """Statement that adds an accumulator-typed value."""
    if r.text == "sum":
        if r.dtype.is_floating_point:
            return f'{{ _Pragma("clang fp reassociate(on)") {into} = {into} + {value}; }}'
        return f"{into} = {into} + {value};" if r.dtype is not dtypes.bool else f"{into} = {into} | {value};"
    if r.text == "prod":
        if r.dtype.is_complex:
            return f"{into} = eng_cmul_{scalar.short_name(r.dtype)}({into}, {value});"
        return f"{into} = {into} * {value};"
    sign = ">" if r.text == "max" else "<"
    return f"{into} = {value} {sign} {into} ? {value} : {into};"


def combine(r: Instr, into: str, value: str) -> str:
    """Statement that adds an element."""
    if r.text in ("max", "min") and r.dtype.is_floating_point:
        kind = "max" if r.text == "max" else "min"
        short = scalar.short_name(r.dtype)
        key = f"eng_key_{kind}_{short}({value})"
        sign = ">" if kind == "max" else "<"
        return f"{{ const {_key_type(r.dtype)} key = {key}; {into} = key {sign} {into} ? key : {into}; }}"
    return combine_raw(r, into, value)


def finish(r: Instr, value: str) -> str:
    """The result from the accumulator."""
    if r.text in ("max", "min") and r.dtype.is_floating_point:
        return f"eng_unkey_{scalar.short_name(r.dtype)}({value})"
    return value
