"""The zip container: layout, alignment, large records' fields, damaged files."""

import io
import zipfile

import numpy as np
import pytest

from engine.serialization import archive
from engine.serialization.archive import ALIGNMENT, ArchiveError, ArchiveReader, ArchiveWriter, folder_for


def written(records, folder="archive", **kwargs):
    stream = io.BytesIO()
    writer = ArchiveWriter(stream, folder, **kwargs)
    for name, data in records.items():
        writer.write(name, data)
    writer.close()
    return stream.getvalue()


RECORDS = {"data.pkl": b"\x80\x02N.", "data/0": np.arange(100, dtype=np.float32), "data/1": b"", "version": b"3\n"}


def test_other_readers_agree():
    data = written(RECORDS)
    with zipfile.ZipFile(io.BytesIO(data)) as other:
        assert other.testzip() is None
        assert other.namelist() == [f"archive/{name}" for name in RECORDS]
        assert np.frombuffer(other.read("archive/data/0"), np.float32).tolist() == list(range(100))
        assert {i.compress_type for i in other.infolist()} == {zipfile.ZIP_STORED}


def test_round_trip_and_alignment():
    data = written(RECORDS)
    reader = ArchiveReader(io.BytesIO(data))
    assert reader.folder == "archive"
    assert reader.records() == list(RECORDS)
    for name, content in RECORDS.items():
        assert reader.read(name) == bytes(content)
        assert reader.offset(name) % ALIGNMENT == 0
    target = np.empty(400, np.uint8)
    reader.read_into("data/0", target)
    assert target.view(np.float32).tolist() == list(range(100))
    assert "data/2" not in reader
    with pytest.raises(RuntimeError, match="locating file data/2: file not found"):
        reader.size("data/2")
    with pytest.raises(RuntimeError, match="it has 400 bytes, expected 399"):
        reader.read_into("data/0", np.empty(399, np.uint8))


def test_stream_without_seek():
    class Sink:
        def __init__(self):
            self.parts = []

        def write(self, data):
            self.parts.append(bytes(data))

    sink = Sink()
    writer = ArchiveWriter(sink, "x")
    writer.write("version", b"3\n")
    writer.close()
    assert ArchiveReader(io.BytesIO(b"".join(sink.parts))).read("version") == b"3\n"


def test_fields_of_large_files(monkeypatch):
    """The 64-bit fields, used from a limit that is lowered here."""
    monkeypatch.setattr(archive, "_U32", 0xFFFF)
    big = np.arange(100_000, dtype=np.uint8)
    data = written({"small": b"ab", "data/0": big, "data/1": big})
    central = data.index(b"PK\x01\x02")
    assert data.count(b"PK\x06\x06", central) == 1
    assert archive._zip64_extra(1 << 33, None) == b"\x01\x00\x10\x00" + (1 << 33).to_bytes(8, "little") * 2
    assert archive._zip64_extra(None, 1 << 33) == b"\x01\x00\x08\x00" + (1 << 33).to_bytes(8, "little")


def test_without_checksums():
    data = written(RECORDS, compute_crc32=False)
    assert ArchiveReader(io.BytesIO(data)).read("version") == b"3\n"


def test_compressed_records():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as other:
        other.writestr("a/version", "3\n")
        other.writestr("a/data/0", bytes(1000))
    reader = ArchiveReader(stream)
    target = np.ones(1000, np.uint8)
    reader.read_into("data/0", target)
    assert not target.any()
    assert reader.offset("data/0") is None
    assert reader.read("version") == b"3\n"


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/passwd", "archive/../../evil", "archive//etc/passwd", "other/x", "top"]
)
def test_names_outside_of_the_folder(name):
    stream = io.BytesIO(written(RECORDS))
    with zipfile.ZipFile(stream, "a") as other:
        other.writestr(name, b"x")
    with pytest.raises(ArchiveError, match="not in a subdirectory archive/"):
        ArchiveReader(stream)


def test_every_truncation_is_noticed():
    data = written(RECORDS)
    for length in range(len(data)):
        with pytest.raises(RuntimeError, match="corrupted|subdirectory"):
            ArchiveReader(io.BytesIO(data[:length]))


def test_damage():
    data = bytearray(written(RECORDS))
    start = data.index(b"\x80\x02N.")
    data[start] ^= 1
    with pytest.raises(RuntimeError, match="wrong checksum"):
        ArchiveReader(io.BytesIO(data)).read("data.pkl")
    data = bytearray(written(RECORDS))
    data[0] = 0
    with pytest.raises(RuntimeError, match="no header where the directory says"):
        ArchiveReader(io.BytesIO(data)).read("data.pkl")


def test_duplicate_record():
    data = written({**RECORDS, "versiox": b"4\n"}).replace(b"versiox", b"version")
    with pytest.raises(RuntimeError, match="is there twice"):
        ArchiveReader(io.BytesIO(data))


def test_folder_names():
    assert folder_for("/tmp/model.tar.pt") == "model.tar"
    assert folder_for("model") == "model"
    assert folder_for(None) == folder_for("é.pt") == folder_for("...") == "archive"
