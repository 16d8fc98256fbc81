"""Checking derivatives against central differences."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import dtypes
from .backward import Ops, grad
from .functional import _forward
from .variable import Tensor

__all__ = ["GradcheckError", "get_analytical_jacobian", "get_numerical_jacobian", "gradcheck", "gradgradcheck"]


class GradcheckError(RuntimeError):
    """A derivative is wrong, or is not the same each time."""


def _tensors(values: Any) -> tuple:
    return tuple(values) if isinstance(values, (tuple, list)) else (values,)


def _differentiable(values: Sequence[Any]) -> list[Tensor]:
    return [t for t in values if isinstance(t, Tensor) and t._rg]


def _host(t: Tensor) -> np.ndarray:
    return t.detach().cpu().numpy().copy() if t._spec.dtype is not dtypes.bfloat16 else t.detach().float().cpu().numpy()


def _outputs(func: Callable, inputs: Sequence[Any]) -> tuple[Tensor, ...]:
    return tuple([t for t in _tensors(func(*inputs)) if isinstance(t, Tensor)])


# -- jacobians --------------------------------------------------------------------------------------------------------
def _numerical(func: Callable, inputs: Sequence[Any], eps: float) -> list[list[np.ndarray]]:
    """Matrix (input elements x output elements) for each differentiable input and each output.

    For a complex input the matrix is d(out)/d(conj part) as torch's convention has it: ds/dx + i ds/dy, halved.
    """
    return [_perturbed(func, inputs, x, eps) for x in _differentiable(inputs)]


def _perturbed(func: Callable, inputs: Sequence[Any], x: Tensor, eps: float) -> list[np.ndarray]:
    seen = x._spec
    values = _host(x).reshape(-1)
    whole = x.data

    def run(changed: np.ndarray) -> list[np.ndarray]:
        whole.copy_(Ops.from_array(changed.reshape(tuple(seen.shape)), seen.device))
        return [_host(o).reshape(-1).astype(np.complex128 if o._spec.dtype.is_complex else np.float64)
                for o in _outputs(func, inputs)]  # fmt: skip

    matrix: list[list[np.ndarray]] = []
    for i in range(values.size):
        rows = []
        for step in (eps, eps * 1j) if seen.dtype.is_complex else (eps,):
            up, down = values.copy(), values.copy()
            up[i] += step
            down[i] -= step
            rows.append([(a - b) / (2 * eps) for a, b in zip(run(up), run(down))])
        matrix.append(rows[0] if len(rows) == 1 else [np.stack(pair) for pair in zip(*rows)])
    restored = run(values)
    if not matrix:
        return [np.zeros((0, o.size)) for o in restored]
    return [np.stack([row[k] for row in matrix]) for k in range(len(restored))]


def _analytical(out: Tensor, inputs: list[Tensor], scale: complex = 1.0) -> list[np.ndarray]:
    """Matrix (input elements x output elements) of one output by backward passes."""
    count = out._spec.numel
    found: list[list[np.ndarray]] = [[] for _ in inputs]
    for j in range(count):
        seed = Ops.one_hot(count, j, out._spec).reshape(tuple(out._spec.shape))
        if scale != 1.0:
            seed = seed * scale
        grads = grad([out], inputs, [seed], retain_graph=True, allow_unused=True)
        for rows, g, x in zip(found, grads, inputs):
            if g is not None and g._spec.shape != x._spec.shape:
                raise GradcheckError("Gradient has incorrect size")
            rows.append(np.zeros(x._spec.numel) if g is None else _host(g).reshape(-1))
    return [np.stack(rows, 1) if rows else np.zeros((x._spec.numel, 0)) for rows, x in zip(found, inputs)]


def get_numerical_jacobian(
    fn: Callable, inputs: Any, target: Any = None, eps: float = 1e-3, grad_out: float = 1.0
) -> list:
    """Numerical Jacobians (input elements x output elements) of ``fn(inputs)``, one an input."""
    found = _numerical(lambda *args: fn(args), _tensors(inputs), eps)
    return [Ops.from_array(rows[0], None) for rows in found]


def get_analytical_jacobian(inputs: Any, output: Tensor, nondet_tol: float = 0.0, grad_out: float = 1.0) -> tuple:
    """(Jacobians, whether reentrant, correct sizes, correct types) of one output by backward passes."""
    found = _analytical(output, _differentiable(_tensors(inputs)))
    again = _analytical(output, _differentiable(_tensors(inputs)))
    same = all(np.abs(a - b).max(initial=0) <= nondet_tol for a, b in zip(found, again))
    return tuple([Ops.from_array(m, None) for m in found]), same, True, True


# -- comparing --------------------------------------------------------------------------------------------------------
def _compare(analytical: np.ndarray, numerical: np.ndarray, rtol: float, atol: float, i: int, j: int, how: str) -> None:
    if not np.allclose(analytical, numerical, rtol=rtol, atol=atol, equal_nan=True):
        raise GradcheckError(
            f"{how}Jacobian mismatch for output {i} with respect to input {j},\nnumerical:{numerical}\n"
            f"analytical:{analytical}\n"
        )


def _check_output(
    func_outputs: tuple, inputs: list[Tensor], numerical: list, eps: float, atol: float, rtol: float, nondet: float
) -> None:
    for i, out in enumerate(func_outputs):
        if not out._spec.floating:
            continue
        if not out._rg:
            for j, matrices in enumerate(numerical):
                if np.abs(matrices[i]).max(initial=0) > atol:
                    raise GradcheckError(
                        "Numerical gradient for function expected to be zero for an output that does not require grad "
                        f"(output {i}, input {j})"
                    )
            continue
        found = _analytical(out, inputs)
        again = _analytical(out, inputs)
        imaginary = _analytical(out, inputs, 1j) if out._spec.dtype.is_complex else None
        for j, (a, b, matrices) in enumerate(zip(found, again, numerical)):
            if np.abs(a - b).max(initial=0) > nondet:
                raise GradcheckError(
                    "Backward is not reentrant, i.e., running backward with same input and grad_output multiple times "
                    "gives "
                    "different values, although analytical gradient matches numerical gradient."
                    f"The tolerance for nondeterminism was {nondet}."
                )
            for got, want in _pairs(a, imaginary[j] if imaginary else None, matrices[i], inputs[j]):
                _compare(got, want, rtol, atol, i, j, "")


def _pairs(real: np.ndarray, imaginary: np.ndarray | None, numerical: np.ndarray, x: Tensor) -> list[tuple]:
    """What to compare with what. Backward with seed w gives, for s = Re(conj(w) out), ds/dRe x + i ds/dIm x."""
    if not x._spec.dtype.is_complex:
        if imaginary is None:
            return [(real, numerical)]
        return [(real, numerical.real), (imaginary, numerical.imag)]
    by_re, by_im = numerical[:, 0], numerical[:, 1]
    pairs = [(real, by_re.real + 1j * by_im.real)]
    if imaginary is not None:
        pairs.append((imaginary, by_re.imag + 1j * by_im.imag))
    return pairs


def _check_inputs(inputs: tuple, raise_exception: bool) -> bool:
    found = False
    for i, t in enumerate(inputs):
        if isinstance(t, Tensor) and t._rg:
            if t._spec.dtype not in (dtypes.float64, dtypes.complex128):
                warnings.warn(
                    f"Input #{i} requires gradient and is not a double precision floating point or complex. This "
                    f"check will "
                    f"likely fail if all the inputs are not of double precision floating point or complex. ",
                    stacklevel=3,
                )
            if any(stride == 0 and size > 1 for size, stride in zip(t._spec.shape, t._spec.stride)):
                raise RuntimeError(
                    f"The {i}th input has a dimension with stride 0. gradcheck only supports inputs that are "
                    f"non-overlapping to "
                    f"be able to compute the numerical gradients correctly. You should call .contiguous on the input "
                    f"before "
                    f"passing it to gradcheck."
                )
            found = True
            t.retain_grad()
    if not found:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of the them have "
            "requires_grad=True."
        )
    return found


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Compare derivatives by backward (and forward) passes with central differences of step ``eps``.

    Returns True; raises GradcheckError (or returns False unless ``raise_exception``) where they differ by more than
    ``atol + rtol * |numerical|``. ``fast_mode`` is accepted; the whole Jacobian is compared in any case.
    """
    if not (check_forward_ad or check_backward_ad):
        raise AssertionError("Expected at least one of check_forward_ad or check_backward_ad to be True")
    if check_batched_grad and not check_backward_ad:
        raise AssertionError("Setting check_batched_grad=True requires check_backward_ad to be True")
    if check_batched_forward_grad and not check_forward_ad:
        raise AssertionError("Setting check_batched_forward_grad=True requires check_forward_ad to be True")
    try:
        _gradcheck(
            func, _tensors(inputs), eps, atol, rtol, nondet_tol, check_undefined_grad, check_backward_ad,
                check_forward_ad,
            check_grad_dtypes, check_batched_grad,
        )  # fmt: skip
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _gradcheck(
    func: Callable, inputs: tuple, eps: float, atol: float, rtol: float, nondet: float, undefined: bool, backward: bool,
    forward: bool, grad_dtypes: bool, batched: bool,
) -> None:  # fmt: skip
    _check_inputs(inputs, True)
    wanted = _differentiable(inputs)
    outputs = _outputs(func, inputs)
    if not any(o._rg for o in outputs):
        numerical = _numerical(func, inputs, eps)
        for matrices in numerical:
            if any(np.abs(m).max(initial=0) > atol for m in matrices):
                raise GradcheckError("Numerical gradient for function expected to be zero")
        return
    numerical = _numerical(func, inputs, eps)
    if backward:
        outputs = _outputs(func, inputs)
        _check_output(outputs, wanted, numerical, eps, atol, rtol, nondet)
        if undefined:
            _check_undefined(func, inputs)
        if grad_dtypes:
            _check_dtypes(outputs, wanted)
        if batched:
            _check_batched(outputs, wanted)
    if forward:
        _check_forward(func, inputs, wanted, numerical, atol, rtol)


