"""Learning-rate schedulers against PyTorch: fifty epochs, resuming, state dicts, warnings and errors."""

import copy
import math
import warnings

import pytest

import engine

torch = pytest.importorskip("torch")

EPOCHS = 50


def factor(epoch):
    return 0.95**epoch


class Decay:
    """A callable object: its attributes go into state dicts."""

    def __init__(self, rate):
        self.rate = rate

    def __call__(self, epoch):
        return self.rate**epoch


def schedulers(lib):
    return lib.optim.lr_scheduler


CASES = {
    "lambda": lambda L, o, **k: L.LambdaLR(o, factor, **k),
    "lambda-list": lambda L, o, **k: L.LambdaLR(o, [factor, Decay(0.9)], **k),
    "multiplicative": lambda L, o, **k: L.MultiplicativeLR(o, Decay(0.999), **k),
    "step": lambda L, o, **k: L.StepLR(o, 7, 0.3, **k),
    "multistep": lambda L, o, **k: L.MultiStepLR(o, [3, 10, 10, 30], 0.5, **k),
    "constant": lambda L, o, **k: L.ConstantLR(o, 0.4, 6, **k),
    "linear": lambda L, o, **k: L.LinearLR(o, 0.2, 0.8, 11, **k),
    "exponential": lambda L, o, **k: L.ExponentialLR(o, 0.93, **k),
    "polynomial": lambda L, o, **k: L.PolynomialLR(o, 30, 1.7, **k),
    "cosine": lambda L, o, **k: L.CosineAnnealingLR(o, 9, 0.01, **k),
    "restarts": lambda L, o, **k: L.CosineAnnealingWarmRestarts(o, 4, 1, 0.001, **k),
    "restarts-mult": lambda L, o, **k: L.CosineAnnealingWarmRestarts(o, 3, 2, **k),
    "cyclic": lambda L, o, **k: L.CyclicLR(o, [0.01, 0.02], 0.3, 5, 7, **k),
    "cyclic2": lambda L, o, **k: L.CyclicLR(o, 0.01, 0.3, 4, mode="triangular2", **k),
    "cyclic-exp": lambda L, o, **k: L.CyclicLR(o, 0.01, 0.3, 4, mode="exp_range", gamma=0.97, **k),
    "cyclic-fn": lambda L, o, **k: L.CyclicLR(o, 0.01, 0.3, 4, scale_fn=factor, scale_mode="iterations", **k),
    "onecycle": lambda L, o, **k: L.OneCycleLR(o, [0.5, 0.7], total_steps=EPOCHS + 1, **k),
    "onecycle-3": lambda L, o, **k: L.OneCycleLR(
        o, 0.5, epochs=6, steps_per_epoch=10, three_phase=True, anneal_strategy="linear", base_momentum=0.7, **k
    ),
    "swa": lambda L, o, **k: swa(L)(o, [0.02, 0.03], 8, **k),
    "swa-linear": lambda L, o, **k: swa(L)(o, 0.02, 0, "linear", **k),
    "sequential": lambda L, o, **k: L.SequentialLR(
        o, [L.ConstantLR(o, 0.1, 3), L.CosineAnnealingLR(o, 10), L.ExponentialLR(o, 0.9)], [5, 25], **k
    ),
    "sequential-restarts": lambda L, o, **k: L.SequentialLR(
        o, [L.LinearLR(o, 0.1, 1.0, 5), L.CosineAnnealingWarmRestarts(o, 5)], [5], **k
    ),
    "chained": lambda L, o: L.ChainedScheduler([L.ConstantLR(o, 0.1, 3), L.ExponentialLR(o, 0.9), L.StepLR(o, 4)]),
    "nested": lambda L, o: L.SequentialLR(
        o, [L.ChainedScheduler([L.ConstantLR(o, 0.5, 3), L.ExponentialLR(o, 0.9)]), L.StepLR(o, 4, 0.5)], [6]
    ),
}
COMPOSED = ("sequential", "sequential-restarts", "chained", "nested")


