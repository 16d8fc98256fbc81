"""This library under the name ``torch``, so that programs and packages written for PyTorch run unmodified.

``install_as_torch()`` puts the package into ``sys.modules`` as ``torch``; its submodules follow as they are imported:
``torch.nn.functional`` and ``engine.nn.functional`` are one module object. ``torch.__version__`` and the version that
``importlib.metadata`` reports are those of the PyTorch release whose interface is served, as packages branch on them.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from . import version
from .version import TorchVersion

ROOT = __name__.partition(".")[0]
ALIAS = "torch"
_TOP_CLASSES = ("Tensor", "Size", "device", "dtype", "Generator", "layout", "memory_format")
_PUBLIC_PACKAGES = ("nn", "optim")


def _own_name(name: str) -> str:
    return ROOT + name[len(ALIAS) :]


class _Loader(importlib.abc.Loader):
    """Hands out the module of this library; it is executed under its own name only."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._spec = module.__spec__

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """The module that is already there."""
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing but to undo that the import system wrote the alias into the module."""
        module.__spec__ = self._spec


class _Distribution(importlib.metadata.Distribution):
    """What ``importlib.metadata`` finds for the package name ``torch``."""

    def read_text(self, filename: str) -> str | None:
        """The metadata, which is all there is."""
        if filename in ("METADATA", "PKG-INFO"):
            return f"Metadata-Version: 2.1\nName: {ALIAS}\nVersion: {version.torch_version}\n"
        return None

    def locate_file(self, path: Any) -> Path:
        """A path inside this library."""
        return Path(__file__).parent / path


class _Finder(importlib.abc.MetaPathFinder):
    """Finds ``torch.x.y`` as ``engine.x.y``."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The spec of a submodule of ``torch``; None for all other names, and for what this library does not have."""
        if not fullname.startswith(ALIAS + "."):
            return None
        own = _own_name(fullname)
        try:
            module = importlib.import_module(own)
        except ModuleNotFoundError as error:
            if error.name is not None and (own == error.name or own.startswith(error.name + ".")):
                return None
            raise
        return importlib.machinery.ModuleSpec(
            fullname, _Loader(module), origin=getattr(module, "__file__", None), is_package=hasattr(module, "__path__")
        )

    def find_distributions(
        self, context: importlib.metadata.DistributionFinder.Context | None = None
    ) -> Iterable[importlib.metadata.Distribution]:
        """The distribution named ``torch``."""
        wanted = None if context is None else context.name
        return iter(()) if wanted not in (None, ALIAS) else iter((_Distribution(),))


_finder = _Finder()


def is_installed() -> bool:
    """Whether ``torch`` is this library in this process."""
    return sys.modules.get(ALIAS) is sys.modules.get(ROOT)


def install_as_torch() -> None:
    """Make ``import torch`` (and ``import torch.nn`` ...) mean this library, in this process and DataLoader workers.

    Call it before anything imports torch. From then on ``torch.__version__`` (and this package's ``__version__``, as
    they are one module) is the PyTorch release whose interface is served; ``engine.version.engine_version`` stays.
    Public classes name ``torch`` as their home (``torch.nn.Module.__module__ == "torch.nn.modules.module"``), which is
    what programs that look at names expect. Calling it again does nothing.

    Raises RuntimeError if PyTorch itself was imported before.
    """
    if is_installed():
        return
    if ALIAS in sys.modules:
        raise RuntimeError(
            "install_as_torch() must come before the first import of torch: PyTorch itself is already imported in this "
            "process"
        )
    root = sys.modules[ROOT]
    release = TorchVersion(version.torch_version)
    root.__version__ = release
    root.torch = root  # as PyTorch's own module has it
    version.__version__ = release
    sys.meta_path.insert(0, _finder)
    sys.modules[ALIAS] = root
    for name, module in list(sys.modules.items()):
        if name.startswith(ROOT + "."):
            sys.modules[ALIAS + name[len(ROOT) :]] = module
    for cls, home in _public_classes(root):
        cls.__module__ = home


def _public_classes(root: ModuleType) -> Iterator[tuple[type, str]]:
    """Classes whose home a program may look at, with the name of that home under torch."""
    for name in _TOP_CLASSES:
        yield getattr(root, name), ALIAS
    prefixes = tuple(f"{ROOT}.{package}." for package in _PUBLIC_PACKAGES)
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith(prefixes):
            for value in list(vars(module).values()):
                if isinstance(value, type) and value.__module__ == module_name:
                    yield value, ALIAS + module_name[len(ROOT) :]


class Names:
    """Unpickling one makes the names in the reading process what they were in the writing one."""

    def __reduce__(self) -> tuple:
        return restore_names, (is_installed(),)


def restore_names(installed: bool) -> Names:
    """``install_as_torch()`` if it was called where this comes from."""
    if installed:
        install_as_torch()
    return Names()
