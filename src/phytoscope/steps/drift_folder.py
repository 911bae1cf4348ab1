"""The folder in which one model is watched: what lies where, what was looked at, and what waits."""

import contextlib
import dataclasses
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from phytoscope.errors import ArtifactError, storage_error
from phytoscope.schema.artifact import clear_leftovers, read_json, write_atomic, write_folder_atomic, write_json
from phytoscope.schema.drift import DriftReport
from phytoscope.schema.folder_lock import hold_folder
from phytoscope.schema.table import SHA256, Task
from phytoscope.steps.drift_parts import (
    ANSWERS_NAME,
    AnsweredImages,
    Watched,
    read_images,
    read_monitor_table,
    write_images,
)

MONITOR_FORMAT: Final = 1
GALLERY_NAME: Final = "unlike.jpg"
_REPORT, _PASSED = "report.json", "passed_over.parquet"


@dataclass(frozen=True)
class MonitorFolder:
    """Names of everything in the folder of a monitor, and what was recorded there.

    A look is recorded by one rename of its folder, so that it counts wholly or not at all.

    Attributes:
        root: The folder.
    """

    root: Path

    @property
    def about(self) -> Path:
        """Which model is watched."""
        return self.root / "monitor.json"

    @property
    def looks(self) -> Path:
        """Folder of all looks, one folder each."""
        return self.root / "looks"

    @property
    def log(self) -> Path:
        """One line a look, for other programs; drawn from the folders of the looks."""
        return self.root / "looks.jsonl"

    @property
    def waiting(self) -> Path:
        """Folder of answered images for the next look."""
        return self.root / "waiting"

    @property
    def hashes(self) -> Path:
        """Hashes of the files that were named at the last call, so that they are not read again."""
        return self.root / ".hashes.parquet"

    @property
    def truths(self) -> Path:
        """Folder of the reports about errors, one each time that truth arrived."""
        return self.root / "truths"

    @property
    def truth(self) -> Path:
        """What turned out to be true of answered images."""
        return self.root / "truth.parquet"

    @property
    def reference(self) -> Path:
        """Table of the images that new ones are compared with, without their features."""
        return self.root / "reference.parquet"

    @property
    def page(self) -> Path:
        """All looks as one page."""
        return self.root / "drift.html"

    def look(self, number: int) -> Path:
        """Folder of one look; the first has number 1."""
        return self.looks / f"{number:04d}"

    def gallery(self, number: int) -> Path:
        """Picture of the images of a look that are most unlike the training images."""
        return self.look(number) / GALLERY_NAME

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other processes out of the folder, and clears away what a killed one left half written.

        Raises:
            ArtifactError: Another process works here, or the folder holds files that are not a monitor's.
            StorageError: The place cannot be written.
        """
        taken = f"another phytoscope process works in {str(self.root)!r}: wait for it, or choose another --monitor."
        try:
            self._check_own()
        except OSError as error:
            raise storage_error(self.root, error) from error
        with hold_folder(self.root / ".lock", taken):
            for folder in (self.root, self.looks, self.waiting):
                if folder.is_dir():
                    clear_leftovers(folder)
            yield

    def _check_own(self) -> None:
        if self.root.exists() and not self.root.is_dir():
            message = f"{str(self.root)!r} is a file: choose another --monitor."
            raise ArtifactError(message)
        if not self.root.is_dir() or self.about.is_file():
            return
        foreign = sorted(entry.name for entry in self.root.iterdir() if not entry.name.startswith("."))
        # What a watch that was put aside leaves before the next one begins.
        if foreign and foreign != ["earlier"]:
            message = (
                f"{str(self.root)!r} is not the folder of a monitor and not empty (it holds {foreign[0]!r}): choose an "
                "empty or new folder, so that nothing of yours is replaced."
            )
            raise ArtifactError(message)

    def read_watched(self) -> Watched:
        """Which model is watched.

        Raises:
            ArtifactError: No model is watched here, or the record is damaged.
        """
        if not self.about.is_file():
            message = (
                f"no model is watched in {str(self.root)!r}: begin with `phytoscope drift look PACKAGE IMAGES "
                f"--monitor {self.root}`."
            )
            raise ArtifactError(message)
        content = read_json(self.about)
        try:
            found = content.pop("format")
            if found != MONITOR_FORMAT:
                message = f"{str(self.about)!r} has format {found!r}; this version reads format {MONITOR_FORMAT}."
                raise ArtifactError(message)
            return Watched(**{**content, "task": Task(content["task"])})
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            message = f"{str(self.about)!r} is damaged ({error}): choose another --monitor."
            raise ArtifactError(message) from error

    def write_watched(self, watched: Watched) -> None:
        """Records which model is watched.

        Raises:
            StorageError: The folder cannot be written.
        """
        write_json(self.about, {"format": MONITOR_FORMAT, **dataclasses.asdict(watched)})

    def put_aside(self, model_id: str) -> Path:
        """Moves everything of an earlier model into a folder of its own.

        Args:
            model_id: The earlier model.

        Returns:
            That folder.

        Raises:
            StorageError: The folder cannot be written.
        """
        place = self.root / "earlier" / model_id
        count = 1
        while place.exists():
            count += 1
            place = self.root / "earlier" / f"{model_id}-{count}"
        try:
            place.mkdir(parents=True)
            # The record of the model goes last: until then the next call moves the rest.
            for path in (*self._list_parts(), self.about):
                if path.exists():
                    path.rename(place / path.name)
        except OSError as error:
            raise storage_error(place, error) from error
        return place

    def _list_parts(self) -> tuple[Path, ...]:
        return self.looks, self.waiting, self.truths, self.log, self.truth, self.page, self.reference

    def write_reference(self, table: pd.DataFrame) -> None:
        """Keeps what is known of the reference images, for the page and for the truth that arrives later.

        Raises:
            StorageError: The folder cannot be written.
        """
        with write_atomic(self.reference) as temporary:
            table.to_parquet(temporary, index=False)

    def read_reference(self) -> pd.DataFrame:
        """What is known of the reference images; see `ReferenceImages.table`.

        Raises:
            ArtifactError: It is damaged.
        """
        return read_monitor_table(self.reference)

    def count_looks(self) -> int:
        """Number of looks that were recorded."""
        return len(self._list_looks())

    def find_last_look(self) -> Path | None:
        """Folder of the last look; None when none was recorded."""
        return next(reversed(self._list_looks()), None)

    def _list_looks(self) -> list[Path]:
        if not self.looks.is_dir():
            return []
        return sorted(place for place in self.looks.iterdir() if place.is_dir() and place.name.isdigit())

    def read_reports(self) -> list[DriftReport]:
        """What all looks found, the first one first.

        Raises:
            ArtifactError: A report is damaged.
        """
        return [DriftReport.from_dict(read_json(place / _REPORT)) for place in self._list_looks()]

    def read_images(self, number: int) -> AnsweredImages:
        """Images of one look.

        Raises:
            ArtifactError: They are damaged.
        """
        return read_images(self.look(number))

    def read_all_answers(self) -> pd.DataFrame:
        """Answers of all looks and of what waits, with the number of the look in `look`, 0 for what waits.

        Raises:
            ArtifactError: A table is damaged.
        """
        tables = [read_monitor_table(place / ANSWERS_NAME).assign(look=int(place.name)) for place in self._list_looks()]
        waiting = self.read_waiting()
        if waiting is not None:
            tables.append(waiting.table.assign(look=0))
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame({SHA256: [], "path": [], "look": []})

    def list_seen(self) -> set[str]:
        """SHA-256 of all files that earlier looks have seen, compared or passed over.

        Raises:
            ArtifactError: A table is damaged.
        """
        files = [place / name for place in self._list_looks() for name in (ANSWERS_NAME, _PASSED)]
        return {digest for file in files if file.is_file() for digest in read_monitor_table(file, [SHA256])[SHA256]}

    def add_waiting(self, images: AnsweredImages) -> None:
        """Keeps answered images for the next look.

        Raises:
            StorageError: The folder cannot be written.
        """
        names = [int(place.name) for place in self._list_waiting()]
        with write_folder_atomic(self.waiting / f"{max(names, default=0) + 1:04d}") as folder:
            write_images(folder, images)

    def _list_waiting(self) -> list[Path]:
        if not self.waiting.is_dir():
            return []
        return sorted(place for place in self.waiting.iterdir() if place.is_dir() and place.name.isdigit())

    def read_waiting(self) -> AnsweredImages | None:
        """Answered images that no look has compared yet; None when there are none.

        Raises:
            ArtifactError: A part is damaged.
        """
        parts = [read_images(place) for place in self._list_waiting()]
        if not parts:
            return None
        table = pd.concat([part.table for part in parts], ignore_index=True)
        # A call that was killed after its look was recorded had no time to clear away what that look compared.
        new = (~table[SHA256].isin(self.list_seen())).to_numpy(dtype=bool)
        if not new.any():
            return None
        features = np.concatenate([part.features for part in parts])[new]
        return AnsweredImages(table[new].reset_index(drop=True), features)

    def record(
        self, report: DriftReport, images: AnsweredImages, passed_over: list[str], gallery: bytes | None
    ) -> Path:
        """Records a look; what waited waits no longer.

        Args:
            report: What was found.
            images: What was compared.
            passed_over: SHA-256 of new images that were not drawn.
            gallery: A JPEG file of the images most unlike the training images; None for none.

        Returns:
            Folder of the look.

        Raises:
            StorageError: The folder cannot be written.
        """
        place = self.look(report.look)
        with write_folder_atomic(place) as folder:
            write_images(folder, images)
            if passed_over:
                pd.DataFrame({SHA256: passed_over}).to_parquet(folder / _PASSED, index=False)
            if gallery is not None:
                (folder / GALLERY_NAME).write_bytes(gallery)
            write_json(folder / _REPORT, report.to_dict())
        self.clear_waiting()
        self.write_log()
        return place

    def clear_waiting(self) -> None:
        """Removes what waits.

        Raises:
            StorageError: The folder cannot be written.
        """
        try:
            if self.waiting.is_dir():
                shutil.rmtree(self.waiting)
        except OSError as error:
            raise storage_error(self.waiting, error) from error

    def write_log(self) -> None:
        """Writes one line a look, from the folders of the looks.

        Raises:
            StorageError: The folder cannot be written.
        """
        lines = [json.dumps(report.to_dict(), ensure_ascii=False) for report in self.read_reports()]
        with write_atomic(self.log) as temporary:
            temporary.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
