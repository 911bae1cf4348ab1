"""The folder of one inspection: what lies where."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from phytoscope.errors import ArtifactError
from phytoscope.schema.artifact import clear_leftovers
from phytoscope.schema.folder_lock import hold_folder


@dataclass(frozen=True)
class InspectionFolder:
    """Names of everything that `phytoscope inspect` writes.

    Attributes:
        root: The folder.
    """

    root: Path

    @property
    def page(self) -> Path:
        """The inspection as one page."""
        return self.root / "inspect.html"

    @property
    def report(self) -> Path:
        """AuditReport."""
        return self.root / "inspect.json"

    @property
    def rejected(self) -> Path:
        """One row a fault for which a row was left out."""
        return self.root / "rejected.csv"

    @property
    def warnings(self) -> Path:
        """One row a fault in spite of which the row was kept."""
        return self.root / "warnings.csv"

    @property
    def duplicates(self) -> Path:
        """One row a picture that has copies."""
        return self.root / "duplicates.csv"

    @property
    def suspects(self) -> Path:
        """One row a label that is worth a look."""
        return self.root / "suspect_labels.csv"

    @property
    def manifest(self) -> Path:
        """One row an image that can be learned from."""
        return self.root / "manifest.parquet"

    @property
    def unlabelled(self) -> Path:
        """One row a good image without an answer."""
        return self.root / "unlabelled.parquet"

    @property
    def config(self) -> Path:
        """Resolved settings."""
        return self.root / "config.yaml"

    def check_own(self) -> None:
        """Makes sure that nothing but an earlier inspection would be replaced.

        Raises:
            ArtifactError: The place is a file, or holds files of these names that are not an inspection's.
        """
        if self.root.exists() and not self.root.is_dir():
            message = f"{str(self.root)!r} is a file: choose another --output."
            raise ArtifactError(message)
        lists = (self.rejected, self.warnings, self.duplicates, self.suspects, self.manifest, self.unlabelled)
        foreign = [path.name for path in (self.page, *lists, self.config) if path.exists()]
        if foreign and not self.report.is_file():
            message = (
                f"{str(self.root)!r} is not the folder of an inspection, but holds {', '.join(map(repr, foreign))}, "
                "which would be replaced: choose another --output."
            )
            raise ArtifactError(message)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other inspections out of the folder, and clears away what a killed one left half written.

        Where nothing was written in the end, a folder that was made for it is removed again.

        Raises:
            ArtifactError: Another process inspects into this folder, or it holds files that are not an inspection's.
            StorageError: The place cannot be written.
        """
        self.check_own()
        taken = (
            f"another phytoscope process writes an inspection to {str(self.root)!r}: wait for it, or choose another "
            "--output."
        )
        with hold_folder(self._lock, taken):
            try:
                clear_leftovers(self.root)
                yield
            finally:
                if not self.report.is_file():
                    self._lock.unlink(missing_ok=True)
                if self.root.is_dir() and not any(self.root.iterdir()):
                    self.root.rmdir()

    @property
    def _lock(self) -> Path:
        return self.root / ".lock"
