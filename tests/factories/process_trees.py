"""What a service and all its processes hold."""

import contextlib
import time
from dataclasses import dataclass

import psutil


@dataclass
class Held:
    """Memory of its own in MB, open files and number of processes of a whole tree."""

    memory_mb: float
    files: int
    processes: int


def measure_tree(pid):
    """Measures a process and all its children."""
    root = psutil.Process(pid)
    memory, files, count = 0.0, 0, 0
    for process in (root, *root.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            memory += process.memory_full_info().uss / 1e6
            files += process.num_fds()
            count += 1
    return Held(memory, files, count)


def wait_until(holds, seconds=30.0, every_s=0.05):
    """Waits until a function gives something true, and gives it.

    Raises:
        AssertionError: It did not in time.
    """
    until = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(every_s)
    return found
