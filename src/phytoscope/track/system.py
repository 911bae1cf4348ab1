"""The load of the machine while a run goes on, written into the event log of the run."""

import os
import threading
from pathlib import Path
from types import ModuleType, TracebackType

from loguru import logger

from phytoscope.errors import MissingDependencyError, PhytoscopeError, require
from phytoscope.schema.events import EventKind, EventLog, Journal, read_events

_FIRST_SECONDS = 0.1
"""Processor load is counted between two looks; a shorter time between them says nothing."""
_MEGABYTE = 1e6


class SystemSampler:
    """Looks at the load of the machine now and then, in a thread of its own, for as long as its `with` block lasts.

    The names and units are those of MLflow's own system metrics, so that its page of system metrics shows them:
    `system/cpu_utilization_percentage` (0-100, all cores, mean since the look before), `system/system_memory_usage_*`,
    `system/disk_usage_percentage`, `system/disk_usage_megabytes` and `system/disk_available_megabytes` (the disk that
    the run is written to), `system/network_receive_megabytes` and `system/network_transmit_megabytes` (since the block
    began); beside them `system/process_memory_megabytes`, what this process holds in memory. A megabyte is 10^6 bytes.

    There is a look at the beginning and one at the end, however short the block is. Looks are numbered from 0 over the
    whole run: a command that goes on with it counts on where the last one stopped, as the log says. Without the package
    psutil nothing happens. A log that cannot be written any more ends the looks, never the work.
    """

    def __init__(self, journal: Journal, seconds: float) -> None:
        """Takes the receiver.

        Args:
            journal: Its `system` is called, from the thread and at the end from the caller's.
            seconds: Time between two looks; 0 for none at all.
        """
        self._journal = journal
        self._seconds = seconds
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "SystemSampler":
        """Starts to look."""
        if self._seconds > 0:
            try:
                psutil = require("psutil")
            except MissingDependencyError:
                return self
            self._thread = threading.Thread(target=self._look, args=(psutil,), name="system-sampler", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Looks once more and ends."""
        if self._thread is not None:
            self._stopped.set()
            self._thread.join()

    def _look(self, psutil: ModuleType) -> None:
        try:
            watch = _Watch(psutil, self._journal)
            step = count_looks(self._journal)
            self._stopped.wait(_FIRST_SECONDS)
            self._journal.system(watch.read(), step=step)
            while not self._stopped.wait(self._seconds):
                step += 1
                self._journal.system(watch.read(), step=step)
            self._journal.system(watch.read(), step=step + 1)
        except (PhytoscopeError, OSError, RuntimeError, psutil.Error) as error:
            # Some containers hide their counters.
            logger.warning(f"the load of the machine is not logged any more: {error}")


class _Watch:
    """Reads the counters of the machine."""

    def __init__(self, psutil: ModuleType, journal: Journal) -> None:
        self._psutil = psutil
        self._place = _find_disk(journal)
        self._process = psutil.Process()
        self._network = psutil.net_io_counters()
        # The first call begins to count and its own answer means nothing.
        psutil.cpu_percent()

    def read(self) -> dict[str, float]:
        memory = self._psutil.virtual_memory()
        disk = self._psutil.disk_usage(str(self._place))
        values = {
            "cpu_utilization_percentage": self._psutil.cpu_percent(),
            "system_memory_usage_megabytes": memory.used / _MEGABYTE,
            "system_memory_usage_percentage": memory.used / memory.total * 100,
            "disk_usage_percentage": disk.percent,
            "disk_usage_megabytes": disk.used / _MEGABYTE,
            "disk_available_megabytes": disk.free / _MEGABYTE,
            "process_memory_megabytes": self._process.memory_info().rss / _MEGABYTE,
        }
        now = self._psutil.net_io_counters()
        # A machine without any network has no counters.
        if now is not None and self._network is not None:
            values["network_receive_megabytes"] = (now.bytes_recv - self._network.bytes_recv) / _MEGABYTE
            values["network_transmit_megabytes"] = (now.bytes_sent - self._network.bytes_sent) / _MEGABYTE
        return {f"system/{name}": round(float(value), 1) for name, value in values.items()}


def count_looks(journal: Journal) -> int:
    """How many looks the log of the run that goes on holds; 0 when the journal is no file.

    Args:
        journal: Its file is read once.

    Raises:
        ArtifactError: The file is damaged.
    """
    if not isinstance(journal, EventLog) or not journal.path.exists():
        return 0
    steps = [
        int(event.content["step"])
        for event in read_events(journal.path)
        if event.kind is EventKind.system and event.run == journal.run
    ]
    return max(steps, default=-1) + 1


def _find_disk(journal: Journal) -> Path:
    if isinstance(journal, EventLog):
        return journal.path.parent
    return Path(os.sep)
