"""Tensors without elements, against PyTorch: values, shapes, dtypes and kinds of errors."""

from __future__ import annotations

from typing import Any

import pytest

import engine

torch = pytest.importorskip("torch")

_EXPRESSIONS = """
m.linalg.inv(m.zeros(0,3,3)); m.linalg.inv(m.zeros(0,0)); m.linalg.solve(m.zeros(0,3,3),m.zeros(0,3,2));
m.linalg.solve(m.eye(3),m.zeros(3,0)); m.linalg.svd(m.zeros(0,3,2)); m.linalg.svd(m.zeros(3,0));
m.linalg.svd(m.zeros(3,0),full_matrices=False); m.linalg.svdvals(m.zeros(0,3)); m.linalg.eigh(m.zeros(0,3,3));
m.linalg.eigh(m.zeros(0,0)); m.linalg.eig(m.zeros(0,2,2)); m.linalg.cholesky(m.zeros(0,3,3));
m.linalg.cholesky(m.zeros(0,0)); m.linalg.qr(m.zeros(0,3,2)); m.linalg.qr(m.zeros(3,0)); m.linalg.qr(m.zeros(0,3));
m.linalg.det(m.zeros(0,0)); m.linalg.det(m.zeros(0,3,3)); m.linalg.slogdet(m.zeros(0,0));
m.linalg.lstsq(m.zeros(0,3,2),m.zeros(0,3,1))[0]; m.linalg.pinv(m.zeros(3,0)); m.linalg.matrix_rank(m.zeros(0,3,3));
m.linalg.matrix_exp(m.zeros(0,0)); m.linalg.lu(m.zeros(0,3,3)); m.linalg.lu_factor(m.zeros(0,0));
m.linalg.norm(m.zeros(0)); m.linalg.matrix_norm(m.zeros(0,3)); m.linalg.matrix_norm(m.zeros(0,3),2);
m.linalg.vector_norm(m.zeros(0,3),2,0); m.linalg.cond(m.zeros(0,0)); m.linalg.eigvalsh(m.zeros(0,3,3));
m.linalg.matrix_power(m.zeros(0,3,3),2); m.linalg.tensorinv(m.zeros(0,0));
m.linalg.multi_dot([m.zeros(2,0),m.zeros(0,3)]); m.cholesky_solve(m.zeros(0,3,1),m.zeros(0,3,3));
m.linalg.solve_triangular(m.zeros(0,3,3),m.zeros(0,3,1),upper=True); m.cdist(m.zeros(0,3),m.zeros(2,3));
m.cdist(m.zeros(2,0),m.zeros(3,0)); m.bmm(m.zeros(0,2,3),m.zeros(0,3,4)); m.bmm(m.zeros(2,2,0),m.zeros(2,0,2));
m.mv(m.zeros(2,0),m.zeros(0)); m.dot(m.zeros(0),m.zeros(0)); m.addmm(m.ones(2,3),m.zeros(2,0),m.zeros(0,3));
m.baddbmm(m.ones(2,2,2),m.zeros(2,2,0),m.zeros(2,0,2)); m.einsum("ij,jk->ik",m.zeros(2,0),m.zeros(0,3));
m.nn.functional.linear(m.zeros(0,3),m.ones(2,3),m.ones(2));
m.nn.functional.linear(m.zeros(2,0),m.ones(2,0),m.ones(2)); m.nn.functional.conv2d(m.zeros(0,2,4,4),m.ones(3,2,2,2));
m.nn.functional.layer_norm(m.zeros(0,3),(3,)); m.nn.functional.batch_norm(m.zeros(0,3),None,None,training=True);
m.nn.functional.max_pool2d(m.zeros(0,2,4,4),2); m.nn.functional.interpolate(m.zeros(0,2,4,4),scale_factor=2);
m.sort(m.zeros(0,3),0)[1]; m.topk(m.zeros(0,3),2)[0]; m.cumsum(m.zeros(0,3),0); m.softmax(m.zeros(0,3),1);
m.nn.functional.embedding(m.zeros(0,dtype=m.long),m.ones(3,2));
m.nn.functional.scaled_dot_product_attention(m.zeros(0,2,3,4),m.zeros(0,2,3,4),m.zeros(0,2,3,4));
m.cat([m.zeros(0),m.ones(2,2)]); m.stack([m.zeros(0,2),m.zeros(0,2)]); m.unique(m.zeros(0)); m.nonzero(m.zeros(0,3));
m.zeros(0,3)[m.zeros(0,dtype=m.long)]; m.histc(m.zeros(0)); m.bincount(m.zeros(0,dtype=m.long));
m.fft.fft(m.zeros(0)); m.nn.functional.mse_loss(m.zeros(0,3),m.zeros(0,3)); m.median(m.zeros(0));
m.kron(m.zeros(0,2),m.ones(2,2)); m.nn.functional.cosine_similarity(m.zeros(0,3),m.zeros(0,3));
m.nn.functional.one_hot(m.zeros(0,dtype=m.long),3); m.quantile(m.zeros(0),.5); m.var(m.zeros(3,0),1);
m.max(m.zeros(0,3),1)[0]; m.max(m.zeros(0,3),0)[0]; m.index_select(m.zeros(0,3),0,m.zeros(0,dtype=m.long));
m.scatter_add(m.zeros(3),0,m.zeros(0,dtype=m.long),m.zeros(0)); m.roll(m.zeros(0,3),1,0);
m.repeat_interleave(m.zeros(0,3),2,0); m.meshgrid(m.zeros(0),m.ones(2))[0]
"""


def _outcome(module: Any, expression: str) -> Any:
    try:
        result = eval(expression, {"m": module})
    except (RuntimeError, IndexError, ValueError) as error:
        return type(error).__name__.replace("LinAlgError", "RuntimeError")
    results = result if isinstance(result, tuple) else (result,)
    return [(tuple(t.shape), str(t.dtype), t.tolist() if t.numel() else []) for t in results]


@pytest.mark.parametrize("expression", [e.strip() for e in _EXPRESSIONS.replace("\n", ";").split(";") if e.strip()])
def test_empty(expression: str) -> None:
    assert repr(_outcome(engine, expression)) == repr(_outcome(torch, expression))


def test_gradients_of_empty_operands() -> None:
    def run(module: Any) -> list:
        a = module.zeros(0, 3, dtype=module.float64, requires_grad=True)
        b = module.ones(4, 3, dtype=module.float64, requires_grad=True)
        first = module.autograd.grad(module.cdist(a, b).sum(), [a, b], create_graph=True)
        second = module.autograd.grad((a @ b.T).sum() + b.sum(), [a, b])
        return [(tuple(g.shape), g.tolist()) for g in (*first, *second)]

    assert run(engine) == run(torch)
