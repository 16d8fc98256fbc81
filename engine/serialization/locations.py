"""Where loaded storages go: the location they were saved with, or what `map_location` says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import bridge
from .storages import LoadedStorage

MapLocation = Any
"""str, device, dict of locations, callable (storage, location) -> storage or None, or None."""


def default_restore_location(storage: LoadedStorage, location: str) -> LoadedStorage:
    """The storage with `location` as the place it goes to. RuntimeError if there is no such place."""
    name = bridge.check_location(str(location))
    if name is None:
        raise RuntimeError(
            f"don't know how to restore data location of torch.storage.UntypedStorage (tagged with {location})"
        )
    return storage if storage.location == name else storage.to(name)


def restorer(map_location: MapLocation) -> Callable[[LoadedStorage, str], LoadedStorage]:
    """A function that gives a loaded storage its place, from its location in the file."""
    if map_location is None:
        return default_restore_location
    if isinstance(map_location, dict):
        return lambda storage, location: default_restore_location(storage, map_location.get(location, location))
    if isinstance(map_location, bytes):
        map_location = map_location.decode("ascii")
    if isinstance(map_location, str | bridge.DEVICE):
        return lambda storage, location: default_restore_location(storage, str(map_location))

    if not callable(map_location):
        raise TypeError(f"map_location must be a device, its name, a dict or a function, but got {type(map_location)}")

    def restore(storage: LoadedStorage, location: str) -> LoadedStorage:
        result = map_location(storage, location)
        if result is None:
            return default_restore_location(storage, location)
        if isinstance(result, LoadedStorage):
            return default_restore_location(result, result.location)
        return default_restore_location(storage, str(result.device))

    return restore


def is_meta(map_location: MapLocation) -> bool:
    """Whether nothing but shapes is asked for."""
    return isinstance(map_location, str | bridge.DEVICE) and str(map_location) == "meta"


def expected_location(map_location: MapLocation, location: str) -> str | None:
    """Where a storage will go, as far as that is known before it is loaded: None with a callable `map_location`."""
    if isinstance(map_location, dict):
        location = map_location.get(location, location)
    elif isinstance(map_location, bytes):
        location = map_location.decode("ascii")
    elif isinstance(map_location, str | bridge.DEVICE):
        location = str(map_location)
    elif map_location is not None:
        return None
    return bridge.check_location(str(location))
