"""What the examples share: a progress bar and pictures written as PNG. It knows nothing of tensors but NumPy arrays."""

from __future__ import annotations

import importlib.util
import struct
import sys
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

DATA = Path(__file__).parent / "data"
COLOURS = ((31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40))
# 3 x 5 dots a character, a row an octal digit: enough to number the axes of a picture.
GLYPHS = {"0": "75557", "1": "26227", "2": "71747", "3": "71717", "4": "55711", "5": "74717", "6": "74757",
          "7": "71122", "8": "75757", "9": "75717", ".": "00002", "-": "00700", "e": "07567"}  # fmt: skip


class Progress:
    """A one-line progress bar on standard error, shown only in a terminal; lines are printed above it.

    with Progress(len(loader) * epochs) as bar:
        ...
        bar.advance(f"loss {loss:.3f}")
        bar.print("Epoch 1 done")
    """

    WIDTH = 30
    INTERVAL = 0.1  # seconds between two drawings

    def __init__(self, total: int):
        self.total, self.done, self.note = max(total, 1), 0, ""
        self.shown = sys.stderr.isatty()
        self.start, self.drawn = time.monotonic(), 0.0

    def advance(self, note: str = "", count: int = 1) -> None:
        """Move on by count; note stands behind the bar."""
        self.done, self.note = self.done + count, note
        now = time.monotonic()
        if self.shown and now - self.drawn >= self.INTERVAL:
            self.drawn = now
            self._draw()

    def print(self, line: str) -> None:
        """Print a line to standard output without breaking the bar."""
        if self.shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
        print(line, flush=True)
        if self.shown:
            self._draw()

    def _draw(self) -> None:
        full = round(self.WIDTH * self.done / self.total)
        left = (time.monotonic() - self.start) / max(self.done, 1) * (self.total - self.done)
        bar = "#" * full + "." * (self.WIDTH - full)
        sys.stderr.write(f"\r\033[K[{bar}] {100 * self.done // self.total:3d}% {left:4.0f} s left  {self.note}")
        sys.stderr.flush()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()


def write_png(path: str | Path, pixels: np.ndarray) -> None:
    """Write a picture: uint8, (height, width) grey or (height, width, 3) RGB.

    The format is that of the PNG specification (ISO/IEC 15948), one unfiltered scanline a row.
    """
    pixels = np.ascontiguousarray(pixels, dtype=np.uint8)
    height, width = pixels.shape[:2]
    rows = np.concatenate((np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)), axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if pixels.ndim == 3 else 0, 0, 0, 0)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)) + chunk(b"IEND", b"")
    Path(path).write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def save_images(path: str | Path, images: np.ndarray, columns: int, scale: int = 1) -> None:
    """Write grey or RGB images as one sheet: (n, height, width[, 3]), values in [0, 1], enlarged scale times."""
    images = (np.clip(images, 0.0, 1.0) * 255).round().astype(np.uint8).repeat(scale, axis=1).repeat(scale, axis=2)
    count, height, width = images.shape[:3]
    rows = -(-count // columns)
    sheet = np.full((rows * (height + 2) - 2, columns * (width + 2) - 2, *images.shape[3:]), 128, np.uint8)
    for index, image in enumerate(images):
        top, left = index // columns * (height + 2), index % columns * (width + 2)
        sheet[top : top + height, left : left + width] = image
    write_png(path, sheet)


def save_curves(path: str | Path, curves: Mapping[str, Sequence[float]], xlabel: str, ylabel: str) -> None:
    """Draw curves over 0, 1, 2, ... as a PNG: by matplotlib where it is installed, otherwise plainly."""
    curves = {name: np.asarray(values, dtype=np.float64) for name, values in curves.items()}
    if importlib.util.find_spec("matplotlib") is None:
        print("matplotlib is not installed: drawing a plain picture without labels", file=sys.stderr)
        write_png(path, plain_curves(curves))
        return
    pyplot = importlib.import_module("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for name, values in curves.items():
        axes.plot(values, label=name)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.grid(alpha=0.3)
    if len(curves) > 1:
        axes.legend()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def plain_curves(curves: Mapping[str, np.ndarray], width: int = 840, height: int = 480) -> np.ndarray:
    """Pixels of the curves with a frame and the ends of both axes in numbers."""
    left, right, top, bottom = 80, width - 20, 20, height - 40
    pixels = np.full((height, width, 3), 255, np.uint8)
    for row in (top, bottom):
        pixels[row, left : right + 1] = 0
    for column in (left, right):
        pixels[top : bottom + 1, column] = 0
    known = [values[np.isfinite(values)] for values in curves.values()]
    known = np.concatenate(known) if known else np.zeros(0)
    low, high = (known.min(), known.max()) if known.size else (0.0, 1.0)
    high = high if high > low else low + 1.0
    longest = max((len(values) for values in curves.values()), default=1)
    for index, values in enumerate(curves.values()):
        places = np.linspace(0, max(len(values) - 1, 0), 4 * width)  # closely enough to leave no gap but in steep parts
        heights = np.interp(places, np.arange(len(values)), values) if len(values) else np.zeros(0)
        seen = np.isfinite(heights)
        x = left + (right - left) * places[seen] / max(longest - 1, 1)
        y = bottom - (bottom - top) * (heights[seen] - low) / (high - low)
        for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
            rows, cols = np.clip(y.astype(int) + dy, 0, height - 1), np.clip(x.astype(int) + dx, 0, width - 1)
            pixels[rows, cols] = COLOURS[index % len(COLOURS)]
    for text, x, y in ((f"{high:.4g}", 8, top), (f"{low:.4g}", 8, bottom - 10), ("0", left, bottom + 10)):
        _write(pixels, text, x, y)
    _write(pixels, str(longest - 1), right - 8 * len(str(longest - 1)), bottom + 10)
    return pixels


def _write(pixels: np.ndarray, text: str, x: int, y: int) -> None:
    for place, character in enumerate(text):
        rows = [[int(digit) >> bit & 1 for bit in (2, 1, 0)] for digit in GLYPHS.get(character, "00000")]
        dots = np.array(rows, dtype=bool).repeat(2, axis=0).repeat(2, axis=1)
        pixels[y : y + 10, x + 8 * place : x + 8 * place + 6][dots] = 0
