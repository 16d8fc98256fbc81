"""Derivatives of functions: vjp, jvp, Jacobian, Hessian and their products with vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .backward import Ops, grad
from .mode import enable_grad
from .records import AccumulateGrad, GradFn
from .variable import Tensor

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


# -- arguments --------------------------------------------------------------------------------------------------------
def _as_tuple(values: Any, name: str, function: str) -> tuple[tuple[Tensor, ...], bool]:
    """Tensors as a tuple, and whether they were one. Raises TypeError for anything else."""
    was_tuple = isinstance(values, tuple)
    items = values if was_tuple else (values,)
    for i, item in enumerate(items):
        if not isinstance(item, Tensor):
            if was_tuple:
                raise TypeError(
                    f"The {name} given to {function} must be either a Tensor or a tuple of Tensors but the value at "
                    f"index {i} "
                    f"has type {type(item)}."
                )
            raise TypeError(
                f"The {name} given to {function} must be either a Tensor or a tuple of Tensors but the given {name} "
                f"has type "
                f"{type(item)}."
            )
    return tuple(items), was_tuple


def _prepared(inputs: Sequence[Tensor], create_graph: bool) -> tuple[Tensor, ...]:
    """Inputs that record: connected to the given ones if the result is to be differentiated, else leaves."""
    out = []
    for t in inputs:
        if create_graph and t._rg:
            out.append(Ops.alias(t))
        else:
            out.append(t.detach().requires_grad_(create_graph or t._spec.floating))
    return tuple(out)


def _finished(values: Any, create_graph: bool) -> Any:
    if isinstance(values, tuple):
        return tuple([_finished(v, create_graph) for v in values])
    return values if create_graph else values.detach()


def _unwrapped(values: tuple, was_tuple: bool) -> Any:
    return values if was_tuple else values[0]


def _checked_vector(v: Any, like: tuple[Tensor, ...], what: str) -> tuple[Tensor, ...]:
    """``v`` matching ``like``; ones for a single one-element tensor if v is None."""
    if v is None:
        if len(like) != 1 or like[0]._spec.numel != 1:
            raise RuntimeError(
                f"The vector v can only be None if {what} contains a single Tensor with a single element."
            )
        return tuple([Ops.ones_spec(t._spec) for t in like])
    v, is_tuple = _as_tuple(v, "v", "the function")
    if len(v) != len(like):
        if is_tuple:
            raise RuntimeError(f"v is a tuple of invalid length: should be {len(like)} but got {len(v)}.")
        raise RuntimeError("The given v should contain a single Tensor.")
    for i, (a, b) in enumerate(zip(v, like)):
        if a._spec.shape != b._spec.shape:
            prefix = f"Entry {i} in " if is_tuple else ""
            raise RuntimeError(f"{prefix}v has invalid size: should be {b._spec.shape} but got {a._spec.shape}.")
    return v


def _check_strict(outputs: Sequence[Tensor], inputs: Sequence[Tensor], strict: bool) -> None:
    if not strict:
        return
    for i, t in enumerate(outputs):
        if not t._rg:
            raise RuntimeError(
                f"Output {i} of the user-provided function does not require gradients. The outputs must be computed "
                f"in a "
                f"differentiable manner from the input when running in strict mode."
            )
        if any(t is x for x in inputs):
            raise RuntimeError(
                f"Output {i} of the user-provided function is one of the inputs. This is not allowed in strict mode."
            )


def _filled(grads: Sequence[Tensor | None], like: Sequence[Tensor], strict: bool, what: str) -> tuple[Tensor, ...]:
    """Zeros where nothing depends, or (strict) RuntimeError."""
    out = []
    for i, (g, t) in enumerate(zip(grads, like)):
        if g is None:
            if strict:
                raise RuntimeError(
                    f"{what} {i}. This is not allowed in strict mode."
                    if what
                    else "an output is independent of an input"
                )
            g = Ops.zeros(t)
        out.append(g)
    return tuple(out)


def _backward(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], vectors: Sequence[Tensor], create_graph: bool
) -> tuple[Tensor | None, ...]:
    """grad() that skips outputs and inputs without a record."""
    pairs = [(o, v) for o, v in zip(outputs, vectors) if o is not None and o._rg]
    if not pairs:
        return (None,) * len(inputs)
    return grad(
        [o for o, _ in pairs],
        inputs,
        [v for _, v in pairs],
        retain_graph=True,
        create_graph=create_graph,
        allow_unused=True,
    )


def _call(func: Callable, inputs: Any, create: bool, name: str, what: str) -> tuple[tuple, tuple, bool, bool]:
    given, inputs_tuple = _as_tuple(inputs, "inputs", name)
    ready = _prepared(given, create)
    outputs, outputs_tuple = _as_tuple(func(*ready), f"outputs of the user-provided function{what}", name)
    return ready, outputs, inputs_tuple, outputs_tuple


# -- products with vectors --------------------------------------------------------------------------------------------
def vjp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(outputs, product of ``v`` with the Jacobian of ``func`` at ``inputs``): one backward pass."""
    with enable_grad():
        ready, outputs, single_in, single_out = _call(func, inputs, create_graph, "vjp", "")
        _check_strict(outputs, ready, strict)
        v = _checked_vector(
            v, outputs, "the user-provided function returns a single Tensor with a single element: func"
        )
        found = _backward(outputs, ready, v, create_graph)
        result = _filled(found, ready, strict, "The output of the user-provided function is independent of input")
    return (
        _unwrapped(_finished(outputs, create_graph), single_out),
        _unwrapped(_finished(result, create_graph), single_in),
    )


def jvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(outputs, product of the Jacobian of ``func`` at ``inputs`` with ``v``): two backward passes.

    The first one's result is linear in its output gradients; its derivative by them, times v, is the product.
    """
    with enable_grad():
        given, single_in = _as_tuple(inputs, "inputs", "jvp")
        v = _checked_vector(v, given, "the input to the user-provided function")
        ready = _prepared(given, create_graph)
        outputs, single_out = _as_tuple(func(*ready), "outputs of the user-provided function", "jvp")
        _check_strict(outputs, ready, strict)
        result = _forward(outputs, ready, v, create_graph, strict)
    return (
        _unwrapped(_finished(outputs, create_graph), single_out),
        _unwrapped(_finished(result, create_graph), single_out),
    )


def _forward(outputs: tuple, inputs: tuple, v: tuple, create_graph: bool, strict: bool) -> tuple[Tensor, ...]:
    dummies = tuple([Ops.zeros(o).requires_grad_() for o in outputs])
    linear = _backward(outputs, inputs, dummies, True)
    if strict:
        _filled(linear, inputs, True, "The output of the user-provided function is independent of input")
    used = [(g, w) for g, w in zip(linear, v) if g is not None and g._rg]
    found: Sequence[Tensor | None] = (None,) * len(dummies)
    if used:
        found = grad(
            [g for g, _ in used], dummies, [w for _, w in used], retain_graph=True, create_graph=create_graph,
            allow_unused=True,
        )  # fmt: skip
    return _filled(found, outputs, False, "")


def vhp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(output, product of ``v`` with the Hessian of the scalar function ``func``)."""
    with enable_grad():
        ready, v, output, first, single_in = _gradient(func, inputs, v, create_graph, strict, "vhp")
        found = _backward(first, ready, v, create_graph)
        result = _filled(
            found, ready, strict, "The output of the user-provided function's gradient is independent of input"
        )
    return _finished(output, create_graph), _unwrapped(_finished(result, create_graph), single_in)


def hvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(output, product of the Hessian of the scalar function ``func`` with ``v``)."""
    with enable_grad():
        ready, v, output, first, single_in = _gradient(func, inputs, v, create_graph, strict, "hvp")
        result = _forward(first, ready, v, create_graph, strict)
    return _finished(output, create_graph), _unwrapped(_finished(result, create_graph), single_in)


def _gradient(func: Callable, inputs: Any, v: Any, create_graph: bool, strict: bool, name: str) -> tuple:
    given, single_in = _as_tuple(inputs, "inputs", name)
    v = _checked_vector(v, given, "the input to the user-provided function")
    ready = _prepared(given, create_graph)
    outputs, single_out = _as_tuple(func(*ready), "outputs of the user-provided function", name)
    _check_strict(outputs, ready, strict)
    _check_scalar(outputs, single_out, name)
    first = _backward(outputs, ready, (Ops.ones_spec(outputs[0]._spec),), True)
    first = _filled(first, ready, strict, "The output of the user-provided function is independent of input")
    return ready, v, outputs[0], first, single_in


def _check_scalar(outputs: tuple, is_tuple: bool, name: str) -> None:
    if is_tuple or not isinstance(outputs[0], Tensor):
        raise RuntimeError(f"The function given to {name} should return a single Tensor")
    if outputs[0]._spec.numel != 1:
        raise RuntimeError(f"The Tensor returned by the function given to {name} should contain a single element")


# -- whole matrices ---------------------------------------------------------------------------------------------------
def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """Derivative of every output element by every input element: shape (*output, *input), nested in tuples as given.

    ``strategy``: "reverse-mode" goes row by row, "forward-mode" (only with ``vectorize``) column by column.
    """
    if strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError(
            'Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your function has more outputs '
            'than inputs, "forward-mode" tends to be more performant. Otherwise, prefer to use "reverse-mode".'
        )
    if strategy == "forward-mode" and create_graph:
        raise NotImplementedError(
            'torch.autograd.functional.jacobian: `create_graph=True` and `strategy="forward-mode"` are not supported '
            'together (yet). Please either set `create_graph=False` or `strategy="reverse-mode"`.'
        )
    if strategy == "forward-mode" and not vectorize:
        raise NotImplementedError(
            'torch.autograd.functional.jacobian: `strategy="forward-mode"` is only supported when `vectorize=True`'
        )
    if strict and vectorize:
        raise RuntimeError(
            "torch.autograd.functional.jacobian: `strict=True` and `vectorized=True` are not supported together. "
            "Please either "
            "set `strict=False` or `vectorize=False`."
        )
    with enable_grad():
        ready, outputs, tuple_in, tuple_out = _call(func, inputs, create_graph, "jacobian", "")
        _check_strict(outputs, ready, strict)
        rows = []
        for i, out in enumerate(outputs):
            per_input = (
                _rows_by_columns(out, ready)
                if strategy == "forward-mode"
                else _rows(out, ready, create_graph, strict, i)
            )
            rows.append(_unwrapped(_finished(per_input, create_graph), tuple_in))
    return _unwrapped(tuple(rows), tuple_out)


def _rows(out: Tensor, inputs: tuple, create_graph: bool, strict: bool, number: int) -> tuple[Tensor, ...]:
    """The Jacobian of one output, a backward pass for each of its elements (one plan replayed)."""
    count = out._spec.numel
    shape = tuple(out._spec.shape)
    columns: list[list[Tensor]] = [[] for _ in inputs]
    for j in range(count):
        seed = Ops.one_hot(count, j, out._spec).reshape(shape)
        found = _backward((out,), inputs, (seed,), create_graph)
        filled = _filled(
            found, inputs, strict, f"Output {number} of the user-provided function is independent of input"
        )
        for column, g in zip(columns, filled):
            if strict and create_graph and not g._rg:
                raise RuntimeError(
                    "The jacobian of the user-provided function is independent of an input. This is not allowed in "
                    "strict mode "
                    "when create_graph=True."
                )
            column.append(g)
    return tuple([
        Ops.stack(column).reshape((*shape, *x._spec.shape)) if count else Ops.zeros(x).expand(0, *x._spec.shape)
        for column, x in zip(columns, inputs)
    ])  # fmt: skip


def _rows_by_columns(out: Tensor, inputs: tuple) -> tuple[Tensor, ...]:
    """The Jacobian of one output, a forward product for each input element."""
    result = []
    for k, x in enumerate(inputs):
        count = x._spec.numel
        columns = []
        for j in range(count):
            v = [Ops.zeros(t) for t in inputs]
            v[k] = Ops.one_hot(count, j, x._spec).reshape(tuple(x._spec.shape))
            columns.append(_forward((out,), inputs, tuple(v), False, False)[0])
        result.append(Ops.stack(columns, -1).reshape((*out._spec.shape, *x._spec.shape)))
    return tuple(result)


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """Second derivatives of a scalar function: for inputs i and j a tensor of shape (*input i, *input j)."""
    _, tuple_in = _as_tuple(inputs, "inputs", "hessian")
    if outer_jacobian_strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode".')

    def one_output(*args: Tensor) -> Tensor:
        out = func(*args)
        outputs, is_tuple = _as_tuple(out, "outputs of the user-provided function", "hessian")
        _check_strict(outputs, args, strict)
        _check_scalar(outputs, is_tuple, "hessian")
        return out.reshape(())

    def gradient(*args: Tensor) -> tuple[Tensor, ...]:
        out = one_output(*args)
        found = _backward((out,), args, (Ops.ones_spec(out._spec),), True)
        filled = _filled(found, args, strict, "The output of the user-provided function is independent of input")
        if strict:
            for i, g in enumerate(filled):
                if not g._rg:
                    raise RuntimeError(
                        f"The jacobian of the user-provided function with respect to input {i} is independent of the "
                        f"input. "
                        f"This is not allowed in strict mode."
                    )
        return filled

    result = jacobian(gradient, inputs if tuple_in else (inputs,), create_graph, False)
    return result if tuple_in else result[0][0]


# -- levels of differentiation ----------------------------------------------------------------------------------------
def settled(t: Any, own: list[Tensor]) -> Any:
    """A result without its record, if that leads nowhere but to this transformation's own inputs."""
    if not isinstance(t, Tensor) or not t._rg:
        return t
    mine = {id(x) for x in own}
    seen: set[GradFn] = set()
    stack: list[GradFn] = [] if t._grad_fn is None else [t.grad_fn]
    if t._grad_fn is None:
        return t.detach() if id(t) in mine else t
    while stack:
        fn = stack.pop()
        if fn in seen:
            continue
        seen.add(fn)
        if type(fn) is AccumulateGrad:
            if id(fn.variable) not in mine:
                return t
            continue
        stack.extend(e[0] for e in fn.edges if e is not None)
    return t.detach()