def _check_undefined(func: Callable, inputs: tuple) -> None:
    """A backward pass in which no, or only some, outputs have a gradient must work."""
    outputs = [o for o in _outputs(func, inputs) if o._rg]
    if len(outputs) < 2:
        return
    wanted = _differentiable(inputs)
    for out in outputs:
        try:
            grad([out], wanted, [Ops.zeros(out)], retain_graph=True, allow_unused=True)
        except RuntimeError as error:
            raise GradcheckError(
                "Expected backward function to handle undefined output grads. Please look at 'Notes about undefined "
                "output "
                "gradients' in 'tools/autograd/derivatives.yaml'"
            ) from error


def _check_dtypes(outputs: tuple, inputs: list[Tensor]) -> None:
    for out in outputs:
        if out._rg:
            for g, x in zip(
                grad([out], inputs, [Ops.ones_spec(out._spec)], retain_graph=True, allow_unused=True), inputs
            ):
                if g is not None and g._spec.dtype is not x._spec.dtype:
                    raise GradcheckError("Gradient has dtype mismatch")


def _check_batched(outputs: tuple, inputs: list[Tensor]) -> None:
    """Gradients of a batch of output gradients equal those taken one by one."""
    for out in outputs:
        if not out._rg:
            continue
        shape = tuple(out._spec.shape)
        seeds = Ops.stack(
            [Ops.one_hot(out._spec.numel, k, out._spec).reshape(shape) for k in range(min(2, out._spec.numel))]
        )
        together = grad([out], inputs, [seeds], retain_graph=True, allow_unused=True, is_grads_batched=True)
        for k in range(seeds._spec.shape[0]):
            alone = grad([out], inputs, [seeds[k]], retain_graph=True, allow_unused=True)
            for a, b in zip(together, alone):
                if a is not None and b is not None and not np.allclose(_host(a[k]), _host(b)):
                    raise GradcheckError("While computing batched gradients, got: a batched gradient that differs")


