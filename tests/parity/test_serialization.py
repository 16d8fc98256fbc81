"""Files exchanged with torch, both ways; torch runs in a process of its own, which never sees this library."""

import importlib.util
import io
import json
import pathlib
import pickletools
import subprocess
import sys
import zipfile

import exchange
import pytest

import engine

pytestmark = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs torch")

FILES = [
    (case, name) for case in exchange.CASES for name in exchange.FORMATS if (case, name) != ("wide_unsigned", "legacy")
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with this library's files, torch's files, and what torch made of ours."""
    folder = tmp_path_factory.mktemp("exchange")
    for case, name in FILES:
        path = folder / f"engine_{case}_{name}.pt"
        engine.save(exchange.CASES[case](engine), path, _use_new_zipfile_serialization=exchange.FORMATS[name])
    engine.save(exchange.module_file(engine), folder / "engine_modules.pt")
    subprocess.run([sys.executable, exchange.__file__, str(folder)], check=True, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def found(folder):
    """By case: the description of what torch makes itself, and of what it read from our file."""
    return json.loads((folder / "found.json").read_text())


def as_json(value):
    return json.loads(json.dumps(value))


@pytest.mark.parametrize(("case", "name"), FILES)
def test_torch_reads_our_files(found, case, name):
    own, read = found[f"{case}_{name}"]
    assert read == own
    assert as_json(exchange.describe(exchange.CASES[case](engine))) == own


@pytest.mark.parametrize("case", exchange.CASES)
def test_torch_maps_our_files(found, case):
    own, read = found[f"{case}_mmap"]
    assert read == own


@pytest.mark.parametrize("weights_only", [True, False])
@pytest.mark.parametrize(("case", "name"), FILES)
def test_we_read_torchs_files(folder, found, case, name, weights_only):
    read = engine.load(folder / f"torch_{case}_{name}.pt", weights_only=weights_only)
    assert as_json(exchange.describe(read)) == found[f"{case}_{name}"][0]
    if case == "state":
        assert read["twice"][0] is read["twice"][1] is read["model"]["0.weight"]


@pytest.mark.parametrize("case", exchange.CASES)
def test_we_map_torchs_files(folder, found, case):
    read = engine.load(folder / f"torch_{case}_zip.pt", mmap=True)
    assert as_json(exchange.describe(read)) == found[f"{case}_zip"][0]


@pytest.mark.parametrize("name", exchange.FORMATS)
def test_shared_storages(folder, found, name):
    own, read = found[f"sharing_{name}"]
    assert read == own
    assert exchange.sharing(engine.load(folder / f"torch_tensors_{name}.pt")) == own


def test_whole_modules(folder, found):
    own, read = found["modules"]
    assert read == own
    loaded = engine.load(folder / "torch_modules.pt", weights_only=False)
    assert as_json(exchange.describe_modules(loaded, engine)) == own
    assert type(loaded["net"]) is engine.nn.Sequential


def test_same_records_and_pickle(folder):
    """Layout, alignment and pickles are torch's own, opcode for opcode."""
    ours, theirs = (folder / f"{who}_wide_unsigned_zip.pt" for who in ("engine", "torch"))
    with zipfile.ZipFile(ours) as a, zipfile.ZipFile(theirs) as b:
        rename = {f"torch_{n}": f"engine_{n}" for n in ["wide_unsigned_zip"]}
        names = [i.filename.replace(*next(iter(rename.items()))) for i in b.infolist()]
        assert [i.filename for i in a.infolist()] == names
        for record in ("data.pkl", ".format_version", ".storage_alignment", "byteorder", "version", "data/0", "data/2"):
            assert a.read(f"engine_wide_unsigned_zip/{record}") == b.read(f"torch_wide_unsigned_zip/{record}"), record
        pickled = a.read("engine_wide_unsigned_zip/data.pkl")
    text = io.StringIO()
    pickletools.dis(pickled, text)
    assert "engine" not in text.getvalue()


def test_names_in_files_exist_in_torch(folder):
    """No class of this library is named in a file by our own name, whole modules included."""
    for path in pathlib.Path(folder).glob("engine_*_zip.pt"):
        with zipfile.ZipFile(path) as archive:
            assert b"cengine." not in archive.read(f"{path.stem}/data.pkl")
    with zipfile.ZipFile(folder / "engine_modules.pt") as archive:
        assert b"cengine" not in archive.read("engine_modules/data.pkl")
