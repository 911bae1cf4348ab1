"""Errors of ours on their way from one process to another: whoever catches them meets the same class and text."""

import contextlib
import importlib
from dataclasses import dataclass
from typing import Any

from phytoscope.errors import PhytoscopeError


@dataclass(frozen=True)
class ErrorParcel:
    """An error as plain values; errors that take several arguments cannot be pickled as they are.

    Attributes:
        module: Module of its class.
        name: Name of its class.
        args: What `Exception.args` holds.
        state: Its attributes.
    """

    module: str
    name: str
    args: tuple[Any, ...]
    state: dict[str, Any]


def pack_error(error: PhytoscopeError) -> ErrorParcel:
    """Packs an error.

    Args:
        error: One of our own.
    """
    kind = type(error)
    return ErrorParcel(kind.__module__, kind.__qualname__, error.args, dict(vars(error)))


def unpack_error(parcel: ErrorParcel) -> PhytoscopeError:
    """Gives the error that was packed.

    Args:
        parcel: From a process with the same version of this package.
    """
    kind = getattr(importlib.import_module(parcel.module), parcel.name)
    error: PhytoscopeError = kind.__new__(kind)
    error.args = parcel.args
    for key, value in parcel.state.items():
        with contextlib.suppress(AttributeError):
            setattr(error, key, value)
    return error
