"""The table of named scalar functions: what a pointwise primitive computes, as an OpenCL C expression.

One entry a function: its templates by kind of dtype, the dtype of its result and what it costs relative to an
addition (the planner recomputes cheap values and stores dear ones). Placeholders: ``{0} {1} ...`` operands, ``{T}``
the C type the arithmetic happens in, ``{t}`` its short name (``f32``, ``i64``), as in ``eng_exp_{t}`` of cl_kernels.
"""

from __future__ import annotations

from dataclasses import dataclass

from .. import dtypes


@dataclass(frozen=True, slots=True)
class ScalarFn:
    """A scalar function. ``forms`` maps a kind ("b" bool, "i" signed, "u" unsigned, "f" float, "c" complex) to a
    template; "*" stands for any kind without a form of its own. ``result`` is None for the operands' dtype."""

    name: str
    forms: dict[str, str]
    cost: int = 1
    result: dtypes.dtype | None = None

    def template(self, kind: str) -> str:
        """The template for operands of ``kind``."""
        form = self.forms.get(kind) or self.forms.get("*")
        if form is None:
            raise TypeError(f"the scalar function '{self.name}' is not defined for operands of kind '{kind}'")
        return form


_TABLE: dict[str, ScalarFn] = {}


def define(
    name: str, any_form: str | None = None, *, cost: int = 1, result: dtypes.dtype | None = None, **forms: str
) -> None:
    """Enter a scalar function in the table."""
    if any_form is not None:
        forms["*"] = any_form
    _TABLE[name] = ScalarFn(name, forms, cost, result)


def lookup(name: str) -> ScalarFn:
    """The function called ``name`` (KeyError where there is none)."""
    return _TABLE[name]


def names() -> tuple[str, ...]:
    """All names in the table."""
    return tuple(_TABLE)


def kind_of(dtype: dtypes.dtype) -> str:
    """ "b", "i", "u", "f" or "c": what family of templates applies to ``dtype``."""
    if dtype is dtypes.bool:
        return "b"
    if dtype.is_complex:
        return "c"
    if dtype.is_floating_point:
        return "f"
    return "i" if dtype.is_signed else "u"


_C_TYPES = {
    "bool": "int",
    "int8": "char",
    "int16": "short",
    "int32": "int",
    "int64": "long",
    "uint8": "uchar",
    "uint16": "ushort",
    "uint32": "uint",
    "uint64": "ulong",
    "float16": "float",
    "bfloat16": "float",
    "float32": "float",
    "float64": "double",
    "complex64": "float2",
    "complex128": "double2",
}
_SHORT = {"float32": "f32", "float64": "f64", "bool": "i32", "complex64": "c64", "complex128": "c128"}


def c_type(dtype: dtypes.dtype) -> str:
    """The C type a value of ``dtype`` has inside a kernel (16-bit floats are computed as float, bool as int)."""
    return _C_TYPES[dtype.name]


def short_name(dtype: dtypes.dtype) -> str:
    """Suffix of the math library's functions for ``dtype``."""
    name = dtype.name
    return _SHORT.get(name) or name.replace("uint", "u").replace("int", "i").replace("float16", "f32").replace(
        "bf32", "f32"
    )


_B = dtypes.bool

