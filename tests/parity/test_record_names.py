"""The names that ``grad_fn`` shows, against PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import engine

torch = pytest.importorskip("torch")

_EXPRESSIONS = """
1 / x; x / 2; x.remainder(y); x.remainder(2); x.log1p(); t.rad2deg(x); x.clamp_min(0); x.clamp(min=0)
x.sum(); x.sum(0); x.sum(0, keepdim=True); x.mean(); x.mean(1); x.std(); x.std(0); x.var(0); t.std_mean(x)[0]
t.var_mean(x)[1]; x.prod(); x.prod(0); x.max(); x.min(); x.max(0)[0]; x.amax(0); x.nansum(); x.dist(y); x.trace()
x.squeeze(); x.squeeze(0); x.squeeze((0, 1)); x.repeat(2, 1); x.tile(2); x.roll(1); x.roll(1, 0); x.rot90()
x.index_select(0, i); x.take(i); x.masked_select(x > 0); t.stack([x, y]); t.cat([x, y]); x.diag_embed()
x.scatter_add(0, i[None, :1], y); x.index_add(0, i[:1], y[:1]); x.index_copy(0, i[:1], y[:1])
x.index_fill(0, i, 1.0); x.masked_fill(x > 0, 0); x.masked_fill(x > 0, t.tensor(1.0)); x.masked_scatter(x > 0, y)
t.block_diag(x, y); t.select_scatter(x, y[0], 0, 0); t.slice_scatter(x, y[:1], 0, 0, 1); t.diagonal_scatter(x, y[0])
x @ y; x @ v; x.mv(v); v.dot(v); t.addmm(x, x, y); t.addmv(v, x, v); t.addr(x, v, v); t.baddbmm(b, b, b)
t.addbmm(x, b, b); t.vdot(v, v); t.cross(x, y, dim=0); t.rsub(x, y); t.ldexp(x, t.tensor(2)); t.mvlgamma(y + 3, 2)
F.dropout(x, 0.5); F.rms_norm(x, (3,)); F.pdist(x); F.pairwise_distance(x, y); F.soft_margin_loss(x, y.detach())
F.max_pool1d(b, 2); F.avg_pool2d(b, 2); F.adaptive_avg_pool2d(b[None], 1); F.adaptive_avg_pool2d(b[None], 2)
F.interpolate(b[None], scale_factor=2); F.interpolate(b[None], scale_factor=2, mode="bilinear"); F.unfold(b[None], 2)
F.pad(b[None], (1, 1, 1, 1), mode="reflect"); F.pixel_unshuffle(b[None][..., :2, :2], 2); F.embedding_bag(i[None], x)
F.scaled_dot_product_attention(b[None], b[None], b[None]); F.grid_sample(b[None], t.zeros(1, 2, 2, 2))
t.fft.rfft(v); (x + 0j).real; x.clone().addmm_(x, y)
"""


def _names(module: Any, expression: str) -> tuple:
    rng = np.random.default_rng(0)

    def leaf(*shape: int) -> Any:
        return module.tensor(rng.random(shape).astype(np.float32) + 0.1, requires_grad=True)

    known = {
        "t": module, "F": module.nn.functional, "x": leaf(3, 3), "y": leaf(3, 3), "v": leaf(3), "b": leaf(3, 3, 3),
        "i": module.tensor([0, 1]),
    }  # fmt: skip
    out = eval(expression, known)
    return type(out.grad_fn).__name__, out.grad_fn.name()


@pytest.mark.parametrize("expression", [e.strip() for e in _EXPRESSIONS.replace("\n", ";").split(";") if e.strip()])
def test_names(expression: str) -> None:
    assert _names(engine, expression) == _names(torch, expression)


def test_inputs_of_a_composition_are_shown_and_walked() -> None:
    def shown(module: Any) -> list:
        x = module.ones(2, 3, requires_grad=True)
        v = module.ones(3, requires_grad=True)
        out = module.mv(x * 2, v)
        names = [type(f).__name__ for f, _ in out.grad_fn.next_functions]
        out.sum().backward()
        return [names, x.grad.tolist(), v.grad.tolist()]

    assert shown(engine) == shown(torch)


def test_masks_and_indices_are_not_shown() -> None:
    def shown(module: Any) -> list:
        x = module.ones(3, 3, requires_grad=True)
        outs = [module.where(x > 0, x, x), x.masked_fill(x > 0, 0), x.gather(0, module.zeros(1, 3, dtype=module.long))]
        return [len(o.grad_fn.next_functions) for o in outs]

    assert shown(engine) == shown(torch)
