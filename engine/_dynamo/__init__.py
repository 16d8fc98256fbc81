"""torch._dynamo's names that programs touch; see ``engine.compiler``."""

from ..compiler import allow_in_graph, assume_constant_result, disable, is_compiling, reset
from . import config

__all__ = [
    "allow_in_graph",
    "assume_constant_result",
    "config",
    "disable",
    "graph_break",
    "is_compiling",
    "mark_dynamic",
    "mark_static",
    "maybe_mark_dynamic",
    "reset",
]


def graph_break(msg: str = "") -> None:
    """Nothing to break."""


def mark_dynamic(t: object, index: object = None, **bounds: object) -> None:
    """Shapes are handled as they come."""


maybe_mark_dynamic = mark_static = mark_dynamic
