"""Downloads against a server on this machine, and repositories in a folder."""

from __future__ import annotations

import hashlib
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError, URLError

import pytest

import engine
from engine import hub
from engine.progress import Progress, size_text
from engine.settings import hub_folder


class _Handler(SimpleHTTPRequestHandler):
    requests: list[str] = []

    def do_GET(self) -> None:
        self.requests.append(self.path)
        if self.path.startswith("/cut"):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"x" * 10)
        else:
            super().do_GET()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A server's address and the folder it serves."""
    folder = tmp_path / "served"
    folder.mkdir()
    _Handler.requests.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Path]:
    before = hub._Hub.folder
    hub.set_dir(tmp_path / "cache")
    yield tmp_path / "cache"
    hub._Hub.folder = before


def _publish(folder: Path, name: str = "net") -> tuple[str, dict]:
    """A checkpoint named after its hash; returns the name and the state."""
    state = {"weight": engine.arange(6.0).reshape(2, 3), "bias": engine.ones(2)}
    engine.save(state, folder / "raw.pth")
    digest = hashlib.sha256((folder / "raw.pth").read_bytes()).hexdigest()
    final = f"{name}-{digest[:8]}.pth"
    (folder / "raw.pth").rename(folder / final)
    return final, state


def test_state_dict_is_downloaded_checked_and_cached(
    served: tuple[str, Path], cache: Path, capsys: pytest.CaptureFixture
) -> None:
    url, folder = served
    name, state = _publish(folder)
    loaded = hub.load_state_dict_from_url(f"{url}/{name}", check_hash=True, map_location="cpu")
    assert list(loaded) == ["weight", "bias"]
    assert engine.equal(loaded["weight"], state["weight"])
    assert [p.name for p in (cache / "checkpoints").iterdir()] == [name]
    shown = capsys.readouterr().err
    assert "Downloading" in shown and "100%" in shown
    again = hub.load_state_dict_from_url(f"{url}/{name}", weights_only=True)
    assert engine.equal(again["bias"], state["bias"])
    assert _Handler.requests == [f"/{name}"]  # the second time came from the cache
    assert capsys.readouterr().err == ""


def test_file_name_and_folder(served: tuple[str, Path], tmp_path: Path) -> None:
    url, folder = served
    name, _ = _publish(folder)
    hub.load_state_dict_from_url(f"{url}/{name}", model_dir=tmp_path / "here", file_name="mine.pth", progress=False)
    assert [p.name for p in (tmp_path / "here").iterdir()] == ["mine.pth"]


def test_a_zip_around_one_file(served: tuple[str, Path], cache: Path) -> None:
    url, folder = served
    name, state = _publish(folder)
    with zipfile.ZipFile(folder / "packed.zip", "w") as archive:
        archive.write(folder / name, name)
    loaded = hub.load_state_dict_from_url(f"{url}/packed.zip", progress=False)
    assert engine.equal(loaded["weight"], state["weight"])


def test_wrong_hash_leaves_nothing(served: tuple[str, Path], cache: Path) -> None:
    url, folder = served
    (folder / "net-00000000.pth").write_bytes(b"anything")
    with pytest.raises(RuntimeError, match='invalid hash value \\(expected "00000000"'):
        hub.load_state_dict_from_url(f"{url}/net-00000000.pth", check_hash=True, progress=False)
    assert list((cache / "checkpoints").iterdir()) == []


def test_errors_of_the_network(served: tuple[str, Path], cache: Path, tmp_path: Path) -> None:
    url, _ = served
    with pytest.raises(HTTPError, match="404"):
        hub.load_state_dict_from_url(f"{url}/absent.pth", progress=False)
    with pytest.raises(URLError, match="put it at .*checkpoints/net.pth"):
        hub.load_state_dict_from_url("http://127.0.0.1:9/net.pth", progress=False)
    with pytest.raises(OSError, match="10 of 1000 bytes"):
        hub.download_url_to_file(f"{url}/cut", tmp_path / "cut", progress=False)
    assert not (tmp_path / "cut").exists() and not list(tmp_path.glob(".*partial"))


def test_where_the_cache_is() -> None:
    assert hub_folder({"ENGINE_HUB_DIR": "/a", "TORCH_HOME": "/b"}) == Path("/a")
    assert hub_folder({"TORCH_HOME": "/b"}) == Path("/b/hub")
    assert hub_folder({"XDG_CACHE_HOME": "/c"}) == Path("/c/torch/hub")
    assert hub_folder({}) == Path("~/.cache/torch/hub").expanduser()


def test_local_repository(tmp_path: Path) -> None:
    (tmp_path / "parts.py").write_text("WIDTH = 4\n", encoding="utf-8")
    (tmp_path / "hubconf.py").write_text(
        "dependencies = ['numpy']\nimport engine as torch\nfrom parts import WIDTH as _width\n\n"
        "def net(bias=True):\n    'A layer.'\n    return torch.nn.Linear(_width, 2, bias=bias)\n",
        encoding="utf-8",
    )
    made = hub.load(str(tmp_path), "net", source="local", bias=False)
    assert made.weight.shape == (2, 4) and made.bias is None
    assert hub.list(str(tmp_path), source="local") == ["net"]
    assert hub.help(str(tmp_path), "net", source="local") == "A layer."
    with pytest.raises(RuntimeError, match="Cannot find callable other"):
        hub.load(str(tmp_path), "other", source="local")
    with pytest.raises(ValueError, match="Unknown source"):
        hub.load(str(tmp_path), "net", source="elsewhere")
    with pytest.raises(FileNotFoundError, match="hubconf"):
        hub.load(str(tmp_path / "nowhere"), "net", source="local")


def test_missing_dependency(tmp_path: Path) -> None:
    (tmp_path / "hubconf.py").write_text("dependencies = ['no_such_package_x']\n", encoding="utf-8")
    with pytest.raises(RuntimeError, match="Missing dependencies: no_such_package_x"):
        hub.load(str(tmp_path), "net", source="local")


def test_progress_line() -> None:
    bar = Progress(1000, enabled=False)
    bar.update(500)
    assert bar.line().startswith(" 50% |") and "500 B/1 kB" in bar.line()
    unknown = Progress(None, enabled=False)
    unknown.update(2_500_000)
    assert unknown.line().startswith("2.5 MB [")
    assert [size_text(v) for v in (0, 999, 46_830_571, 3.2e12)] == ["0 B", "999 B", "46.8 MB", "3.2 TB"]
