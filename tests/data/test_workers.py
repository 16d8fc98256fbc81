"""DataLoader with worker processes: results, seeds, sharding, errors, dead workers."""

import gc
import os
import random
import signal
import time
from collections import namedtuple

import numpy as np
import pytest

import engine
from engine.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, get_worker_info

Point = namedtuple("Point", ["x", "y"])


class Mixed(Dataset):
    """Every kind of thing that a batch can hold."""

    def __init__(self, size=10):
        self.table = engine.arange(3 * size).reshape(size, 3).float()
        self.array = np.arange(size, dtype=np.float64)

    def __len__(self):
        return len(self.table)

    def __getitem__(self, index):
        return {
            "tensor": self.table[index] / 2,
            "half": self.table[index].to(engine.bfloat16),
            "array": self.array[index : index + 1],
            "number": index,
            "text": str(index),
            "point": Point(index, [self.array[index]]),
            "large": engine.full((64, 64), float(index)),
            "empty": engine.zeros(0, 2),
        }


class Shard(IterableDataset):
    def __init__(self, size):
        self.size = size

    def __iter__(self):
        info = get_worker_info()
        return iter(range(self.size) if info is None else range(info.id, self.size, info.num_workers))


class Faulty(Dataset):
    def __init__(self, action, at=5, size=12):
        self.action = action
        self.at = at
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        if index == self.at:
            self.action()
        return index


class OwnError(Exception):
    pass


class PickyError(Exception):
    def __init__(self, code, text):
        super().__init__(code, text)


def raise_value():
    raise ValueError("bad sample")


def raise_key():
    raise KeyError("bad key")


def raise_own():
    raise OwnError("own")


def raise_picky():
    raise PickyError(3, "picky")


def kill_self():
    os.kill(os.getpid(), signal.SIGKILL)


def leave():
    os._exit(3)


def leave_politely():
    raise SystemExit(4)


def sleep_long():
    time.sleep(60)


def plain(value):
    if isinstance(value, engine.Tensor):
        return str(value.dtype), value.float().tolist()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return (
        type(value)(*map(plain, value))
        if isinstance(value, Point)
        else [plain(v) for v in value]
        if isinstance(value, list)
        else value
    )


def gone(process):
    """Whether the process has ended, waiting for it up to 5 seconds."""
    for _ in range(500):
        try:
            os.kill(process.pid, 0)
        except ProcessLookupError:
            return True
        if not process.is_alive():
            return True
        time.sleep(0.01)
    return False


def open_files():
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("options", [{}, {"batch_size": 4}, {"batch_size": None}, {"batch_size": 4, "drop_last": True}])
def test_the_same_batches_as_without_workers(options):
    here = [plain(batch) for batch in DataLoader(Mixed(), **options)]
    there = [plain(batch) for batch in DataLoader(Mixed(), num_workers=2, **options)]
    assert there == here and len(here) == len(DataLoader(Mixed(), **options))


def test_tensor_dataset_in_order_and_shuffled():
    dataset = TensorDataset(engine.arange(100), engine.arange(200).reshape(100, 2))
    out = [value for x, _ in DataLoader(dataset, batch_size=7, num_workers=2) for value in x.tolist()]
    assert out == list(range(100))
    seen = [x for batch, _ in DataLoader(dataset, batch_size=7, num_workers=2, shuffle=True) for x in batch.tolist()]
    assert sorted(seen) == list(range(100)) and seen != list(range(100))


def test_batches_may_be_changed_and_kept():
    loader = DataLoader(TensorDataset(engine.zeros(64, 4096)), batch_size=2, num_workers=2, persistent_workers=True)
    kept = []
    for _ in range(2):
        for step, (batch,) in enumerate(loader):
            assert batch.sum().item() == 0
            batch += step + 1
            kept.append((step + 1, batch))
    assert all((batch == value).all() for value, batch in kept)


def test_many_kept_batches_do_not_use_up_files():
    before = open_files()
    kept = list(DataLoader(TensorDataset(engine.zeros(200, 4096)), batch_size=1, num_workers=1))
    assert len(kept) == 200 and open_files() - before < 40
    del kept
    assert open_files() - before < 10


