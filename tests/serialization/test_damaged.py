"""Damaged and hostile files: one clear error each, nothing run, nothing huge allocated."""

import io
import pickle
import random
import struct
import zipfile

import pytest

import engine

CLEAR = (pickle.UnpicklingError, RuntimeError, EOFError)


def saved(new=True):
    stream = io.BytesIO()
    base = engine.tensor([[1.0, 2.0], [3.0, 4.0]])
    value = {"a": base, "row": base[1], "p": engine.nn.Parameter(engine.tensor([1.0])), "n": [1, 2.5, "x", None, (1,)]}
    engine.save(value, stream, _use_new_zipfile_serialization=new)
    return stream.getvalue()


def with_records(**changes):
    """The saved archive with other contents of some records (None: left out)."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved())) as source, zipfile.ZipFile(stream, "w") as target:
        for name in source.namelist():
            key = name.partition("/")[2].replace("/", "_").replace(".", "_")
            content = changes.get(key, source.read(name))
            if content is not None:
                target.writestr(name, content)
    return stream.getvalue()


def load(data, **kwargs):
    return engine.load(io.BytesIO(data), **kwargs)


def storage(count=b"K\x04", kind=b"ctorch\nFloatStorage\n", key=b"X\x01\x00\x00\x000"):
    return b"(X\x07\x00\x00\x00storage" + kind + key + b"X\x03\x00\x00\x00cpu" + count + b"tQ"


def tensor(size=b"K\x02K\x02\x86", stride=b"K\x02K\x01\x86", offset=b"K\x00", **kwargs):
    args = storage(**kwargs) + offset + size + stride + b"\x89ccollections\nOrderedDict\n)R"
    return b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + args + b"tR."


def test_hand_written_pickle_is_valid():
    assert load(with_records(data_pkl=tensor())).detach().tolist() == [[1.0, 2.0], [3.0, 4.0]]


LARGE = b"\x8a\x08" + struct.pack("<q", 2**62)


@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        (tensor(count=LARGE), "does not match expected size"),
        (tensor(count=b"K\x03"), r"record size \(16 bytes\) does not match expected size \(12 bytes"),
        (tensor(count=b"J\xff\xff\xff\xff"), "Malformed persistent id"),
        (tensor(count=b"N"), "Malformed persistent id"),
        (tensor(key=b"X\x01\x00\x00\x009"), "locating file data/9: file not found"),
        (tensor(key=b"X\x0b\x00\x00\x00../data.pkl"), "file not found"),
        (tensor(key=b"]"), "Malformed persistent id"),
        (tensor(kind=b"ctorch\nNoStorage\n"), "torch.NoStorage was not an allowed global"),
        (tensor(kind=b"ctorch\nfloat32\n"), "Malformed persistent id"),
        (tensor(kind=b"ctorch\nDoubleStorage\n"), "does not match expected size"),
        (tensor(offset=b"K\x01"), "out of bounds for storage of size 16"),
        (tensor(offset=b"J\xff\xff\xff\xff"), "must be non-negative"),
        (tensor(offset=b"X\x01\x00\x00\x00a"), "must be non-negative"),
        (tensor(size=LARGE + b"K\x02\x86"), "out of bounds for storage"),
        (tensor(size=b"J\xff\xff\xff\xffK\x02\x86"), "must be non-negative"),
        (tensor(stride=b"J\xff\xff\xff\xffK\x01\x86"), "must be non-negative"),
        (tensor(stride=b"K\x01\x85"), "mismatch in length of strides and shape"),
        (tensor(size=b"N"), "must be non-negative integers"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(K\x01tR.", "damaged pickle"),
        (b"\x80\x02ctorch._utils\n_rebuild_parameter\nK\x01\x88N\x87R.", "expected a tensor"),
        (
            b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\n(c__builtin__\nset\nctorch\nTensor\n)NtR.",
            "unrecognized function",
        ),
        (b"\x80\x02\xff.", "Unsupported operand 255"),
        (b"", "Ran out of input"),
    ],
)
def test_hostile_pickles(pickled, message):
    with pytest.raises(CLEAR, match=message):
        load(with_records(data_pkl=pickled))


def test_attributes_a_file_may_not_set():
    state = b"}X\x05\x00\x00\x00_specK\x01s"
    inner = tensor()[2:-1]
    function, args = inner[: inner.index(b"(")], inner[inner.index(b"(") : -1]
    pickled = (
        b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\n(" + function + b"ctorch\nTensor\n" + args + state + b"tR."
    )
    with pytest.raises(pickle.UnpicklingError, match="no attribute of a tensor that a file may set"):
        load(with_records(data_pkl=pickled))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data_0": b""}, "record size"),
        ({"data_0": bytes(15)}, "record size"),
        ({"data_0": bytes(20)}, "record size"),
        ({"data_0": None}, "file not found"),
        ({"data_pkl": None}, "locating file data.pkl: file not found"),
        ({"version": None}, "locating file version"),
        ({"byteorder": b"middle"}, "Unknown endianness type: middle"),
    ],
)
def test_wrong_records(changes, message):
    with pytest.raises((*CLEAR, ValueError), match=message):
        load(with_records(**changes))


@pytest.mark.parametrize("weights_only", [True, False])
@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_truncated(new, weights_only):
    data = saved(new)
    for length in range(0, len(data), 11):
        with pytest.raises(CLEAR):
            load(data[:length], weights_only=weights_only)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_random_damage(new):
    rng = random.Random(5)
    data = saved(new)
    for _ in range(400):
        damaged = bytearray(data)
        for _ in range(rng.choice([1, 1, 2, 5])):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        try:
            load(bytes(damaged))
        except CLEAR as error:
            assert str(error)


@pytest.mark.parametrize("weights_only", [True, False])
def test_not_a_checkpoint(weights_only, tmp_path):
    with pytest.raises(EOFError):
        load(b"", weights_only=weights_only)
    with pytest.raises(CLEAR):
        load(b"this is some text\n", weights_only=weights_only)
    with pytest.raises(RuntimeError, match=r"Invalid magic number; corrupt file\?"):
        load(pickle.dumps(5, 2), weights_only=weights_only)
    with pytest.raises(IsADirectoryError):
        engine.load(tmp_path, weights_only=weights_only)


def test_torchscript_archive():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as target:
        target.writestr("a/constants.pkl", b"")
    stream.seek(0)
    with pytest.raises(RuntimeError, match="TorchScript"):
        engine.load(stream)
