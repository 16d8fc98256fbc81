"""Translation of pyopencl's exceptions into the library's errors, at the one boundary between the two."""

from __future__ import annotations

import pyopencl as cl

from engine.errors import DeviceError, OutOfMemoryError

_ADVICE = {
    "MEM_OBJECT_ALLOCATION_FAILURE": "the device is out of memory: use a smaller batch, or free tensors first",
    "OUT_OF_RESOURCES": "the kernel needs more registers, local memory or time than the device grants",
    "OUT_OF_HOST_MEMORY": "the host is out of memory: use a smaller batch, or free tensors first",
    "INVALID_WORK_GROUP_SIZE": "the work-group is larger than this device or kernel allows",
    "INVALID_WORK_ITEM_SIZE": "the work-group is larger than this device allows in one dimension",
    "INVALID_KERNEL_ARGS": "an argument of the kernel was never set",
    "INVALID_ARG_INDEX": "the kernel has fewer arguments",
    "INVALID_ARG_VALUE": "the argument is of another kind than the kernel declares",
    "INVALID_ARG_SIZE": "an argument has another size than the kernel declares",
    "INVALID_BUFFER_SIZE": "the device does not allow a single buffer of that size",
    "DEVICE_NOT_AVAILABLE": "the device went away: check the driver and that no other process holds it exclusively",
    "INVALID_COMMAND_QUEUE": "an earlier kernel crashed on the device; restart the process",
}

_NO_MEMORY = frozenset(("MEM_OBJECT_ALLOCATION_FAILURE", "OUT_OF_HOST_MEMORY"))


def status_name(error: cl.Error) -> str:
    """Name of the OpenCL status an exception carries, for example INVALID_WORK_GROUP_SIZE."""
    code = getattr(error, "code", None)
    if code is None:
        return type(error).__name__
    return cl.status_code.to_string(code, "status %d")


def is_out_of_memory(error: cl.Error) -> bool:
    """True for the statuses by which drivers say that memory ran out, at once or at enqueue."""
    return isinstance(error, cl.MemoryError) or status_name(error) in _NO_MEMORY


def translate(error: cl.Error, doing: str, device: str = "") -> RuntimeError:
    """The library's error for a driver's: what was being done, on which device, what to do."""
    name = status_name(error)
    where = f" on {device}" if device else ""
    advice = _ADVICE.get(name, "run with ENGINE_DEBUG=2 to see the kernels that ran before")
    text = f"OpenCL failed with {name} {doing}{where}: {advice}"
    return OutOfMemoryError(text) if is_out_of_memory(error) else DeviceError(text)
