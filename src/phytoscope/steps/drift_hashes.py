"""SHA-256 of files that a watch reads again and again, computed once for each version of a file."""

import hashlib
from pathlib import Path

import pandas as pd
import pyarrow as pa

from phytoscope.schema.artifact import write_atomic
from phytoscope.schema.table import PATH, SHA256
from phytoscope.transforms.decode import read_bytes

_SIZE, _TIME = "size", "time_ns"
# A file may change twice within the clock's step, so what was written just now is read again.
_YOUNG_NS = 2_000_000_000


class FileHashes:
    """What files held when they were read last, by their path, size and time of change."""

    def __init__(self, place: Path) -> None:
        """Reads what is known.

        Args:
            place: Table of an earlier call; one that is missing or damaged costs time only.
        """
        self._place = place
        self._known: dict[str, tuple[int, int, str]] = {}
        self._found: dict[str, tuple[int, int, str]] = {}
        try:
            table = pd.read_parquet(place)
            rows = zip(table[PATH], table[_SIZE], table[_TIME], table[SHA256], strict=True)
            self._known = {path: (int(size), int(time), str(digest)) for path, size, time, digest in rows}
        except (OSError, ValueError, KeyError, pa.ArrowException):
            return

    def hash_file(self, path: Path, now_ns: int) -> str:
        """SHA-256 of a file, 64 hexadecimal digits.

        Args:
            path: Absolute path.
            now_ns: Time now in nanoseconds since 1970.

        Raises:
            ImageReadError: It cannot be opened.
        """
        try:
            facts = path.stat()
        except (OSError, ValueError):
            # Reading it says in words what is wrong.
            return hashlib.sha256(read_bytes(path)).hexdigest()
        stamp = facts.st_size, facts.st_mtime_ns
        known = self._known.get(str(path))
        digest = known[2] if known is not None and known[:2] == stamp else hashlib.sha256(read_bytes(path)).hexdigest()
        if now_ns - facts.st_mtime_ns > _YOUNG_NS:
            self._found[str(path)] = (*stamp, digest)
        return digest

    def save(self) -> None:
        """Keeps what was found for the next call; files that were not asked for are forgotten.

        Raises:
            StorageError: The place cannot be written.
        """
        if self._found == self._known:
            return
        paths = sorted(self._found)
        columns = list(zip(*(self._found[path] for path in paths), strict=True)) or [(), (), ()]
        table = pd.DataFrame({PATH: paths, _SIZE: columns[0], _TIME: columns[1], SHA256: columns[2]})
        with write_atomic(self._place) as temporary:
            table.to_parquet(temporary, index=False)
