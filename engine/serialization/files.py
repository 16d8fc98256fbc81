"""Replacing a file as a whole: the old one stays until the new one is complete."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from typing import IO


@contextlib.contextmanager
def replacing(path: str) -> Iterator[IO[bytes]]:
    """A new file that takes the place of `path` when the body ends well, and is removed when it does not."""
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        raise RuntimeError(f"Parent directory {os.path.dirname(path) or folder} does not exist.")
    mode = _mode(target)
    if mode is not None and not stat.S_ISREG(mode):
        with open(target, "wb") as file:  # a device or a pipe
            yield file
        return
    try:
        handle, temporary = tempfile.mkstemp(prefix=os.path.basename(target)[:100] + ".", suffix=".tmp", dir=folder)
    except PermissionError:
        if mode is None:
            raise
        with open(target, "wb") as file:  # the file may be written, its folder not
            yield file
        return
    try:
        os.close(handle)
        with open(temporary, "wb") as file:
            yield file
        os.chmod(temporary, 0o666 & ~_umask() if mode is None else stat.S_IMODE(mode))
        _move(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _move(temporary: str, target: str) -> None:
    try:
        os.replace(temporary, target)
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.EXDEV):
            raise
        shutil.copyfile(temporary, target)  # a mount point cannot be replaced
        os.unlink(temporary)


def _mode(path: str) -> int | None:
    try:
        return os.stat(path).st_mode
    except FileNotFoundError:
        return None


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
