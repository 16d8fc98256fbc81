"""Carrying an exception from a worker to the process that reads from it."""

from __future__ import annotations

import sys
import traceback


class KeyErrorMessage(str):
    """Text that KeyError prints as it is (it shows ``repr`` of its argument)."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class ExceptionWrapper:
    """The type and formatted traceback of the exception being handled (or of ``exc_info``)."""

    def __init__(self, exc_info: tuple | None = None, where: str = "in background") -> None:
        kind, error, trace = exc_info or sys.exc_info()
        self.exc_type = kind
        self.exc_msg = "".join(traceback.format_exception(kind, error, trace))
        self.where = where

    def reraise(self) -> None:
        """Raise an exception of the original type, its message holding the original traceback.

        RuntimeError where the type cannot be made from one message.
        """
        message: str = f"Caught {self.exc_type.__name__} {self.where}.\nOriginal {self.exc_msg}"
        if self.exc_type is KeyError:
            message = KeyErrorMessage(message)
        elif getattr(self.exc_type, "message", None):
            raise self.exc_type(message=message)
        try:
            error = self.exc_type(message)
        except Exception:  # a constructor of the user's; whatever it raises hides the error to report
            raise RuntimeError(message) from None
        raise error
