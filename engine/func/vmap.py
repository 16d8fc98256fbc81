"""vmap: a function of one example applied to a batch, all examples at once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from ..autograd import custom
from ..autograd.variable import Tensor
from ..device import default
from ..ops import registry
from ..utils._pytree import TreeSpec, _broadcast_to_and_flatten, tree_flatten, tree_unflatten
from .virtual import BatchDevice, innermost, inside, lift, unwrap, wrap

_RANDOM = ("error", "different", "same")


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """``func`` over a batch.

    Args:
        in_dims: which dimension of each argument is the batch (None: the same for all examples); nested as the
        arguments.
        out_dims: where it goes in each result. randomness: "same" or "different" random numbers for all examples, or an
            error. chunk_size: so many examples at a time.

    Every op runs once for all examples, except hand-written kernels without a batching rule (convolutions, sorting,
    scans), which run once an example. Values cannot be read on the host inside.
    """
    if randomness not in _RANDOM:
        raise RuntimeError(f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {randomness}")
    if chunk_size is not None and (not isinstance(chunk_size, int) or chunk_size <= 0):
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        count, dims, leaves, tree = _batch(in_dims, args, func)
        more, more_tree = tree_flatten(kwargs)
        more_dims: list[int | None] = [0 if isinstance(v, Tensor) else None for v in more]
        if kwargs:
            sizes = {v._spec.shape[0] for v, d in zip(more, more_dims) if d is not None}
            if count is None and sizes:
                count = next(iter(sizes))
        if count is None:
            raise ValueError(
                f"vmap({_name(func)}, in_dims={in_dims}, ...)(<inputs>): Got in_dims={in_dims} for inputs, but no "
                f"input has a "
                f"batch dimension"
            )
        everything = (leaves + more, dims + more_dims)

        def call(flat: list) -> Any:
            given = tree_unflatten(flat[: len(leaves)], tree)
            return func(*given, **tree_unflatten(flat[len(leaves) :], more_tree))

        if chunk_size is None or chunk_size >= count:
            return _run(call, func, *everything, count, out_dims, randomness)
        return _chunks(call, func, *everything, count, out_dims, randomness, chunk_size)

    return wrapped


def _name(func: Callable) -> str:
    return getattr(func, "__name__", repr(func))


def _batch(in_dims: Any, args: tuple, func: Callable) -> tuple[int | None, list, list, TreeSpec]:
    """(batch size, batch dimension of each leaf, leaves, structure) of the arguments; checks them as torch does."""
    head = f"vmap({_name(func)}, in_dims={in_dims}, ...)(<inputs>): "
    if not isinstance(in_dims, (int, tuple, list)) and in_dims is not None:
        raise ValueError(
            f"{head}expected `in_dims` to be int or a (potentially nested) tuple matching the structure of inputs, "
            f"got: "
            f"{type(in_dims)}."
        )
    if not args:
        raise ValueError(
            f"{head}got no inputs. Maybe you forgot to add inputs, or you are trying to vmap over a function with "
            f"no inputs. The latter is unsupported."
        )
    leaves, tree = tree_flatten(args)
    nested = tuple(in_dims) if isinstance(in_dims, list) else in_dims
    dims = _broadcast_to_and_flatten(nested, tree, is_leaf=lambda d: d is None or isinstance(d, int))
    if dims is None:
        raise ValueError(
            f"{head}in_dims is not compatible with the structure of `inputs`. in_dims has structure "
            f"{tree_flatten(in_dims)[1]} but inputs has structure {tree}."
        )
    out: list[int | None] = []
    sizes: list[int] = []
    for leaf, dim in zip(leaves, dims):
        if dim is not None and not isinstance(dim, int):
            raise ValueError(
                f"{head}Got in_dim={dim} for an input but in_dim must be either an integer dimension or None."
            )
        if dim is None:
            out.append(None)
            continue
        if not isinstance(leaf, Tensor):
            raise ValueError(
                f"{head}Got in_dim={dim} for an input but the input is of type {type(leaf)}. We cannot vmap over "
                f"non-Tensor "
                f"arguments, please use None as the respective in_dim"
            )
        ndim = leaf._spec.ndim
        if not -ndim <= dim < ndim:
            raise ValueError(
                f"{head}Got in_dim={dim} for some input, but that input is a Tensor of dimensionality {ndim} so "
                f"expected "
                f"in_dim to satisfy -{ndim} <= in_dim < {ndim}."
            )
        out.append(dim % ndim)
        sizes.append(leaf._spec.shape[dim])
    if any(n != sizes[0] for n in sizes):
        raise ValueError(
            f"vmap: Expected all tensors to have the same size in the mapped dimension, got sizes {sizes} for the "
            f"mapped "
            f"dimension"
        )
    return (sizes[0] if sizes else None), out, leaves, tree


def _run(call: Callable, func: Callable, leaves: list, dims: list, count: int, out_dims: Any, randomness: str) -> Any:
    parent = next((t._spec.device for t, d in zip(leaves, dims) if d is not None), default.get())
    outer = innermost()
    if outer is not None and not isinstance(parent, BatchDevice):
        parent = outer
    device = BatchDevice(parent, count, randomness)
    flat = [leaf if d is None else wrap(_on(leaf, parent).movedim(d, 0), device) for leaf, d in zip(leaves, dims)]
    with inside(device):
        result = call(flat)
    values, tree = tree_flatten(result)
    places = _places(out_dims, tree, func)
    out = []
    for value, place in zip(values, places):
        out.append(_out(value, place, device, func, out_dims))
    return tree_unflatten(out, tree)


def _on(t: Tensor, parent: Any) -> Tensor:
    return t if t._spec.device is parent or not isinstance(parent, BatchDevice) else lift(t, parent)


def _places(out_dims: Any, tree: TreeSpec, func: Callable) -> list:
    nested = tuple(out_dims) if isinstance(out_dims, list) else out_dims
    if isinstance(nested, tuple) and tree.is_leaf() and len(nested) == 1:
        nested = nested[0]
    places = _broadcast_to_and_flatten(nested, tree, is_leaf=lambda d: d is None or isinstance(d, int))
    if places is None:
        raise ValueError(
            f"vmap({_name(func)}, ..., out_dims={out_dims})(<inputs>): out_dims is not compatible with the structure "
            f"of "
            f"`outputs`. out_dims has structure {tree_flatten(out_dims)[1]} but outputs has structure {tree}."
        )
    return places


def _out(value: Any, place: int | None, device: BatchDevice, func: Callable, out_dims: Any) -> Any:
    if not isinstance(value, Tensor):
        raise ValueError(
            f"vmap({_name(func)}, ...): `{_name(func)}` must only return Tensors, got type {type(value)}. Did you "
            f"mean to set "
            f"out_dims= to None for output?"
        )
    if value._spec.device is not device:
        if place is None:
            return value
        value = lift(value, device)
    if place is None:
        if value._storage.node.batched:
            raise ValueError(
                f"vmap({_name(func)}, ...): `{_name(func)}` can not return a BatchedTensor when out_dim is None"
            )
        return unwrap(value)[0]
    ndim = value._spec.ndim + 1
    if not -ndim <= place < ndim:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-ndim}, {ndim - 1}], but got {place})")
    return unwrap(value).movedim(0, place)


def _chunks(
    call: Callable, func: Callable, leaves: list, dims: list, count: int, out_dims: Any, randomness: str, size: int
) -> Any:
    parts = []
    for start in range(0, count, size):
        n = min(size, count - start)
        flat = [t if d is None else t.narrow(d, start, n) for t, d in zip(leaves, dims)]
        parts.append(tree_flatten(_run(call, func, flat, dims, n, out_dims, randomness)))
    tree = parts[0][1]
    places = _places(out_dims, tree, func)
    cat = registry["cat"].call
    joined = [
        column[0] if place is None else cat(list(column), place)
        for column, place in zip(zip(*(values for values, _ in parts)), places)
    ]
    return tree_unflatten(joined, tree)


class _Info(NamedTuple):
    """What a Function's vmap rule is told."""

    batch_size: int
    randomness: str


def _by_own_rule(cls: Any, args: tuple) -> Any:
    """A Function called within vmap that says itself how to run over a batch."""
    device = max(
        (a._spec.device for a in args if isinstance(a, Tensor) and isinstance(a._spec.device, BatchDevice)),
        key=lambda d: d.depth,
    )
    given, dims = [], []
    for a in args:
        here = isinstance(a, Tensor) and a._spec.device is device
        batched = here and a._storage.node.batched
        given.append(unwrap(a) if batched else unwrap(a)[0] if here else a)
        dims.append(0 if batched else None)
    before, default.override = default.override, device.parent if isinstance(device.parent, BatchDevice) else None
    try:
        outputs, places = cls.vmap(_Info(device.count, device.random), tuple(dims), *given)
    finally:
        default.override = before
    flat, tree = tree_flatten(outputs)
    where = _places(places, tree, cls.vmap)
    return tree_unflatten(
        [lift(o, device) if d is None else wrap(o.movedim(d, 0), device) for o, d in zip(flat, where)], tree
    )


custom.BATCHED = _by_own_rule
