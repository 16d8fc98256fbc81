"""Matrix products: square, odd and skinny shapes, all transposes, batched, matrix-vector, with epilogues."""

from __future__ import annotations

from tests.bench.workload import workload

GROUP = "matmul"


def product(m: int, n: int, k: int, layout: str) -> None:
    """Register an m x k by k x n product; a T in the layout stores that operand transposed."""
    size = f"square {m}" if m == n == k else f"{m}x{n}x{k}"

    @workload(GROUP, f"{size} {layout}")
    def build(torch, bench):
        a = bench.randn(k, m).t() if layout[0] == "T" else bench.randn(m, k)
        b = bench.randn(n, k).t() if layout[1] == "T" else bench.randn(k, n)
        return lambda: a @ b


for size in (64, 128, 192, 256, 384, 512, 1024, 2048):
    product(size, size, size, "NN")
for size in (256, 512, 1024):
    for layout in ("NT", "TN", "TT"):
        product(size, size, size, layout)
for m, n, k in (
    (127, 127, 127),
    (257, 257, 257),
    (511, 513, 1000),
    (1000, 1000, 1000),
    (1023, 1025, 333),
    (61, 129, 90),
):
    product(m, n, k, "NN")
product(1000, 1000, 1000, "NT")


def linear_layer(batch: int, inputs: int, outputs: int) -> None:
    """Register the three products of a linear layer: forward, gradient of the input, gradient of the weight."""

    @workload(GROUP, f"linear {batch} x {inputs} -> {outputs} forward")
    def forward(torch, bench):
        x, w, b = bench.randn(batch, inputs), bench.randn(outputs, inputs, scale=0.02), bench.randn(outputs)
        return lambda: torch.nn.functional.linear(x, w, b)

    @workload(GROUP, f"linear {batch} x {inputs} -> {outputs} grad-input")
    def grad_input(torch, bench):
        g, w = bench.randn(batch, outputs), bench.randn(outputs, inputs, scale=0.02)
        return lambda: g @ w

    @workload(GROUP, f"linear {batch} x {inputs} -> {outputs} grad-weight")
    def grad_weight(torch, bench):
        g, x = bench.randn(batch, outputs), bench.randn(batch, inputs)
        return lambda: g.t() @ x


for batch in (32, 64, 128, 256):
    linear_layer(batch, 768, 3072)
linear_layer(64, 3072, 768)


@workload(GROUP, "linear + bias + gelu 128 x 768 -> 3072")
def linear_gelu(torch, bench):
    x, w, b = bench.randn(128, 768), bench.randn(3072, 768, scale=0.04), bench.randn(3072)
    return lambda: torch.nn.functional.gelu(torch.nn.functional.linear(x, w, b))


@workload(GROUP, "addmm 512x512x512")
def addmm(torch, bench):
    c, a, b = bench.randn(512, 512), bench.randn(512, 512), bench.randn(512, 512)
    return lambda: torch.addmm(c, a, b, beta=0.5, alpha=2.0)


@workload(GROUP, "batched 96 x (128x64x128) NN")
def batched_nn(torch, bench):
    a, b = bench.randn(96, 128, 128), bench.randn(96, 128, 64)
    return lambda: torch.bmm(a, b)


@workload(GROUP, "batched 96 x (128x128x64) NT")
def batched_nt(torch, bench):
    a, b = bench.randn(8, 12, 128, 64), bench.randn(8, 12, 128, 64)
    return lambda: a @ b.transpose(-1, -2)


@workload(GROUP, "batched 512 x (32x32x32) NN")
def batched_small(torch, bench):
    a, b = bench.randn(512, 32, 32), bench.randn(512, 32, 32)
    return lambda: torch.matmul(a, b)


@workload(GROUP, "batched 8 x (256x256x256), one weight")
def batched_broadcast(torch, bench):
    a, b = bench.randn(8, 256, 256), bench.randn(256, 256)
    return lambda: torch.matmul(a, b)


@workload(GROUP, "einsum bhqd,bhkd->bhqk 8x8x128x32")
def einsum(torch, bench):
    q, k = bench.randn(8, 8, 128, 32), bench.randn(8, 8, 128, 32)
    return lambda: torch.einsum("bhqd,bhkd->bhqk", q, k)


def matrix_vector(rows: int, columns: int) -> None:
    @workload(GROUP, f"matrix-vector {rows}x{columns}")
    def plain(torch, bench):
        a, x = bench.randn(rows, columns), bench.randn(columns)
        return lambda: torch.mv(a, x)

    @workload(GROUP, f"matrix-vector {rows}x{columns} transposed")
    def transposed(torch, bench):
        a, x = bench.randn(rows, columns), bench.randn(rows)
        return lambda: a.t() @ x


matrix_vector(4096, 4096)
matrix_vector(3072, 768)
