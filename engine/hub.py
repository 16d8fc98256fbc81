"""Files and models from elsewhere: downloads with a cache, and repositories with a ``hubconf.py``.

Files are kept in ``get_dir()/checkpoints``: ``ENGINE_HUB_DIR``, else ``$TORCH_HOME/hub``, else
``$XDG_CACHE_HOME/torch/hub`` or ``~/.cache/torch/hub``, the same places as PyTorch's, so files that are there already
are found.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlparse
from urllib.request import Request, urlopen

from .progress import Progress
from .serialization import load as load_file
from .settings import hub_folder

__all__ = ["download_url_to_file", "get_dir", "help", "list", "load", "load_state_dict_from_url", "set_dir"]

HASH_REGEX = re.compile(r"-([a-f0-9]*)\.")
_CHUNK = 1 << 17
_CONFIG = "hubconf.py"
_AGENT = {"User-Agent": "torch.hub"}


class _Hub:
    folder: str | None = None


def get_dir() -> str:
    """The folder of the cache; ``set_dir`` changes it."""
    return _Hub.folder if _Hub.folder is not None else str(hub_folder())


def set_dir(d: str | os.PathLike) -> None:
    """Keep files in this folder from now on."""
    _Hub.folder = os.path.expanduser(d)


# -- downloads --------------------------------------------------------------------------------------------------------
def download_url_to_file(
    url: str, dst: str | os.PathLike, hash_prefix: str | None = None, progress: bool = True
) -> None:
    """Fetch a URL into a file. The file appears only when it is complete.

    Args:
        url: http, https, ftp or file.
        dst: where to write; its folder must exist.
        hash_prefix: what the SHA-256 of the content must begin with, in hexadecimal.
        progress: show a bar on standard error.

    Raises RuntimeError if the hash is another, urllib.error.URLError (HTTPError) if the server cannot be reached or
    says no, and OSError if the connection breaks off early.
    """
    target = Path(os.path.expanduser(dst))
    digest = hashlib.sha256() if hash_prefix is not None else None
    with urlopen(Request(url, headers=_AGENT)) as response:
        length = response.headers.get("Content-Length")
        total = int(length) if length else None
        file = tempfile.NamedTemporaryFile(
            dir=target.parent, prefix=f".{target.name}.", suffix=".partial", delete=False
        )
        try:
            with file:
                got = _receive(response, file, total, digest, progress)
            if total is not None and got != total:
                raise OSError(f"the connection broke off: {got} of {total} bytes of {url} arrived")
            if digest is not None and not digest.hexdigest().startswith(hash_prefix):
                raise RuntimeError(f'invalid hash value (expected "{hash_prefix}", got "{digest.hexdigest()}")')
            _publish(file.name, target)
        finally:
            if os.path.exists(file.name):
                os.remove(file.name)


def _receive(response: Any, file: IO[bytes], total: int | None, digest: Any, progress: bool) -> int:
    got = 0
    with Progress(total, enabled=progress) as bar:
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            if digest is not None:
                digest.update(chunk)
            got += len(chunk)
            bar.update(len(chunk))
    return got


def _publish(temporary: str, target: Path) -> None:
    """Give the file its name, with the permissions an ordinary new file has (temporary ones are private)."""
    mask = os.umask(0)
    os.umask(mask)
    os.chmod(temporary, 0o666 & ~mask)
    os.replace(temporary, target)


def cached_file(name: str, model_dir: str | os.PathLike | None = None) -> Path:
    """Where a file of this name is kept."""
    return Path(get_dir() if model_dir is None else model_dir) / ("checkpoints" if model_dir is None else "") / name


def load_state_dict_from_url(
    url: str,
    model_dir: str | os.PathLike | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = False,
) -> dict[str, Any]:
    """Load a checkpoint from a URL, or from the cache if it was fetched before.

    Args:
        url: address of the file.
        model_dir: folder of the cache; default ``get_dir()/checkpoints``.
        map_location: device for the tensors, see ``load``.
        progress: show a bar while downloading.
        check_hash: the file name ends in ``-<hash>.ext``, where hash begins the SHA-256 of the content: check it.
        file_name: name of the file in the cache; default the last part of the URL.
        weights_only: allow nothing but tensors and plain containers, see ``load``.

    Raises what ``download_url_to_file`` and ``load`` raise. A zip file with one member is unpacked first, as in torch.
    """
    name = file_name or os.path.basename(unquote(urlparse(url).path))
    path = cached_file(name, model_dir)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        sys.stderr.write(f'Downloading: "{url}" to {path}\n')
        found = HASH_REGEX.search(name) if check_hash else None
        try:
            download_url_to_file(url, path, found.group(1) if found else None, progress)
        except HTTPError as error:
            error.msg = f"{error.msg} (while downloading {url} to {path})"
            raise
        except URLError as error:
            raise URLError(
                f"{error.reason}: could not download {url}. Without a network, get the file elsewhere and put it at "
                f"{path}"
            ) from error
    if _is_zipped_file(path):
        return _load_zipped(path, map_location, weights_only)
    return load_file(path, map_location=map_location, weights_only=weights_only)


def _is_zipped_file(path: Path) -> bool:
    """Whether it is a zip around a single file rather than a checkpoint, which is a zip itself but has more in it."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        return len(members) == 1 and not members[0].is_dir()