def test_arrays_in_batches_are_arrays():
    loader = DataLoader(range(8), batch_size=4, num_workers=1, collate_fn=lambda batch: np.full((100, 100), batch[0]))
    out = list(loader)
    assert all(type(array) is np.ndarray for array in out)
    assert [array[5, 5] for array in out] == [0, 4]
    out[0][:] = 7
    assert out[0].sum() == 70000


def test_requires_grad_and_strided_tensors_arrive():
    def collate(batch):
        return engine.ones(2, 3).t(), engine.ones(3, requires_grad=True), engine.arange(6)[::2]

    for a, b, c in DataLoader(range(1), num_workers=1, collate_fn=collate):
        assert a.shape == (3, 2) and b.requires_grad and c.tolist() == [0, 2, 4]


def worker_state(worker_id):
    info = get_worker_info()
    info.dataset.state = {
        "arg": worker_id,
        "id": info.id,
        "num_workers": info.num_workers,
        "seed": info.seed,
        "python": random.random(),
        "numpy": np.random.rand(),
        "engine": engine.rand(1).item(),
        "pid": os.getpid(),
    }


class States(Dataset):
    state = None

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return self.state


def states(**options):
    loader = DataLoader(States(), batch_size=None, num_workers=2, worker_init_fn=worker_state, **options)
    return list(loader)


def test_worker_info_and_seeds():
    engine.manual_seed(11)
    first = states()
    again = states()
    engine.manual_seed(11)
    assert [s["seed"] for s in states()] == [s["seed"] for s in first]
    zero, one = first[0], first[1]
    assert (zero["arg"], zero["id"], one["arg"], one["id"]) == (0, 0, 1, 1)
    assert zero["num_workers"] == 2 and one["seed"] == zero["seed"] + 1
    assert zero["pid"] not in (os.getpid(), one["pid"]) and zero["pid"] == first[2]["pid"]
    assert again[0]["seed"] != zero["seed"]
    base = zero["seed"]
    for state in (zero, one):
        random_state = random.Random(state["seed"])
        assert state["python"] == random_state.random()
        entropy = [state["id"], base & 0xFFFFFFFF, base >> 32, 0]
        expected = np.random.RandomState(np.random.SeedSequence(entropy).generate_state(4))
        assert state["numpy"] == expected.rand()
        engine.manual_seed(state["seed"])
        assert state["engine"] == engine.rand(1).item()
    assert get_worker_info() is None


def test_a_generator_gives_the_base_seed():
    one = states(generator=engine.Generator().manual_seed(5))[0]["seed"]
    assert states(generator=engine.Generator().manual_seed(5))[0]["seed"] == one


def test_streams_are_shared_out_in_turn():
    out = [batch.tolist() for batch in DataLoader(Shard(7), batch_size=2, num_workers=2)]
    assert out == [[0, 2], [1, 3], [4, 6], [5]]
    assert list(DataLoader(Shard(5), batch_size=None, num_workers=2)) == [0, 1, 2, 3, 4]
    assert list(DataLoader(Shard(1), batch_size=None, num_workers=2)) == [0]
    loader = DataLoader(Shard(5), batch_size=None, num_workers=2, persistent_workers=True)
    assert [list(loader) for _ in range(3)] == [[0, 1, 2, 3, 4]] * 3


class Whole(IterableDataset):
    def __iter__(self):
        return iter(range(3))

    def __len__(self):
        return 3


def test_an_unshared_stream_is_repeated_with_a_warning():
    loader = DataLoader(Whole(), batch_size=None, num_workers=2)
    assert len(loader) == 3
    with pytest.warns(UserWarning, match="get_worker_info"):
        assert sorted(loader) == [0, 0, 1, 1, 2, 2]


class Counter(Dataset):
    calls = 0

    def __len__(self):
        return 4

    def __getitem__(self, index):
        self.calls += 1
        return os.getpid(), self.calls


def test_persistent_workers_keep_process_and_dataset():
    loader = DataLoader(Counter(), batch_size=None, num_workers=1, persistent_workers=True)
    first, second = list(loader), list(loader)
    assert iter(loader) is iter(loader)
    assert {pid for pid, _ in first} == {pid for pid, _ in second}
    assert [calls for _, calls in first + second] == list(range(1, 9))
    loader = DataLoader(Counter(), batch_size=None, num_workers=1)
    first, second = list(loader), list(loader)
    assert {pid for pid, _ in first} != {pid for pid, _ in second} and second[-1][1] == 4


