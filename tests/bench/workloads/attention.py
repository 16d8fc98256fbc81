"""scaled_dot_product_attention, causal and not, forward and backward, with a mask, and decoding one token."""

from __future__ import annotations

from tests.bench.workload import workload

GROUP = "attention"


def attention(batch: int, heads: int, length: int, width: int) -> None:
    """Register forward and backward over (batch, heads, length, width), causal and not."""
    shape = (batch, heads, length, width)
    size = "x".join(map(str, shape))

    def both(label: str, causal: bool) -> None:
        @workload(GROUP, f"{size}{label} forward")
        def forward(torch, bench):
            q, k, v = (bench.randn(*shape) for _ in range(3))
            return lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)

        @workload(GROUP, f"{size}{label} forward and backward", tol=1e-3)
        def backward(torch, bench):
            q, k, v = (bench.randn(*shape, grad=True) for _ in range(3))
            g, attend = bench.randn(*shape), torch.nn.functional.scaled_dot_product_attention
            return lambda: torch.autograd.grad(attend(q, k, v, is_causal=causal), (q, k, v), g)

    both("", False)
    both(" causal", True)


attention(8, 8, 128, 32)
attention(4, 8, 512, 64)
attention(1, 8, 2048, 64)


@workload(GROUP, "4x8x256x64 with an additive mask forward")
def masked(torch, bench):
    q, k, v = (bench.randn(4, 8, 256, 64) for _ in range(3))
    mask = bench.randn(4, 1, 256, 256)
    return lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)


@workload(GROUP, "one query, 1024 keys, 4x8x64 forward")
def decode(torch, bench):
    q, k, v = bench.randn(4, 8, 1, 64), bench.randn(4, 8, 1024, 64), bench.randn(4, 8, 1024, 64)
    return lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v)


@workload(GROUP, "MultiheadAttention 8x128x256, 8 heads forward", tol=1e-3)
def module(torch, bench):
    layer, x = bench.fill(torch.nn.MultiheadAttention(256, 8, batch_first=True)).eval(), bench.randn(8, 128, 256)

    def step():
        with torch.no_grad():
            return layer(x, x, x, need_weights=False)[0]

    return step


@workload(GROUP, "written out: softmax(q k^T + mask) v, 8x8x128x32 forward and backward", tol=1e-3)
def written_out(torch, bench):
    q, k, v = (bench.randn(8, 8, 128, 32, grad=True) for _ in range(3))
    g, mask = bench.randn(8, 8, 128, 32), torch.ones(128, 128, dtype=torch.bool).tril()

    def step():
        scores = (q @ k.transpose(-2, -1)) * 32**-0.5
        weights = torch.softmax(scores.masked_fill(~mask, float("-inf")), -1)
        return torch.autograd.grad(weights @ v, (q, k, v), g)

    return step
