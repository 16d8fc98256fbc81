from __future__ import annotations

import os
import subprocess
import sys

import pytest

from engine.errors import DeviceError, NoDeviceError
from engine.opencl import default_record, discover, find
from engine.opencl.runtime import _check_linker
from engine.opencl.selfcheck import check_device, devices_report


def test_numbers_and_indices_are_stable():
    records = discover()
    assert [r.number for r in records] == list(range(len(records)))
    for kind in {r.kind for r in records}:
        assert sorted(r.index for r in records if r.kind == kind) == list(range(sum(r.kind == kind for r in records)))
    assert records == discover()


def test_default_is_the_first_cpu():
    kinds = [r.kind for r in discover()]
    default = default_record()
    assert default.kind == ("cpu" if "cpu" in kinds else default.kind)
    assert default.index == 0


def test_find_by_number_kind_and_name():
    record = default_record()
    assert find(record.number) == find(str(record.number)) == record
    assert find(record.kind) == find(f"{record.kind}:0") == record
    assert find(record.caps.platform.upper()).caps.platform == record.caps.platform
    assert find(record.caps.name[:6].lower()) is not None


def test_find_by_words_in_any_order():
    caps = default_record().caps
    assert find(f"{caps.platform_version.split()[-1]} {caps.name.split()[0]}").caps.platform == caps.platform


@pytest.mark.parametrize("spec", ["99", "cpu:99", "no such device", "accelerator:5", ""])
def test_find_lists_devices_when_nothing_matches(spec):
    with pytest.raises(NoDeviceError) as caught:
        find(spec)
    assert default_record().caps.name in str(caught.value)


def test_capabilities_are_plausible():
    for record in discover():
        caps = record.caps
        assert caps.compute_units >= 1
        assert caps.max_work_group_size >= 1
        assert caps.local_mem_size >= 1 << 10
        assert caps.float_vector_width in (1, 2, 4, 8, 16)
        assert caps.opencl_c >= (1, 0)
        assert hash(caps) == hash(caps)
        assert not (caps.is_cpu and caps.local_mem_is_real)


def test_no_platform_is_one_readable_error(tmp_path):
    code = (
        "import pyopencl as cl\n"
        "def none(): raise cl.LogicError('clGetPlatformIDs', -1001, '')\n"
        "cl.get_platforms = none\n"
        "from engine.errors import NoDeviceError\n"
        "from engine.opencl import discover\n"
        "try: discover()\n"
        "except NoDeviceError as error: print(error)\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert "pip install pocl-binary-distribution" in out.stdout


def test_missing_linker_is_said_before_pocl_aborts(monkeypatch):
    pocl = [r.caps for r in discover() if r.caps.is_pocl and r.caps.pocl_version < (5, 0)]
    if not pocl or sys.platform != "linux":
        pytest.skip("no PoCL that needs a linker")
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(DeviceError, match="install a C toolchain"):
        _check_linker(pocl[0])


def test_selfcheck_passes_on_the_chosen_device(runtime):
    results = check_device(runtime.record)
    assert [r.name for r in results if not r.passed] == []
    assert len(results) == 3 + runtime.caps.fp64


def test_report_names_the_default_and_why():
    report = devices_report(check=False)
    assert "(default)" in report
    assert "Default: device" in report
