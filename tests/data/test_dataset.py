"""Datasets and random_split."""

import pytest

import engine
from engine.utils.data import (
    ChainDataset,
    ConcatDataset,
    DataChunk,
    DataLoader,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)


class Squares(Dataset):
    def __init__(self, size):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        if not -self.size <= index < self.size:
            raise IndexError(index)
        return index * index


class Batched(Squares):
    asked = None

    def __getitems__(self, indices):
        self.asked = list(indices)
        return [index * index for index in indices]


class Stream(IterableDataset):
    def __init__(self, *items):
        self.items = items

    def __iter__(self):
        return iter(self.items)

    def __len__(self):
        return len(self.items)


def test_tensor_dataset_gives_rows_and_checks_sizes():
    dataset = TensorDataset(engine.arange(6).reshape(3, 2), engine.arange(3))
    assert len(dataset) == 3
    x, y = dataset[1]
    assert x.tolist() == [2, 3] and y.item() == 1
    assert dataset[-1][1].item() == 2
    with pytest.raises(AssertionError, match="Size mismatch between tensors"):
        TensorDataset(engine.zeros(3), engine.zeros(4))


def test_concat_finds_the_member_and_counts_from_the_end():
    joined = Squares(3) + Squares(2)
    assert isinstance(joined, ConcatDataset)
    assert joined.cumulative_sizes == [3, 5]
    assert [joined[i] for i in range(5)] == [0, 1, 4, 0, 1]
    assert joined[-1] == 1 and joined[-5] == 0
    with pytest.raises(ValueError, match="absolute value of index should not exceed dataset length"):
        joined[-6]
    with pytest.raises(IndexError):
        joined[5]
    with pytest.raises(AssertionError, match="empty iterable"):
        ConcatDataset([])
    with pytest.raises(AssertionError, match="does not support IterableDataset"):
        ConcatDataset([Stream(1)])
    with pytest.warns(FutureWarning, match="cumulative_sizes"):
        assert joined.cummulative_sizes == [3, 5]


def test_chain_runs_one_stream_after_the_other():
    chained = Stream(1, 2) + Stream(3)
    assert isinstance(chained, ChainDataset)
    assert list(chained) == [1, 2, 3] and len(chained) == 3
    with pytest.raises(AssertionError, match="only supports IterableDataset"):
        list(ChainDataset([Squares(2)]))


def test_stack_as_tuple_and_as_dict():
    pair = StackDataset(Squares(3), Batched(3))
    assert pair[2] == (4, 4) and len(pair) == 3
    assert pair.__getitems__([0, 2]) == [(0, 0), (4, 4)]
    named = StackDataset(a=Squares(3), b=Batched(3))
    assert named[1] == {"a": 1, "b": 1}
    assert named.__getitems__([1, 2]) == [{"a": 1, "b": 1}, {"a": 4, "b": 4}]
    assert named.datasets["b"].asked == [1, 2]
    with pytest.raises(ValueError, match="Size mismatch between datasets"):
        StackDataset(Squares(3), Squares(4))
    with pytest.raises(ValueError, match="both"):
        StackDataset(Squares(3), b=Squares(3))
    with pytest.raises(ValueError, match="At least one dataset"):
        StackDataset()

    class Short(Squares):
        def __getitems__(self, indices):
            return [0]

    with pytest.raises(ValueError, match="output size mismatch. Expected 2, got 1"):
        StackDataset(Short(3)).__getitems__([0, 1])


def test_subset_passes_batches_on():
    subset = Subset(Batched(10), [9, 8, 7])
    assert subset[1] == 64 and len(subset) == 3
    assert subset.__getitems__([0, 2]) == [81, 49]
    assert subset.dataset.asked == [9, 7]
    assert Subset(Squares(10), [9, 8]).__getitems__([1]) == [64]

    class Half(Subset):
        def __getitem__(self, index):
            return 0

    with pytest.raises(NotImplementedError, match="__getitems__"):
        Half(Squares(3), [0])


def test_random_split_lengths_fractions_and_generator():
    parts = random_split(range(10), [3, 7], generator=engine.Generator().manual_seed(1))
    assert [len(part) for part in parts] == [3, 7]
    assert sorted(i for part in parts for i in part.indices) == list(range(10))
    again = random_split(range(10), [3, 7], generator=engine.Generator().manual_seed(1))
    assert [part.indices for part in again] == [part.indices for part in parts]
    other = random_split(range(10), [3, 7], generator=engine.Generator().manual_seed(2))
    assert [part.indices for part in other] != [part.indices for part in parts]
    assert [len(part) for part in random_split(range(11), [0.3, 0.3, 0.4])] == [4, 3, 4]
    assert all(type(index) is int for index in parts[0].indices)
    with pytest.raises(ValueError, match="Sum of input lengths"):
        random_split(range(10), [3, 3])
    with pytest.raises(ValueError, match="Fraction at index 0 is not between 0 and 1"):
        random_split(range(10), [1.5, -0.5])
    with pytest.warns(UserWarning, match="Length of split at index 1 is 0"):
        random_split(range(1), [0.5, 0.5])


def test_manual_seed_fixes_a_split():
    engine.manual_seed(3)
    first = random_split(range(20), [10, 10])[0].indices
    engine.manual_seed(3)
    assert random_split(range(20), [10, 10])[0].indices == first
    assert random_split(range(20), [10, 10])[0].indices != first


def test_base_class_and_chunk():
    with pytest.raises(NotImplementedError):
        Dataset()[0]
    assert Dataset[int] is not None
    chunk = DataChunk(range(3))
    assert list(chunk) == [0, 1, 2] and chunk.items == [0, 1, 2] and chunk.as_str("> ") == "> [0, 1, 2]"
    assert list(chunk.raw_iterator()) == [0, 1, 2]


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 1, 1, 0], [-1, 0, -4, 2]])
def test_gathered_batches_equal_collated_samples(order):
    dataset = TensorDataset(engine.arange(8).reshape(4, 2), engine.tensor([0.5, 1.5, 2.5, 3.5]))

    class Plain(TensorDataset):
        def __getitem__(self, index):
            return super().__getitem__(index)

    for wrap in (lambda d: d, lambda d: Subset(d, [0, 1, 2, 3]), lambda d: Subset(Subset(d, range(4)), range(4))):
        (fast,) = DataLoader(wrap(dataset), batch_sampler=[order])
        (slow,) = DataLoader(wrap(Plain(*dataset.tensors)), batch_sampler=[order])
        assert type(fast) is list
        for a, b in zip(fast, slow):
            assert a.tolist() == b.tolist() and a.dtype == b.dtype and a.stride() == b.stride()


def test_a_batch_of_rows_in_order_is_a_copy():
    data = engine.zeros(4)
    (batch,) = next(iter(DataLoader(TensorDataset(data), batch_size=2)))
    batch += 1
    assert data.tolist() == [0, 0, 0, 0]


def test_index_out_of_range_is_an_index_error():
    with pytest.raises(IndexError):
        list(DataLoader(TensorDataset(engine.zeros(4)), batch_sampler=[[0, 4]]))


def test_a_subclass_that_changes_samples_is_not_bypassed():
    class Doubled(TensorDataset):
        def __getitem__(self, index):
            return tuple(2 * item for item in super().__getitem__(index))

    (batch,) = next(iter(DataLoader(Doubled(engine.arange(4)), batch_size=4)))
    assert batch.tolist() == [0, 2, 4, 6]
