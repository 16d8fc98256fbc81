"""Discovery of OpenCL devices and what each can do."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache

import pyopencl as cl

from engine.errors import NoDeviceError
from engine.settings import scratch_folder

from ._translate import status_name

_HELP = (
    "install a CPU implementation with `pip install pocl-binary-distribution`, or the OpenCL driver of your hardware's "
    "vendor; OCL_ICD_VENDORS must not point to an empty folder"
)
_SIMULATORS = ("oclgrind",)
_GPU_NAMES = ("cuda", "opencl")


@dataclass(frozen=True)
class Capabilities:
    """What a device can do, read once. Code asks this and nothing else. Sizes are bytes."""

    name: str
    vendor: str
    platform: str
    platform_version: str
    driver_version: str
    kind: str
    compute_units: int
    max_work_group_size: int
    max_work_item_sizes: tuple[int, ...]
    local_mem_size: int
    local_mem_is_real: bool
    global_mem_size: int
    max_alloc_size: int
    fp64: bool
    fp16: bool
    int64_atomics: bool
    subgroups: bool
    float_vector_width: int
    unified_memory: bool
    opencl_c: tuple[int, int]
    is_pocl: bool
    pocl_version: tuple[int, int]
    clang_cpu: bool
    software: bool
    address_bits: int
    max_parameter_size: int
    extensions: frozenset[str]

    @property
    def is_cpu(self) -> bool:
        """Kernels are best given few work-items with long loops."""
        return self.kind == "cpu"

    @property
    def schedule(self) -> str:
        """Which kind of generated kernels suits: "cpu" or "gpu". llvmpipe ends loops after 65535 turns: short ones."""
        return "gpu" if self.kind == "gpu" or "llvmpipe" in self.name.lower() else "cpu"

    @property
    def longest_loop(self) -> int:
        """Turns a work-item's loops may have (0: any number); see ``schedule``."""
        return 60_000 if "llvmpipe" in self.name.lower() else 0

    @property
    def vectors(self) -> str:
        """Vector unit of a CPU by its float width: avx512 (16), avx2 (8), sse (4) or scalar."""
        return {16: "avx512", 8: "avx2", 4: "sse"}.get(self.float_vector_width, "scalar")

    @property
    def fast_headers(self) -> bool:
        """PoCL's builtin header may be skippable (see program.py, which probes it)."""
        return self.is_pocl and self.clang_cpu


@dataclass(frozen=True)
class DeviceRecord:
    """One device: its place in the list, its place within its kind, and its capabilities.

    ``inline_device``: the same processor as a device that runs kernels in the calling thread, where there is one.
    """

    number: int
    kind: str
    index: int
    caps: Capabilities
    cl_device: cl.Device = field(compare=False, repr=False)
    inline_device: cl.Device | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        c = self.caps
        return f"{self.number}: {self.kind}:{self.index} {c.name} ({c.platform}, {c.platform_version})"


def _version(text: str, default: tuple[int, int] = (0, 0)) -> tuple[int, int]:
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else default


def _kind(device: cl.Device, software: bool) -> str:
    kinds = cl.device_type
    if software or device.type & kinds.CPU:
        return "cpu"
    return "gpu" if device.type & kinds.GPU else "accelerator"


def _local_mem_is_real(device: cl.Device, kind: str) -> bool:
    return kind != "cpu" and device.local_mem_type == cl.device_local_mem_type.LOCAL


def _read(device: cl.Device) -> Capabilities:
    platform = device.platform
    extensions = frozenset(device.extensions.split())
    is_pocl = "pocl" in platform.version.lower()
    name = device.name.strip()
    software = "llvmpipe" in name.lower() or "swrast" in name.lower() or platform.name.lower() in _SIMULATORS
    kind = _kind(device, software)
    pocl_version = _version(platform.version.partition("PoCL")[2]) if is_pocl else (0, 0)
    width = max(device.preferred_vector_width_float, device.native_vector_width_float, 1)
    return Capabilities(
        name=name,
        vendor=device.vendor.strip(),
        platform=platform.name.strip(),
        platform_version=platform.version.strip(),
        driver_version=device.driver_version.strip(),
        kind=kind,
        compute_units=device.max_compute_units,
        max_work_group_size=device.max_work_group_size,
        max_work_item_sizes=tuple(device.max_work_item_sizes),
        local_mem_size=device.local_mem_size,
        local_mem_is_real=_local_mem_is_real(device, kind),
        global_mem_size=device.global_mem_size,
        max_alloc_size=device.max_mem_alloc_size,
        fp64="cl_khr_fp64" in extensions,
        fp16="cl_khr_fp16" in extensions,
        int64_atomics={"cl_khr_int64_base_atomics", "cl_khr_int64_extended_atomics"} <= extensions,
        subgroups=bool({"cl_khr_subgroups", "cl_intel_subgroups"} & extensions),
        float_vector_width=width,
        unified_memory=bool(device.host_unified_memory),
        opencl_c=_version(device.opencl_c_version, (1, 0)),
        is_pocl=is_pocl,
        pocl_version=pocl_version,
        clang_cpu=kind == "cpu" and (is_pocl or "intel" in platform.name.lower()),
        software=software,
        address_bits=device.address_bits,
        max_parameter_size=device.max_parameter_size,
        extensions=extensions,
    )