def _load_zipped(path: Path, map_location: Any, weights_only: bool) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        name = archive.infolist()[0].filename
        with tempfile.TemporaryDirectory() as folder:
            return load_file(archive.extract(name, folder), map_location=map_location, weights_only=weights_only)


# -- repositories -----------------------------------------------------------------------------------------------------
def _repository(repo: str, source: str, force_reload: bool, verbose: bool) -> Path:
    """The folder of a repository: itself when local, else unpacked from GitHub into the cache."""
    if source == "local":
        folder = Path(os.path.expanduser(repo))
        if not (folder / _CONFIG).is_file():
            raise FileNotFoundError(f"there is no {_CONFIG} in {folder}")
        return folder
    if source != "github":
        raise ValueError(f'Unknown source: "{source}". Allowed values: "github" | "local".')
    owner, name, ref = _parse_repository(repo)
    folder = Path(get_dir()) / "_".join((owner, name, ref.replace("/", "_")))
    if folder.exists() and not force_reload:
        if verbose:
            sys.stderr.write(f"Using cache found in {folder}\n")
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        archive = Path(scratch) / "repository.zip"
        url = f"https://github.com/{owner}/{name}/zipball/{ref}"
        sys.stderr.write(f'Downloading: "{url}" to {folder}\n')
        download_url_to_file(url, archive, progress=False)
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(Path(scratch) / "unpacked")
        shutil.rmtree(folder, ignore_errors=True)
        next((Path(scratch) / "unpacked").iterdir()).rename(folder)
    return folder


def _parse_repository(repo: str) -> tuple[str, str, str]:
    """owner, name and branch or tag of "owner/name[:ref]"; "main" when there is no ref."""
    path, _, ref = repo.partition(":")
    owner, slash, name = path.partition("/")
    if not (owner and slash and name) or "/" in name:
        raise ValueError(f"expected a repository as owner/name[:ref], got {repo!r}")
    return owner, name, ref or "main"


@contextmanager
def _imported_config(folder: Path) -> Iterator[ModuleType]:
    """The repository's hubconf.py as a module; its own imports see the repository first."""
    sys.path.insert(0, str(folder))
    try:
        spec = importlib.util.spec_from_file_location(_CONFIG, folder / _CONFIG)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        missing = [n for n in getattr(module, "dependencies", ()) if importlib.util.find_spec(n) is None]
        if missing:
            raise RuntimeError(f"Missing dependencies: {', '.join(missing)}")
        yield module
    finally:
        sys.path.remove(str(folder))


def _entry(module: ModuleType, name: str) -> Any:
    if not isinstance(name, str):
        raise ValueError("Invalid input: model should be a string of function name")
    found = getattr(module, name, None)
    if not callable(found):
        raise RuntimeError(f"Cannot find callable {name} in hubconf")
    return found


def load(
    repo_or_dir: str,
    model: str,
    *args: Any,
    source: str = "github",
    trust_repo: Any = None,
    force_reload: bool = False,
    verbose: bool = True,
    skip_validation: bool = False,
    **kwargs: Any,
) -> Any:
    """Call an entry point of a repository's ``hubconf.py``.

    Args:
        repo_or_dir: "owner/name[:ref]" for ``source="github"``, a folder for ``source="local"``.
        model: name of a function in hubconf.py; the other arguments are passed on to it.

    This runs the repository's code. ``trust_repo`` False asks first; "check" and None ask unless it is a local folder
    or in the cache already. Raises RuntimeError when not trusted, when the entry or a dependency is missing.
    """
    folder = _trusted(repo_or_dir, source, trust_repo, force_reload, verbose)
    with _imported_config(folder) as module:
        return _entry(module, model)(*args, **kwargs)


def _trusted(repo: str, source: str, trust: Any, force_reload: bool, verbose: bool) -> Path:
    if source == "github" and trust is not True:
        owner, name, ref = _parse_repository(repo)
        folder = Path(get_dir()) / "_".join((owner, name, ref.replace("/", "_")))
        if trust is False or not folder.exists():
            answer = input(f"The repository {owner}_{name} is not trusted and its code will be run. Go on? (y/N) ")
            if answer.strip().lower() not in ("y", "yes"):
                raise RuntimeError("Untrusted repository.")
    return _repository(repo, source, force_reload, verbose)


def list(
    github: str,
    force_reload: bool = False,
    skip_validation: bool = False,
    trust_repo: Any = None,
    verbose: bool = True,
    source: str = "github",
) -> Any:
    """Names of a repository's entry points."""
    with _imported_config(_trusted(github, source, trust_repo, force_reload, verbose)) as module:
        return [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]


def help(
    github: str, model: str, force_reload: bool = False, skip_validation: bool = False, trust_repo: Any = None,
    source: str = "github",
) -> str | None:  # fmt: skip
    """The docstring of an entry point."""
    with _imported_config(_trusted(github, source, trust_repo, force_reload, True)) as module:
        return _entry(module, model).__doc__
