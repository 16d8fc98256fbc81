"""Line search for the strong Wolfe conditions (Nocedal & Wright, Numerical Optimization, algorithms 3.5 and 3.6).

Steps are interpolated by cubics and kept away from the ends of their interval as in M. Schmidt's minFunc.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from ..tensor import Tensor

_SUFFICIENT_DECREASE = 1e-4
_CURVATURE = 0.9
_MIN_WIDTH = 1e-9
_MAX_STEPS = 25
# An interpolated step nearer to an end than this part of the interval counts as no progress.
_EDGE = 0.1


class Point(NamedTuple):
    """A point on the line: step, function value, flat gradient and slope along the direction."""

    t: float
    value: float
    grad: Tensor
    slope: float


def _cubic_minimum(a: Point, b: Point, low: float, high: float) -> float:
    """Minimum, within [low, high], of the cubic with the values and slopes of two points."""
    if a.t > b.t:
        a, b = b, a
    if a.t == b.t:
        return (low + high) / 2.0
    d1 = a.slope + b.slope - 3 * (a.value - b.value) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if not square >= 0:
        return (low + high) / 2.0
    d2 = math.sqrt(square)
    divisor = b.slope - a.slope + 2 * d2
    if divisor == 0:
        return (low + high) / 2.0
    return min(max(b.t - (b.t - a.t) * ((b.slope + d2 - d1) / divisor), low), high)


def strong_wolfe(
    evaluate: Callable[[float], tuple[float, Tensor]],
    t: float,
    direction: Tensor,
    value: float,
    grad: Tensor,
    slope: float,
) -> tuple[Point, int]:
    """Search a step along `direction` from a point with `value`, `grad` and (negative) `slope`.

    Args:
        evaluate: value and flat gradient at a step.
        t: first step to try.

    Returns: the point found and the number of evaluations.
    """
    start = Point(0, value, grad, slope)

    def point(step: float) -> Point:
        new_value, new_grad = evaluate(step)
        return Point(step, new_value, new_grad, float(new_grad.dot(direction)))

    def too_high(at: Point) -> bool:
        return at.value > value + _SUFFICIENT_DECREASE * at.t * slope

    def flat_enough(at: Point) -> bool:
        return abs(at.slope) <= -_CURVATURE * slope

    before, here = start, point(t)
    for tried in range(_MAX_STEPS):
        if too_high(here) or (tried > 1 and here.value >= before.value):
            break
        if flat_enough(here):
            return here, tried + 1
        if here.slope >= 0:
            break
        step = _cubic_minimum(before, here, here.t + 0.01 * (here.t - before.t), here.t * 10)
        before, here = here, point(step)
    else:
        return (start if start.value <= here.value else here), _MAX_STEPS + 1
    width = float(direction.abs().max())
    return _zoom(point, too_high, flat_enough, [before, here], width, tried)


def _zoom(
    point: Callable[[float], Point],
    too_high: Callable[[Point], bool],
    flat_enough: Callable[[Point], bool],
    bracket: list[Point],
    width: float,
    tried: int,
) -> tuple[Point, int]:
    """Narrow a bracket that holds a good step; returns its better end and the number of evaluations so far."""
    stuck = False
    low, high = (0, 1) if bracket[0].value <= bracket[1].value else (1, 0)
    while tried < _MAX_STEPS:
        if abs(bracket[1].t - bracket[0].t) * width < _MIN_WIDTH:
            break
        left, right = sorted((bracket[0].t, bracket[1].t))
        t = _cubic_minimum(bracket[0], bracket[1], left, right)
        margin = _EDGE * (right - left)
        near_edge = min(right - t, t - left) < margin
        if near_edge and (stuck or t >= right or t <= left):
            t = right - margin if abs(t - right) < abs(t - left) else left + margin
            near_edge = False
        stuck = near_edge
        here = point(t)
        tried += 1
        if too_high(here) or here.value >= bracket[low].value:
            bracket[high] = here
            low, high = (0, 1) if bracket[0].value <= bracket[1].value else (1, 0)
            continue
        if flat_enough(here):
            return here, tried + 1
        if here.slope * (bracket[high].t - bracket[low].t) >= 0:
            bracket[high] = bracket[low]
        bracket[low] = here
    return bracket[low], tried + 1