def swa(L):
    return (engine if L is engine.optim.lr_scheduler else torch).optim.swa_utils.SWALR


def optimizer_of(lib, lr=0.1, kind="SGD", **options):
    options = {"momentum": 0.9, **options} if kind == "SGD" else options
    groups = [{"params": [lib.zeros(1, requires_grad=True)], "lr": rate} for rate in (lr, lr * 2)]
    return getattr(lib.optim, kind)(groups, lr=1.0, **options)


def options_of(optimizer):
    keys = ("lr", "initial_lr", "momentum", "betas", "max_lr", "min_lr", "base_momentum", "max_momentum", "swa_lr")
    return [{key: group[key] for key in keys if key in group} for group in optimizer.param_groups]


def plain(value):
    """Tensors as numbers, for comparison."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return float(value) if hasattr(value, "detach") else value


def assert_close(got, wanted, rel=1e-12):
    """Equal structures with nearly equal numbers."""
    assert type(got) is type(wanted), (got, wanted)
    if isinstance(got, dict):
        assert list(got) == list(wanted)
        for key in got:
            assert_close(got[key], wanted[key], rel)
    elif isinstance(got, list):
        assert len(got) == len(wanted)
        for a, b in zip(got, wanted):
            assert_close(a, b, rel)
    elif isinstance(got, float):
        assert got == pytest.approx(wanted, rel=rel, abs=1e-14)
    else:
        assert got == wanted


def both(function):
    """What `function` of each library returns, with exceptions and warnings as values."""
    results = []
    for lib in (engine, torch):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                value = plain(function(lib))
            except Exception as error:  # noqa: BLE001
                value = (type(error), str(error).split("\n")[0])
        results.append((value, [(w.category, str(w.message)) for w in caught]))
    return results


def trace(lib, make, epochs=EPOCHS, **settings):
    optimizer = optimizer_of(lib, **settings)
    scheduler = make(schedulers(lib), optimizer)
    rows = [(scheduler.get_last_lr(), options_of(optimizer))]
    for _ in range(epochs):
        optimizer.step()
        scheduler.step()
        rows.append((scheduler.get_last_lr(), options_of(optimizer)))
    return [*rows, scheduler.state_dict()]


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("name", list(CASES))
def test_fifty_epochs(name, kind):
    (got, got_warnings), (wanted, wanted_warnings) = both(lambda lib: trace(lib, CASES[name], kind=kind))
    assert_close(got, wanted)
    assert got_warnings == wanted_warnings
    assert not got_warnings or name == "nested"  # where PyTorch warns without need


@pytest.mark.parametrize("name", list(CASES))
def test_tensor_lr(name):
    def run(lib):
        optimizer = optimizer_of(lib)
        for group in optimizer.param_groups:
            group["lr"] = lib.tensor(group["lr"], dtype=lib.float64)
        held = [group["lr"] for group in optimizer.param_groups]
        scheduler = CASES[name](schedulers(lib), optimizer)
        rows = []
        for _ in range(12):
            optimizer.step()
            scheduler.step()
            rows.append(scheduler.get_last_lr())
        assert all(group["lr"] is lr for group, lr in zip(optimizer.param_groups, held))
        assert all(last is not lr for last, lr in zip(scheduler.get_last_lr(), held))
        return rows

    (got, _), (wanted, _) = both(run)
    assert_close(got, wanted)


@pytest.mark.parametrize("last_epoch", [0, 1, 2, 3, 6, 8, 9, 10, 29])
@pytest.mark.parametrize("name", [name for name in CASES if name not in ("chained", "nested")])
def test_resume_with_last_epoch(name, last_epoch):
    def run(lib):
        optimizer = optimizer_of(lib, lr=0.2)
        if not name.startswith("sequential"):
            for group in optimizer.param_groups:
                group.update(initial_lr=0.1, max_lr=0.5, min_lr=0.001, base_momentum=0.8, max_momentum=0.9)
        scheduler = CASES[name](schedulers(lib), optimizer, last_epoch=last_epoch)
        rows = [(scheduler.last_epoch, scheduler.get_last_lr())]
        for _ in range(12):
            optimizer.step()
            scheduler.step()
            rows.append((scheduler.last_epoch, scheduler.get_last_lr(), options_of(optimizer)))
        return rows

    (got, _), (wanted, _) = both(run)
    assert_close(got, wanted)


def test_resume_needs_initial_lr():
    with pytest.raises(KeyError, match=r"param 'initial_lr' is not specified in param_groups\[0\] when resuming"):
        engine.optim.lr_scheduler.StepLR(optimizer_of(engine), 1, last_epoch=3)


@pytest.mark.parametrize("name", [name for name in CASES if name not in COMPOSED])
def test_epoch_argument(name):
    def run(lib):
        optimizer = optimizer_of(lib)
        scheduler = CASES[name](schedulers(lib), optimizer)
        optimizer.step()
        rows = []
        for epoch in (1, 4, 2, 13, 30):
            scheduler.step(epoch)
            rows.append((scheduler.get_last_lr(), scheduler.last_epoch))
        return rows

    (got, got_warnings), (wanted, wanted_warnings) = both(run)
    assert_close(got, wanted)
    assert got_warnings == wanted_warnings


@pytest.mark.parametrize("name", list(CASES))
def test_get_lr_outside_step(name):
    def run(lib):
        optimizer = optimizer_of(lib)
        scheduler = CASES[name](schedulers(lib), optimizer)
        return [scheduler.get_lr(), optimizer.step(), scheduler.step(), scheduler.get_lr()]

    (got, got_warnings), (wanted, wanted_warnings) = both(run)
    assert_close(got, wanted)
    assert got_warnings == wanted_warnings


@pytest.mark.parametrize("source", ["engine", "torch"])
@pytest.mark.parametrize("name", list(CASES))
def test_state_dict_exchange(name, source):
    first, second = (engine, torch) if source == "engine" else (torch, engine)
    optimizer = optimizer_of(first)
    scheduler = CASES[name](schedulers(first), optimizer)
    for _ in range(8):
        optimizer.step()
        scheduler.step()
    moved = optimizer_of(second)
    successor = CASES[name](schedulers(second), moved)
    moved.load_state_dict(optimizer.state_dict())
    successor.load_state_dict(copy.deepcopy(scheduler.state_dict()))
    for _ in range(20):
        for one in (optimizer, moved, scheduler, successor):
            one.step()
        assert_close(successor.get_last_lr(), scheduler.get_last_lr())
        assert_close(options_of(moved), options_of(optimizer))
    assert_close(plain(successor.state_dict()), plain(scheduler.state_dict()))


METRICS = [10 / (1 + e) + 0.3 * math.sin(e) + (e > 25) for e in range(60)]
PLATEAUS = [
    {},
    {"mode": "max", "patience": 2, "factor": 0.5},
    {"patience": 1, "cooldown": 3, "threshold": 0.1, "threshold_mode": "abs"},
    {"mode": "max", "threshold_mode": "abs", "patience": 0, "min_lr": [0.01, 0.001]},
    {"patience": 0, "factor": 0.9, "eps": 0.01, "min_lr": 0.05},
]


@pytest.mark.parametrize("options", PLATEAUS)
def test_plateau(options):
    def run(lib):
        optimizer = optimizer_of(lib)
        scheduler = schedulers(lib).ReduceLROnPlateau(optimizer, **options)
        rows = [scheduler.state_dict()]
        for number, metric in enumerate(METRICS):
            scheduler.step(lib.tensor(metric, dtype=lib.float64) if number % 2 else metric)
            rows.append((scheduler.get_last_lr(), scheduler.in_cooldown, scheduler.state_dict()))
            if number == 30:
                successor = schedulers(lib).ReduceLROnPlateau(optimizer)
                successor.load_state_dict(scheduler.state_dict())
                scheduler = successor
        return rows

    (got, got_warnings), (wanted, wanted_warnings) = both(run)
    assert_close(got, wanted)
    assert got_warnings == wanted_warnings == []


def test_plateau_with_a_new_group():
    def run(lib, min_lr):
        optimizer = optimizer_of(lib)
        scheduler = schedulers(lib).ReduceLROnPlateau(optimizer, patience=0, min_lr=min_lr)
        optimizer.add_param_group({"params": [lib.zeros(1, requires_grad=True)], "lr": 1.0})
        for _ in range(3):
            scheduler.step(1.0)
        return scheduler.get_last_lr()

    (got, _), (wanted, _) = both(lambda lib: run(lib, 0.01))
    assert_close(got, wanted)
    (got, _), (wanted, _) = both(lambda lib: run(lib, [0.01, 0.02]))
    assert got[0] is wanted[0] is RuntimeError


def stepped_too_early(lib):
    scheduler = schedulers(lib).StepLR(optimizer_of(lib), 1)
    scheduler.step()
    scheduler.step()


def overridden(lib):
    optimizer = optimizer_of(lib)
    scheduler = schedulers(lib).StepLR(optimizer, 1)
    optimizer.step = lambda: None
    scheduler.step()


def second_scheduler(lib):
    optimizer = optimizer_of(lib)
    scheduler = schedulers(lib).StepLR(optimizer, 1)
    optimizer.step()
    scheduler.step()
    second = schedulers(lib).ExponentialLR(optimizer, 0.5)
    second.step()
    return second.get_last_lr(), options_of(optimizer), second.base_lrs


def beyond_the_cycle(lib):
    optimizer = optimizer_of(lib)
    scheduler = schedulers(lib).OneCycleLR(optimizer, 0.1, total_steps=3)
    for _ in range(5):
        optimizer.step()
        scheduler.step()


def plateau_with_epoch(lib):
    scheduler = schedulers(lib).ReduceLROnPlateau(optimizer_of(lib))
    scheduler.step(1.0, 3)
    return scheduler.last_epoch


def fractions_of_epochs(lib):
    scheduler = schedulers(lib).CosineAnnealingWarmRestarts(optimizer_of(lib), 2, 3)
    rows = []
    for number in range(40):
        scheduler.step(number / 4)
        rows.append((scheduler.get_last_lr(), scheduler.T_cur, scheduler.T_i))
    return rows


@pytest.mark.parametrize(
    "function",
    [stepped_too_early, overridden, second_scheduler, beyond_the_cycle, plateau_with_epoch, fractions_of_epochs],
)
def test_behaviour(function):
    (got, got_warnings), (wanted, wanted_warnings) = both(function)
    assert got == wanted if isinstance(got, tuple) else assert_close(got, wanted) is None
    assert got_warnings == wanted_warnings


ERRORS = {
    "no optimizer": lambda L, o, other: L.StepLR(3, 1),
    "lambda number": lambda L, o, other: L.LambdaLR(o, [factor]),
    "multiplicative number": lambda L, o, other: L.MultiplicativeLR(o, [factor]),
    "constant": lambda L, o, other: L.ConstantLR(o, 2.0),
    "linear start": lambda L, o, other: L.LinearLR(o, 0),
    "linear end": lambda L, o, other: L.LinearLR(o, 1.0, 2.0),
    "T_0": lambda L, o, other: L.CosineAnnealingWarmRestarts(o, 0),
    "T_0 float": lambda L, o, other: L.CosineAnnealingWarmRestarts(o, 1.5),
    "T_mult": lambda L, o, other: L.CosineAnnealingWarmRestarts(o, 2, 0),
    "negative epoch": lambda L, o, other: L.CosineAnnealingWarmRestarts(o, 2).step(-1),
    "cyclic mode": lambda L, o, other: L.CyclicLR(o, 0.1, 1.0, mode="x"),
    "cyclic length": lambda L, o, other: L.CyclicLR(o, [0.1, 0.2, 0.3], 1.0),
    "cyclic momentum": lambda L, o, other: L.CyclicLR(other, 0.1, 1.0),
    "onecycle steps": lambda L, o, other: L.OneCycleLR(o, 0.1),
    "onecycle total": lambda L, o, other: L.OneCycleLR(o, 0.1, total_steps=-1),
    "onecycle epochs": lambda L, o, other: L.OneCycleLR(o, 0.1, epochs=-1, steps_per_epoch=2),
    "onecycle per epoch": lambda L, o, other: L.OneCycleLR(o, 0.1, epochs=1, steps_per_epoch=1.5),
    "onecycle pct": lambda L, o, other: L.OneCycleLR(o, 0.1, total_steps=5, pct_start=2.0),
    "onecycle anneal": lambda L, o, other: L.OneCycleLR(o, 0.1, total_steps=5, anneal_strategy="x"),
    "onecycle length": lambda L, o, other: L.OneCycleLR(o, [0.1], total_steps=5),
    "onecycle momentum": lambda L, o, other: L.OneCycleLR(other, 0.1, total_steps=5),
    "plateau mode": lambda L, o, other: L.ReduceLROnPlateau(o, "x"),
    "plateau threshold": lambda L, o, other: L.ReduceLROnPlateau(o, threshold_mode="x"),
    "plateau factor": lambda L, o, other: L.ReduceLROnPlateau(o, factor=1.0),
    "plateau min_lr": lambda L, o, other: L.ReduceLROnPlateau(o, min_lr=[1, 2, 3]),
    "plateau optimizer": lambda L, o, other: L.ReduceLROnPlateau(3),
    "sequential none": lambda L, o, other: L.SequentialLR(o, [], []),
    "sequential number": lambda L, o, other: L.SequentialLR(o, [L.StepLR(o, 1)], [1]),
    "sequential foreign": lambda L, o, other: L.SequentialLR(o, [L.StepLR(o, 1), L.StepLR(other, 1)], [1]),
    "sequential type": lambda L, o, other: L.SequentialLR(o, [L.StepLR(o, 1), 3], [1]),
    "sequential plateau": lambda L, o, other: L.SequentialLR(o, [L.StepLR(o, 1), L.ReduceLROnPlateau(o)], [1]),
    "chained none": lambda L, o, other: L.ChainedScheduler([]),
    "chained foreign": lambda L, o, other: L.ChainedScheduler([L.StepLR(o, 1), L.StepLR(other, 1)]),
    "chained optimizer": lambda L, o, other: L.ChainedScheduler([L.StepLR(o, 1)], other),
    "chained type": lambda L, o, other: L.ChainedScheduler([L.StepLR(o, 1), 3]),
    "chained plateau": lambda L, o, other: L.ChainedScheduler([L.ReduceLROnPlateau(o)]),
    "swa length": lambda L, o, other: swa(L)(o, [0.1]),
    "swa anneal": lambda L, o, other: swa(L)(o, 0.1, anneal_strategy="x"),
    "swa epochs": lambda L, o, other: swa(L)(o, 0.1, anneal_epochs=-1),
}


@pytest.mark.parametrize("name", list(ERRORS))
def test_errors(name):
    def run(lib):
        ERRORS[name](schedulers(lib), optimizer_of(lib), optimizer_of(lib, kind="Rprop"))

    (got, _), (wanted, _) = both(run)
    assert isinstance(wanted, tuple)
    assert got == wanted


def test_names():
    ours, theirs = engine.optim.lr_scheduler, torch.optim.lr_scheduler
    assert all(issubclass(getattr(ours, name), ours.LRScheduler) for name in theirs.__all__)
    assert issubclass(ours._LRScheduler, ours.LRScheduler)
