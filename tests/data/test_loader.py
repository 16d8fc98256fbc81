"""DataLoader without workers: batching, order, options and their errors."""

import pickle

import numpy as np
import pytest

import engine
from engine.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    TensorDataset,
    get_worker_info,
)


class Numbers(Dataset):
    def __init__(self, size=10):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        return np.float32(index)


class Stream(IterableDataset):
    def __init__(self, size=10, said=None):
        self.size = size
        self.said = size if said is None else said

    def __iter__(self):
        return iter(range(self.size))

    def __len__(self):
        return self.said


def lists(loader):
    return [batch.tolist() for batch in loader]


def test_batches_in_order():
    loader = DataLoader(Numbers(), batch_size=4)
    assert lists(loader) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]] and len(loader) == 3
    assert lists(DataLoader(Numbers(), batch_size=4, drop_last=True)) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert len(DataLoader(Numbers(), batch_size=4, drop_last=True)) == 2
    assert lists(DataLoader(Numbers(2))) == [[0], [1]]


def test_the_tutorials_loader():
    data = engine.arange(1, 40)
    loader = DataLoader(TensorDataset(data), batch_size=10, shuffle=True, num_workers=0, drop_last=True)
    batches = [batch for (batch,) in loader]
    assert [tuple(batch.shape) for batch in batches] == [(10,)] * 3 and len(loader) == 3
    values = [value for batch in batches for value in batch.tolist()]
    assert len(set(values)) == 30 and set(values) <= set(range(1, 40))


def test_shuffle_follows_the_seed_and_changes_by_epoch():
    loader = DataLoader(Numbers(50), batch_size=50, shuffle=True)
    engine.manual_seed(1)
    first, second = lists(loader), lists(loader)
    assert sorted(first[0]) == list(range(50)) and first != second
    engine.manual_seed(1)
    assert lists(loader) == first

    def with_generator():
        return DataLoader(Numbers(50), shuffle=True, generator=engine.Generator().manual_seed(7))

    assert lists(with_generator()) == lists(with_generator())
    assert isinstance(loader.sampler, RandomSampler)


def test_a_generator_argument_leaves_the_default_one_alone():
    engine.manual_seed(0)
    expected = engine.rand(1).item()
    engine.manual_seed(0)
    list(DataLoader(Numbers(), shuffle=True, generator=engine.Generator()))
    assert engine.rand(1).item() == expected


def test_every_epoch_draws_one_seed_from_the_default_generator():
    engine.manual_seed(0)
    list(DataLoader(Numbers(10)))
    after = engine.rand(1).item()
    engine.manual_seed(0)
    list(DataLoader(Numbers(1000), batch_size=3))
    assert engine.rand(1).item() == after


def test_samplers():
    assert isinstance(DataLoader(Numbers()).sampler, SequentialSampler)
    assert isinstance(DataLoader(Numbers()).batch_sampler, BatchSampler)
    assert lists(DataLoader(Numbers(), sampler=[3, 1], batch_size=2)) == [[3, 1]]
    assert lists(DataLoader(Numbers(), batch_sampler=[[3], [1, 2]])) == [[3], [1, 2]]
    loader = DataLoader(Numbers(), batch_sampler=[[3], [1, 2]])
    assert loader.batch_size is None and loader.drop_last is False and len(loader) == 2
    assert sorted(lists(DataLoader(Numbers(), sampler=SubsetRandomSampler([2, 4])))) == [[2], [4]]


def test_without_batching():
    out = list(DataLoader(Numbers(3), batch_size=None))
    assert [item.tolist() for item in out] == [0, 1, 2] and all(isinstance(item, engine.Tensor) for item in out)
    assert list(DataLoader(range(3), batch_size=None)) == [0, 1, 2]
    data = np.arange(6)
    out = list(DataLoader(data, batch_size=None, sampler=BatchSampler(range(6), 4, False)))
    assert [item.tolist() for item in out] == [[0, 1, 2, 3], [4, 5]]
    assert DataLoader(Numbers(3), batch_size=None).batch_sampler is None
    assert len(DataLoader(Numbers(3), batch_size=None)) == 3


def test_collate_fn():
    assert list(DataLoader(range(5), batch_size=2, collate_fn=tuple)) == [(0, 1), (2, 3), (4,)]
    assert list(DataLoader({"a": 1, "b": 2}, sampler=["b", "a"], batch_size=2, collate_fn=list)) == [[2, 1]]


def test_getitems_is_used():
    class Batched(Numbers):
        def __getitems__(self, indices):
            return [100 + index for index in indices]

    assert lists(DataLoader(Batched(3), batch_size=3)) == [[100, 101, 102]]


