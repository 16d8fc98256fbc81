"""Optimizer steps over ten million parameters in the 122 tensors of a small transformer."""

from __future__ import annotations

from tests.bench.workload import Case, workload

GROUP = "optimizers"
BLOCKS = 10
BLOCK = ((768, 256), (768,), (256, 256), (256,), (1024, 256), (1024,), (256, 1024), (256,), *((256,),) * 4)
SHAPES = ((8192, 256), *BLOCK * BLOCKS, (256,))


def optimizer_step(label: str, make) -> None:
    @workload(GROUP, label)
    def build(torch, bench):
        parameters = [torch.nn.Parameter(bench.randn(*shape, scale=0.05)) for shape in SHAPES]
        for parameter in parameters:
            parameter.grad = bench.randn(*parameter.shape, scale=0.01)
        optimizer = make(torch.optim, parameters)
        picked = (parameters[0], parameters[1], parameters[2], parameters[-1])
        return Case(lambda: optimizer.step(), check=lambda: [p.detach() for p in picked])


optimizer_step("SGD 10M", lambda optim, p: optim.SGD(p, lr=1e-3))
optimizer_step("SGD with momentum 10M", lambda optim, p: optim.SGD(p, lr=1e-3, momentum=0.9, weight_decay=1e-4))
optimizer_step("Adam 10M", lambda optim, p: optim.Adam(p, lr=1e-3))
optimizer_step("AdamW 10M", lambda optim, p: optim.AdamW(p, lr=1e-3, weight_decay=0.01))
optimizer_step("AdamW, fused=True 10M", lambda optim, p: optim.AdamW(p, lr=1e-3, weight_decay=0.01, fused=True))


@workload(GROUP, "clip_grad_norm_ and AdamW 10M")
def clipped(torch, bench):
    parameters = [torch.nn.Parameter(bench.randn(*shape, scale=0.05)) for shape in SHAPES]
    for parameter in parameters:
        parameter.grad = bench.randn(*parameter.shape, scale=0.01)
    optimizer = torch.optim.AdamW(parameters, lr=1e-3)

    def step():
        norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        return norm

    return Case(step, check=lambda: [parameters[0].detach(), parameters[1].detach()])
