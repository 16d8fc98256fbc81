"""Products that sum over named or paired dimensions: einsum, tensordot, kron, cross, bilinear forms, chains."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from .. import dtypes
from ..autograd.variable import Tensor
from .creation import FULL
from .matmul import bmm, matmul, mm
from .pointwise import broadcast_shapes
from .publish import function
from .publish import registry as REGISTRY
from .views import wrap_dim

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


# -- einsum -----------------------------------------------------------------------------------------------------------
def _split_equation(equation: str) -> tuple[list[str], str | None]:
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    if "-" in left or ">" in left:
        raise RuntimeError("einsum(): the equation may hold one arrow '->' only")
    terms = left.split(",")
    for term in (*terms, right):
        bare = term.replace("...", "")
        if term.count("...") > 1:
            raise RuntimeError("einsum(): found '.' for operand for which an ellipsis was already found")
        for c in bare:
            if c not in _LETTERS:
                raise RuntimeError(
                    f"einsum(): invalid subscript given at index {text.index(c)} in the equation string, "
                                   f"subscripts must be in [a-zA-Z]")  # fmt: skip
    return terms, right if arrow else None


def _from_lists(args: tuple) -> tuple[str, list[Tensor]]:
    """``einsum(a, [0, 1], b, [1, 2], [0, 2])`` as an equation."""

    def letters(items: Sequence) -> str:
        out = []
        for i in items:
            if i is Ellipsis:
                out.append("...")
            elif isinstance(i, int) and 0 <= i < 52:
                out.append(_LETTERS[i])
            else:
                raise RuntimeError("einsum(): subscripts must be integers in the range [0, 52) or Ellipsis")
        return "".join(out)

    operands = list(args[0::2])
    terms = [letters(t) for t in args[1::2]]
    if len(args) % 2:
        target = operands.pop()
        return ",".join(terms) + "->" + letters(target), operands
    return ",".join(terms), operands


def _dims_of_term(term: str, ndim: int, number: int) -> list[Any]:
    """Labels of an operand's dimensions: letters, and negative numbers for those of the ellipsis (-1 the last)."""
    named = term.replace("...", "")
    if "..." not in term:
        if len(named) != ndim:
            raise RuntimeError(
                f"einsum(): the number of subscripts in the equation ({len(named)}) does not match the number of "
                "dimensions "
                f"({ndim}) for operand {number} and no ellipsis was given"
            )
        return list(named)
    hidden = ndim - len(named)
    if hidden < 0:
        raise RuntimeError(
            f"einsum(): the number of subscripts in the equation ({len(named)}) is more than the number of dimensions "
            f"({ndim}) for operand {number}"
        )
    at = term.index("...")
    return [*term[:at], *range(-hidden, 0), *term[at + 3 :]]


def _diagonals(x: Tensor, labels: list[Any]) -> tuple[Tensor, list[Any]]:
    """One dimension a label."""
    out = list(labels)
    for label in labels:
        while out.count(label) > 1:
            a = out.index(label)
            b = out.index(label, a + 1)
            if x._spec.shape[a] != x._spec.shape[b]:
                raise RuntimeError(
                    f"einsum(): subscript {label} is repeated for operand, but the sizes don't match, "
                    f"{x._spec.shape[b]} != "
                    f"{x._spec.shape[a]}"
                )
            x = x.diagonal(0, a, b)
            del out[b], out[a]
            out.append(label)
    return x, out


def _sizes(operands: list[Tensor], labels: list[list[Any]]) -> dict[Any, int]:
    sizes: dict[Any, int] = {}
    for i, (x, names) in enumerate(zip(operands, labels)):
        for n, name in zip(x._spec.shape, names):
            known = sizes.get(name, 1)
            if n != known and n != 1 and known != 1:
                raise RuntimeError(
                    f"einsum(): subscript {name} has size {n} for operand {i} which does not broadcast with "
                    "previously seen size "
                    f"{known}"
                )
            sizes[name] = max(n, known) if n and known else 0
    return sizes


