"""A few of torch's own sample inputs for each op: values, dtypes and first and second gradients."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import engine

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.testing._internal.common_methods_invocations import op_db

_SAMPLES = 3
_NAMES = """
addcdiv addcmul allclose aminmax argwhere atleast_1d atleast_2d atleast_3d bincount block_diag broadcast_tensors
bucketize cartesian_prod cdist column_stack combinations copysign corrcoef cross cummax cummin cumprod cumsum
cumulative_trapezoid deg2rad diag diag_embed diagflat diagonal_scatter diff dist dsplit dstack equal fliplr flipud
frexp gcd gradient heaviside histogram histogramdd hsplit hstack index_copy index_fill index_reduce inner isclose
isfinite isin isinf isneginf isposinf kron kthvalue lcm ldexp lerp logaddexp logaddexp2 logcumsumexp logit
masked_scatter masked_select median meshgrid mode msort nan_to_num nanmean nanmedian nanquantile nansum narrow_copy
nonzero nonzero_static norm put quantile rad2deg renorm repeat_interleave roll rot90 scatter_reduce searchsorted
select_scatter sinc slice_scatter take take_along_dim tensor_split tensordot topk trace trapezoid tril tril_indices
triu triu_indices unique unique_consecutive unravel_index vdot vsplit vstack xlogy
""".split()
_DTYPES = {
    getattr(torch, n): getattr(engine, n)
    for n in ("float64", "float32", "int64", "int32", "bool", "uint8", "int16", "int8")
}
_ENTRIES = [o for o in op_db if o.name in _NAMES]


def _mapped(value: Any, grad: bool) -> Any:
    """torch's tensors and dtypes as the engine's, through nested sequences and dictionaries."""
    if isinstance(value, torch.Tensor):
        out = engine.tensor(value.detach().contiguous().numpy())
        return out.requires_grad_() if grad and value.requires_grad else out
    if isinstance(value, torch.dtype):
        return _DTYPES[value]
    if isinstance(value, (list, tuple)):
        return type(value)(_mapped(v, grad) for v in value) if type(value) in (list, tuple) else tuple(value)
    if isinstance(value, dict):
        return {k: _mapped(v, grad) for k, v in value.items()}
    return value


def _flat(value: Any) -> list:
    if isinstance(value, (list, tuple)):
        return [x for v in value for x in _flat(v)]
    return _flat(list(value.values())) if isinstance(value, dict) else [value]


def _same(got: Any, want: Any, tolerance: float) -> None:
    got, want = _flat(got), _flat(want)
    assert len(got) == len(want)
    for g, w in zip(got, want):
        if not isinstance(w, torch.Tensor):
            assert g == w
            continue
        assert tuple(g.shape) == tuple(w.shape)
        assert g.dtype is _DTYPES[w.dtype]
        w = w.detach()
        w = w.clone() if w._is_zerotensor() else w
        np.testing.assert_allclose(g.detach().numpy(), w.numpy(), rtol=tolerance, atol=tolerance)


def _wanting(values: Any) -> list:
    return [t for t in _flat(values) if hasattr(t, "requires_grad") and t.requires_grad]


def _weighted(outs: list, module: Any) -> Any:
    """Sum of the outputs with fixed weights: one number to differentiate."""
    total = 0
    for i, t in enumerate(outs):
        w = np.random.RandomState(i).randn(*t.shape)
        total = total + (t * module.tensor(np.asarray(w))).sum()
    return total


def _check_gradients(op: Any, call: Any, sample: Any) -> None:
    theirs = [sample.input, sample.args, sample.kwargs]
    ours = _mapped(theirs, True)
    x, y = _wanting(theirs), _wanting(ours)
    if not x:
        return
    for order in (1, 2) if op.supports_gradgrad else (1,):
        if order == 1:
            a = _wanting(op.op(theirs[0], *theirs[1], **theirs[2]))
            b = _wanting(call(ours[0], *ours[1], **ours[2]))
        else:
            pairs = [(p, q) for p, q in zip(da, db) if p.requires_grad]  # noqa: F821 (of the first round)
            a, b = [p for p, _ in pairs], [q for _, q in pairs]
        if not a:
            return
        da = torch.autograd.grad(_weighted(a, torch), x, create_graph=order == 1, allow_unused=True)
        loss = _weighted(b, engine)
        if loss.requires_grad:
            db = engine.autograd.grad(loss, y, create_graph=order == 1, allow_unused=True)
        else:
            db = [None] * len(y)
        da = [torch.zeros_like(t) if g is None else g for g, t in zip(da, x)]
        db = [engine.zeros_like(t) if g is None else g for g, t in zip(db, y)]
        _same(db, da, 1e-5)


@pytest.mark.parametrize("op", _ENTRIES, ids=lambda o: f"{o.name}{o.variant_test_name and '-'}{o.variant_test_name}")
def test_samples(op: Any) -> None:
    call = getattr(engine, op.name, None) or getattr(engine.Tensor, op.name)
    floating = op.supports_dtype(torch.float64, "cpu")
    dtype = torch.float64 if floating else torch.int64
    samples = list(op.sample_inputs("cpu", dtype, requires_grad=floating and op.supports_autograd))
    for sample in samples[:: max(1, len(samples) // _SAMPLES)][:_SAMPLES]:
        want = op.op(sample.input, *sample.args, **sample.kwargs)
        value, args, kwargs = _mapped([sample.input, sample.args, sample.kwargs], False)
        _same(call(value, *args, **kwargs), want, 1e-7)
        if floating and op.supports_autograd:
            _check_gradients(op, call, sample)
