"""Samplers: orders, lengths, seeds, errors."""

import pytest

import engine
from engine.utils.data import (
    BatchSampler,
    DistributedSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)


def seeded(number):
    return engine.Generator().manual_seed(number)


def test_sequential():
    sampler = SequentialSampler(range(4))
    assert list(sampler) == [0, 1, 2, 3] and len(sampler) == 4


def test_random_is_a_permutation_of_ints_that_follows_the_seed():
    sampler = RandomSampler(range(100))
    engine.manual_seed(5)
    first = list(sampler)
    second = list(sampler)
    assert sorted(first) == list(range(100)) and sorted(second) == list(range(100))
    assert first != second and all(type(index) is int for index in first)
    engine.manual_seed(5)
    assert list(sampler) == first
    assert list(RandomSampler(range(100), generator=seeded(1))) == list(RandomSampler(range(100), generator=seeded(1)))


def test_random_with_more_and_fewer_samples_than_data():
    assert len(RandomSampler(range(5), num_samples=12)) == 12
    drawn = list(RandomSampler(range(5), num_samples=12))
    assert sorted(drawn[:5]) == sorted(drawn[5:10]) == list(range(5)) and len(set(drawn[10:])) == 2
    assert len(set(RandomSampler(range(5), num_samples=3))) == 3


def test_random_with_replacement():
    sampler = RandomSampler(range(7), replacement=True, num_samples=5000, generator=seeded(3))
    drawn = list(sampler)
    assert len(drawn) == len(sampler) == 5000 and set(drawn) == set(range(7))
    assert all(600 < drawn.count(value) < 830 for value in range(7))
    with pytest.raises(TypeError, match="replacement should be a boolean"):
        RandomSampler(range(5), replacement=1)
    for bad in (0, -1, 1.5):
        with pytest.raises(ValueError, match="num_samples should be a positive integer"):
            RandomSampler(range(5), num_samples=bad)
    with pytest.raises(ValueError, match="num_samples=0"):
        RandomSampler([])


def test_the_epoch_seed_is_one_draw_from_the_default_generator():
    engine.manual_seed(0)
    list(RandomSampler(range(10)))
    after_small = engine.rand(1).item()
    engine.manual_seed(0)
    list(RandomSampler(range(1000)))
    assert engine.rand(1).item() == after_small


def test_subset_random():
    sampler = SubsetRandomSampler([3, 5, 9], generator=seeded(0))
    assert sorted(sampler) == [3, 5, 9] and len(sampler) == 3


def test_weighted():
    drawn = list(WeightedRandomSampler([0.0, 3.0, 1.0], 4000, generator=seeded(0)))
    assert len(drawn) == 4000 and 0 not in drawn and 2850 < drawn.count(1) < 3150
    once = list(WeightedRandomSampler([1, 1, 1, 1], 4, replacement=False))
    assert sorted(once) == [0, 1, 2, 3]
    for bad in (0, True, 2.0):
        with pytest.raises(ValueError, match="num_samples"):
            WeightedRandomSampler([1.0], bad)
    with pytest.raises(ValueError, match="replacement"):
        WeightedRandomSampler([1.0], 1, replacement=0)
    with pytest.raises(ValueError, match="weights should be a 1d sequence"):
        WeightedRandomSampler([[1.0], [2.0]], 1)


def test_batches():
    assert list(BatchSampler(range(7), 3, False)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(BatchSampler(range(7), 3, True)) == [[0, 1, 2], [3, 4, 5]]
    assert len(BatchSampler(range(7), 3, False)) == 3 and len(BatchSampler(range(7), 3, True)) == 2
    assert len(BatchSampler(range(6), 3, False)) == 2
    for bad in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match="batch_size should be a positive integer"):
            BatchSampler(range(7), bad, False)
    with pytest.raises(ValueError, match="drop_last should be a boolean"):
        BatchSampler(range(7), 3, 1)


def test_base_sampler_has_no_length_and_no_order():
    with pytest.raises(NotImplementedError):
        iter(Sampler())
    with pytest.raises(TypeError):
        len(Sampler())


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("size", [1, 10, 12])
def test_distributed_parts_cover_the_data(size, shuffle, drop_last):
    parts = [DistributedSampler(range(size), 4, rank, shuffle=shuffle, drop_last=drop_last) for rank in range(4)]
    lists = [list(part) for part in parts]
    assert [len(part) for part in lists] == [len(part) for part in parts]
    assert len({len(part) for part in lists}) == 1
    seen = [index for part in lists for index in part]
    if drop_last:
        assert len(seen) == size // 4 * 4 and len(set(seen)) == len(seen)
    else:
        assert set(seen) == set(range(size)) and len(seen) == -(-size // 4) * 4


def test_distributed_order_changes_with_the_epoch_only():
    sampler = DistributedSampler(range(50), 2, 0)
    first = list(sampler)
    assert list(sampler) == first
    sampler.set_epoch(1)
    assert list(sampler) != first
    with pytest.raises(ValueError, match="Invalid rank 2, rank should be in the interval"):
        DistributedSampler(range(5), 2, 2)
