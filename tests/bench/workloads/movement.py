"""Moving data: transposes, joins, gathers and scatters, indexing, sorting, random numbers."""

from __future__ import annotations

from tests.bench.workload import Case, workload

GROUP = "movement"


@workload(GROUP, "transpose copy 2048x2048")
def transpose(torch, bench):
    x = bench.randn(2048, 2048)
    return lambda: x.t().contiguous()


@workload(GROUP, "transpose copy 1000x3001")
def transpose_odd(torch, bench):
    x = bench.randn(1000, 3001)
    return lambda: x.t().contiguous()


@workload(GROUP, "permute NCHW -> NHWC 32x64x56x56")
def permute(torch, bench):
    x = bench.randn(32, 64, 56, 56)
    return lambda: x.permute(0, 2, 3, 1).contiguous()


@workload(GROUP, "permute heads 8x128x8x32 -> 8x8x128x32")
def permute_heads(torch, bench):
    x = bench.randn(8, 128, 8, 32)
    return lambda: x.transpose(1, 2).contiguous()


@workload(GROUP, "cat 4 x (1024x512), last axis")
def cat_last(torch, bench):
    parts = [bench.randn(1024, 512) for _ in range(4)]
    return lambda: torch.cat(parts, -1)


@workload(GROUP, "cat 4 x (1024x512), first axis")
def cat_first(torch, bench):
    parts = [bench.randn(1024, 512) for _ in range(4)]
    return lambda: torch.cat(parts, 0)


@workload(GROUP, "stack 16 x (256x256), last axis")
def stack(torch, bench):
    parts = [bench.randn(256, 256) for _ in range(16)]
    return lambda: torch.stack(parts, -1)


@workload(GROUP, "strided slice copy 2048x2048[::2, ::2]")
def strided(torch, bench):
    x = bench.randn(2048, 2048)
    return lambda: x[::2, ::2].contiguous()


@workload(GROUP, "slice assignment 2048x2048")
def assign(torch, bench):
    x, y = bench.randn(2048, 2048), bench.randn(1024, 1024)

    def step():
        x[512:1536, 512:1536] = y

    return Case(step, check=lambda: x)


@workload(GROUP, "pad 32x64x56x56 by 1")
def pad(torch, bench):
    x = bench.randn(32, 64, 56, 56)
    return lambda: torch.nn.functional.pad(x, (1, 1, 1, 1))


@workload(GROUP, "flip and roll 1024x1024")
def flip(torch, bench):
    x = bench.randn(1024, 1024)
    return lambda: (x.flip(1), x.roll((100, -7), (0, 1)))


@workload(GROUP, "repeat 256x256 by 4x4")
def repeat(torch, bench):
    x = bench.randn(256, 256)
    return lambda: x.repeat(4, 4)


@workload(GROUP, "masked_fill and tril 1024x1024")
def masked_fill(torch, bench):
    x, mask = bench.randn(1024, 1024), bench.randn(1024, 1024) > 0
    return lambda: x.masked_fill(mask, -1.0).tril()


@workload(GROUP, "gather last axis 4096x1024")
def gather(torch, bench):
    x, index = bench.randn(4096, 1024), bench.ints(1024, 4096, 1024)
    return lambda: x.gather(1, index)


@workload(GROUP, "index_select rows 8192 of 10000x256")
def index_select(torch, bench):
    x, index = bench.randn(10000, 256), bench.ints(10000, 8192)
    return lambda: x.index_select(0, index)


@workload(GROUP, "index with two tensors 1M of 1000x1000")
def index_two(torch, bench):
    x, rows, columns = bench.randn(1000, 1000), bench.ints(1000, 2**20), bench.ints(1000, 2**20)
    return lambda: x[rows, columns]


@workload(GROUP, "embedding 4096 of 30000x768")
def embedding(torch, bench):
    table, index = bench.randn(30000, 768), bench.ints(30000, 4096)
    return lambda: torch.nn.functional.embedding(index, table)


@workload(GROUP, "embedding gradient 4096 of 10000x768")
def embedding_gradient(torch, bench):
    table, index, g = bench.randn(10000, 768, grad=True), bench.ints(10000, 4096), bench.randn(4096, 768)
    rows = torch.nn.functional.embedding(index, table)
    return lambda: torch.autograd.grad(rows, table, g, retain_graph=True)


