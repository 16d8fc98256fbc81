"""Views against torch: strides, offsets, flags, errors, memory formats."""

from __future__ import annotations

from typing import Any

import pytest
from both import agree

VIEWS = {
    "view": lambda t, x: x.view(4, 6),
    "view -1": lambda t, x: x.view(-1, 2),
    "view of transposed": lambda t, x: x.transpose(0, 2).view(24),
    "view splits": lambda t, x: x.transpose(0, 1).view(3, 2, 2, 2),
    "view dtype": lambda t, x: x.view(t.int32),
    "view dtype smaller": lambda t, x: x.view(t.float16),
    "view dtype larger": lambda t, x: x.view(t.float64),
    "view dtype larger odd": lambda t, x: x[..., :3].view(t.float64),
    "view bad": lambda t, x: x.view(5, 5),
    "view two unknown": lambda t, x: x.view(-1, -1),
    "reshape": lambda t, x: x.transpose(0, 1).reshape(6, 4),
    "reshape as view": lambda t, x: x.reshape(6, 4),
    "flatten": lambda t, x: x.flatten(1),
    "unflatten": lambda t, x: x.unflatten(2, (2, -1)),
    "ravel": lambda t, x: x.ravel(),
    "permute": lambda t, x: x.permute(2, 0, 1),
    "permute repeated": lambda t, x: x.permute(0, 0, 1),
    "transpose": lambda t, x: x.transpose(0, -1),
    "swapaxes": lambda t, x: x.swapaxes(0, 1),
    "t": lambda t, x: x[0].t(),
    "t of 3-d": lambda t, x: x.t(),
    "T": lambda t, x: x.T,
    "mT": lambda t, x: x.mT,
    "movedim": lambda t, x: x.movedim((0, 1), (2, 0)),
    "squeeze": lambda t, x: x[:1].squeeze(0),
    "squeeze all": lambda t, x: x[:1, :1].squeeze(),
    "squeeze several": lambda t, x: x[:1, :, :1].squeeze((0, 2)),
    "unsqueeze": lambda t, x: x.unsqueeze(1),
    "unsqueeze end": lambda t, x: x.unsqueeze(-1),
    "unsqueeze bad": lambda t, x: x.unsqueeze(5),
    "expand": lambda t, x: x[:, :1].expand(2, 3, 4),
    "expand lead": lambda t, x: x.expand(5, -1, -1, -1),
    "expand bad": lambda t, x: x.expand(2, 2, 4),
    "broadcast_to": lambda t, x: t.broadcast_to(x[0], (5, 3, 4)),
    "slice": lambda t, x: x[1:, ::2, -2:],
    "empty slice": lambda t, x: x[:, 5:],
    "select": lambda t, x: x.select(1, 2),
    "narrow": lambda t, x: x.narrow(2, 1, 2),
    "narrow bad": lambda t, x: x.narrow(2, 3, 2),
    "diagonal": lambda t, x: x.diagonal(0, 1, 2),
    "diagonal below": lambda t, x: x.diagonal(-1, 1, 2),
    "unfold": lambda t, x: x.unfold(2, 2, 1),
    "as_strided": lambda t, x: x.as_strided((2, 2), (1, 3), 2),
    "as_strided bad": lambda t, x: x.as_strided((10, 10), (10, 1)),
    "split": lambda t, x: x.split(2, 1),
    "split sizes": lambda t, x: x.split([1, 2], 1),
    "split wrong": lambda t, x: x.split([1, 1], 1),
    "chunk": lambda t, x: x.chunk(3, 2),
    "unbind": lambda t, x: x.unbind(1),
    "tensor_split": lambda t, x: x.tensor_split(3, 2),
    "hsplit": lambda t, x: x.hsplit(3),
    "real": lambda t, x: x.real,
    "detach": lambda t, x: x.detach(),
    "contiguous is itself": lambda t, x: x.contiguous() is x,
    "clone of transposed": lambda t, x: x.transpose(0, 1).clone(),
    "contiguous of transposed": lambda t, x: x.transpose(0, 1).contiguous(),
    "elementwise of transposed": lambda t, x: x.transpose(0, 1) + 1,
    "elementwise of mixed": lambda t, x: x.transpose(0, 2) * x.permute(2, 1, 0).contiguous(),
    "zeros_like of permuted": lambda t, x: t.zeros_like(x.permute(1, 2, 0)),
    "to double of transposed": lambda t, x: x.transpose(0, 1).double(),
    "channels last": lambda t, x: x[None].to(memory_format=t.channels_last),
    "channels last op": lambda t, x: x[None].to(memory_format=t.channels_last).relu() * 2,
    "channels last with row major": lambda t, x: x[None].to(memory_format=t.channels_last) + x[None],
    "channels last flag": lambda t, x: (
        x[None].contiguous(memory_format=t.channels_last).is_contiguous(memory_format=t.channels_last)
    ),
    "channels last clone": lambda t, x: x[None].contiguous(memory_format=t.channels_last).clone(),
    "set_": lambda t, x: t.empty(0).set_(x[0]),
    "set_ sizes": lambda t, x: t.empty(0).set_(x.untyped_storage(), 2, (2, 2), (3, 1)),
    "resize smaller": lambda t, x: x.resize_(2, 2),
    "resize larger keeps": lambda t, x: x.resize_(30)[:24],
    "resize_as": lambda t, x: x.resize_as_(t.zeros(3)),
    "element size": lambda t, x: (x.element_size(), x.itemsize, x.nbytes, x.numel(), x.dim()),
    "stride error": lambda t, x: x.stride(5),
    "size error": lambda t, x: x.size(3),
    "dim_order": lambda t, x: x.permute(2, 0, 1).dim_order(),
    "unflatten bad": lambda t, x: x.unflatten(2, (3, 3)),
    "view_as": lambda t, x: x.view_as(t.zeros(24)),
    "adjoint": lambda t, x: x.adjoint(),
    "rot90": lambda t, x: t.rot90(x, 1, (1, 2)),
    "swapdims bad": lambda t, x: x.swapdims(0, 7),
    "atleast": lambda t, x: t.atleast_3d(x[0, 0]),
    "empty view": lambda t, x: x[:0].view(0, 12),
    "empty ambiguous": lambda t, x: x[:0].view(-1, 0),
}