define("add", "({0} + {1})", b="({0} | {1})")
define("sub", "({0} - {1})")
define("mul", "({0} * {1})", b="({0} & {1})", c="eng_cmul_{t}({0}, {1})")
define("div", f="({0} / {1})", c="eng_cdiv_{t}({0}, {1})", cost=4)
define("neg", "(-{0})")
define("abs", i="({0} < 0 ? ({T})(-{0}) : {0})", u="{0}", b="{0}", f="eng_abs_{t}({0})")
define("sign", i="(({0} > 0) - ({0} < 0))", u="({0} > 0)", b="{0}", f="eng_sign_{t}({0})")
define("fdiv_int", i="eng_floordiv({T}, {0}, {1})", u="({1} ? ({T})({0} / {1}) : ({T})0)", cost=8)
define("tdiv_int", i="eng_truncdiv({T}, {0}, {1})", u="({1} ? ({T})({0} / {1}) : ({T})0)", cost=8)
define("rem_int", i="eng_remainder({T}, {0}, {1})", u="({1} ? ({T})({0} % {1}) : ({T})0)", cost=8)
define("mod_int", i="eng_fmod_int({T}, {0}, {1})", u="({1} ? ({T})({0} % {1}) : ({T})0)", cost=8)
define("fmod", f="eng_fmod_{t}({0}, {1})", cost=20)
define("remainder", f="eng_remainder_{t}({0}, {1})", cost=20)
define("floor_divide", f="eng_floor_divide_{t}({0}, {1})", cost=20)
define("max", "({0} > {1} ? {0} : {1})", f="eng_max_{t}({0}, {1})", b="({0} | {1})")
define("min", "({0} < {1} ? {0} : {1})", f="eng_min_{t}({0}, {1})", b="({0} & {1})")
define("fmax", "({0} > {1} ? {0} : {1})", f="(({0} >= {1} || {1} != {1}) ? {0} : {1})")
define("fmin", "({0} < {1} ? {0} : {1})", f="(({0} <= {1} || {1} != {1}) ? {0} : {1})")
define("eq", "({0} == {1})", c="(({0}).x == ({1}).x && ({0}).y == ({1}).y)", result=_B)
define("ne", "({0} != {1})", c="(({0}).x != ({1}).x || ({0}).y != ({1}).y)", result=_B)
define("lt", "({0} < {1})", result=_B)
define("le", "({0} <= {1})", result=_B)
define("gt", "({0} > {1})", result=_B)
define("ge", "({0} >= {1})", result=_B)
define("and", "({0} & {1})")
define("or", "({0} | {1})")
define("xor", "({0} ^ {1})")
define("not", "(~{0})", b="({0} ^ 1)")
define("shl", "eng_shl({T}, {0}, {1})", cost=2)
define("shr", i="eng_shr({T}, {0}, {1})", u="eng_shru({T}, {0}, {1})", cost=2)
define("where", "({0} ? {1} : {2})", c="(({0}) ? ({1}) : ({2}))")
define("is_nan", f="({0} != {0})", c="(({0}).x != ({0}).x || ({0}).y != ({0}).y)", result=_B)
define("signbit", f="eng_signbit_{t}({0})", i="({0} < 0)", u="0", b="0", result=_B)
define("copysign", f="eng_copysign_{t}({0}, {1})")
define("nextafter", f="eng_nextafter_{t}({0}, {1})", cost=4)
define("id", "{0}")
define("check", "{0}", cost=2)  # an index, reported when it is not below its bound (written out by nest)
for _name, _cost in {
    "sqrt": 4, "rsqrt": 5, "exp": 8, "exp2": 8, "expm1": 10, "log": 8, "log2": 8, "log10": 8, "log1p": 10,
    "sin": 10, "cos": 10, "tan": 16, "asin": 12, "acos": 12, "atan": 12, "sinh": 12, "cosh": 12, "tanh": 10,
    "asinh": 14, "acosh": 14, "atanh": 14, "erf": 10, "erfc": 14, "erfinv": 20, "lgamma": 30, "digamma": 30,
    "floor": 1, "ceil": 1, "trunc": 1, "round": 1, "sigmoid": 10, "i0": 20, "i0e": 20, "i1": 20, "i1e": 20,
    "erfcx": 30, "normal_cdf": 10, "ndtr": 20, "ndtri": 30, "log_ndtr": 30, "bessel_j0": 30, "bessel_j1": 30,
    "bessel_y0": 30, "bessel_y1": 30,
    "modified_bessel_k0": 30, "modified_bessel_k1": 30, "scaled_modified_bessel_k0": 30,
    "scaled_modified_bessel_k1": 30, "spherical_bessel_j0": 30, "airy_ai": 40, "modified_bessel_i0": 20,
    "modified_bessel_i1": 20,
}.items():  # fmt: skip
    define(_name, f=f"eng_{_name}_{{t}}({{0}})", cost=_cost)
