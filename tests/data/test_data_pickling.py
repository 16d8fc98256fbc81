"""What a worker cannot import goes by value, and comes back as the parent's own."""

import abc
import dataclasses
import enum
import functools
import importlib.util
import json
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import typing
from pathlib import Path

import numpy as np
import pytest

import engine
from engine.data.pickling import found_by_name, importable
from engine.utils.data import DataLoader, Dataset

TABLE = [10, 20, 30]


def through_worker(function, count=1, **options):
    """What ``function`` returns for sample 0 in a worker."""

    class Call(Dataset):
        def __len__(self):
            return count

        def __getitem__(self, index):
            return function()

    return list(DataLoader(Call(), batch_size=None, num_workers=1, collate_fn=lambda item: item, **options))[0]


def test_what_is_found_by_name():
    assert found_by_name(json.dumps) and found_by_name(dict) and found_by_name(Dataset) and found_by_name(np.ndarray)
    assert not found_by_name(lambda: 0) and importable("json.decoder") and not importable("__main__")

    class Local:
        pass

    assert not found_by_name(Local)


def test_closures_defaults_globals_and_recursion():
    factor = 3

    def fold(values, start=1, *, extra=0):
        return start + extra if not values else values[0] * factor + fold(values[1:], start, extra=extra)

    fold.note = "kept"
    assert through_worker(lambda: fold([1, 2], extra=5)) == 15
    assert through_worker(lambda: (fold.note, TABLE[1], fold.__name__)) == ("kept", 20, "fold")


def test_shared_cells():
    count = 0

    def up():
        nonlocal count
        count += 1

    def read():
        return count

    def both():
        up()
        up()
        return read()

    assert through_worker(both) == 2 and count == 0


def test_classes_with_super_properties_and_inheritance():
    class Base(abc.ABC):
        made = []

        def __init__(self, value):
            self.value = value
            self.made.append(value)

        @abc.abstractmethod
        def double(self): ...

        @property
        def text(self):
            return f"<{self.value}>"

        @classmethod
        def of(cls, value):
            return cls(value)

        @staticmethod
        def one():
            return 1

        @functools.cached_property
        def cached(self):
            return self.value + 100

    class Child(Base):
        __slots__ = ("extra",)

        def __init__(self, value):
            super().__init__(value + 1)
            self.extra = 9

        def double(self):
            return 2 * self.value

    def use():
        child = Child.of(1)
        return child.double(), child.text, Child.one(), child.cached, child.extra, isinstance(child, Base), Base.made

    assert through_worker(use) == (4, "<2>", 1, 102, 9, True, [2])
    made = through_worker(lambda: Child(5))
    assert type(made) is Child and made.value == 6 and made.extra == 9


def test_special_classes():
    @dataclasses.dataclass
    class Record:
        x: int
        tags: list = dataclasses.field(default_factory=list)

    class Color(enum.Enum):
        RED = 1
        BLUE = 2

        def other(self):
            return Color.BLUE if self is Color.RED else Color.RED

    class Flags(enum.IntFlag):
        A = 1
        B = 2

    class Pair(typing.NamedTuple):
        a: int
        b: str = "b"

    def use():
        record = Record(1)
        return dataclasses.asdict(record), Color.RED.other(), Flags.A | Flags.B, Pair(1), record == Record(1)

    as_dict, color, flags, pair, equal = through_worker(use)
    assert as_dict == {"x": 1, "tags": []} and color is Color.BLUE and flags == 3 and equal
    assert type(pair) is Pair and pair == (1, "b")
    assert type(through_worker(lambda: Record(3))) is Record

    T = typing.TypeVar("T")

    class Box(Dataset, typing.Generic[T]):
        def get(self) -> T:
            return 5

    assert through_worker(lambda: Box[int]().get()) == 5


def test_wrapped_functions():
    @functools.lru_cache(maxsize=2)
    def cached(value):
        return value + 1

    add = functools.partial(lambda a, b: a + b, 1)
    assert through_worker(lambda: (cached(1), add(2), cached.cache_info().hits)) == (2, 3, 0)


def test_local_exception_types_keep_their_identity():
    class LocalError(Exception):
        pass

    def fail():
        raise LocalError("here")

    with pytest.raises(LocalError, match="here"):
        through_worker(fail)


def test_tensors_and_modules_in_closures():
    weights, half, values = engine.arange(4.0), engine.ones(2, dtype=engine.bfloat16), np.arange(3)

    def use():
        values[0] = 7  # its own copy
        return (weights * 2).tolist(), half.dtype == engine.bfloat16, half.float().tolist(), values.tolist()

    assert through_worker(use) == ([0, 2, 4, 6], True, [1, 1], [7, 1, 2])
    assert values.tolist() == [0, 1, 2]


def test_modules_loaded_from_a_file_outside_the_path(tmp_path):
    file = tmp_path / "loaded_by_hand.py"
    file.write_text(
        "SCALE = 4\nclass Thing:\n    def value(self):\n        return SCALE\ndef make():\n    return Thing()\n"
    )
    spec = importlib.util.spec_from_file_location("loaded_by_hand", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules["loaded_by_hand"] = module
    try:
        spec.loader.exec_module(module)
        make = module.make
        assert through_worker(lambda: make().value()) == 4
        assert type(through_worker(make)) is module.Thing
    finally:
        del sys.modules["loaded_by_hand"]


def test_what_cannot_be_sent_is_named():
    class Holder(Dataset):
        def __init__(self):
            self.fine = 1
            self.lock = threading.Lock()

        def __len__(self):
            return 1

        def __getitem__(self, index):
            return index

    assert engine.ones(2).sum().item() == 2  # a device is in use: no way to fork
    with pytest.raises(pickle.PicklingError, match=r"cannot send dataset \(attribute lock\).*worker_init_fn"):
        list(DataLoader(Holder(), num_workers=1))
    generator = (item for item in [1])
    with pytest.raises(pickle.PicklingError, match="cannot send collate_fn"):
        list(DataLoader(range(2), num_workers=1, collate_fn=lambda batch: next(generator)))


def test_a_changed_module_is_imported_again(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "changing_module.py"
    for version in (1, 2):
        file.write_text(f"{'#' * version}\ndef value():\n    return {version}\n")
        sys.modules.pop("changing_module", None)
        importlib.invalidate_caches()
        value = importlib.import_module("changing_module").value
        assert through_worker(value) == version
    sys.modules.pop("changing_module", None)


def test_a_script_without_a_main_guard(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys
            import engine
            from engine.utils.data import DataLoader, Dataset
            print("started")
            OFFSET = 100
            class Batch:
                def __init__(self, samples):
                    self.value = sum(samples) + OFFSET
            class Data(Dataset):
                def __init__(self, change):
                    self.change = change
                def __len__(self):
                    return 4
                def __getitem__(self, index):
                    return self.change(index)
            loader = DataLoader(Data(lambda x: 2 * x), batch_size=2, num_workers=2, collate_fn=Batch)
            for epoch in range(2):
                for batch in loader:
                    print(type(batch) is Batch, batch.value)
            """
        )
    )
    environ = {**os.environ, "PYTHONPATH": str(Path(engine.__file__).parents[1])}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, env=environ)
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.split("\n") == ["started", "True 102", "True 110", "True 102", "True 110", ""]
