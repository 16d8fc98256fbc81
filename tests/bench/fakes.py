"""Workloads that misbehave, for the harness's own tests; they need neither torch nor a device."""

from __future__ import annotations

import os
import time

import numpy as np

from tests.bench.workload import Case, workload

GROUP = "pointwise"


@workload(GROUP, "good")
def good(torch, bench):
    x = bench.rng.standard_normal(1000)
    return lambda: x + 1


@workload(GROUP, "raises")
def raises(torch, bench):
    def step():
        raise ValueError("first line\nlast line")

    return step


@workload(GROUP, "dies")
def dies(torch, bench):
    return lambda: os._exit(3)


@workload(GROUP, "hangs")
def hangs(torch, bench):
    return lambda: time.sleep(60)


@workload(GROUP, "differs")
def differs(torch, bench):
    return lambda: np.array([os.getpid()])


@workload(GROUP, "prints")
def prints(torch, bench):
    def step():
        os.write(1, b"not part of the protocol\n")
        return np.arange(3)

    return step


@workload(GROUP, "timed")
def timed(torch, bench):
    return Case(lambda: 0.25, timed=True)


@workload(GROUP, "counts", limit=1e-9)
def counts(torch, bench):
    return Case(lambda: np.zeros(1), per=10, calls=3)
