"""The one OpenVINO core of this process.

OpenVINO gives the thread that first uses its processor plugin a signal stack of its own, and takes the memory back when
the plugin ends, perhaps in another thread. The next signal, for example that a child process has ended, would then end
this process. So the core is made once and kept, and the stack that was there before is put back.
"""

import contextlib
import ctypes
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any, ClassVar

from phytoscope.errors import require


class _SignalStack(ctypes.Structure):
    _fields_: ClassVar = [("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]


@contextlib.contextmanager
def keep_signal_stack() -> Iterator[None]:
    """Puts the calling thread's alternate signal stack back at the end of a `with` block; Linux only."""
    if not sys.platform.startswith("linux"):
        yield
        return
    system = ctypes.CDLL(None)
    before = _SignalStack()
    system.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        system.sigaltstack(ctypes.byref(before), None)


@cache
def get_core() -> Any:
    """The core, with its processor plugin loaded; it is never given back.

    Raises:
        MissingDependencyError: OpenVINO is not installed.
    """
    core = require("openvino").Core()
    with keep_signal_stack():
        core.get_property("CPU", "FULL_DEVICE_NAME")
    return core
