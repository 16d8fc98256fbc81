"""Kullback-Leibler divergences (``torch.distributions.kl``)."""

from __future__ import annotations

from . import cross_family, same_family
from .registry import _KL_MEMOIZE, _KL_REGISTRY, _dispatch_kl, kl_divergence, register_kl

__all__ = ["kl_divergence", "register_kl"]
