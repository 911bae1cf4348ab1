"""OpenVINO does not take the ground away from under signals."""

import ctypes
import gc
import subprocess
import sys
import threading

import pytest

pytest.importorskip("openvino", reason="openvino is not installed")

from phytoscope.models.openvino_core import get_core, keep_signal_stack

_CHILDREN = """
import ctypes, faulthandler, gc, signal, subprocess, sys, threading
import openvino
from phytoscope.models.openvino_core import get_core, keep_signal_stack
faulthandler.enable()
heard = []
signal.signal(signal.SIGCHLD, lambda *_: heard.append(1))
get_core()
with keep_signal_stack():
    other = [openvino.Core()]
    other[0].get_property("CPU", "FULL_DEVICE_NAME")
thread = threading.Thread(target=other.clear)
thread.start()
thread.join()
gc.collect()
for _ in range(5):
    subprocess.run([sys.executable, "-c", ""], check=True)
print("heard", len(heard) > 0)
"""


def _read_stack():
    class Stack(ctypes.Structure):
        _fields_ = [("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]

    found = Stack()
    ctypes.CDLL(None).sigaltstack(None, ctypes.byref(found))
    return found.start, found.flags, found.size


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="signal stacks are looked at on Linux only")
def test_signal_stack_is_put_back():
    """Whatever OpenVINO sets for itself, the thread has its own stack again afterwards."""
    before = _read_stack()
    found = {}

    def work():
        own = _read_stack()
        with keep_signal_stack():
            import openvino

            openvino.Core().get_property("CPU", "FULL_DEVICE_NAME")
        found["same"] = _read_stack() == own

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert get_core() is get_core()
    gc.collect()
    assert found["same"]
    assert _read_stack() == before


def test_children_may_end_after_a_core_has_gone():
    """A child that ends sends a signal, which ended the process when the plugin had taken its stack away."""
    done = subprocess.run([sys.executable, "-c", _CHILDREN], check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "heard True" in done.stdout
