"""A progress bar for downloads, written to standard error."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

_REDRAW = 0.1  # seconds between two drawings
_UNITS = ("B", "kB", "MB", "GB", "TB")


def size_text(nbytes: float) -> str:
    """A number of bytes with a unit of 1000: ``"46.8 MB"``."""
    power = 0
    while abs(nbytes) >= 999.5 and power < len(_UNITS) - 1:
        nbytes /= 1000
        power += 1
    unit = _UNITS[power]
    return f"{nbytes:.0f} {unit}" if unit == "B" else f"{nbytes:.3g} {unit}"


class Progress:
    """Bytes done of a total (None: unknown), with speed and time left. A context manager.

    On a terminal the line is redrawn; elsewhere only the finished line is written.
    """

    def __init__(self, total: int | None, enabled: bool = True, file: TextIO | None = None) -> None:
        self.total = total
        self.done = 0
        self.enabled = enabled
        self.file = file or sys.stderr
        self._start = self._drawn = time.monotonic()

    def update(self, nbytes: int) -> None:
        """Count bytes."""
        self.done += nbytes
        now = time.monotonic()
        if self.enabled and now - self._drawn >= _REDRAW and self.file.isatty():
            self._drawn = now
            self.file.write("\r" + self.line())
            self.file.flush()

    def line(self) -> str:
        """The bar as text."""
        seconds = max(time.monotonic() - self._start, 1e-9)
        speed = self.done / seconds
        rate = f"{size_text(speed)}/s"
        if not self.total:
            return f"{size_text(self.done)} [{_clock(seconds)}, {rate}]"
        part = min(self.done / self.total, 1.0)
        left = _clock((self.total - self.done) / speed) if speed else "?"
        tail = f" {size_text(self.done)}/{size_text(self.total)} [{_clock(seconds)}<{left}, {rate}]"
        width = max(10, min(40, shutil.get_terminal_size().columns - len(tail) - 8))
        full = int(part * width)
        return f"{part:4.0%} |{'█' * full}{' ' * (width - full)}|{tail}"

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.enabled:
            start = "\r" if self.file.isatty() else ""
            self.file.write(f"{start}{self.line()}\n")
            self.file.flush()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"