@workload(GROUP, "scatter_add rows 8192x256 into 1000x256")
def scatter_add(torch, bench):
    index, source = bench.ints(1000, 8192, 1).expand(8192, 256).contiguous(), bench.randn(8192, 256)
    return lambda: torch.zeros(1000, 256).scatter_add(0, index, source)


@workload(GROUP, "scatter_add 1M into 64K")
def scatter_add_flat(torch, bench):
    index, source = bench.ints(2**16, 2**20), bench.randn(2**20)
    return lambda: torch.zeros(2**16).scatter_add(0, index, source)


@workload(GROUP, "index_add rows 8192x256 into 1000x256")
def index_add(torch, bench):
    index, source = bench.ints(1000, 8192), bench.randn(8192, 256)
    return lambda: torch.zeros(1000, 256).index_add(0, index, source)


@workload(GROUP, "index_put 256K of 1000x1000")
def index_put(torch, bench):
    place = bench.permutation(10**6)[: 2**18]
    rows, columns, values = place // 1000, place % 1000, bench.randn(2**18)
    return lambda: torch.zeros(1000, 1000).index_put((rows, columns), values)


@workload(GROUP, "index_put accumulate 64K of 1000x1000")
def index_put_accumulate(torch, bench):
    rows, columns, values = bench.ints(1000, 2**16), bench.ints(1000, 2**16), bench.randn(2**16)
    return lambda: torch.zeros(1000, 1000).index_put((rows, columns), values, accumulate=True)


@workload(GROUP, "boolean mask 1M")
def mask(torch, bench):
    x = bench.randn(2**20)
    return lambda: x[x > 0]


@workload(GROUP, "nonzero 1M")
def nonzero(torch, bench):
    x = bench.randn(2**20) > 1.0
    return lambda: x.nonzero()


@workload(GROUP, "sort 1M")
def sort(torch, bench):
    x = bench.randn(2**20)
    return lambda: x.sort()[0]


@workload(GROUP, "sort rows 1024x1024")
def sort_rows(torch, bench):
    x = bench.randn(1024, 1024)
    return lambda: x.sort(dim=-1, stable=True)


@workload(GROUP, "argsort integers 256K")
def argsort(torch, bench):
    x = bench.permutation(2**18)
    return lambda: x.argsort()


@workload(GROUP, "topk 10 of 4096x1000")
def topk(torch, bench):
    x = bench.randn(4096, 1000)
    return lambda: x.topk(10)


@workload(GROUP, "topk 100 of 1M")
def topk_flat(torch, bench):
    x = bench.randn(2**20)
    return lambda: x.topk(100)


@workload(GROUP, "unique 1M integers below 10000")
def unique(torch, bench):
    x = bench.ints(10000, 2**20)
    return lambda: torch.unique(x, return_counts=True)


@workload(GROUP, "searchsorted 1M in 10000")
def searchsorted(torch, bench):
    edges, x = bench.randn(10000).sort()[0], bench.randn(2**20)
    return lambda: torch.searchsorted(edges, x)


def random_numbers(name: str, draw, moments) -> None:
    """Register a generator; both sides draw other numbers, so their moments are compared, not their values."""

    @workload(GROUP, f"{name} 4M", tol=1e-2)
    def build(torch, bench):
        torch.manual_seed(0)
        return Case(lambda: draw(torch), check=lambda: moments(draw(torch)))


random_numbers("rand", lambda torch: torch.rand(2**22), lambda x: (1 + x.mean(), 1 + x.std()))
random_numbers("randn", lambda torch: torch.randn(2**22), lambda x: (1 + x.mean(), x.std()))
random_numbers("randint", lambda torch: torch.randint(0, 1000, (2**22,)), lambda x: 1000 + x.float().mean())


@workload(GROUP, "randperm 1M")
def randperm(torch, bench):
    torch.manual_seed(0)
    return Case(lambda: torch.randperm(2**20), check=lambda: torch.randperm(2**20).sort()[0])


@workload(GROUP, "dropout 4M", tol=1e-2)
def dropout(torch, bench):
    torch.manual_seed(0)
    x = torch.ones(2**22)
    function = torch.nn.functional.dropout
    return Case(lambda: function(x, 0.2), check=lambda: (function(x, 0.2).mean(), function(x, 0.2).max()))
