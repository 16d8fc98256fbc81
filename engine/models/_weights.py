"""Pretrained weights: where they are, what they were trained for, and loading them into a model."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache, partial
from importlib.resources import files
from typing import Any

from .. import hub
from ..serialization import load
from ._catalog import CATALOG, Entry
from ._transforms import ImageClassification

BASE_URL = "https://download.pytorch.org/models"


@dataclass(frozen=True)
class Weights:
    """A file of weights: its address, the preprocessing it expects, and facts about it."""

    url: str
    transforms: Callable[..., Any]
    meta: dict[str, Any]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Weights) and other.url == self.url

    def __hash__(self) -> int:
        return hash(self.url)


class WeightsEnum(Enum):
    """The weights there are for one model; ``DEFAULT`` is the best of them."""

    @classmethod
    def verify(cls, obj: Any) -> WeightsEnum | None:
        """A member given as itself, by its name or as "Class.NAME". TypeError or ValueError for anything else."""
        if obj is None or type(obj) is cls:
            return obj
        if isinstance(obj, str):
            return cls.named(obj)
        raise TypeError(
            f"Invalid Weight class provided; expected {cls.__name__} but received {obj.__class__.__name__}."
        )

    @classmethod
    def named(cls, name: str) -> WeightsEnum:
        """A member by its name. ValueError naming the members if there is none."""
        short = name.removeprefix(cls.__name__ + ".")
        if short not in cls.__members__:
            raise ValueError(f"{cls.__name__} has no weights {name!r}; there are: {', '.join(cls.__members__)}")
        return cls[short]

    @property
    def url(self) -> str:
        """Address of the file."""
        return self.value.url

    @property
    def transforms(self) -> Callable[..., Any]:
        """Makes the preprocessing: ``weights.transforms()(image)``."""
        return self.value.transforms

    @property
    def meta(self) -> dict[str, Any]:
        """categories, num_params, min_size, recipe, metrics ..."""
        return self.value.meta

    def get_state_dict(self, *args: Any, **kwargs: Any) -> Mapping[str, Any]:
        """The weights, from the cache or the network; arguments of ``hub.load_state_dict_from_url``."""
        return hub.load_state_dict_from_url(self.url, *args, **kwargs)

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}.{self._name_}"


@cache
def imagenet_categories() -> list[str]:
    """Names of ImageNet's 1000 classes, in the order of the outputs."""
    return files(__package__).joinpath("imagenet_categories.txt").read_text(encoding="utf-8").splitlines()


def weights_enum(name: str, module: str) -> type[WeightsEnum]:
    """The enum of a model's weights, from the catalog; the last entry is the default."""
    entries = CATALOG[name]
    members = {key: _weights(entry) for key, entry in entries.items()}
    best = next((key for key, entry in entries.items() if entry.default), list(entries)[-1])
    return WeightsEnum(name, {**members, "DEFAULT": members[best]}, module=module)


def _weights(entry: Entry) -> Weights:
    options: dict[str, Any] = {"crop_size": entry.crop}
    if entry.resize != 256:
        options["resize_size"] = entry.resize
    if entry.interpolation:
        options["interpolation"] = entry.interpolation
    if entry.mean:
        options["mean"], options["std"] = entry.mean, entry.std
    side = entry.min_size
    meta = {
        "min_size": (side, side),
        "categories": None if entry.top1 is None else imagenet_categories(),
        "num_params": entry.params,
        "_metrics": {"ImageNet-1K": {"acc@1": entry.top1, "acc@5": entry.top5}},
        "_ops": entry.gflops,
        "_file_size": entry.megabytes,
    }
    return Weights(f"{BASE_URL}/{entry.file}", partial(ImageClassification, **options), meta)


def read_weights(
    weights: Any, enum: type[WeightsEnum] | None, progress: bool = True
) -> tuple[Mapping[str, Any] | None, WeightsEnum | None]:
    """What ``weights=`` stands for, as (state_dict, member of the enum if it was one).

    Args:
        weights: None, a state_dict, a member of the enum or its name, or the path of a file.

    FileNotFoundError if it is neither a name nor a file; URLError, which says where to put the file, if it has to be
    downloaded and cannot be.
    """
    if weights is None:
        return None, None
    if isinstance(weights, Mapping):
        return weights, None
    if enum is not None and isinstance(weights, str) and not os.path.exists(weights):
        short = weights.removeprefix(enum.__name__ + ".")
        if short in enum.__members__:
            weights = enum[short]
        else:
            names = ", ".join(enum.__members__)
            raise FileNotFoundError(f"weights={weights!r} is no file, and no name of {enum.__name__}: {names}")
    if isinstance(weights, Enum):
        member = enum.verify(weights) if enum is not None else weights
        return member.get_state_dict(progress=progress, check_hash=True), member
    if isinstance(weights, (str, os.PathLike)):
        if not os.path.exists(weights):
            raise FileNotFoundError(f"weights={os.fspath(weights)!r}: there is no such file")
        return load(weights, map_location="cpu"), None
    raise TypeError(
        f"weights must be a path, a state_dict, a name or a member of an enum, not {type(weights).__name__}"
    )
