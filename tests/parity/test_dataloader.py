"""The loader against torch's: same batches, lengths, warnings and error types."""

import inspect
import warnings
from collections import OrderedDict, namedtuple

import numpy as np
import pytest

import engine
import engine.utils.data as ours

torch = pytest.importorskip("torch")
theirs = torch.utils.data

Point = namedtuple("Point", ["x", "y"])


def plain(value):
    """Tensors as (dtype, values), containers as they are."""
    if isinstance(value, (engine.Tensor, torch.Tensor, np.ndarray)):
        return str(value.dtype).rpartition(".")[2], value.tolist()
    if isinstance(value, dict):
        return type(value), {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value), [plain(item) for item in value]
    return value


def outcome(function):
    """The plain result, or the type of what was raised."""
    try:
        return plain(function())
    except Exception as error:
        return type(error)


BATCHES = {
    "ints": lambda lib: [1, 2],
    "floats": lambda lib: [1.0, 2.5],
    "bools": lambda lib: [True, False],
    "mixed numbers": lambda lib: [1.0, 2],
    "int first": lambda lib: [1, 2.5],
    "text": lambda lib: ["a", "bc"],
    "bytes": lambda lib: [b"a", b"bc"],
    "none": lambda lib: [None, None],
    "object": lambda lib: [object(), object()],
    "float32 scalars": lambda lib: [np.float32(1), np.float32(2)],
    "float64 scalars": lambda lib: [np.float64(1), np.float64(2)],
    "uint8 scalars": lambda lib: [np.uint8(1), np.uint8(2)],
    "numpy bools": lambda lib: [np.bool_(True), np.bool_(False)],
    "numpy text": lambda lib: [np.str_("a"), np.str_("b")],
    "arrays": lambda lib: [np.arange(3), np.arange(3)],
    "half arrays": lambda lib: [np.ones(2, np.float16)] * 2,
    "0-d arrays": lambda lib: [np.array(1.5), np.array(2.5)],
    "arrays of mixed dtypes": lambda lib: [np.ones(2, np.float32), np.ones(2, np.float64)],
    "text arrays": lambda lib: [np.array(["a"])] * 2,
    "object arrays": lambda lib: [np.array([None])] * 2,
    "uneven arrays": lambda lib: [np.ones(2), np.ones(3)],
    "empty arrays": lambda lib: [np.ones((0, 2))] * 2,
    "tensors": lambda lib: [lib.ones(2), lib.zeros(2)],
    "0-d tensors": lambda lib: [lib.tensor(1), lib.tensor(2)],
    "uneven tensors": lambda lib: [lib.ones(2), lib.ones(3)],
    "tuples": lambda lib: [(1, "a"), (2, "b")],
    "lists": lambda lib: [[1, lib.ones(1)], [2, lib.zeros(1)]],
    "uneven lists": lambda lib: [[1, 2], [1]],
    "ranges": lambda lib: [range(2), range(2)],
    "named tuples": lambda lib: [Point(1, (2.0,)), Point(3, (4.0,))],
    "dicts": lambda lib: [{"a": 1, "b": [2]}, {"a": 3, "b": [4]}],
    "ordered": lambda lib: [OrderedDict(b=1, a=2), OrderedDict(b=3, a=4)],
    "missing key": lambda lib: [{"a": 1}, {"b": 1}],
    "sets": lambda lib: [{1}, {2}],
    "empty batch": lambda lib: [],
    "complex": lambda lib: [1j, 2j],
}


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("function", ["default_collate", "default_convert"])
def test_collate_and_convert(name, function):
    mine = outcome(lambda: getattr(ours, function)(BATCHES[name](engine)))
    if name == "object" and function == "default_convert":
        assert mine[0] is list
        return
    assert mine == outcome(lambda: getattr(theirs, function)(BATCHES[name](torch)))


class Rows:
    def __init__(self, size=11):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        return {"x": np.full(2, index, np.float32), "y": index, "name": str(index)}


