"""Models by name: the functions that build them and the weights there are for each."""

from __future__ import annotations

import fnmatch
import functools
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any, TypeVar

from .. import nn
from ._weights import WeightsEnum, read_weights

Build = TypeVar("Build", bound=Callable[..., nn.Module])

_builders: dict[str, Callable[..., nn.Module]] = {}
_weights_of: dict[str, type[WeightsEnum]] = {}


def model(
    weights_enum: type[WeightsEnum],
    adapt: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None,
    arguments: Callable[[WeightsEnum], dict[str, Any]] | None = None,
) -> Callable[[Build], Callable[..., Any]]:
    """Publish a function ``build(**kwargs)`` as a builder with torchvision's arguments ``weights`` and ``progress``.

    Args:
        weights_enum: the model's weights.
        adapt: brings the keys of an older state_dict up to date.
        arguments: constructor arguments that go with a member of the enum.
    """

    def publish(build: Build) -> Callable[..., Any]:
        @functools.wraps(build)
        def builder(*args: Any, weights: Any = None, progress: bool = True, **kwargs: Any) -> nn.Module:
            if args or "pretrained" in kwargs:
                weights = _old_arguments(weights_enum, weights, args, kwargs)
            state, member = read_weights(weights, weights_enum, progress)
            if member is not None:
                _fix(kwargs, "num_classes", len(member.meta["categories"] or range(1000)))
                for name, value in (arguments(member) if arguments else {}).items():
                    _fix(kwargs, name, value)
            made = build(**kwargs)
            if state is not None:
                made.load_state_dict(state if adapt is None else adapt(state))
            return made

        builder.__doc__ = (
            f"{build.__doc__}\n\nweights: a member of {weights_enum.__name__} or its name, a path, or a state_dict; "
            "progress: show a bar while downloading; other arguments go to the model's class."
        )
        _builders[build.__name__] = builder
        _weights_of[build.__name__] = weights_enum
        return builder

    return publish


def _old_arguments(enum: type[WeightsEnum], weights: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """Weights given in the way of older releases: ``pretrained=True``, or as a positional argument."""
    if len(args) > 1:
        raise TypeError(f"expected at most one positional argument, got {len(args)}")
    given = kwargs.pop("pretrained", args[0] if args else None)
    if isinstance(given, bool):
        return enum["DEFAULT" if "IMAGENET1K_V1" not in enum.__members__ else "IMAGENET1K_V1"] if given else weights
    return weights if given is None else given


def _fix(kwargs: dict[str, Any], name: str, value: Any) -> None:
    if kwargs.setdefault(name, value) != value:
        raise ValueError(f"The parameter '{name}' expected value {value} but got {kwargs[name]} instead.")


def list_models(
    module: ModuleType | None = None,
    include: Iterable[str] | str | None = None,
    exclude: Iterable[str] | str | None = None,
) -> list[str]:
    """Names of the models, sorted.

    Args:
        module: only those that this module defines.
        include, exclude: patterns (``"resnet*"``) of names to list and to leave out.
    """
    names = [n for n, b in _builders.items() if module is None or b.__module__ == module.__name__]
    if include is not None:
        patterns = [include] if isinstance(include, str) else list(include)
        names = [n for n in names if any(fnmatch.fnmatch(n, p) for p in patterns)]
    if exclude is not None:
        patterns = [exclude] if isinstance(exclude, str) else list(exclude)
        names = [n for n in names if not any(fnmatch.fnmatch(n, p) for p in patterns)]
    return sorted(names)


def get_model_builder(name: str) -> Callable[..., nn.Module]:
    """The function that builds a model. ValueError for an unknown name."""
    found = _builders.get(name.lower())
    if found is None:
        raise ValueError(f"Unknown model {name}")
    return found


def get_model(name: str, **config: Any) -> nn.Module:
    """Build a model by name; ``config`` goes to its builder."""
    return get_model_builder(name)(**config)


def get_model_weights(name: Callable[..., nn.Module] | str) -> type[WeightsEnum]:
    """The enum of a model's weights, by its name or builder."""
    key = name.lower() if isinstance(name, str) else name.__name__
    if key not in _weights_of:
        raise ValueError(f"Unknown model {name}")
    return _weights_of[key]


def get_weight(name: str) -> WeightsEnum:
    """A member of an enum by its full name, "ResNet50_Weights.IMAGENET1K_V2"."""
    enum_name, _, member = name.partition(".")
    if not member:
        raise ValueError(f"Invalid weight name provided: '{name}'.")
    for enum in _weights_of.values():
        if enum.__name__ == enum_name:
            return enum.named(member)
    raise ValueError(f"The weight enum '{enum_name}' for the specific method couldn't be retrieved.")
