"""The pickle machine: agreement with pickle, and what the restricted unpickler refuses."""

import collections
import io
import os
import pickle
import pickletools

import pytest

from engine.serialization import add_safe_globals, clear_safe_globals, get_safe_globals, safe_globals
from engine.serialization.machine import PickleMachine, Scanner
from engine.serialization.restricted import RestrictedUnpickler

PLAIN = [
    None,
    True,
    [1, -1, 255, 256, 65536, 2**31, -(2**31) - 1, 2**200, -(2**200)],
    [0.0, -1.5, float("inf")],
    ["", "é", "x" * 300, "y" * 70000],
    (),
    (1,),
    (1, 2),
    (1, 2, 3),
    (1, 2, 3, 4),
    {"a": {"b": [1, (2, {3: 4})]}},
    list(range(3000)),
    {i: i for i in range(3000)},
]


@pytest.fixture(autouse=True)
def no_safe_globals():
    yield
    clear_safe_globals()


def restricted(data, **kwargs):
    return RestrictedUnpickler(io.BytesIO(data), **kwargs).load()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_agrees_with_pickle(protocol):
    values = [
        *PLAIN,
        b"bytes",
        bytearray(b"array"),
        {1, 2},
        1 + 2j,
        collections.OrderedDict(a=1),
        collections.Counter("aab"),
    ]
    got = restricted(pickle.dumps(values, protocol))
    assert got == values
    assert [type(v) for v in got] == [type(v) for v in values]


@pytest.mark.parametrize("protocol", [0, 1])
def test_text_protocols(protocol):
    data = pickle.dumps([v for v in PLAIN if v != [0.0, -1.5, float("inf")]] + [1.5], protocol)

    class TextMachine(PickleMachine):
        text_opcodes = True

    assert TextMachine(io.BytesIO(data)).load() == pickle.loads(data)
    if protocol == 0:
        with pytest.raises(pickle.UnpicklingError, match="Unsupported operand"):
            restricted(data)


def test_shared_and_cyclic():
    shared = [1]
    got = restricted(pickle.dumps([shared, shared], 2))
    assert got[0] is got[1]
    cyclic = []
    cyclic.append(cyclic)
    got = restricted(pickle.dumps(cyclic, 2))
    assert got[0] is got
    with pytest.raises(pickle.UnpicklingError, match="Memo value not found at index 0"):
        restricted(b"\x80\x02(h\x00tq\x00.")  # a tuple that wants to hold itself


def test_every_opcode_of_the_protocols_is_known_or_refused():
    for opcode in pickletools.opcodes:
        with pytest.raises((pickle.UnpicklingError, EOFError)):
            restricted(b"\x80\x02" + opcode.code.encode("latin-1"))


class Evil:
    def __reduce__(self):
        return os.system, ("exit 1",)


class Point:
    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return type(other) is Point and other.x == self.x

    __hash__ = None


class Strict:
    def __setstate__(self, state):
        raise KeyError("mine")


def test_blocked_module():
    with pytest.raises(pickle.UnpicklingError, match=r"GLOBAL \w+\.system whose module \w+ is blocked"):
        restricted(pickle.dumps(Evil(), 2))
    with safe_globals([os.system]), pytest.raises(pickle.UnpicklingError, match="is blocked"):
        restricted(pickle.dumps(Evil(), 2))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"c__builtin__\neval\n.", "GLOBAL eval was not an allowed global by default"),
        (b"cbuiltins\ngetattr\n.", "GLOBAL getattr was not an allowed global"),
        (b"csubprocess\nPopen\n.", "subprocess.Popen was not an allowed"),
        (b"cnumpy.core.multiarray\n_reconstruct\n.", "_reconstruct was not an allowed"),
        (b"X\x01\x00\x00\x00a)R.", "unrecognized function a"),
        (b"}U\x06appendU\x01a\x86R.", "unrecognized function"),
        (b"ctorch\nfloat32\n)R.", "unrecognized function torch.float32"),
        (b"ctorch\nTensor\n)\x81.", "Can only create new object"),
        (b"}}b.", "Can only build Tensor, Parameter, OrderedDict"),
        (b"}K\x01a.", "Can only append to lists"),
        (b"]K\x01K\x02s.", "Can only SETITEM for dict"),
        (b"c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85R.", "bytearray of <class 'int'> is not allowed"),
        (b"c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00rot13\x86R.", "is not allowed"),
        (b"X\x07\x00\x00\x00storageQ.", "persistent_load id must be tuple"),
        (b"X\x06\x00\x00\x00moduleK\x01\x86Q.", "Only persistent_load of storage is allowed"),
        (b"]]s.", "damaged pickle"),
        (b"K\x01K\x02K\x03R.", "arguments of a call must be a tuple"),
        (b"}]K\x01s.", "damaged pickle"),
        (b".", "damaged pickle"),
        (b"t.", "damaged pickle"),
        (b"\xff.", "Unsupported operand 255"),
        (b"X\x01\x00\x00\x00\xff.", "damaged pickle"),
        (b"\x8a\x01", "Ran out of input"),
        (b"X\xff\xff\xff\xffa", "Ran out of input"),
        (b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7fa", "Ran out of input"),
    ],
)
def test_refused(data, message):
    with pytest.raises((pickle.UnpicklingError, EOFError), match=message):
        restricted(b"\x80\x02" + data)


def test_every_truncation_ends_in_an_error():
    data = pickle.dumps({"a": [1, 2.5, "text", (1, 2), None]}, 2)
    for length in range(len(data)):
        with pytest.raises((pickle.UnpicklingError, EOFError)):
            restricted(data[:length])


def test_safe_globals():
    data = pickle.dumps(Point(3), 2)
    with pytest.raises(pickle.UnpicklingError, match=r"add_safe_globals\(\[.*Point\]\)"):
        restricted(data)
    with safe_globals([Point]):
        assert restricted(data) == Point(3)
        assert get_safe_globals() == [Point]
    assert get_safe_globals() == []
    add_safe_globals([(Point, "elsewhere.Name")])
    renamed = data.replace(f"{Point.__module__}\nPoint".encode(), b"elsewhere\nName")
    assert restricted(renamed) == Point(3)
    add_safe_globals([(Point, "a", "b")])
    with pytest.raises(ValueError, match="Expected tuple of length 2"):
        restricted(data)


def test_errors_of_trusted_code_are_passed_on():
    value = Strict()
    value.x = 1
    with safe_globals([Strict]), pytest.raises(KeyError, match="mine"):
        restricted(pickle.dumps(value, 2))


def test_protocol_warning():
    with pytest.warns(UserWarning, match="Detected pickle protocol 4 in the checkpoint"):
        assert restricted(pickle.dumps("a", 4)) == "a"


def test_scanner_runs_nothing():
    scanner = Scanner(io.BytesIO(pickle.dumps([Evil(), Point(1), collections.OrderedDict()], 2)))
    scanner.load()
    assert set(scanner.globals) == {
        f"{os.system.__module__}.system",
        f"{Point.__module__}.Point",
        "copyreg._reconstructor",
        "builtins.object",
        "collections.OrderedDict",
    } - ({"copyreg._reconstructor", "builtins.object"})
