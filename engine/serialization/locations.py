"""Where loaded storages go: the location they were saved with, or what `map_location` says."""

from __future__ import annotations

from typing import Any

from . import bridge
from .storages import LoadedStorage

MapLocation = Any
"""str, device, dict of locations, callable (storage, location) -> storage or None, or None."""


def default_restore_location(storage: LoadedStorage, location: str) -> LoadedStorage:
    """The storage with `location` as the place it goes to. RuntimeError if there is no such place."""
    return Restorer(None)(storage, location)


class Restorer:
    """Gives the storages of one file their places. TypeError if `map_location` is none of the things it can be."""

    def __init__(self, map_location: MapLocation) -> None:
        if isinstance(map_location, bytes):
            map_location = map_location.decode("ascii")
        if isinstance(map_location, bridge.DEVICE):
            map_location = str(map_location)
        if not (map_location is None or isinstance(map_location, str | dict) or callable(map_location)):
            raise TypeError(f"map_location must be a device, its name, a dict or a function, got {type(map_location)}")
        self._map = map_location
        self._names: dict[str, str] = {}
        self.meta = map_location == "meta"
        """Whether nothing but shapes is asked for."""

    def _name(self, location: Any) -> str:
        """The canonical name of a location. RuntimeError if there is no such place."""
        location = str(location)
        name = self._names.get(location)
        if name is None:
            name = bridge.check_location(location)
            if name is None:
                raise RuntimeError(
                    f"don't know how to restore data location of torch.storage.UntypedStorage (tagged with {location})"
                )
            self._names[location] = name
        return name

    def expected(self, location: str) -> str | None:
        """Where a storage will go, as far as that is known before it is loaded: None where a function decides."""
        if isinstance(self._map, str):
            return self._name(self._map)
        if isinstance(self._map, dict):
            return self._name(self._map.get(location, location))
        return self._name(location) if self._map is None else None

    def __call__(self, storage: LoadedStorage, location: str) -> LoadedStorage:
        """The storage with its place, from its location in the file."""
        name = self.expected(location)
        if name is None:
            result = self._map(storage, location)
            if isinstance(result, LoadedStorage):
                storage, location = result, result.location
            elif result is not None:
                location = result.device
            name = self._name(location)
        return storage if storage.location == name else storage.to(name)