def _check_forward(
    func: Callable, inputs: tuple, wanted: list[Tensor], numerical: list, atol: float, rtol: float
) -> None:
    outputs = _outputs(func, inputs)
    for i, out in enumerate(outputs):
        if not out._rg or out._spec.dtype.is_complex:
            continue
        for j, x in enumerate(wanted):
            if x._spec.dtype.is_complex:
                continue
            count = x._spec.numel
            rows = []
            for k in range(count):
                v = [Ops.zeros(t) for t in wanted]
                v[j] = Ops.one_hot(count, k, x._spec).reshape(tuple(x._spec.shape))
                rows.append(_host(_forward((out,), tuple(wanted), tuple(v), False, False)[0]).reshape(-1))
            if rows:
                _compare(np.stack(rows), numerical[j][i], rtol, atol, i, j, "Forward mode: ")


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """gradcheck of the gradient: second derivatives of ``func`` by ``inputs`` and by the output gradients.

    ``grad_outputs`` None: random ones.
    """
    if not (check_fwd_over_rev or check_rev_over_rev):
        raise AssertionError("Expected at least one of check_fwd_over_rev or check_rev_over_rev to be True")
    args = _tensors(inputs)
    if grad_outputs is None:
        rng = np.random.default_rng(0)
        seeds = tuple(
            [_random_like(o, rng, gen_non_contig_grad_outputs) for o in _outputs(func, args) if o._spec.floating]
        )
    else:
        seeds = _tensors(grad_outputs)
    count = len(args)

    def gradient(*both: Any) -> tuple[Tensor, ...]:
        given = tuple([Ops.alias(t) if isinstance(t, Tensor) and t._rg else t for t in both[:count]])
        outs = [o for o in _outputs(func, given) if o._spec.floating]
        pairs = [(o, s) for o, s in zip(outs, both[count:]) if o._rg]
        wanted = _differentiable(given)
        found = grad([o for o, _ in pairs], wanted, [s for _, s in pairs], create_graph=True, allow_unused=True)
        return tuple([g for g in found if g is not None])

    return gradcheck(
        gradient, args + seeds, eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception, nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad, check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad, check_forward_ad=check_fwd_over_rev,
            check_backward_ad=check_rev_over_rev,
        fast_mode=fast_mode, masked=masked,
    )  # fmt: skip


def _random_like(o: Tensor, rng: np.random.Generator, strided: bool) -> Tensor:
    shape = tuple(o._spec.shape)
    values = rng.standard_normal(shape)
    if o._spec.dtype.is_complex:
        values = values + 1j * rng.standard_normal(shape)
    t = Ops.from_array(np.asarray(values), o._spec.device)
    t = Ops.cast(t, o._spec.dtype)
    if strided and len(shape) > 1:
        t = Ops.clone(t.transpose(0, 1)).transpose(0, 1)
    return t.detach().requires_grad_()
