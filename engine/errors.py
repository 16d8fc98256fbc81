"""Errors a user of the library can meet that are not plain Python errors."""

from __future__ import annotations


class DeviceError(RuntimeError):
    """An OpenCL driver refused or failed a command; the message says which and what to do."""


class NoDeviceError(DeviceError):
    """No OpenCL device is there, or none matches what was asked for."""


class BuildError(DeviceError):
    """An OpenCL program did not compile.

    Attributes:
        log: the compiler's own output.
        source: the full source text given to the compiler.
        options: the build options.
    """

    def __init__(self, message: str, log: str = "", source: str = "", options: str = "") -> None:
        super().__init__(message)
        self.log = log
        self.source = source
        self.options = options


class IndexOutOfRange(IndexError, RuntimeError):
    """A position beyond the end: torch raises one or the other, depending on the op."""


class OutOfMemoryError(RuntimeError):
    """A device allocation failed even after the cached blocks were given back."""


class LinAlgError(RuntimeError):
    """A matrix is singular, not positive-definite, or an iteration did not converge."""
