"""Cheaper kernel objects.

pyopencl writes and compiles two Python functions for each kernel object (about 1 ms), which differ in nothing but the
kernel's name and the number of arguments and which the queue here does not even call. One pair for each number of
arguments serves all kernels.
"""

from __future__ import annotations

import functools
from typing import Any

from pyopencl import invoker

_NAME = "kernel"


def share_invokers() -> None:
    """Let kernels with equally many arguments share their generated functions."""
    plain = getattr(invoker, "_generate_enqueue_and_set_args_module", None)
    if plain is None or hasattr(plain, "cache_info"):  # another version of pyopencl, or done before
        return

    @functools.lru_cache(maxsize=512)
    def shared(*key: Any) -> Any:
        return plain(_NAME, *key)

    @functools.wraps(plain)
    def generate(function_name: str, *key: Any) -> Any:
        try:
            return shared(*key)
        except TypeError:  # a key that cannot be hashed
            return plain(function_name, *key)

    generate.cache_info = shared.cache_info
    invoker._generate_enqueue_and_set_args_module = generate
