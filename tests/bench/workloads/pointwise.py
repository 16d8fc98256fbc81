"""Pointwise work: plain additions, long chains with broadcast, transcendental functions, casts, in-place."""

from __future__ import annotations

from tests.bench.workload import Case, workload

GROUP = "pointwise"
MILLION = 2**20


def addition(name: str, count: int) -> None:
    @workload(GROUP, f"add {name}")
    def build(torch, bench):
        a, b = bench.randn(count), bench.randn(count)
        return lambda: a + b


addition("64K", 2**16)
addition("1M", MILLION)
addition("8M", 8 * MILLION)


@workload(GROUP, "multiply by a number 1M")
def scale(torch, bench):
    a = bench.randn(MILLION)
    return lambda: a * 1.5


@workload(GROUP, "int64 add 1M")
def integers(torch, bench):
    a, b = bench.ints(1000, MILLION), bench.ints(1000, MILLION)
    return lambda: a + b


@workload(GROUP, "add in place 4M")
def in_place(torch, bench):
    a, b = bench.randn(4 * MILLION), bench.randn(4 * MILLION)

    def step():
        a.add_(b, alpha=1e-3)

    return Case(step, check=lambda: a)


@workload(GROUP, "chain of 8 on 4M")
def chain(torch, bench):
    x, y = bench.randn(4 * MILLION), bench.randn(4 * MILLION)
    return lambda: (((x * 2.0 + y).relu() - 0.5) * y + x).clamp(-3.0, 3.0).abs() * 0.25


@workload(GROUP, "chain of 20 on 1M")
def long_chain(torch, bench):
    x, y = bench.randn(MILLION), bench.randn(MILLION)

    def step():
        z = x
        for _ in range(5):
            z = ((z * 0.9 + y) * 0.5 - x * 0.1).tanh()
        return z

    return step


@workload(GROUP, "gelu(x*w + b) 4096x2048, rows broadcast")
def gelu_row(torch, bench):
    x, w, b = bench.randn(4096, 2048), bench.randn(2048), bench.randn(2048)
    return lambda: torch.nn.functional.gelu(x * w + b)


@workload(GROUP, "standardise images 32x3x128x128, channels broadcast")
def channels(torch, bench):
    x, mean, std = bench.rand(32, 3, 128, 128), bench.rand(3, 1, 1), bench.rand(3, 1, 1, low=0.2, high=0.4)
    return lambda: ((x - mean) / std).clamp(-2.0, 2.0)


@workload(GROUP, "outer sum and products 2048x2048, both broadcast")
def outer(torch, bench):
    a, b = bench.randn(2048, 1), bench.randn(1, 2048)
    return lambda: (a - b) * (a - b) + a * b


@workload(GROUP, "chain on a transposed operand 1024x1024")
def strided(torch, bench):
    a, b = bench.randn(1024, 1024), bench.randn(1024, 1024)
    return lambda: (a + b.t()) * 0.5


@workload(GROUP, "compare and where 4M")
def where(torch, bench):
    a, b = bench.randn(4 * MILLION), bench.randn(4 * MILLION)
    return lambda: torch.where(a > b, a * 2.0, b - 1.0)


@workload(GROUP, "cast float32 -> int32 -> float32 4M")
def cast(torch, bench):
    a = bench.randn(4 * MILLION, scale=100.0)
    return lambda: a.to(torch.int32).to(torch.float32)


@workload(GROUP, "float16 multiply-add 1M", tol=1e-3)
def half(torch, bench):
    a, b = bench.randn(MILLION).to(torch.float16), bench.randn(MILLION).to(torch.float16)
    return lambda: a * b + a


@workload(GROUP, "swiglu forward and backward 1024x2048", tol=1e-3)
def swiglu(torch, bench):
    a, b, g = bench.randn(1024, 2048, grad=True), bench.randn(1024, 2048, grad=True), bench.randn(1024, 2048)
    return lambda: torch.autograd.grad(torch.nn.functional.silu(a) * b, (a, b), g)


@workload(GROUP, "smooth l1 gradient 4M")
def huber(torch, bench):
    a, b = bench.randn(4 * MILLION, grad=True), bench.randn(4 * MILLION)
    return lambda: torch.autograd.grad(torch.nn.functional.smooth_l1_loss(a, b), a)


def unary(name: str, low: float = -4.0, high: float = 4.0) -> None:
    """Register one function of one argument over a million numbers of its domain."""

    @workload(GROUP, f"{name} 1M")
    def build(torch, bench):
        x = bench.rand(MILLION, low=low, high=high)
        function = getattr(torch, name, None) or getattr(torch.nn.functional, name)
        return lambda: function(x)


for name in ("exp", "tanh", "sigmoid", "erf", "sin", "cos", "gelu", "silu", "relu"):
    unary(name)
for name in ("log", "sqrt", "rsqrt", "log1p"):
    unary(name, 1e-3, 10.0)


@workload(GROUP, "pow 1M", tol=3e-4)
def power(torch, bench):
    x, y = bench.rand(MILLION, low=0.1, high=4.0), bench.rand(MILLION, low=-2.0, high=3.0)
    return lambda: torch.pow(x, y)


@workload(GROUP, "atan2 1M")
def atan2(torch, bench):
    x, y = bench.randn(MILLION), bench.randn(MILLION)
    return lambda: torch.atan2(x, y)