@cache
def _discover() -> tuple[DeviceRecord, ...]:
    scratch_folder()
    try:
        platforms = cl.get_platforms()
    except cl.Error as error:
        raise NoDeviceError(f"no OpenCL platform was found ({status_name(error)}): {_HELP}") from None
    found: list[tuple[Capabilities, cl.Device]] = []
    inline: dict[int, cl.Device | None] = {}
    for platform in platforms:
        try:
            devices = platform.get_devices()
        except cl.Error:  # a platform without devices reports it as an error
            continue
        devices, inline[platform.int_ptr] = _set_inline_apart(devices)
        found.extend((_read(device), device) for device in devices)
    if not found:
        raise NoDeviceError(f"OpenCL platforms are there but none has a device: {_HELP}")
    index: dict[int, int] = {}
    for kind in ("cpu", "gpu", "accelerator"):
        of_kind = [number for number, (caps, _) in enumerate(found) if caps.kind == kind]
        of_kind.sort(key=lambda number: (_rank(found[number][0]), number))
        index.update((number, place) for place, number in enumerate(of_kind))
    return tuple(
        DeviceRecord(n, caps.kind, index[n], caps, device, inline[device.platform.int_ptr] if caps.is_cpu else None)
        for n, (caps, device) in enumerate(found)
    )


def _set_inline_apart(devices: list[cl.Device]) -> tuple[list[cl.Device], cl.Device | None]:
    """PoCL's basic driver is the processor of its pthread driver once more: not a device of its own beside that."""
    basic = [device for device in devices if device.name.startswith("basic-")]
    others = [device for device in devices if device not in basic]
    if len(basic) == 1 and any(device.name.startswith("pthread-") for device in others):
        return others, basic[0]
    return devices, None


def _rank(caps: Capabilities) -> tuple:
    """Sort key, best first: PoCL before other CPU implementations, simulators last; GPUs by own memory, then size."""
    if caps.kind == "cpu":
        return (caps.platform.lower() in _SIMULATORS, caps.software, not caps.is_pocl)
    return (caps.unified_memory, -caps.global_mem_size)


def discover() -> list[DeviceRecord]:
    """All devices of all platforms, in the loader's order; ``index`` ranks those of a kind, best first.

    Raises NoDeviceError when there is none.
    """
    return list(_discover())


def default_record() -> DeviceRecord:
    """The best CPU device (PoCL first, simulators last) where there is one, else the best GPU."""
    kinds = ("cpu", "gpu", "accelerator")
    return min(discover(), key=lambda record: (kinds.index(record.kind), record.index))


def listing() -> str:
    """One line a device, for messages."""
    return "\n".join(f"  {record}" for record in discover())


def find(spec: str | int) -> DeviceRecord:
    """The device that a text names.

    Args:
        spec: a number of the list, a kind with or without an index (``cpu``, ``gpu:1``; ``cuda`` and ``opencl`` mean
            ``gpu``), or part of the name of a device, platform or platform version, in any case.

    Raises NoDeviceError listing what there is when nothing matches.
    """
    text = str(spec).strip()
    records = discover()
    if text.isdigit():
        if int(text) < len(records):
            return records[int(text)]
        raise NoDeviceError(f"there is no OpenCL device number {text}; devices are:\n{listing()}")
    kind, _, index = text.lower().partition(":")
    kind = "gpu" if kind in _GPU_NAMES else kind
    if kind in ("cpu", "gpu", "accelerator") and (index.isdigit() or not index):
        return _of_kind(kind, index)
    matching = [(_closeness(record.caps, text.lower()), record.index, record.number) for record in records]
    matching = sorted(match for match in matching if match[0] is not None)
    if text and matching:
        return records[matching[0][2]]
    raise NoDeviceError(f"no OpenCL device matches {text!r}; devices are:\n{listing()}")


def _closeness(caps: Capabilities, text: str) -> int | None:
    """How well a lower-case text names a device, 0 best: by platform, by device, by all its words; None: not at all."""
    platform = f"{caps.platform} {caps.platform_version}".lower()
    everything = f"{caps.name} {platform} {caps.vendor} {caps.driver_version}".lower()
    if text in platform:
        return 0
    if text in everything:
        return 1
    return 2 if all(word in everything for word in text.split()) else None


def _of_kind(kind: str, index: str) -> DeviceRecord:
    of_kind = [record for record in discover() if record.kind == kind]
    if not of_kind:
        raise NoDeviceError(f"there is no OpenCL device of kind {kind!r}; devices are:\n{listing()}")
    if not index:
        index = "0"
    for record in of_kind:
        if record.index == int(index):
            return record
    raise NoDeviceError(f"there is no device {kind}:{index}; devices are:\n{listing()}")
