"""The mark of a folder that is ours and may be removed at any time, for backup programs and for `cache prune`."""

from pathlib import Path

from phytoscope.schema.artifact import write_atomic

TAG_NAME = "CACHEDIR.TAG"
TAG_SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55"
"""First line by which backup programs know a cache (https://bford.info/cachedir/)."""
TAG_OWNER = "# phytoscope cache"


def tag_cache(folder: Path) -> None:
    """Marks a folder as a cache of ours, for backup programs and for `phytoscope cache prune`.

    Raises:
        StorageError: The folder cannot be written.
    """
    if not (folder / TAG_NAME).exists():
        with write_atomic(folder / TAG_NAME) as temporary:
            temporary.write_text(f"{TAG_SIGNATURE}\n{TAG_OWNER}; it may be removed at any time.\n", encoding="ascii")


def is_tagged(folder: Path) -> bool:
    """Whether a folder has our mark; another program's mark is none."""
    try:
        return TAG_OWNER in (folder / TAG_NAME).read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
