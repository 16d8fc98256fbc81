"""Random programs give on the device what they give in NumPy, op by op: no fusion, no reuse of memory, no plans."""

from __future__ import annotations

import numpy as np
import pytest
from programs import Program, on_host

ROUNDS = 4  # the first plans, then replays, from the third on perhaps as one merged program


def check(program: Program, rounds: int = ROUNDS) -> None:
    for number in range(rounds):
        with on_host():
            expected = program.run(number)
        found = program.run(number)
        assert [a.shape for a in found] == [a.shape for a in expected]
        for ours, theirs in zip(found, expected):
            assert ours.dtype == theirs.dtype
            if program.smooth or program.grad:
                np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
            else:
                np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("seed", range(100))
def test_exact_programs(seed):
    check(Program(seed))


@pytest.mark.parametrize("seed", range(1000, 1050))
def test_smooth_programs(seed):
    check(Program(seed, smooth=True))


@pytest.mark.parametrize("seed", range(2000, 2050))
def test_gradients_of_programs(seed):
    check(Program(seed, smooth=True, grad=True, steps=8), rounds=2)


@pytest.mark.small
@pytest.mark.parametrize("seed", range(3000, 3006))
def test_short_programs(seed):
    check(Program(seed, steps=8), rounds=1)