def _arranged(x: Tensor, labels: list[Any], order: list[Any]) -> Tensor:
    """``x`` with its dimensions in the given order; labels it lacks become size 1."""
    have = [label for label in order if label in labels]
    x = x.permute([labels.index(label) for label in have])
    if len(have) == len(order):
        return x
    sizes = iter(x._spec.shape)
    return x.reshape([next(sizes) if label in labels else 1 for label in order])


def _pair(a: Tensor, la: list[Any], b: Tensor, lb: list[Any], keep: set) -> tuple[Tensor, list[Any]]:
    """Contract two operands: sum over the shared labels that nobody needs any more, as a batch of matrix products."""

    def real(x: Tensor, labels: list[Any], label: Any) -> bool:
        return label in labels and x._spec.shape[labels.index(label)] != 1

    for label in [v for v in la if v not in keep and not (real(a, la, v) and real(b, lb, v)) and v in lb]:
        # Size 1 on one side: that side is broadcast, so the other can be summed first.
        if real(a, la, label):
            a = a.sum(la.index(label), True)
        elif real(b, lb, label):
            b = b.sum(lb.index(label), True)
    shared = [v for v in la if v in lb]
    summed = [v for v in shared if v not in keep]
    batch = [v for v in shared if v in keep]
    only_a, only_b = [v for v in la if v not in lb], [v for v in lb if v not in la]
    size: dict[Any, int] = {}
    for x, labels in ((a, la), (b, lb)):
        for n, v in zip(x._spec.shape, labels):
            size[v] = n if size.get(v, 1) == 1 else size[v]
    order = batch + only_a + only_b
    if not summed and (not only_a or not only_b):
        return _arranged(a, la, order) * _arranged(b, lb, order), order

    def flat(x: Tensor, labels: list[Any], mine: list[Any], transposed: bool) -> Tensor:
        x = x.permute([labels.index(v) for v in (batch + summed + mine if transposed else batch + mine + summed)])
        x = x.expand(*(size[v] if v in batch else n for v, n in zip(
            (batch + summed + mine if transposed else batch + mine + summed), x._spec.shape)))  # fmt: skip
        own, sums = prod(size[v] for v in mine), prod(size[v] for v in summed)
        lead = prod(size[v] for v in batch)
        return x.reshape((lead, sums, own) if transposed else (lead, own, sums))

    x, y = flat(a, la, only_a, False), flat(b, lb, only_b, True)
    out = bmm(x, y) if batch else mm(x.squeeze(0), y.squeeze(0))
    return out.reshape([size[v] for v in order]), order


@function(method=False)
def einsum(*args: Any) -> Tensor:
    """Sum of products by Einstein's convention: ``einsum("ij,jk->ik", a, b)`` or with lists of subscripts."""
    if len(args) < 2:
        raise ValueError(
            "einsum(): must specify the equation string and at least one operand, or at least one operand and "
                         "its subscripts list")  # fmt: skip
    if isinstance(args[0], str):
        equation, operands = args[0], list(args[1:])
    else:
        equation, operands = _from_lists(args)
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = list(operands[0])
    terms, target = _split_equation(equation)
    if len(terms) != len(operands):
        fewer = "fewer" if len(terms) > len(operands) else "more"
        raise RuntimeError(f"einsum(): {fewer} operands were provided than specified in the equation")
    labels = [_dims_of_term(t, x._spec.ndim, i) for i, (t, x) in enumerate(zip(terms, operands))]
    hidden = max((sum(isinstance(v, int) for v in names) for names in labels), default=0)
    ellipsis = list(range(-hidden, 0))
    if target is None:
        every = [v for names in labels for v in names if isinstance(v, str)]
        wanted: list[Any] = ellipsis + sorted(v for v in set(every) if every.count(v) == 1)
    else:
        at = target.find("...")
        wanted = list(target) if at < 0 else [*target[:at], *ellipsis, *target[at + 3 :]]
        for v in wanted:
            if isinstance(v, str):
                if wanted.count(v) > 1:
                    raise RuntimeError(f"einsum(): output subscript {v} appears more than once in the output")
                if not any(v in names for names in labels):
                    raise RuntimeError(
                        f"einsum(): output subscript {v} does not appear in the equation for any input operand"
                    )
    pairs = [_diagonals(x, names) for x, names in zip(operands, labels)]
    operands, labels = [p[0] for p in pairs], [p[1] for p in pairs]
    _sizes(operands, labels)
    return _contract(operands, labels, wanted)