for _name in (
    "sqrt", "rsqrt", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin", "acos",
        "atan",
    "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "sigmoid",
):  # fmt: skip
    _TABLE[_name].forms["c"] = f"eng_{_name}_{{t}}({{0}})"
for _name, _cost in (
    {"pow": 20, "atan2": 16, "hypot": 8, "igamma": 60, "igammac": 60, "zeta": 60}
    | dict.fromkeys(
        [
            "chebyshev_polynomial_t",
            "chebyshev_polynomial_u",
            "chebyshev_polynomial_v",
            "chebyshev_polynomial_w",
            "hermite_polynomial_h",
            "hermite_polynomial_he",
            "laguerre_polynomial_l",
            "legendre_polynomial_p",
        ],
        40,
    )
).items():
    define(_name, f=f"eng_{_name}_{{t}}({{0}}, {{1}})", cost=_cost)
define("pow_int", i="eng_powi({T}, {0}, {1})", u="eng_powi({T}, {0}, {1})", cost=20)
define("mul_high", u="eng_mul_high({0}, {1})", cost=4)  # upper half of a product of uint64
define("gcd", i="eng_gcd({T}, {0}, {1})", u="eng_gcd({T}, {0}, {1})", cost=40)
define("round_even", f="eng_round_{t}({0})")
define("log_gamma_draw", f="eng_log_gamma_draw_{t}({0}, {1})", cost=400)
define("gamma_sample_grad", f="eng_gamma_sample_grad_{t}({0}, {1})", cost=100)
define("beta_sample_grad", f="eng_beta_sample_grad_{t}({0}, {1}, {2})", cost=200)
# Random numbers: position in the draw, then seed and offset of the generator. RANDOM_TILES: how many positions are made
# together at least cost, by functions called ``eng_<name>_tiles``.
define("philox", u="eng_philox({0}, {1}, {2})", cost=40, result=dtypes.uint32)
define("philox64", u="eng_philox64({0}, {1}, {2})", cost=40, result=dtypes.uint64)
define("normal", u="eng_normal({0}, {1}, {2})", cost=60, result=dtypes.float32)
RANDOM_TILES = {"philox": 64, "philox64": 32, "normal": 64}
# Complex numbers: built from and taken apart into real ones.
define("complex", f="(({T}2)({0}, {1}))")
_TABLE["pow"].forms["c"] = "eng_pow_{t}({0}, {1})"
_TABLE["abs"].forms["c"] = "eng_abs_{t}({0})"  # these two with a real result
define("angle", c="eng_angle_{t}({0})", cost=16)
define("sgn", c="eng_sgn_{t}({0})", cost=10)
define("conj", c="(({T})(({0}).x, -({0}).y))")
define("real", c="({0}).x")
define("imag", c="({0}).y")


def cast(expression: str, source: dtypes.dtype, target: dtypes.dtype) -> str:
    """The C expression that converts a value between dtypes with torch's meaning (NaN to bool is True; truncation)."""
    if source is target:
        return expression
    if target is dtypes.bool:
        return f"({expression} != 0)" if not source.is_complex else f"(({expression}).x != 0 || ({expression}).y != 0)"
    if target.is_complex:
        real = c_type(target)[:-1]
        if source.is_complex:
            return f"(({c_type(target)})(({real})({expression}).x, ({real})({expression}).y))"
        return f"(({c_type(target)})(({real})({expression}), 0))"
    if source.is_complex:
        return cast(f"({expression}).x", source.to_real(), target)
    if target is dtypes.float16:
        return f"eng_round_f16(({c_type(dtypes.float32)})({expression}))"
    if target is dtypes.bfloat16:
        return f"eng_round_bf16(({c_type(dtypes.float32)})({expression}))"
    if source.is_floating_point and not target.is_floating_point and target.itemsize < 8:
        wide = "long" if target.is_signed or target.itemsize < 4 else "long"
        return f"(({c_type(target)})({wide})({expression}))"
    return f"(({c_type(target)})({expression}))"
