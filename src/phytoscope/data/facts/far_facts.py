"""Facts of images that several machines share: parts at the address of a cache, fetched once and sent as written."""

from pathlib import Path

from phytoscope.schema.artifact import write_atomic
from phytoscope.storage.mirror import find_address
from phytoscope.storage.publishing import ObjectFolder

FETCHED_NAME = "fetched.txt"
"""Names of the parts that were fetched: here they may have been merged since."""


def fetch_parts(folder: Path, prefix: str) -> int:
    """Fetches the parts that other machines have written since; the caller keeps other writers away.

    Args:
        folder: Where the parts lie on this computer.
        prefix: What the names of the parts begin with that can be used here.

    Returns:
        Number of parts that were fetched; 0 when the cache lives on this computer alone.

    Raises:
        StorageError: The store does not answer, or refuses; or the folder cannot be written.
    """
    url = find_address(folder)
    if url is None:
        return 0
    store = ObjectFolder(url)
    known = _read_fetched(folder)
    new = [name for name in store.list_files() if name.startswith(prefix) and name not in known]
    fetched = [name for name in new if not (folder / name).exists() and store.get(name, folder / name)]
    if new:
        _write_fetched(folder, known | set(new))
    return len(fetched)


def share_part(folder: Path, name: str) -> None:
    """Sends a part to the address of the cache, if it has one; the caller keeps other writers away.

    Args:
        folder: Where the part lies on this computer.
        name: Its name.

    Raises:
        StorageError: The store does not answer, or refuses.
    """
    url = find_address(folder)
    if url is not None:
        ObjectFolder(url).put(folder / name, name)
        _write_fetched(folder, _read_fetched(folder) | {name})


def _read_fetched(folder: Path) -> set[str]:
    try:
        return set((folder / FETCHED_NAME).read_text(encoding="ascii").split())
    except (OSError, UnicodeDecodeError):
        return set()


def _write_fetched(folder: Path, names: set[str]) -> None:
    with write_atomic(folder / FETCHED_NAME) as temporary:
        temporary.write_text("".join(f"{name}\n" for name in sorted(names)), encoding="ascii")