def _contract(operands: list[Tensor], labels: list[list[Any]], wanted: list[Any]) -> Tensor:
    for i, names in enumerate(labels):  # labels of one operand alone are summed first
        others = {v for k, more in enumerate(labels) if k != i for v in more}
        lone = [v for v in names if v not in wanted and v not in others]
        if lone:
            operands[i] = operands[i].sum([names.index(v) for v in lone])
            labels[i] = [v for v in names if v not in lone]
    out, names = operands[0], labels[0]
    for k in range(1, len(operands)):
        later = {v for more in labels[k + 1 :] for v in more} | set(wanted)
        out, names = _pair(out, names, operands[k], labels[k], later)
    extra = [v for v in names if v not in wanted]
    if extra:
        out = out.sum([names.index(v) for v in extra])
        names = [v for v in names if v not in extra]
    return _arranged(out, names, wanted)


# -- tensordot, inner, kron -------------------------------------------------------------------------------------------
@function(method=False, out=True)
def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """Sum over the last ``dims`` dimensions of ``a`` and the first of ``b``, or over the listed pairs."""
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a._spec.ndim, b._spec.ndim):
            raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
        da, db = list(range(a._spec.ndim - dims, a._spec.ndim)), list(range(dims))
    else:
        da, db = ([d] if isinstance(d, int) else list(d) for d in dims)
    if len(da) != len(db):
        raise RuntimeError("both dimension lists should have same length")
    da, db = [wrap_dim(d, a._spec.ndim) for d in da], [wrap_dim(d, b._spec.ndim) for d in db]
    for i, k in zip(da, db):
        m, n = a._spec.shape[i], b._spec.shape[k]
        if m != n:
            if m == 1:
                b = b.sum(k, True)
            elif n == 1:
                a = a.sum(i, True)
            else:
                raise RuntimeError(
                    f"contracted dimensions need to match, but first has size {m} in dim {i} and second has size "
                                   f"{n} in dim {k}")  # fmt: skip
    free_a = [d for d in range(a._spec.ndim) if d not in da]
    free_b = [d for d in range(b._spec.ndim) if d not in db]
    size = prod(a._spec.shape[d] for d in da)
    rows, columns = [a._spec.shape[d] for d in free_a], [b._spec.shape[d] for d in free_b]
    out = mm(a.permute(free_a + da).reshape(prod(rows), size), b.permute(db + free_b).reshape(size, prod(columns)))
    return out.reshape(rows + columns)


@function(out=True)
def inner(input: Tensor, other: Tensor) -> Tensor:
    """Sum of products over the last dimensions; scalars multiply."""
    a, b = input._spec, other._spec
    if not a.ndim or not b.ndim:
        return input * other
    if a.shape[-1] != b.shape[-1]:
        raise RuntimeError(
            f"inner() the last dimension must match on both input tensors but got shapes {list(a.shape)} and "
            f"{list(b.shape)}"
        )
    return tensordot(input, other, [[-1], [-1]])


@function(out=True)
def vdot(input: Tensor, other: Tensor) -> Tensor:
    """Inner product of two vectors, the first conjugated."""
    return REGISTRY["dot"].call(input.conj() if input._spec.dtype.is_complex else input, other)


