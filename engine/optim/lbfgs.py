"""Limited-memory BFGS (Liu & Nocedal, 1989)."""

from collections.abc import Callable
from typing import Any

from .. import ops
from ..autograd import enable_grad, no_grad
from ..tensor import Tensor
from .line_search import strong_wolfe
from .optimizer import Optimizer, ParamsT
from .rule_optimizer import check_lr

# Pairs with less curvature than this are not taken into the history.
_MIN_CURVATURE = 1e-10


def _largest(x: Tensor) -> float:
    return float(x.abs().max())


def _reals(x: Tensor) -> Tensor:
    return ops.view_as_real(x) if x.is_complex() else x


class LBFGS(Optimizer):
    """L-BFGS over all parameters as one vector; `step` needs a closure and runs up to `max_iter` iterations.

    Args:
        max_eval: bound of function evaluations in a step, by default ``max_iter * 5 // 4``.
        tolerance_grad: stop at this largest gradient component.
        tolerance_change: stop at this change of the function value or of the parameters.
        history_size: remembered pairs.
        line_search_fn: "strong_wolfe" or None (the step is `lr`).
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_lr(lr)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    @property
    def _params(self) -> list[Tensor]:
        return self.param_groups[0]["params"]

    def _flat_grad(self) -> Tensor:
        flat = []
        for p in self._params:
            grad = ops.zeros_like(p) if p.grad is None else p.grad
            flat.append(_reals(grad).reshape(-1))
        return ops.cat(flat)

    def _move(self, t: float, direction: Tensor) -> None:
        """Add ``t * direction`` to the parameters."""
        offset = 0
        for p in self._params:
            real = _reals(p)
            real.add_(direction[offset : offset + real.numel()].view_as(real), alpha=t)
            offset += real.numel()

    def _evaluate(self, closure: Callable[[], Any]) -> tuple[Any, float, Tensor]:
        """The closure's result, its value and the flat gradient."""
        with enable_grad():
            loss = closure()
        return loss, float(loss), self._flat_grad()

    def _probe(self, closure: Callable[[], Any], start: list[Tensor], d: Tensor) -> Callable:
        """Function of t that evaluates at ``start + t * d`` and comes back to start."""

        def evaluate(t: float) -> tuple[float, Tensor]:
            self._move(t, d)
            _, value, grad = self._evaluate(closure)
            for p, saved in zip(self._params, start):
                p.copy_(saved)
            return value, grad

        return evaluate

    @staticmethod
    def _remember(state: dict[str, Any], grad: Tensor, size: int) -> None:
        """Take the last step and change of gradient into the history."""
        y, s = grad - state["prev_flat_grad"], state["d"] * state["t"]
        curvature = y.dot(s)
        if float(curvature) <= _MIN_CURVATURE:
            return
        if len(state["old_dirs"]) == size:
            for name in ("old_dirs", "old_stps", "ro"):
                state[name].pop(0)
        state["old_dirs"].append(y)
        state["old_stps"].append(s)
        state["ro"].append(1.0 / curvature)
        state["H_diag"] = curvature / y.dot(y)

    @staticmethod
    def _direction(state: dict[str, Any], grad: Tensor) -> Tensor:
        """Two-loop recursion: minus the approximate inverse Hessian times the gradient."""
        ys, steps, ro, al = state["old_dirs"], state["old_stps"], state["ro"], state["al"]
        q = -grad
        for i in reversed(range(len(ys))):
            al[i] = steps[i].dot(q) * ro[i]
            q = q - al[i] * ys[i]
        r = q * state["H_diag"]
        for i in range(len(ys)):
            r = r + steps[i] * (al[i] - ys[i].dot(r) * ro[i])
        return r

    def step(self, closure: Callable[[], Any]) -> Any:
        """Minimise for up to `max_iter` iterations.

        Args:
            closure: clears the gradients, computes them again and returns the loss.

        Returns: the loss at the start.
        """
        with no_grad():
            group = self.param_groups[0]
            state = self.state[self._params[0]]
            state.setdefault("func_evals", 0)
            state.setdefault("n_iter", 0)
            state["func_evals"] += 1
            first_loss, loss, grad = self._evaluate(closure)
            if _largest(grad) > group["tolerance_grad"]:
                self._iterate(closure, state, group, loss, grad)
        return first_loss

    def _iterate(self, closure: Callable, state: dict[str, Any], group: dict[str, Any], loss: float, grad: Tensor):
        evaluations, lr = 1, group["lr"] if isinstance(group["lr"], int) else float(group["lr"])
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            if state["n_iter"] == 1:
                state.update(al=[None] * group["history_size"], old_dirs=[], old_stps=[], ro=[], H_diag=1, d=-grad)
                state["t"] = min(1.0, 1.0 / float(grad.abs().sum())) * lr
            else:
                self._remember(state, grad, group["history_size"])
                state["d"] = self._direction(state, grad)
                state["t"] = lr
            previous = state["prev_loss"] = loss
            state["prev_flat_grad"], d = grad, state["d"]
            slope = float(grad.dot(d))
            if slope > -group["tolerance_change"]:
                return
            last = iteration == group["max_iter"]
            loss, grad, used = self._advance(closure, state, group, loss, grad, slope, last)
            evaluations += used
            state["func_evals"] += used
            if (
                last
                or evaluations >= group["max_eval"]
                or _largest(grad) <= group["tolerance_grad"]
                or _largest(d * state["t"]) <= group["tolerance_change"]
                or abs(loss - previous) < group["tolerance_change"]
            ):
                return

    def _advance(
        self,
        closure: Callable,
        state: dict[str, Any],
        group: dict[str, Any],
        loss: float,
        grad: Tensor,
        slope: float,
        last: bool,
    ) -> tuple[float, Tensor, int]:
        """Move along the direction; returns the new loss and gradient and how often the closure ran.

        Without line search the last iteration does not evaluate again: the next step will.
        """
        search, d = group["line_search_fn"], state["d"]
        if search is None:
            self._move(state["t"], d)
            if last:
                return loss, grad, 0
            _, loss, grad = self._evaluate(closure)
            return loss, grad, 1
        if search != "strong_wolfe":
            raise RuntimeError("only 'strong_wolfe' is supported")
        evaluate = self._probe(closure, [p.clone() for p in self._params], d)
        found, used = strong_wolfe(evaluate, state["t"], d, loss, grad, slope)
        state["t"] = found.t
        self._move(found.t, d)
        return found.value, found.grad, used
