"""What all tests share: the device they run on in the report's head, and defaults that no test leaves changed."""

from __future__ import annotations

import pytest

import engine
from engine.device import default


def pytest_report_header() -> str:
    """The device under test (ENGINE_DEVICE)."""
    caps = default.get().runtime.caps
    return f"engine: {caps.name}, {caps.platform_version}, {engine.config.schedule} schedule"


@pytest.fixture(autouse=True)
def _defaults_stay():
    yield
    assert engine.get_default_dtype() is engine.float32
    assert default.override is None
    assert engine.is_grad_enabled()


@pytest.fixture
def double():
    """For tests that compute in float64: skips on devices without it."""
    if not default.get().runtime.caps.fp64:
        pytest.skip("the device has no float64")
