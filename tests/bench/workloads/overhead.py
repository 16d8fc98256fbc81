"""What is paid besides the arithmetic: dispatch, waiting, reading, loading data, importing, the first step."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

from tests.bench.workload import Case, workload
from tests.bench.workloads import models

GROUP = "overhead"
PROCESS_ROUNDS = 3
FIRST_STEP = """
import time, importlib
torch = importlib.import_module({module!r})
start = time.perf_counter()
torch.manual_seed(0)
layers = []
for i, o in ((10, 6), (6, 4), (4, 2), (2, 1)):
    layers += [torch.nn.Linear(i, o), torch.nn.Sigmoid()]
model = torch.nn.Sequential(*layers)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
loss = torch.nn.BCELoss()(model(torch.rand(32, 10)), torch.rand(32, 1))
optimizer.zero_grad()
loss.backward()
optimizer.step()
loss.item()
print(time.perf_counter() - start)
"""
IMPORT = """
import time, importlib
start = time.perf_counter()
importlib.import_module({module!r})
print(time.perf_counter() - start)
"""


def fresh(script: str, torch, folder: str | None = None) -> float:
    """Run a script that prints seconds in a new interpreter; with a folder, all its caches are there."""
    caches = ("XDG_CACHE_HOME", "ENGINE_CACHE_DIR", "POCL_CACHE_DIR") if folder else ()
    env = {**os.environ, **dict.fromkeys(caches, folder)}
    command = [sys.executable, "-c", script.format(module=torch.__name__)]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip() or f"exit status {done.returncode}")
    return float(done.stdout.split()[-1])


@workload(GROUP, "import, new process", rounds=PROCESS_ROUNDS)
def importing(torch, bench):
    return Case(lambda: fresh(IMPORT, torch), timed=True)


@workload(GROUP, "tutorial's first step after import, empty cache", rounds=PROCESS_ROUNDS, limit=3.0)
def first_step_cold(torch, bench):
    def step():
        with tempfile.TemporaryDirectory() as folder:
            return fresh(FIRST_STEP, torch, folder)

    return Case(step, timed=True)


@workload(GROUP, "tutorial's first step after import, warm cache", rounds=PROCESS_ROUNDS, limit=0.3)
def first_step_warm(torch, bench):
    holder = tempfile.TemporaryDirectory()  # removed with the step that holds it
    fresh(FIRST_STEP, torch, holder.name)
    return Case(lambda: fresh(FIRST_STEP, torch, holder.name), timed=True)


def node(label: str, grad: bool, limit: float) -> None:
    @workload(GROUP, f"build a pointwise node, {label}", limit=limit)
    def build(torch, bench):
        a, b, count = bench.randn(10, grad=grad), bench.randn(10), 200

        def step():
            with torch.set_grad_enabled(grad):
                for _ in range(count):
                    result = a + b
            return result

        return Case(step, per=count, force=False)


node("grad off", False, 3e-6)
node("grad on", True, 6e-6)


@workload(GROUP, "100 small adds, one wait")
def small_adds(torch, bench):
    x, y = bench.randn(10), bench.randn(10)

    def step():
        z = x
        for _ in range(100):
            z = z + y
        return z

    return step


@workload(GROUP, "100 small adds, waiting for each")
def small_adds_waiting(torch, bench):
    x, y, force, wait = bench.randn(10), bench.randn(10), bench.force, bench.wait

    def step():
        z = x
        for _ in range(100):
            z = z + y
            force(z)
            wait()
        return z

    return step


@workload(GROUP, "small matrix product and bias, waiting")
def small_linear(torch, bench):
    x, w, b = bench.randn(8, 16), bench.randn(16, 16), bench.randn(16)

    def step():
        y = bench.force(x @ w + b)
        bench.wait()
        return y

    return step


@workload(GROUP, "read one scalar, computed before")
def read_scalar(torch, bench):
    x = bench.force(bench.randn(10).sum())
    bench.wait()
    return Case(lambda: x.item(), check=lambda: x)


@workload(GROUP, "compute and read one scalar")
def compute_scalar(torch, bench):
    x = bench.randn(10)
    return Case(lambda: (x * 2.0).sum().item(), check=lambda: x.sum())


@workload(GROUP, "100 steps on a parabola with SGD")
def parabola(torch, bench):
    a, b, c = torch.tensor(1.0), torch.tensor(-2.0), torch.tensor(1.0)

    def step():
        x = torch.tensor(0.0, requires_grad=True)
        optimizer = torch.optim.SGD(params=[x], lr=0.01)
        for _ in range(100):
            optimizer.zero_grad()
            y = a * torch.pow(x, 2) + b * x + c
            y.backward()
            optimizer.step()
        return x.detach()

    return step


@workload(GROUP, "50 steps on a parabola, waiting for each")
def parabola_waiting(torch, bench):
    a, b, c = torch.tensor(1.0), torch.tensor(-2.0), torch.tensor(1.0)

    def step():
        x = torch.tensor(0.0, requires_grad=True)
        optimizer = torch.optim.SGD(params=[x], lr=0.01)
        for _ in range(50):
            optimizer.zero_grad()
            y = a * torch.pow(x, 2) + b * x + c
            y.backward()
            optimizer.step()
            bench.wait()
        return x.detach()

    return step


@workload(GROUP, "DataLoader epoch, 442 rows of 10, batch 32, shuffled")
def loader_epoch(torch, bench):
    x, y = bench.rand(442, 10), bench.rand(442)
    torch.manual_seed(0)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=32, shuffle=True)

    def step():
        return [part for batch in loader for part in batch]

    return Case(step, check=lambda: torch.cat([batch[1] for batch in loader]).sort()[0])


@workload(GROUP, "tutorial's training epoch, DataLoader and loss.item()", tol=1e-4)
def training_epoch(torch, bench):
    data = torch.utils.data.TensorDataset(bench.rand(442, 10), bench.rand(442))
    loader = torch.utils.data.DataLoader(data, batch_size=32, drop_last=True)
    model = bench.fill(models.tutorial(torch))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    criterion = torch.nn.BCELoss()

    def step():
        total = 0.0
        for inputs, labels in loader:
            loss = criterion(model(inputs), labels.unsqueeze(dim=1))
            total += loss.item()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return torch.tensor(total)

    return Case(step)
