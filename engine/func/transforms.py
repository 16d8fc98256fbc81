"""grad, vjp, jvp, Jacobians and Hessians as transformations of functions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ..autograd.backward import Ops
from ..autograd.backward import grad as run_grad
from ..autograd.functional import _forward, settled
from ..autograd.mode import enable_grad
from ..autograd.variable import Tensor
from ..utils._pytree import tree_flatten, tree_map, tree_unflatten
from .virtual import innermost, lift
from .vmap import vmap


# -- levels -----------------------------------------------------------------------------------------------------------
def _fresh(t: Any) -> Any:
    """A tensor to differentiate by: connected to the given one where that records, else a leaf."""
    if not isinstance(t, Tensor):
        return t
    if not t._spec.floating:
        return t
    device = innermost()
    if device is not None and t._spec.device is not device:
        t = lift(t, device)  # each example has a derivative of its own, also by what they share
    return Ops.alias(t) if t._rg else t.detach().requires_grad_()


def _settle(tree: Any, own: list[Tensor]) -> Any:
    return tree_map(lambda t: settled(t, own), tree)


def _leaves(tree: Any) -> list[Tensor]:
    return [t for t in tree_flatten(tree)[0] if isinstance(t, Tensor)]


def _grads(outputs: list[Tensor], inputs: list[Tensor], seeds: list[Tensor]) -> list[Tensor]:
    """Gradients, themselves differentiable; zeros where nothing depends."""
    pairs = [(o, s) for o, s in zip(outputs, seeds) if o._rg]
    wanted = [t for t in inputs if t._rg]
    found: dict[int, Tensor | None] = {}
    if pairs and wanted:
        grads = run_grad([o for o, _ in pairs], wanted, [s for _, s in pairs], create_graph=True, allow_unused=True)
        found = {id(t): g for t, g in zip(wanted, grads)}
    out = []
    for t in inputs:
        g = found.get(id(t))
        out.append(Ops.zeros(t) if g is None else g)
    return out


def _pick(args: tuple, argnums: int | tuple[int, ...], what: str) -> list[int]:
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    out = []
    for n in numbers:
        if not isinstance(n, int):
            raise RuntimeError(f"argnum must be int, got: {type(n)}")
        if not -len(args) <= n < len(args):
            raise RuntimeError(f"Got argnum={n}, but only {len(args)} positional inputs")
        out.append(n % len(args))
    if not out:
        raise RuntimeError("argnums must be non-empty")
    return out


def _replaced(args: tuple, numbers: list[int], values: list[Any]) -> list[Any]:
    out = list(args)
    for n, v in zip(numbers, values):
        out[n] = v
    return out


# -- reverse mode -----------------------------------------------------------------------------------------------------
def grad_and_value(func: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable:
    """A function that returns (gradient by the arguments ``argnums``, value) of a scalar function.

    ``has_aux``: func returns (value, anything), and the result is (gradient, (value, anything)).
    """

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        numbers = _pick(args, argnums, "grad")
        with enable_grad():
            given = [tree_map(_fresh, args[n]) for n in numbers]
            output = func(*_replaced(args, numbers, given), **kwargs)
            aux = None
            if has_aux:
                if not (isinstance(output, tuple) and len(output) == 2):
                    raise RuntimeError(
                        "grad_and_value(f)(*args): output of function f should be a tuple: (output, aux) if has_aux "
                        "is True"
                    )
                output, aux = output
            _check_scalar(output)
            wanted = _leaves(given)
            grads = _grads([output], wanted, [Ops.ones_spec(output._spec)])
            own = wanted
            result = _refill(given, grads)
            grad_tree = result[0] if isinstance(argnums, int) else tuple(result)
        value = _settle(output, own)
        return _settle(grad_tree, own), ((value, _settle(aux, own)) if has_aux else value)

    return wrapper


def _refill(trees: list[Any], values: list[Tensor]) -> list[Any]:
    """The structure of ``trees`` with their tensors replaced, in order."""
    items = iter(values)
    return [tree_map(lambda t: next(items) if isinstance(t, Tensor) else t, tree) for tree in trees]


def _check_scalar(output: Any) -> None:
    if not isinstance(output, Tensor):
        raise RuntimeError(
            f"grad_and_value(f)(*args): Expected f(*args) to return a Tensor, got unsupported type: {type(output)}"
        )
    if output._spec.ndim != 0:
        raise RuntimeError(
            f"grad_and_value(f)(*args): Expected f(*args) to return a scalar tensor, got tensor with "
            f"{output._spec.ndim} dims. "
            f"Maybe you wanted to use the vjp or jacrev APIs instead?"
        )


def grad(func: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable:
    """A function that returns the gradient of a scalar function by the arguments ``argnums``."""
    inner = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        found, value = inner(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return wrapper


def vjp(func: Callable, *primals: Any, has_aux: bool = False) -> tuple:
    """(outputs, function from output cotangents to a tuple of input cotangents[, aux])."""
    with enable_grad():
        given = [tree_map(_fresh, p) for p in primals]
        output = func(*given)
        aux = None
        if has_aux:
            if not (isinstance(output, tuple) and len(output) == 2):
                raise RuntimeError(
                    "vjp(f, *primals): output of function f should be a tuple: (output, aux) if has_aux is True"
                )
            output, aux = output
    flat, tree = tree_flatten(output)
    for o in flat:
        if not isinstance(o, Tensor):
            raise RuntimeError(
                f"vjp(f, *primals): Expected f(*primals) to return only tensors, got unsupported type: {type(o)}"
            )
    own = _leaves(given)
    single = len(given) == 1

    def back(*cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> Any:
        cotangent = cotangents[0] if len(cotangents) == 1 else cotangents
        seeds, seed_tree = tree_flatten(cotangent)
        if seed_tree != tree:
            raise RuntimeError(
                f"Expected pytree structure of cotangents to be the same as pytree structure of outputs to the "
                f"function. "
                f"cotangents: {seed_tree}, primal output: {tree}"
            )
        with enable_grad():
            grads = _grads(flat, own, seeds)
        result = _settle(tuple(_refill(given, grads)), own)
        return result if not single else (result[0],)

    outputs = _settle(output, own)
    return (outputs, back, _settle(aux, own)) if has_aux else (outputs, back)


def jacrev(
    func: Callable,
    argnums: int | tuple[int, ...] = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Callable:
    """A function that returns the Jacobian by backward passes, all rows at once: shape (*output, *input), nested."""

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        numbers = _pick(args, argnums, "jacrev")

        def of_chosen(*chosen: Any) -> Any:
            return func(*_replaced(args, numbers, list(chosen)), **kwargs)

        chosen = [args[n] for n in numbers]
        output, back, *aux = vjp(of_chosen, *chosen, has_aux=has_aux)
        flat, tree = tree_flatten(output)
        rows = []
        for i, out in enumerate(flat):
            rows.append(_rows(back, flat, tree, i, out, chosen, chunk_size))
        result = tree_unflatten([row[0] if isinstance(argnums, int) else tuple(row) for row in rows], tree)
        return (result, aux[0]) if has_aux else result

    return wrapper


def _basis(t: Tensor) -> Tensor:
    """All unit tensors of a shape, stacked."""
    n = t._spec.numel
    return (
        Ops.stack([Ops.one_hot(n, i, t._spec) for i in range(n)]).reshape((n, *t._spec.shape))
        if n
        else Ops.zeros(t).reshape((0, *t._spec.shape))
    )


def _rows(
    back: Callable, flat: list, tree: Any, number: int, out: Tensor, chosen: list, chunk_size: int | None
) -> list:
    def one(seed: Tensor) -> tuple:
        seeds = [seed if k == number else Ops.zeros(o) for k, o in enumerate(flat)]
        return back(tree_unflatten(seeds, tree))

    stacked = vmap(one, chunk_size=chunk_size)(_basis(out))
    shape = tuple(out._spec.shape)
    return [
        tree_map(lambda g: g.reshape((*shape, *g._spec.shape[1:])) if isinstance(g, Tensor) else g, part)
        for part in stacked
    ]


# -- forward mode -----------------------------------------------------------------------------------------------------
def jvp(func: Callable, primals: Any, tangents: Any, *, strict: bool = False, has_aux: bool = False) -> tuple:
    """(outputs, their derivative in the direction ``tangents``[, aux]).

    By two backward passes: the first is linear in its seeds, and its derivative by them is the product asked for.
    """
    if not isinstance(primals, tuple):
        raise RuntimeError(
            "jvp(f, primals, tangents): Expected primals to be a tuple. E.g. it should be valid to call f(*primals)."
        )
    flat_t, tree_t = tree_flatten(tangents)
    flat_p, tree_p = tree_flatten(primals)
    if tree_t != tree_p:
        raise RuntimeError(
            f"jvp(f, primals, tangents): Expected primals and tangents to have the same python structure. For "
            f"example, if "
            f"primals is a tuple of 3 tensors, tangents also must be. Got primals with structure {tree_p} and "
            f"tangents with "
            f"structure {tree_t}"
        )
    if not flat_p:
        raise RuntimeError(
            "jvp(f, primals, tangents): Expected primals to be non-empty, please pass at least one Tensor to be "
            "differentiated with respect to"
        )
    with enable_grad():
        given = [_fresh(t) for t in flat_p]
        output = func(*tree_unflatten(given, tree_p))
        aux = None
        if has_aux:
            if not (isinstance(output, tuple) and len(output) == 2):
                raise RuntimeError(
                    "jvp(f, primals, tangents): output of function f should be a tuple: (output, aux) if has_aux is "
                    "True"
                )
            output, aux = output
        flat, tree = tree_flatten(output)
        pairs = [(t, v) for t, v in zip(given, flat_t) if isinstance(t, Tensor) and t._rg]
        moved = _forward(tuple(flat), tuple(t for t, _ in pairs), tuple(v for _, v in pairs), True, False)
    own = [t for t in given if isinstance(t, Tensor)]
    result = (_settle(output, own), _settle(tree_unflatten(list(moved), tree), own))
    return (*result, _settle(aux, own)) if has_aux else result


def jacfwd(
    func: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False, *, chunk_size: int | None = None,
    randomness: str = "error",
) -> Callable:  # fmt: skip
    """A function that returns the Jacobian by forward products, all columns at once: shape (*output, *input),
    nested.
    """

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        numbers = _pick(args, argnums, "jacfwd")
        chosen = tuple(args[n] for n in numbers)
        flat, tree = tree_flatten(chosen)

        def of_chosen(*values: Any) -> Any:
            return func(*_replaced(args, numbers, list(values)), **kwargs)

        columns = []
        aux = None
        for i, x in enumerate(flat):

            def one(direction: Tensor, i: int = i) -> Any:
                tangents = [direction if k == i else Ops.zeros(t) for k, t in enumerate(flat)]
                found = jvp(of_chosen, chosen, tree_unflatten(tangents, tree), has_aux=has_aux)
                return (found[1], found[2]) if has_aux else found[1]

            stacked = vmap(one, chunk_size=chunk_size, randomness=randomness)(_basis(x))
            if has_aux:
                stacked, aux = stacked
                aux = tree_map(lambda a: a[0] if isinstance(a, Tensor) else a, aux)
            shape = tuple(x._spec.shape)
            columns.append(
                tree_flatten(tree_map(lambda c, s=shape: c.movedim(0, -1).reshape((*c._spec.shape[1:], *s)), stacked))
            )
        out_tree = columns[0][1]
        result = []
        for k in range(len(columns[0][0])):
            per_input = tree_unflatten([column[0][k] for column in columns], tree)
            result.append(per_input[0] if isinstance(argnums, int) else per_input)
        done = tree_unflatten(result, out_tree)
        return (done, aux) if has_aux else done

    return wrapper


def hessian(func: Callable, argnums: int | tuple[int, ...] = 0) -> Callable:
    """A function that returns the matrix of second derivatives: forward over reverse mode."""
    return jacfwd(jacrev(func, argnums), argnums)


def linearize(func: Callable, *primals: Any) -> tuple[Any, Callable]:
    """(outputs, function from tangents to output tangents); the point is evaluated once."""
    flat_p, tree_p = tree_flatten(primals)
    with enable_grad():
        given = [_fresh(t) for t in flat_p]
        output = func(*tree_unflatten(given, tree_p))
    flat, tree = tree_flatten(output)
    own = [t for t in given if isinstance(t, Tensor)]

    def push(*tangents: Any) -> Any:
        values, structure = tree_flatten(tangents)
        if structure != tree_p:
            raise RuntimeError(f"Expected the tangents {structure} to have the same argspec as the primals {tree_p}")
        for i, (t, v) in enumerate(zip(given, values)):
            if isinstance(t, Tensor) and (t._spec.shape != v._spec.shape or t._spec.dtype is not v._spec.dtype):
                raise RuntimeError(
                    f"Shape or dtype of tangent {i} does not match the primal: {v._spec.shape} {v._spec.dtype} against "
                    f"{t._spec.shape} {t._spec.dtype}"
                )
        pairs = [(t, v) for t, v in zip(given, values) if isinstance(t, Tensor) and t._rg]
        with enable_grad():
            moved = _forward(tuple(flat), tuple(t for t, _ in pairs), tuple(v for _, v in pairs), True, False)
        return _settle(tree_unflatten(list(moved), tree), own)

    return _settle(output, own), push


def functionalize(func: Callable, *, remove: str = "mutations") -> Callable:
    """``func`` itself: in-place changes are values here, nothing is left to remove. ``remove`` as torch's."""
    if remove not in ("mutations", "mutations_and_views"):
        raise RuntimeError(
            f"functionalize(f, remove='mutations'): received invalid argument for remove={remove}. Valid options are: "
            f"remove='mutations', remove='mutations_and_views'"
        )

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return func(*args, **kwargs)

    return wrapper


def debug_unwrap(tensor: Tensor, *, recurse: bool = True) -> Tensor:
    """The tensor behind a transformation's: here the tensor itself."""
    return tensor