OPTIONS = [
    {},
    {"batch_size": 4},
    {"batch_size": 4, "drop_last": True},
    {"batch_size": None},
    {"sampler": [5, 2, 2], "batch_size": 2},
    {"batch_sampler": [[0, 3], [1]]},
    {"batch_size": 3, "collate_fn": list},
    {"batch_size": 4, "num_workers": 1},
    {"batch_size": None, "num_workers": 1},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_epochs(options):
    mine, reference = ours.DataLoader(Rows(), **options), theirs.DataLoader(Rows(), **options)
    assert len(mine) == len(reference)
    assert [plain(batch) for batch in mine] == [plain(batch) for batch in reference]
    for name in ("batch_size", "drop_last", "num_workers", "prefetch_factor", "timeout", "persistent_workers"):
        assert getattr(mine, name) == getattr(reference, name)


BAD_OPTIONS = [
    {"num_workers": -1},
    {"timeout": -1},
    {"prefetch_factor": 1},
    {"num_workers": 1, "prefetch_factor": -1},
    {"persistent_workers": True},
    {"sampler": [0], "shuffle": True},
    {"batch_sampler": [[0]], "batch_size": 2},
    {"batch_sampler": [[0]], "shuffle": True},
    {"batch_size": None, "drop_last": True},
    {"batch_size": 0},
    {"batch_size": 1.5},
    {"batch_size": True},
    {"drop_last": 1},
    {"multiprocessing_context": "fork"},
    {"num_workers": 1, "multiprocessing_context": "nothing"},
    {"num_workers": 1, "multiprocessing_context": 1},
    {"timeout": 1},
]


@pytest.mark.parametrize("options", BAD_OPTIONS, ids=str)
def test_bad_options_raise_the_same_type(options):
    def raised(lib):
        with pytest.raises(Exception) as caught:
            iter(lib.DataLoader(Rows(), **options))
        return caught.type

    assert raised(ours) is raised(theirs)


def streams(lib):
    class Stream(lib.IterableDataset):
        def __iter__(self):
            return iter(range(5))

        def __len__(self):
            return 3

    return Stream()


@pytest.mark.parametrize("options", [{"batch_size": 2}, {"batch_size": 2, "drop_last": True}, {"batch_size": None}])
def test_streams(options):
    def run(lib):
        loader = lib.DataLoader(streams(lib), **options)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            length, batches = len(loader), [plain(batch) for batch in loader]
        return length, batches, len(caught)

    assert run(ours) == run(theirs)


def test_splits_have_the_same_lengths():
    for size, lengths in ((10, [3, 7]), (11, [0.3, 0.3, 0.4]), (7, [0.5, 0.5]), (3, [0.2] * 5), (5, [1.0])):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mine, reference = ours.random_split(range(size), lengths), theirs.random_split(range(size), lengths)
        assert [len(part) for part in mine] == [len(part) for part in reference]


@pytest.mark.parametrize("drop_last", [False, True])
def test_distributed_without_shuffle(drop_last):
    for size in (1, 5, 8, 13):
        for rank in range(4):
            arguments = (range(size), 4, rank, False, 0, drop_last)
            mine, reference = ours.DistributedSampler(*arguments), theirs.DistributedSampler(*arguments)
            assert list(mine) == list(reference) and len(mine) == len(reference)


@pytest.mark.parametrize(
    "name",
    ["DataLoader", "RandomSampler", "WeightedRandomSampler", "BatchSampler", "SubsetRandomSampler", "random_split",
     "DistributedSampler", "Subset", "default_collate", "SequentialSampler", "ConcatDataset", "ChainDataset"],
)  # fmt: skip
def test_parameters(name):
    def parameters(lib):
        return [
            (p.name, p.kind, p.default if isinstance(p.default, (int, str, type(None))) else "object")
            for p in inspect.signature(getattr(lib, name)).parameters.values()
            if not (name == "random_split" and p.name == "generator")
        ]

    assert parameters(ours) == parameters(theirs)


def test_names():
    names = [
        "utils.data", "utils.data.dataset", "utils.data.dataloader", "utils.data.sampler", "utils.data.distributed",
        "utils.data._utils.collate", "utils.data._utils.worker", "utils.data._utils.fetch",
        "utils.data._utils.pin_memory",
    ]  # fmt: skip
    for name in names:
        mine, reference = engine, torch
        for part in name.split("."):
            mine, reference = getattr(mine, part), getattr(reference, part)
        wanted = [
            item
            for item in getattr(reference, "__all__", [])
            if not any(part in item for part in ("DataPipe", "datapipe", "validation", "non_deterministic"))
        ]
        assert [item for item in wanted if not hasattr(mine, item)] == []
    worker_fields = list(inspect.signature(theirs._utils.worker.WorkerInfo).parameters)
    assert list(inspect.signature(ours._utils.worker.WorkerInfo).parameters) == worker_fields
