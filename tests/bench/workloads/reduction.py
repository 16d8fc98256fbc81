"""Reductions: sums over each axis, arg-reductions, softmax and norms, losses, scans."""

from __future__ import annotations

from tests.bench.workload import workload

GROUP = "reduction"


def reduce_2d(name: str, function, rows: int = 4096, columns: int = 2048, **figures) -> None:
    @workload(GROUP, f"{name} {rows}x{columns}", **figures)
    def build(torch, bench):
        x = bench.randn(rows, columns)
        return lambda: function(torch, x)


reduce_2d("sum last axis", lambda torch, x: x.sum(-1))
reduce_2d("sum first axis", lambda torch, x: x.sum(0))
reduce_2d("sum all", lambda torch, x: x.sum(), tol=1e-3)
reduce_2d("mean all of a squared difference", lambda torch, x: ((x - 0.5) ** 2).mean())
reduce_2d("max last axis with indices", lambda torch, x: x.max(-1))
reduce_2d("amax first axis", lambda torch, x: x.amax(0))
reduce_2d("argmax last axis", lambda torch, x: x.argmax(-1))
reduce_2d("argmax first axis", lambda torch, x: x.argmax(0))
reduce_2d("argmax all", lambda torch, x: x.argmax())
reduce_2d("var last axis", lambda torch, x: x.var(-1))
reduce_2d("var first axis", lambda torch, x: x.var(0))
reduce_2d("norm all", lambda torch, x: x.norm(), tol=1e-3)  # torch is off by 2.3e-4 here
reduce_2d("logsumexp last axis", lambda torch, x: torch.logsumexp(x, -1))
reduce_2d("any of a comparison, last axis", lambda torch, x: (x > 3.0).any(-1))
reduce_2d("softmax", lambda torch, x: torch.softmax(x, -1), 4096, 1000)
reduce_2d("softmax", lambda torch, x: torch.softmax(x, -1), 4096, 1024)
reduce_2d("softmax", lambda torch, x: torch.softmax(x, -1), 32768, 128)
reduce_2d("softmax", lambda torch, x: torch.softmax(x, -1), 512, 32768)
reduce_2d("softmax first axis", lambda torch, x: torch.softmax(x, 0), 1024, 2048)
reduce_2d("log_softmax", lambda torch, x: torch.log_softmax(x, -1), 4096, 1000)
reduce_2d("cumsum last axis", lambda torch, x: x.cumsum(-1), tol=1e-3)
reduce_2d("cumsum first axis", lambda torch, x: x.cumsum(0), tol=1e-3)
reduce_2d("cumsum one axis of 4M", lambda torch, x: x.view(-1).cumsum(0), tol=1e-3)
reduce_2d("cumprod last axis", lambda torch, x: (x * 0.01 + 1.0).cumprod(-1), 1024, 1024, tol=1e-3)


@workload(GROUP, "sum middle axis 64x512x256")
def sum_middle(torch, bench):
    x = bench.randn(64, 512, 256)
    return lambda: x.sum(1)


@workload(GROUP, "mean over the image 32x64x56x56")
def mean_image(torch, bench):
    x = bench.randn(32, 64, 56, 56)
    return lambda: x.mean((2, 3))


@workload(GROUP, "softmax forward and backward 4096x1000")
def softmax_backward(torch, bench):
    x, g = bench.randn(4096, 1000, grad=True), bench.randn(4096, 1000)
    return lambda: torch.autograd.grad(torch.softmax(x, -1), x, g)


def layer_norm(rows: int, columns: int) -> None:
    @workload(GROUP, f"layer_norm {rows}x{columns}")
    def forward(torch, bench):
        x, w, b = bench.randn(rows, columns), bench.randn(columns), bench.randn(columns)
        return lambda: torch.nn.functional.layer_norm(x, (columns,), w, b)

    @workload(GROUP, f"layer_norm {rows}x{columns} forward and backward", tol=1e-3)
    def backward(torch, bench):
        x, w, b = (bench.randn(*shape, grad=True) for shape in ((rows, columns), (columns,), (columns,)))
        g = bench.randn(rows, columns)
        return lambda: torch.autograd.grad(torch.nn.functional.layer_norm(x, (columns,), w, b), (x, w, b), g)


layer_norm(4096, 768)
layer_norm(4096, 1024)


@workload(GROUP, "batch_norm training 32x64x56x56")
def batch_norm(torch, bench):
    x, w, b = bench.randn(32, 64, 56, 56), bench.randn(64), bench.randn(64)
    mean, var = torch.zeros(64), torch.ones(64)
    return lambda: torch.nn.functional.batch_norm(x, mean, var, w, b, training=True)


@workload(GROUP, "batch_norm training 32x64x56x56 forward and backward", tol=1e-3)
def batch_norm_backward(torch, bench):
    x, w, b = bench.randn(32, 64, 56, 56, grad=True), bench.randn(64, grad=True), bench.randn(64, grad=True)
    mean, var, g = torch.zeros(64), torch.ones(64), bench.randn(32, 64, 56, 56)
    function = torch.nn.functional.batch_norm
    return lambda: torch.autograd.grad(function(x, mean, var, w, b, training=True), (x, w, b), g)


@workload(GROUP, "batch_norm inference + relu 32x64x56x56")
def batch_norm_inference(torch, bench):
    x, w, b, mean = bench.randn(32, 64, 56, 56), bench.randn(64), bench.randn(64), bench.randn(64)
    var = bench.rand(64, low=0.5, high=2.0)
    return lambda: torch.nn.functional.batch_norm(x, mean, var, w, b).relu()


@workload(GROUP, "group_norm 16 groups 32x64x32x32")
def group_norm(torch, bench):
    x, w, b = bench.randn(32, 64, 32, 32), bench.randn(64), bench.randn(64)
    return lambda: torch.nn.functional.group_norm(x, 16, w, b)


@workload(GROUP, "group_norm 16 groups 32x64x32x32 forward and backward", tol=1e-3)
def group_norm_backward(torch, bench):
    x, w, b = bench.randn(32, 64, 32, 32, grad=True), bench.randn(64, grad=True), bench.randn(64, grad=True)
    g = bench.randn(32, 64, 32, 32)
    return lambda: torch.autograd.grad(torch.nn.functional.group_norm(x, 16, w, b), (x, w, b), g)


@workload(GROUP, "cross_entropy 4096x1000")
def cross_entropy(torch, bench):
    x, y = bench.randn(4096, 1000), bench.ints(1000, 4096)
    return lambda: torch.nn.functional.cross_entropy(x, y)


@workload(GROUP, "cross_entropy 4096x1000 forward and backward")
def cross_entropy_backward(torch, bench):
    x, y = bench.randn(4096, 1000, grad=True), bench.ints(1000, 4096)
    return lambda: torch.autograd.grad(torch.nn.functional.cross_entropy(x, y), x)