def test_persistent_workers_after_a_pass_that_was_given_up():
    loader = DataLoader(range(100), batch_size=10, num_workers=2, persistent_workers=True)
    for stop in (0, 1, 5):
        for step, _ in enumerate(loader):
            if step == stop:
                break
    assert [batch[0].item() for batch in loader] == list(range(0, 100, 10))


def test_prefetch_goes_no_further_than_asked():
    asked = []

    def order():
        for index in range(20):
            asked.append(index)
            yield index

    class Order:
        def __iter__(self):
            return order()

        def __len__(self):
            return 20

    loader = DataLoader(range(20), batch_size=None, sampler=Order(), num_workers=2, prefetch_factor=3)
    iterator = iter(loader)
    assert len(asked) == 6
    assert next(iterator) == 0 and len(asked) == 7
    assert list(iterator) == list(range(1, 20))


class Uneven(Dataset):
    def __len__(self):
        return 6

    def __getitem__(self, index):
        time.sleep(0.6 if index == 0 else 0)
        return index


def test_in_order_or_as_they_come():
    def run(**options):
        return list(DataLoader(Uneven(), batch_size=None, num_workers=2, prefetch_factor=1, **options))

    assert run() == list(range(6))
    loose = run(in_order=False)
    assert sorted(loose) == list(range(6)) and loose[0] == 1 and loose.index(0) > 2


@pytest.mark.parametrize(
    ("action", "kind", "text"),
    [(raise_value, ValueError, "bad sample"), (raise_key, KeyError, "bad key"), (raise_own, OwnError, "own")],
)
def test_an_exception_has_its_type_and_traceback(action, kind, text):
    iterator = iter(DataLoader(Faulty(action), batch_size=2, num_workers=2))
    assert [next(iterator).tolist() for _ in range(2)] == [[0, 1], [2, 3]]
    with pytest.raises(kind) as caught:
        next(iterator)
    message = str(caught.value)
    assert f"Caught {kind.__name__} in DataLoader worker process 0." in message
    assert "Original Traceback (most recent call last):\n" in message and action.__name__ in message
    assert text in message
    assert [batch.tolist() for batch in iterator] == [[6, 7], [8, 9], [10, 11]]  # the others still come


def test_an_exception_that_cannot_be_made_from_a_message():
    with pytest.raises(RuntimeError, match="Caught PickyError in DataLoader worker process"):
        list(DataLoader(Faulty(raise_picky), num_workers=1))


def failing_init(worker_id):
    raise OSError(f"no init {worker_id}")


def test_an_exception_in_worker_init_fn():
    with pytest.raises(OSError, match="no init 0"):
        list(DataLoader(range(4), num_workers=2, worker_init_fn=failing_init))


def test_a_result_that_cannot_be_pickled():
    def collate(batch):
        return (item for item in batch)

    with pytest.raises(TypeError, match="Caught TypeError in DataLoader worker process 0"):
        list(DataLoader(range(4), num_workers=1, collate_fn=collate))


def test_stop_iteration_from_a_map_dataset_is_an_error():
    def stop():
        raise StopIteration

    with pytest.raises(StopIteration):
        iterator = iter(DataLoader(Faulty(stop, at=0), num_workers=1))
        next(iterator)


@pytest.mark.parametrize(
    ("action", "text"),
    [
        (kill_self, r"is killed by signal: Killed.*exit code -9"),
        (leave, "exit code 3"),
        (leave_politely, "exit code 4"),
    ],
)
def test_a_dead_worker_is_reported_at_once_and_nothing_remains(action, text):
    files = open_files()
    iterator = iter(DataLoader(Faulty(action), batch_size=2, num_workers=2))
    processes = iterator._workers
    start = time.monotonic()
    with pytest.raises(RuntimeError, match=r"DataLoader worker \(pid\(s\) \d+") as caught:
        list(iterator)
    assert time.monotonic() - start < 1
    assert "exited unexpectedly" in str(caught.value)
    caught.match(text)
    assert str(processes[0].pid) in str(caught.value)
    assert all(gone(process) for process in processes)
    del iterator, processes, caught
    assert open_files() <= files + 3


