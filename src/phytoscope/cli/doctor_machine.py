"""The computer as it is: cores, memory, disks, ports, clock and text. Nothing here takes more than milliseconds."""

import datetime
import locale
import os
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from phytoscope.cli.doctor_report import Check, Health
from phytoscope.errors import storage_error
from phytoscope.schema.artifact import find_user_cache
from phytoscope.schema.config import PathsConfig
from phytoscope.schema.serve import ServeConfig
from phytoscope.transforms.stream import count_cores

_GIB: Final = 2**30
_LITTLE_MEMORY_GIB, _LITTLE_DISK_GIB, _NO_DISK_GIB = 4.0, 5.0, 0.5
_SHARED: Final = Path("/dev/shm")  # noqa: S108 (looked at, not written)
_LITTLE_SHARED_GIB = 0.25
_GROUP: Final = Path("/sys/fs/cgroup")
_PORTS: Final = {
    "phytoscope serve": (ServeConfig.port, "serve.port=8080"),
    "phytoscope pipeline": (3000, "--port 3001"),
    "its MLflow": (5001, "--mlflow-port 5002"),
}
_THREADS: Final = "OMP_NUM_THREADS"


def check_cores() -> Check:
    """Cores that may be used, and whether a container grants less time than that."""
    cores = count_cores()
    threads = os.environ.get(_THREADS)
    granted = _read_granted_cores()
    facts = {"usable": cores, "in_machine": os.cpu_count(), "granted": granted, _THREADS: threads}
    found = f"{cores} of {os.cpu_count()} may be used" + (f", {_THREADS}={threads}" if threads else "")
    if granted is not None and granted < cores:
        remedy = f"threads that wait for each other are slow: export {_THREADS}={max(1, int(granted))}."
        return Check("Cores", Health.note, f"{found}, and this container gets the time of {granted:g}", remedy, facts)
    if threads is not None and (not threads.isdigit() or int(threads) > cores):
        remedy = f"more threads than cores are slow: unset {_THREADS}, or set it to {cores} or less."
        return Check("Cores", Health.note, found, remedy, facts)
    return Check("Cores", Health.ok, found, facts=facts)


def _read_granted_cores() -> float | None:
    try:
        quota, period = (_GROUP / "cpu.max").read_text(encoding="ascii").split()
        return int(quota) / int(period)
    except (OSError, ValueError):
        # There is no limit, or no such file on this system.
        return None


def check_memory() -> Check:
    """Memory of the machine or of its container, and how much of it is free."""
    whole, free = _read_memory()
    if whole is None:
        return Check("Memory", Health.ok, "this system does not tell")
    facts = {"whole_gib": round(whole, 2), "free_gib": None if free is None else round(free, 2)}
    found = f"{whole:.1f} GiB" + ("" if free is None else f", {free:.1f} GiB free")
    if (whole if free is None else free) < _LITTLE_MEMORY_GIB:
        remedy = "a training may need 4 GiB: close other programs, or set trainer.batch_size=8 trainer.num_workers=0."
        return Check("Memory", Health.note, found, remedy, facts)
    return Check("Memory", Health.ok, found, facts=facts)


