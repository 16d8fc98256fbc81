"""``torch.special``: special functions under their names there."""

from __future__ import annotations

from .ops.publish import out_of, registry

_OUTSIDE = ("round",)  # functions that are the same as outside


def _names() -> dict[str, object]:
    found = {}
    for public in registry.values():
        if public.special or public.name in _OUTSIDE:
            found[public.name] = out_of(public.call) if public.out else public.call
    return found


globals().update(_names())
__all__ = sorted(_names())  # noqa: PLE0605