def test_streams():
    assert lists(DataLoader(Stream(), batch_size=4)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert lists(DataLoader(Stream(), batch_size=4, drop_last=True)) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert list(DataLoader(Stream(3), batch_size=None)) == [0, 1, 2]
    assert len(DataLoader(Stream(), batch_size=4)) == 3 and len(DataLoader(Stream(), batch_size=None)) == 10
    assert len(DataLoader(Stream(), batch_size=4, drop_last=True)) == 2
    assert lists(DataLoader(Stream(4), batch_size=2, shuffle=False)) == [[0, 1], [2, 3]]


def test_a_stream_longer_than_it_said_warns():
    loader = DataLoader(Stream(3, said=2), batch_size=None)
    assert list(loader) == [0, 1, 2]
    assert len(loader) == 2
    with pytest.warns(UserWarning, match="was reported to be 2.*but 3 samples have been fetched"):
        list(loader)


@pytest.mark.parametrize("name", ["shuffle", "sampler", "batch_sampler"])
def test_streams_have_no_order(name):
    value = {"shuffle": True, "sampler": [0], "batch_sampler": [[0]]}[name]
    with pytest.raises(ValueError, match=f"expected unspecified {name} option"):
        DataLoader(Stream(), **{name: value})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_workers": -1}, "num_workers option should be non-negative"),
        ({"timeout": -1}, "timeout option should be non-negative"),
        ({"prefetch_factor": 2}, "prefetch_factor option could only be specified in multiprocessing"),
        ({"num_workers": 1, "prefetch_factor": -1}, "prefetch_factor option should be non-negative"),
        ({"persistent_workers": True}, "persistent_workers option needs num_workers > 0"),
        ({"sampler": [0], "shuffle": True}, "sampler option is mutually exclusive with shuffle"),
        ({"batch_sampler": [[0]], "batch_size": 2}, "batch_sampler option is mutually exclusive"),
        ({"batch_sampler": [[0]], "shuffle": True}, "batch_sampler option is mutually exclusive"),
        ({"batch_sampler": [[0]], "sampler": [0]}, "batch_sampler option is mutually exclusive"),
        ({"batch_sampler": [[0]], "drop_last": True}, "batch_sampler option is mutually exclusive"),
        ({"batch_size": None, "drop_last": True}, "batch_size=None option disables auto-batching"),
        ({"batch_size": 0}, "batch_size should be a positive integer"),
        ({"multiprocessing_context": "spawn"}, "can only be used with multi-process loading"),
        ({"num_workers": 1, "multiprocessing_context": "teleport"}, "should specify a valid start method"),
    ],
)
def test_options_that_exclude_each_other(options, message):
    with pytest.raises(ValueError, match=message):
        DataLoader(Numbers(), **options)


def test_other_errors():
    with pytest.raises(TypeError, match="valid context object or a string"):
        DataLoader(Numbers(), num_workers=1, multiprocessing_context=3)
    with pytest.raises(AssertionError):
        iter(DataLoader(Numbers(), timeout=1))
    with pytest.raises(TypeError):
        DataLoader(Numbers(), 1, False, None, None, 0, None, False, False, 0, None, None, None, 2)
    with pytest.raises(NotImplementedError, match="cannot be pickled"):
        pickle.dumps(iter(DataLoader(Numbers())))


@pytest.mark.parametrize(
    "name", ["batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers"]
)
def test_fixed_attributes(name):
    loader = DataLoader(Numbers())
    with pytest.raises(ValueError, match=f"{name} attribute should not be set after DataLoader is initialized"):
        setattr(loader, name, None)
    loader.collate_fn = list
    loader.num_workers = 0


def test_attributes():
    loader = DataLoader(Numbers(), 3)
    assert (loader.batch_size, loader.num_workers, loader.prefetch_factor, loader.timeout) == (3, 0, None, 0)
    assert loader.pin_memory is False and loader.in_order is True and loader.generator is None
    assert DataLoader(Numbers(), num_workers=1).prefetch_factor == 2
    assert DataLoader[int] is not None


def test_pin_memory_without_an_accelerator_warns_and_works():
    if engine.cuda.is_available():
        pytest.skip("there is an accelerator")
    with pytest.warns(UserWarning, match="no accelerator is found"):
        assert len(list(DataLoader(Numbers(4), pin_memory=True))) == 4


def test_more_workers_than_processors_warn():
    with pytest.warns(UserWarning, match="This DataLoader will create 999 worker processes in total"):
        DataLoader(Numbers(), num_workers=999)


def test_an_exception_passes_and_the_main_process_is_no_worker():
    class Broken(Numbers):
        def __getitem__(self, index):
            assert get_worker_info() is None
            raise KeyError("missing")

    with pytest.raises(KeyError, match="missing"):
        list(DataLoader(Broken()))


def test_two_iterators_are_independent():
    loader = DataLoader(Numbers(4), batch_size=2)
    a, b = iter(loader), iter(loader)
    assert next(a).tolist() == [0, 1] and next(b).tolist() == [0, 1] and next(a).tolist() == [2, 3]
    with pytest.raises(StopIteration):
        next(a)
    assert len(a) == 2