def _read_memory() -> tuple[float | None, float | None]:
    """Memory in GiB: all of it, and what is free; None where it cannot be known."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
            return None, None
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / _GIB, None
    found = {line.partition(":")[0]: float(line.partition(":")[2].split()[0]) * 1024 / _GIB for line in lines}
    whole, free = found["MemTotal"], found.get("MemAvailable")
    try:
        limit = int((_GROUP / "memory.max").read_text(encoding="ascii")) / _GIB
        used = int((_GROUP / "memory.current").read_text(encoding="ascii")) / _GIB
    except (OSError, ValueError):
        return whole, free
    if limit >= whole:
        return whole, free
    return limit, limit - used if free is None else min(free, limit - used)


def check_disks() -> Check:
    """Whether the places that are written to can be written to, and have room."""
    places = {
        "this folder": Path.cwd(),
        "the runs": Path(PathsConfig.runs_dir).absolute(),
        "their cache": Path(PathsConfig.runs_dir, "cache").absolute(),
        "your cache": find_user_cache(),
    }
    facts = {}
    faults, notes, roomy = [], [], []
    try:
        places["temporary files"] = Path(tempfile.gettempdir())
    except FileNotFoundError:
        # As in a container without a single place to write to; the other places are looked at all the same.
        faults.append("temporary files: there is no folder for them that can be written")
    for name, place in places.items():
        existing = _find_existing(place)
        free = shutil.disk_usage(existing).free / _GIB
        refusal = _try_writing(existing)
        facts[name] = {"place": str(place), "free_gib": round(free, 2), "writable": refusal is None}
        if refusal is not None:
            faults.append(f"{name}: {refusal}")
        elif free < _NO_DISK_GIB:
            faults.append(f"{name}: {free:.2f} GiB free in {existing}")
        elif free < _LITTLE_DISK_GIB:
            notes.append(f"{name}: {free:.1f} GiB free in {existing}")
        else:
            roomy.append(f"{name} {free:.0f} GiB free")
    if _SHARED.is_dir() and (shared := shutil.disk_usage(_SHARED).total / _GIB) < _LITTLE_SHARED_GIB:
        notes.append(f"{_SHARED} has {shared:.2f} GiB: start the container with --shm-size=1g")
    found = "; ".join([*faults, *notes]) or ", ".join(roomy)
    if faults:
        remedy = (
            "free some space, or name other places: paths.run_dir=DIR and paths.cache_dir=DIR, the variables "
            "XDG_CACHE_HOME and TMPDIR."
        )
        return Check("Disk", Health.fault, found, remedy, facts)
    if notes:
        remedy = "`phytoscope cache prune` makes room; paths.cache_dir=DIR names another place for pixels."
        return Check("Disk", Health.note, found, remedy, facts)
    return Check("Disk", Health.ok, found, facts=facts)


def _find_existing(place: Path) -> Path:
    return next(folder for folder in (place, *place.parents) if folder.is_dir())


def _try_writing(folder: Path) -> str | None:
    try:
        with tempfile.TemporaryFile(dir=folder) as stream:
            stream.write(b"phytoscope")
    except OSError as error:
        return str(storage_error(folder, error)).partition(": ")[0]
    return None


def check_ports() -> Check:
    """Whether the ports that servers take when nobody names another are free."""
    taken = {name: port for name, (port, _) in _PORTS.items() if not _is_free(port)}
    facts = {name: {"port": port, "free": name not in taken} for name, (port, _) in _PORTS.items()}
    if taken:
        found = ", ".join(f"{port} ({name}) is taken" for name, port in taken.items())
        remedy = f"if it is not your own server, name another port: {', '.join(_PORTS[name][1] for name in taken)}."
        return Check("Ports", Health.note, found, remedy, facts)
    return Check("Ports", Health.ok, f"{', '.join(str(port) for port, _ in _PORTS.values())} are free", facts=facts)


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        if os.name != "nt":
            # A server that has just ended leaves its port waiting for a while.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def check_clock(far: float | None) -> Check:
    """Whether the clock is right.

    Args:
        far: Seconds since 1970 by a clock on the network; None when none was asked.
    """
    now = time.time()
    shown = datetime.datetime.fromtimestamp(now, tz=datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    installed = Path(__file__).stat().st_mtime
    off = 0.0 if far is None else now - far
    facts = {"now": shown, "off_s": None if far is None else round(off, 1)}
    remedy = (
        "set the clock (on Linux: timedatectl set-ntp true): with a wrong one, encrypted connections and stores refuse "
        "to talk, and what is newer cannot be known."
    )
    if abs(off) > 120:
        words = f"{shown}, {abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} the network's"
        return Check("Clock", Health.fault, words, remedy, facts)
    if now < installed - 86_400:
        return Check("Clock", Health.fault, f"{shown}, which is before phytoscope was installed", remedy, facts)
    return Check("Clock", Health.ok, shown, facts=facts)


def check_text() -> Check:
    """Whether names with umlauts and Chinese signs can be read, written and shown."""
    encodings = {
        "files": locale.getpreferredencoding(False),
        "file_names": sys.getfilesystemencoding(),
        "output": getattr(sys.stdout, "encoding", None) or "unknown",
    }
    odd = [f"{name.replace('_', ' ')}: {code}" for name, code in encodings.items() if not _is_utf8(code)]
    language = os.environ.get("LC_ALL") or os.environ.get("LC_CTYPE") or os.environ.get("LANG") or "not set"
    facts = {**encodings, "language": language}
    if odd:
        remedy = "names with umlauts may look wrong: set PYTHONUTF8=1, and on Linux LANG=C.UTF-8."
        return Check("Text", Health.note, "; ".join(odd), remedy, facts)
    return Check("Text", Health.ok, f"UTF-8, language {language}", facts=facts)


def _is_utf8(code: str) -> bool:
    return code.lower().replace("-", "").replace("_", "") == "utf8"
