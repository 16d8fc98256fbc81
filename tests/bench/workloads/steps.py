"""Whole training and inference steps, each unannotated (group steps) and compiled (group steps-compiled)."""

from __future__ import annotations

from tests.bench.workload import Case, workload
from tests.bench.workloads import models

TUTORIAL_COMPILED_FLOOR = 15.0


def both(name: str, tol: float = 1e-3, compiled_floor: float | None = None):
    """Register a builder twice: as it is, and with `bench.compile` standing for engine.compile."""

    def register(build):
        workload("steps", name, tol=tol)(build)
        workload("steps-compiled", name, tol=tol, floor=compiled_floor, compiled=True)(build)
        return build

    return register


def training(torch, bench, model, optimizer, criterion, x, y, read: bool = False) -> Case:
    """A training step on one batch; with `read`, the loss is read as a Python number after each step."""

    def step(x, y):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    step = bench.compile(step)
    if read:
        return Case(lambda: torch.tensor(step(x, y).item()), calls=3)
    return Case(lambda: step(x, y), calls=3)


def inference(torch, bench, model, *inputs) -> Case:
    """A forward pass in eval mode without gradients."""
    model.eval()
    forward = bench.compile(model)

    def step():
        with torch.no_grad():
            return forward(*inputs)

    return Case(step)


def tutorial_case(torch, bench, read: bool) -> Case:
    model = bench.fill(models.tutorial(torch))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    return training(torch, bench, model, optimizer, torch.nn.BCELoss(), bench.rand(32, 10), bench.rand(32, 1), read)


@both("tutorial network training, batch 32", tol=1e-4, compiled_floor=TUTORIAL_COMPILED_FLOOR)
def tutorial(torch, bench):
    return tutorial_case(torch, bench, read=False)


@both("tutorial network training, batch 32, loss.item() each step", tol=1e-4)
def tutorial_item(torch, bench):
    return tutorial_case(torch, bench, read=True)


def mlp(batch: int) -> None:
    @both(f"MLP 784-512-512-10 training with Adam, batch {batch}")
    def build(torch, bench):
        model = bench.fill(models.mlp(torch))
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        criterion = torch.nn.CrossEntropyLoss()
        return training(torch, bench, model, optimizer, criterion, bench.rand(batch, 784), bench.ints(10, batch))


mlp(64)
mlp(128)


@both("MLP 784-512-512-10 inference, batch 128")
def mlp_inference(torch, bench):
    return inference(torch, bench, bench.fill(models.mlp(torch)), bench.rand(128, 784))


@both("LeNet training with SGD and momentum, batch 64")
def lenet(torch, bench):
    model = bench.fill(models.lenet(torch))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    criterion = torch.nn.CrossEntropyLoss()
    return training(torch, bench, model, optimizer, criterion, bench.rand(64, 1, 28, 28), bench.ints(10, 64))


@both("ResNet-18 training at 64x64, batch 16", tol=1e-2)
def resnet_training(torch, bench):
    model = bench.fill(models.resnet18(torch))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    criterion = torch.nn.CrossEntropyLoss()
    return training(torch, bench, model, optimizer, criterion, bench.randn(16, 3, 64, 64), bench.ints(1000, 16))


def resnet_inference(batch: int) -> None:
    @both(f"ResNet-18 inference at 224x224, batch {batch}")
    def build(torch, bench):
        return inference(torch, bench, bench.fill(models.resnet18(torch)), bench.randn(batch, 3, 224, 224))


resnet_inference(1)
resnet_inference(8)


@both("GPT 4x256 training with AdamW, context 128, batch 8")
def gpt_training(torch, bench):
    model = bench.fill(models.gpt(torch))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
    cross_entropy = torch.nn.functional.cross_entropy

    def criterion(logits, targets):
        return cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1))

    return training(torch, bench, model, optimizer, criterion, bench.ints(512, 8, 128), bench.ints(512, 8, 128))


@both("GPT 4x256 one token after 127, cached keys")
def gpt_token(torch, bench):
    model = bench.fill(models.gpt(torch))
    caches = [(bench.randn(1, 8, 127, 32), bench.randn(1, 8, 127, 32)) for _ in range(4)]
    return inference(torch, bench, model, bench.ints(512, 1, 1), caches)


@both("GPT 4x256 one token after 128, whole context")
def gpt_context(torch, bench):
    return inference(torch, bench, bench.fill(models.gpt(torch)), bench.ints(512, 1, 128))


@both("LSTM 2x128 training with Adam, 32 steps, batch 32")
def lstm_training(torch, bench):
    model = bench.fill(models.lstm(torch))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    criterion = torch.nn.CrossEntropyLoss()
    return training(torch, bench, model, optimizer, criterion, bench.randn(32, 32, 64), bench.ints(10, 32))


@both("LSTM 2x128 inference, 32 steps, batch 32")
def lstm_inference(torch, bench):
    return inference(torch, bench, bench.fill(models.lstm(torch)), bench.randn(32, 32, 64))