@function(out=True)
def kron(input: Tensor, other: Tensor) -> Tensor:
    """Kronecker product; missing leading dimensions have size 1."""
    ndim = max(input._spec.ndim, other._spec.ndim)
    a, b = ((1,) * (ndim - t._spec.ndim) + tuple(t._spec.shape) for t in (input, other))
    x = input.reshape([n for size in a for n in (size, 1)])
    y = other.reshape([n for size in b for n in (1, size)])
    return (x * y).reshape([m * n for m, n in zip(a, b)])


# -- cross ------------------------------------------------------------------------------------------------------------
def _cross(input: Tensor, other: Tensor, d: int) -> Tensor:
    shape = broadcast_shapes(input._spec.shape, other._spec.shape)
    x, y = input.expand(*shape), other.expand(*shape)
    (x0, x1, x2), (y0, y1, y2) = x.unbind(d), y.unbind(d)
    return REGISTRY["stack"].call([x1 * y2 - x2 * y1, x2 * y0 - x0 * y2, x0 * y1 - x1 * y0], d)


@function(out=True)
def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """Vector product along ``dim`` of size 3 (the first such dimension by default)."""
    a, b = input._spec, other._spec
    if a.ndim != b.ndim:
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    if dim is None:
        shape = broadcast_shapes(a.shape, b.shape)
        found = [d for d, n in enumerate(shape) if n == 3]
        if not found:
            raise RuntimeError("no dimension of size 3 in input")
        dim = found[0]
    return linalg_cross(input, other, dim=dim)


@function(name="linalg_cross", torch=False, method=False, out=True)
def linalg_cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """Vector product along ``dim``."""
    a, b = input._spec, other._spec
    d = wrap_dim(dim, a.ndim)
    if a.ndim != b.ndim:
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    if a.shape[d] != 3 or b.shape[d] != 3:
        raise RuntimeError(f"linalg.cross: inputs dimension {d} must have length 3. Got {a.shape[d]} and {b.shape[d]}")
    return _cross(input, other, d)


# -- chains -----------------------------------------------------------------------------------------------------------
def _best_order(sizes: list[int]) -> list[list[int]]:
    """Split points that need the fewest multiplications (Cormen et al., matrix chain order)."""
    n = len(sizes) - 1
    cost = [[0] * n for _ in range(n)]
    split = [[0] * n for _ in range(n)]
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            options = [(cost[i][k] + cost[k + 1][j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j)]
            cost[i][j], split[i][j] = min(options)
    return split


@function(method=False)
def chain_matmul(*matrices: Any, out: Any = None) -> Tensor:
    """Product of matrices in the cheapest order."""
    items = list(matrices[0]) if len(matrices) == 1 and isinstance(matrices[0], (list, tuple)) else list(matrices)
    for t in items:
        if t._spec.ndim != 2:
            raise RuntimeError(f"Tensor dimension is {t._spec.ndim}, expected 2 instead.")
    if not items:
        raise RuntimeError("chain_matmul(): Expected one or more matrices")
    split = _best_order([items[0]._spec.shape[0], *(t._spec.shape[1] for t in items)])

    def multiply(i: int, j: int) -> Tensor:
        if i == j:
            return items[i]
        k = split[i][j]
        return matmul(multiply(i, k), multiply(k + 1, j))

    return multiply(0, len(items) - 1)


@function(method=False, out=True)
def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """Matrix of powers of a vector's elements: N columns (as many as elements by default)."""
    seen = x._spec
    if seen.ndim != 1:
        raise RuntimeError("x must be a one-dimensional tensor.")
    columns = seen.shape[0] if N is None else N
    if columns < 0:
        raise RuntimeError("N must be non-negative.")
    dtype = seen.dtype if seen.floating else dtypes.int64
    if not columns:
        return FULL((seen.shape[0], 0), 0, dtype, seen.device)
    ones = FULL((seen.shape[0], 1), 1, dtype, seen.device)
    powers = x.to(dtype).unsqueeze(1).expand(seen.shape[0], columns - 1)
    out = REGISTRY["cat"].call([ones, powers.cumprod(1)], 1) if columns > 1 else ones
    return out if increasing else out.flip(1)
