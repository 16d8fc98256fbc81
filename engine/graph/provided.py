"""Run-time numbers that know where they come from, so that a captured call can ask for them anew.

While a call is captured, generators and optimizers hand out their numbers as ``ProvidedInt`` and ``ProvidedFloat``.
They
are ordinary numbers; arithmetic on them gives plain ones.
"""

from __future__ import annotations

from typing import Any


class Stale(Exception):
    """What was captured no longer describes what the call would do."""


class Source:
    """Gives the numbers of one draw or one optimizer step again, for the next replay."""

    def refresh(self) -> tuple:
        """The next numbers. Raises Stale (and changes nothing) if the captured form no longer holds."""
        raise NotImplementedError


class ProvidedInt(int):
    """An int from a source."""

    source: Source
    item: int


class ProvidedFloat(float):
    """A float from a source."""

    source: Source
    item: int


def provide(value: Any, source: Source, item: int) -> Any:
    """``value`` as number ``item`` of a source."""
    made = ProvidedFloat(value) if isinstance(value, float) else ProvidedInt(value)
    made.source = source
    made.item = item
    return made


class Capture:
    """What a captured call did besides running kernels. ``active`` is None outside of captures.

    Attributes:
        made: nodes made from host data during the call. touched: tensors whose
        ``.grad`` was set, and whether they had none before. roots: functions that
        backward passes started from. reads: how often a value was read on the host.
    """

    active: Capture | None = None

    def __init__(self) -> None:
        self.made: set = set()
        self.touched: dict[int, tuple[Any, bool]] = {}
        self.roots: set = set()
        self.reads = 0
        self.flushes: list[tuple] = []

    def touch(self, t: Any) -> None:
        """Note, before it happens, that a tensor's gradient changes."""
        self.touched.setdefault(id(t), (t, t._grad is None))
