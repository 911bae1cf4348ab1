"""The folder of one run: what lies where, and which steps are done with which inputs."""

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phytoscope.errors import ArtifactError, storage_error
from phytoscope.schema.artifact import clear_leftovers, hash_file, read_json, write_json
from phytoscope.schema.folder_lock import hold_folder

STEPS = ("prepare", "train", "evaluate", "package")


@dataclass(frozen=True)
class RunFolder:
    """Names of everything in the folder of one run.

    Attributes:
        root: The folder.
    """

    root: Path

    @property
    def config(self) -> Path:
        """Resolved settings."""
        return self.root / "config.yaml"

    @property
    def manifest(self) -> Path:
        """One row an image that can be used."""
        return self.root / "manifest.parquet"

    @property
    def rejected(self) -> Path:
        """One row a fault for which a row of the data was left out."""
        return self.root / "rejected.csv"

    @property
    def warnings(self) -> Path:
        """One row a fault in spite of which the row was kept; may be empty."""
        return self.root / "warnings.csv"

    @property
    def unlabelled(self) -> Path:
        """One row a good image without an answer."""
        return self.root / "unlabelled.parquet"

    @property
    def split(self) -> Path:
        """Which image stands in which split."""
        return self.root / "split.parquet"

    @property
    def checkpoints(self) -> Path:
        """Folder of `best.ckpt`, `last.ckpt` and what the training was made of."""
        return self.root / "checkpoints"

    @property
    def weights(self) -> Path:
        """The trained network, adapters folded in."""
        return self.checkpoints / "weights.safetensors"

    @property
    def adapter(self) -> Path:
        """Only what was trained, to be put onto the same backbone again."""
        return self.checkpoints / "adapter.safetensors"

    @property
    def log(self) -> Path:
        """What was said, with times."""
        return self.root / "run.log"

    @property
    def model(self) -> Path:
        """What the trained network means: preparation, classes or scale, and where its weights came from."""
        return self.checkpoints / "model.json"

    @property
    def training_inputs(self) -> Path:
        """Hash of what the checkpoints in the folder were made from, known before the first epoch."""
        return self.checkpoints / "inputs.json"

    @property
    def history(self) -> Path:
        """One row an epoch."""
        return self.root / "history.csv"

    @property
    def predictions(self) -> Path:
        """One row an image of val, calibration and test."""
        return self.root / "predictions.parquet"

    @property
    def answers(self) -> Path:
        """The same rows judged: calibrated, with sets or intervals, verdicts and reasons."""
        return self.root / "answers.parquet"

    @property
    def trust(self) -> Path:
        """What was learned on the calibration split about how far answers can be believed."""
        return self.root / "trust.json"

    @property
    def novelty(self) -> Path:
        """What the training images look like to the network."""
        return self.root / "novelty.safetensors"

    @property
    def reference(self) -> Path:
        """Held-out images with which new ones are compared; their features lie beside it."""
        return self.root / "reference.parquet"

    @property
    def external(self) -> Path:
        """Folder of the answers for further sets, one table a set."""
        return self.root / "external"

    @property
    def report(self) -> Path:
        """EvaluationReport."""
        return self.root / "report.json"

    @property
    def report_page(self) -> Path:
        """The report as one page."""
        return self.root / "report.html"

    @property
    def tracking(self) -> Path:
        """Folder of what was told to whom of the event log."""
        return self.root / "tracking"

    @property
    def figures(self) -> Path:
        """Figures of the report, for a paper."""
        return self.root / "figures"

    @property
    def package(self) -> Path:
        """The model package."""
        return self.root / "package"

    def record(self, step: str) -> Path:
        """What a finished step was made from and what it wrote."""
        return self.root / "steps" / f"{step}.json"

    def is_done(self, step: str, inputs: str) -> bool:
        """Whether a step was finished with these inputs and everything it wrote is still as it was.

        Args:
            step: Name of the step.
            inputs: Hash of all it depends on.
        """
        if not self.record(step).exists():
            return False
        try:
            record = read_json(self.record(step))
            known, written = record["inputs"], dict(record["outputs"])
        except (ArtifactError, KeyError, TypeError, ValueError):
            # What a damaged record says cannot be believed, so the step counts as not done.
            return False
        return bool(known == inputs) and all(
            (self.root / name).is_file() and hash_file(self.root / name) == digest for name, digest in written.items()
        )

    def read_inputs(self, step: str) -> str:
        """Hash of what a finished step was made from.

        Raises:
            ArtifactError: The step is not finished.
        """
        if not self.record(step).exists():
            message = (
                f"the step {step!r} is not finished in {str(self.root)!r}: run `phytoscope {step}` or `phytoscope run` "
                "first."
            )
            raise ArtifactError(message)
        record = read_json(self.record(step))
        return str(record.get("inputs")) if isinstance(record, dict) else ""

    def mark_done(self, step: str, inputs: str, outputs: list[Path], *, seconds: float) -> None:
        """Records that a step is finished; from now on `is_done` is true.

        Args:
            step: Name of the step.
            inputs: Hash of all it depends on.
            outputs: Files and folders it wrote; the record holds the hash of every file.
            seconds: How long it took.

        Raises:
            ArtifactError: An output is not there.
            StorageError: The place cannot be written.
        """
        absent = [str(output) for output in outputs if not output.exists()]
        if absent:
            message = f"the step {step!r} should have written {', '.join(absent)} and did not: run it again."
            raise ArtifactError(message)
        files = sorted(
            file
            for output in outputs
            for file in ([output] if output.is_file() else output.rglob("*"))
            if file.is_file()
        )
        content: dict[str, Any] = {
            "inputs": inputs,
            "outputs": {file.relative_to(self.root).as_posix(): hash_file(file) for file in files},
            "seconds": round(seconds, 3),
            "finished_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
        write_json(self.record(step), content)

    def mark_undone(self, step: str) -> None:
        """Forgets that a step and all later ones were finished, before the step starts to write.

        Raises:
            StorageError: The place cannot be written.
        """
        for name in STEPS[STEPS.index(step) :]:
            try:
                self.record(name).unlink(missing_ok=True)
            except OSError as error:
                raise storage_error(self.record(name), error) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other processes out of the folder, and clears away what a killed one left half written.

        Raises:
            ArtifactError: Another process works here, or the folder holds files that are not a run's.
            StorageError: The place cannot be written.
        """
        taken = f"another phytoscope process works in {str(self.root)!r}: wait for it, or choose another paths.run_dir."
        try:
            self._check_own()
        except OSError as error:
            raise storage_error(self.root, error) from error
        with hold_folder(self.root / ".lock", taken):
            self._clear_leftovers()
            yield

    def _check_own(self) -> None:
        # Steps replace whole folders such as `package/`: they must be ours.
        if not self.root.is_dir() or self.record("prepare").parent.is_dir():
            return
        if self.config.is_file() and b"overrides:" in self.config.read_bytes():
            return
        # The log of a run that failed before its first step is ours too.
        foreign = sorted(
            entry.name
            for entry in self.root.iterdir()
            if not entry.name.startswith(".") and entry not in (self.log, self.tracking)
        )
        if foreign:
            shown = ", ".join(repr(name) for name in foreign[:5]) + (", ..." if len(foreign) > 5 else "")
            message = (
                f"{str(self.root)!r} is not the folder of a run and not empty (it holds {shown}): choose an empty or "
                "new folder as paths.run_dir, so that nothing of yours is replaced."
            )
            raise ArtifactError(message)

    def _clear_leftovers(self) -> None:
        clear_leftovers(self.root)
        # Processes that outlive the run may be telling trackers, and clear up after themselves.
        for folder in [entry for entry in self.root.iterdir() if entry.is_dir() and entry != self.tracking]:
            clear_leftovers(folder)
