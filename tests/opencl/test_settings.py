from __future__ import annotations

import os
import subprocess
import sys

import pytest

from engine.settings import Settings


def test_defaults_and_environment():
    plain = Settings.from_env({})
    assert (plain.device, plain.debug, plain.fusion, plain.schedule, plain.memory_limit) == ("", 0, True, "auto", None)
    found = Settings.from_env(
        {"ENGINE_DEVICE": " cpu:1 ", "ENGINE_DEBUG": "3", "ENGINE_FUSION": "0", "ENGINE_MEMORY_LIMIT": "1.5G"}
    )
    assert (found.device, found.debug, found.fusion, found.memory_limit) == ("cpu:1", 3, False, 3 << 29)


@pytest.mark.parametrize(
    ("name", "value"), [("DEBUG", "9"), ("FUSION", "maybe"), ("SCHEDULE", "tpu"), ("MEMORY_LIMIT", "lots")]
)
def test_bad_values_name_the_variable(name, value):
    with pytest.raises(ValueError, match=f"ENGINE_{name}"):
        Settings.from_env({f"ENGINE_{name}": value})


def test_assignment_is_checked():
    found = Settings()
    found.memory_limit = "2K"
    assert found.memory_limit == 2048
    with pytest.raises(ValueError, match="schedule"):
        found.schedule = "tpu"
    with pytest.raises(AttributeError, match="settings are: device, debug"):
        found.debugg = 1


def test_describe_names_every_setting():
    text = Settings().describe()
    assert all(f"ENGINE_{name.upper()}" in text for name in Settings.names())


def test_cache_path_follows_the_folder(tmp_path):
    assert Settings(cache_dir=str(tmp_path)).cache_path("a", "b") == tmp_path / "a" / "b"


def test_import_sets_affinity_unless_set():
    code = "import os, engine.settings; print(os.environ.get('POCL_AFFINITY'))"
    for given, expected in (("0", "0"), (None, "1")):
        env = {k: v for k, v in os.environ.items() if k != "POCL_AFFINITY"}
        if given is not None:
            env["POCL_AFFINITY"] = given
        out = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
        pinned = not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) == os.cpu_count()
        assert out.stdout.strip() == (expected if given is not None or pinned else "None")