@pytest.mark.parametrize("name", VIEWS)
def test_views(name: str) -> None:
    agree(lambda t: VIEWS[name](t, t.arange(24.0).view(2, 3, 4)), text=30)


FLAGS = {
    "offset": lambda t, x: (x[1].storage_offset(), x[1, 1:].storage_offset(), x[:0].storage_offset()),
    "base": lambda t, x: (x[0]._base is x, x[0][0]._base is x, x._base is None, x.detach()._base is None),
    "is_view": lambda t, x: (x[0]._is_view(), x._is_view(), x.detach()._is_view()),
    "contiguous": lambda t, x: (
        x[0].is_contiguous(),
        x.T.is_contiguous(),
        x[:, :1].is_contiguous(),
        x[:0].is_contiguous(),
    ),
    "version": lambda t, x: (
        x._version,
        x.add_(1)._version,
        x[0].mul_(2)._version,
        x._version,
        x.detach().zero_()._version,
    ),
    "shared version": lambda t, x: (x.view(-1).add_(1), x._version)[1],
    "same storage": lambda t, x: x[0].untyped_storage() == x.untyped_storage(),
    "data_ptr": lambda t, x: x[1].data_ptr() - x.data_ptr(),
    "is_set_to": lambda t, x: (x.is_set_to(x.view(2, 3)), x.is_set_to(x[:1])),
    "leaf": lambda t, x: (x.is_leaf, x.requires_grad_().is_leaf, x[0].is_leaf, (x * 2).is_leaf, x.detach().is_leaf),
    "storage size": lambda t, x: (x[0].untyped_storage().nbytes(), len(x.storage()), x.storage().tolist()),
    "ndim": lambda t, x: (x.ndim, x.shape, x.size(), x.size(-1), x.T.stride(), x.stride(0), len(x)),
    "output_nr": lambda t, x: [v.output_nr for v in x.requires_grad_().unbind(0)],
    "type": lambda t, x: (x.type(), x.double().type(), x.int().type(), x.is_floating_point(), x.is_signed()),
}


@pytest.mark.parametrize("name", FLAGS)
def test_flags(name: str) -> None:
    agree(lambda t: FLAGS[name](t, t.arange(6.0).view(2, 3)))


NAMES = {
    "view": lambda t, x: x.view(3, 2),
    "reshape": lambda t, x: x.reshape(-1),
    "permute": lambda t, x: x.permute(1, 0),
    "transpose": lambda t, x: x.transpose(0, 1),
    "t": lambda t, x: x.t(),
    "select": lambda t, x: x[0],
    "slice": lambda t, x: x[1:],
    "expand": lambda t, x: x.expand(2, 2, 3),
    "unsqueeze": lambda t, x: x[None],
    "squeeze": lambda t, x: x[None].squeeze(),
    "diagonal": lambda t, x: x.diagonal(),
    "unbind": lambda t, x: x.unbind()[1],
    "split": lambda t, x: x.split(1)[1],
    "split sizes": lambda t, x: x.split([1, 1])[1],
    "chunk": lambda t, x: x.chunk(2)[0],
    "as_strided": lambda t, x: x.as_strided((2,), (1,)),
    "unfold": lambda t, x: x.unfold(1, 2, 1),
    "mul": lambda t, x: x * 2,
    "rsub": lambda t, x: 1 - x,
    "pow": lambda t, x: x**2,
    "pow tensor": lambda t, x: x**x,
    "rpow": lambda t, x: 2**x,
    "clone": lambda t, x: x.clone(),
    "index": lambda t, x: x[t.tensor([0])],
    "cat": lambda t, x: t.cat([x, x]),
    "linear": lambda t, x: t.nn.functional.linear(x, t.ones(2, 3), t.ones(2)),
    "linear without bias": lambda t, x: t.nn.functional.linear(x, t.ones(2, 3)),
    "sum": lambda t, x: x.sum(),
    "mean": lambda t, x: x.mean(),
    "leaf": lambda t, x: x.grad_fn.next_functions[0][0].variable * 1,
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_records(name: str) -> None:
    def run(t: Any) -> Any:
        x = t.arange(6.0).view(2, 3).requires_grad_() * 1
        y = NAMES[name](t, x)
        after = [f.name() if f is not None else None for f, _ in y.grad_fn.next_functions]
        return y.grad_fn.name(), after, y.output_nr

    agree(run)
