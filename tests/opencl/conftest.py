"""Fixtures of the OpenCL layer's tests; they run on the device ENGINE_DEVICE names."""

from __future__ import annotations

import pytest

from engine.opencl import Runtime, default_runtime
from engine.settings import settings


@pytest.fixture(scope="session")
def shared_runtime() -> Runtime:
    """The device's own runtime."""
    return default_runtime()


@pytest.fixture(scope="session")
def copying_runtime() -> Runtime:
    """A runtime that goes the way of GPUs: no memory shared with the host, transfers on a queue of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.opencl.runtime.probe_host_visible", lambda *args: False)
        return Runtime(default_runtime().record)


def pytest_generate_tests(metafunc):
    """Tests of transfers run both ways, all others once."""
    if "runtime" in metafunc.fixturenames:
        both = metafunc.module.__name__.endswith(("test_memory", "test_queue"))
        metafunc.parametrize(
            "runtime", ["shared_runtime", "copying_runtime"][: 1 + both], indirect=True, scope="session"
        )


@pytest.fixture(scope="session")
def runtime(request) -> Runtime:
    """The runtime a test runs on."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def restore_settings():
    """Put all settings back after a test that changes some."""
    before = {name: getattr(settings, name) for name in settings.names()}
    yield settings
    for name, value in before.items():
        setattr(settings, name, value)


@pytest.fixture
def cache_dir(restore_settings, tmp_path):
    """An empty cache folder."""
    settings.cache_dir = str(tmp_path / "cache")
    return tmp_path / "cache"