def test_a_worker_killed_from_outside_while_the_loader_waits():
    iterator = iter(DataLoader(Faulty(sleep_long, at=0), batch_size=2, num_workers=2))
    victim, other = iterator._workers
    os.kill(victim.pid, signal.SIGKILL)
    start = time.monotonic()
    with pytest.raises(RuntimeError, match=rf"pid\(s\) {victim.pid}\).*exit code -9"):
        next(iterator)
    assert time.monotonic() - start < 1 and gone(other)


def test_persistent_workers_start_again_after_a_death():
    loader = DataLoader(range(8), batch_size=4, num_workers=1, persistent_workers=True)
    assert len(list(loader)) == 2
    os.kill(iter(loader)._workers[0].pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match="exited unexpectedly"):
        list(loader._iterator)
    assert len(list(loader)) == 2


def test_timeout():
    iterator = iter(DataLoader(Faulty(sleep_long, at=0), num_workers=1, timeout=0.3))
    processes = iterator._workers
    with pytest.raises(RuntimeError, match="DataLoader timed out after 0.3 seconds"):
        next(iterator)
    processes[0].kill()
    assert gone(processes[0])


def test_a_timeout_long_enough_does_nothing():
    assert len(list(DataLoader(range(10), num_workers=1, timeout=30))) == 10


def test_leaving_a_loop_ends_the_workers():
    iterator = iter(DataLoader(range(1000), num_workers=2))
    processes = iterator._workers
    next(iterator)
    del iterator
    gc.collect()
    assert all(gone(process) for process in processes)


def test_a_finished_pass_ends_the_workers():
    iterator = iter(DataLoader(range(10), num_workers=2))
    processes = iterator._workers
    list(iterator)
    assert all(gone(process) for process in processes)
    assert [process.exitcode for process in processes] == [0, 0]
    with pytest.raises(StopIteration):
        next(iterator)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_other_start_methods(method):
    loader = DataLoader(Mixed(4), batch_size=2, num_workers=1, multiprocessing_context=method)
    assert [plain(batch) for batch in loader] == [plain(batch) for batch in DataLoader(Mixed(4), batch_size=2)]


def test_a_nested_loader_with_workers_is_refused():
    class Nested(Dataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            return list(DataLoader(range(2), num_workers=1))

    with pytest.raises(AssertionError, match="daemonic processes are not allowed to have children"):
        list(DataLoader(Nested(), num_workers=1))


def test_large_messages_both_ways():
    order = [list(range(10)) * 40000] * 6
    loader = DataLoader(range(10), batch_sampler=order, num_workers=2, collate_fn=lambda batch: ["text"] * len(batch))
    assert [len(batch) for batch in loader] == [400000] * 6


def test_two_loaders_at_once():
    a = DataLoader(range(20), batch_size=5, num_workers=1)
    b = DataLoader(range(20, 40), batch_size=5, num_workers=1)
    assert [(x[0].item(), y[0].item()) for x, y in zip(a, b)] == [(0, 20), (5, 25), (10, 30), (15, 35)]


def test_indices_may_be_tensors():
    order = engine.tensor([[3, 1], [0, 2]])
    loader = DataLoader(TensorDataset(engine.arange(4)), batch_sampler=order, num_workers=1)
    assert [batch.tolist() for (batch,) in loader] == [[3, 1], [0, 2]]


class Images(Dataset):
    """Samples that a small network makes: convolution, pooling and resampling in the worker, gradients too."""

    def __init__(self):
        self.w = engine.linspace(-1, 1, 36).reshape(2, 2, 3, 3)

    def __len__(self):
        return 3

    def __getitem__(self, index):
        x = (engine.arange(2 * 8 * 9).reshape(1, 2, 8, 9).float() / 40 - index).requires_grad_()
        y = engine.nn.functional.conv2d(x, self.w, padding=1).relu()
        y = engine.nn.functional.max_pool2d(y, 2) + engine.nn.functional.adaptive_avg_pool2d(y, (4, 4))
        y = engine.nn.functional.interpolate(y, size=(7, 9), mode="bilinear")
        y = engine.nn.functional.conv_transpose2d(y, self.w, stride=2)
        y.square().mean().backward()
        return {"y": y.detach(), "grad": x.grad}


def test_networks_run_in_workers():
    data = Images()
    loaded = list(DataLoader(data, batch_size=None, num_workers=1))
    for index, sample in enumerate(loaded):
        for name, here in data[index].items():
            np.testing.assert_allclose(sample[name].numpy(), here.numpy(), rtol=1e-4, atol=1e-4)
