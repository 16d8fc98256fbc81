"""What every log of a device answers: the plain form of each request, which a log overrides where it knows better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .node import Call, Node, Storage
from .spec import Spec


class Log:
    """Where the ops of a device go.

    Attributes:
        entries: pending nodes in the order they were made. recording: set while a call is captured.
    """

    entries: Sequence[Node] = ()
    recording: Any = None

    def add(self, call: Call, inputs: tuple[Node, ...], scalars: tuple = ()) -> Node:
        """A node for an op."""
        raise NotImplementedError

    def add_parts(self, node: Node) -> list[Node]:
        """The results of a node of several, each as a node."""
        return [self.add(part, (node,)) for part in node.call.parts]

    def write_part(self, storage: Storage, seen: Spec, value: Node, new: Spec) -> bool:
        """Write a value into a part of a storage in place; False, with nothing done, where that takes an op."""
        return False

    def number(self, node: Node) -> Any:
        """The first element as a Python number; None if it must be read in another way."""
        return None

    def flush(self) -> None:
        """Run what is pending."""

    def synchronize(self) -> None:
        """Run what is pending and wait."""
