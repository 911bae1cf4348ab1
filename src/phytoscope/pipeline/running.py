"""How an asset takes a step: settings of its data set, folder of its run, and errors that Dagster understands."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import dagster as dg
import filelock

from phytoscope.errors import (
    ConfigError,
    DownloadError,
    PhytoscopeError,
    StorageError,
    TrackingError,
    WeightsUnavailableError,
)
from phytoscope.pipeline.instance import DATASETS
from phytoscope.pipeline.places import RunPlace
from phytoscope.pipeline.workspace import Workspace
from phytoscope.schema.artifact import hash_content, read_json
from phytoscope.schema.config import RunConfig
from phytoscope.schema.run_folder import RunFolder

PARTITIONS = dg.DynamicPartitionsDefinition(name=DATASETS)
TRAINING_POOL = "training"
TRANSIENT = (StorageError, TrackingError, DownloadError, WeightsUnavailableError)
"""What may have gone away when the same is tried again: a full disk, a server or a network that is away."""
MAX_RETRIES = 2
SECONDS_TO_WAIT = 30
_SECONDS_BETWEEN_LINES = 15.0


def compose_settings(workspace: Workspace, partition: str, words: Sequence[str]) -> RunConfig:
    """The settings of a data set with those that were given by hand.

    Raises:
        ConfigError: There is no such data set, or a setting is wrong or makes no sense here.
    """
    config = workspace.compose(partition, words)
    if config.paths.run_dir is not None:
        message = (
            f"paths.run_dir={config.paths.run_dir!r}: the pipeline keeps the runs of each state of the data apart and "
            "chooses their folders: leave it out, or use `phytoscope run`."
        )
        raise ConfigError(message)
    if config.trainer.profile:
        message = "trainer.profile=true: the pipeline keeps no profiles: leave it out, or use `phytoscope train`."
        raise ConfigError(message)
    return config


def take_step(
    context: dg.AssetExecutionContext, workspace: Workspace, step: str, content_hash: str, words: tuple[str, ...]
) -> tuple[RunConfig, RunPlace]:
    """Takes a step of a run; one that was done with the same inputs is not done again.

    Args:
        context: Of the asset.
        workspace: The workspace.
        step: `prepare`, `train`, `evaluate` or `package`.
        content_hash: Hash of the data.
        words: Settings that were given by hand, here or in earlier assets.

    Returns:
        The settings, and where the run lies.

    Raises:
        PhytoscopeError: Anything the user can mend.
    """
    from phytoscope.steps import RunContext, run_step
    from phytoscope.steps.survey import plan_run_folder

    config = compose_settings(workspace, context.partition_key, words)
    run = RunFolder(plan_run_folder(config, content_hash))
    run_step(RunContext(config, run, progress=LoggedProgress(context.log), say=context.log.info), step)
    return config, RunPlace(str(run.root), content_hash, partition=context.partition_key, words=words)


def version_of(place: RunPlace, step: str) -> dg.DataVersion:
    """What tells the result of a step from another one: the hashes of all that it wrote.

    Raises:
        ArtifactError: The step is not finished.
    """
    return dg.DataVersion(hash_content(read_json(RunFolder(Path(place.folder)).record(step))["outputs"])[:32])


@contextlib.contextmanager
def told_to_dagster(context: dg.AssetExecutionContext) -> Iterator[None]:
    """Says in Dagster's words what went wrong: what the user must mend is not tried again, what may pass is.

    Raises:
        Failure: With the sentence for the user.
        RetryRequested: The same may work a little later.
    """
    try:
        yield
    except PhytoscopeError as error:
        # A context that was built by hand knows of no attempts.
        attempts = getattr(context.op_execution_context, "retry_number", 0)
        if not _may_pass(error) or attempts >= MAX_RETRIES:
            raise dg.Failure(description=str(error), allow_retries=False) from error
        context.log.warning(f"{error} It is tried again in {SECONDS_TO_WAIT} s.")
        raise dg.RetryRequested(max_retries=MAX_RETRIES, seconds_to_wait=SECONDS_TO_WAIT) from error


def _may_pass(error: PhytoscopeError) -> bool:
    # Another process in the folder of the run ends some time.
    return isinstance(error, TRANSIENT) or isinstance(error.__cause__, filelock.Timeout)


class LoggedProgress:
    """Writes into Dagster's log how far long work is, a line every quarter of a minute at most."""

    def __init__(self, log: dg.DagsterLogManager) -> None:
        """Takes the log.

        Args:
            log: Of the asset.
        """
        self._log = log
        self._what, self._done, self._last = "", 0, 0.0
        self._total: int | None = None

    def start(self, description: str, total: int | None) -> None:
        """Begins a stretch of work."""
        self._what, self._done, self._total, self._last = description, 0, total, time.monotonic()

    def advance(self, units: int = 1, note: str = "") -> None:
        """Says how far it is, unless that was said just now."""
        self._done += units
        if time.monotonic() - self._last < _SECONDS_BETWEEN_LINES:
            return
        self._last = time.monotonic()
        of = f" of {self._total}" if self._total is not None else ""
        self._log.info(f"{self._what}: {self._done}{of}{', ' + note if note else ''}")

    def finish(self) -> None:
        """Ends the stretch."""
