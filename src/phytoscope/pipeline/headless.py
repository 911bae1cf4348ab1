"""One data set taken through the graph in this process, without a server; Dagster's web page shows it later."""

import contextlib
import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from phytoscope.errors import ArtifactError, PhytoscopeError
from phytoscope.pipeline.instance import DATASETS, PROCESS_TAG, end_dead_runs, mark_process, open_instance
from phytoscope.pipeline.workspace import Workspace

if TYPE_CHECKING:
    from dagster import DagsterEvent, DagsterInstance, EventLogEntry, ExecuteInProcessResult
    from dagster_shared.error import SerializableErrorInfo

JOB = "training_job"
_CHECK_FAILED = "DagsterAssetCheckFailedError"
_INTERRUPTED = ("DagsterExecutionInterruptedError", "KeyboardInterrupt")


@dataclass(frozen=True)
class HeadlessRun:
    """How a run without a server went.

    Attributes:
        run_id: Dagster's identifier.
        assets: Names of the assets that were made, in order.
        failed_checks: Checks that failed without stopping the run.
    """

    run_id: str
    assets: list[str]
    failed_checks: list[str]


def run_partition(
    workspace: Workspace, name: str, words: Sequence[str] = (), *, say: Callable[[str], None]
) -> HeadlessRun:
    """Takes a data set through the graph.

    Args:
        workspace: Workspace.
        name: Name of the data set.
        words: Further settings, which win over the data set's file; their paths are absolute.
        say: Receiver of sentences for the user.

    Returns:
        What was made.

    Raises:
        ConfigError: There is no such data set, or a setting is wrong.
        ArtifactError: A step failed, or a check that stops the run; the text is what the step said.
        KeyboardInterrupt: The user interrupted it; what is finished is kept.
        MissingDependencyError: Dagster is not installed.
    """
    # Wrong settings are told before anything is written.
    workspace.compose(name, words)
    with open_instance(workspace) as instance, mark_process(workspace) as process:
        end_dead_runs(workspace, instance, servers_stopped=False)
        return _execute(instance, name, list(words), process, _Listener(say))


def _execute(
    instance: "DagsterInstance", name: str, words: list[str], process: str, listener: "_Listener"
) -> HeadlessRun:
    from phytoscope.pipeline import defs

    instance.add_dynamic_partitions(DATASETS, [name])
    instance.add_event_listener(process, listener)
    _keep_watchers_deaf(instance)
    result = defs.resolve_job_def(JOB).execute_in_process(
        instance=instance,
        partition_key=name,
        run_id=process,
        run_config={
            # What happens is told in sentences; Dagster's own lines stand in its records.
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            "ops": {"raw_dataset": {"config": {"further": words}}} if words else {},
        },
        tags={PROCESS_TAG: process},
        raise_on_error=False,
    )
    if not result.success:
        _raise_failure(result, listener.failed_checks)
    return HeadlessRun(process, listener.assets, list(listener.failed_checks))


def _keep_watchers_deaf(instance: "DagsterInstance") -> None:
    """Starts the processes that watch over a step's output deaf to Ctrl-C, which each would answer with a traceback.

    They end with the step, as ever.
    """
    manager = instance.compute_log_manager
    capture = manager.capture_logs

    @contextlib.contextmanager
    def capture_deaf(log_key: Sequence[str]) -> Iterator[Any]:
        with contextlib.ExitStack() as stack:
            # What is blocked here stays blocked in the processes that are started meanwhile.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                logs = stack.enter_context(capture(log_key))
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            yield logs

    if hasattr(signal, "pthread_sigmask"):
        vars(manager)["capture_logs"] = capture_deaf


class _Listener:
    """Turns Dagster's events into sentences."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self.assets: list[str] = []
        self.failed_checks: dict[str, str] = {}

    def __call__(self, entry: "EventLogEntry") -> None:
        event = entry.dagster_event
        if event is None:
            # What was not done is plain from what went wrong.
            if int(entry.level) >= logging.INFO and not entry.user_message.startswith("Dependencies for step"):
                self._say(entry.user_message)
        elif event.is_step_start and "__" not in str(event.step_key):
            self._say(f"{event.step_key} ...")
        elif event.is_step_up_for_retry:
            self._say(f"{event.step_key}: it did not work, and is tried again")
        elif event.is_step_materialization and event.asset_key is not None:
            self.assets.append(event.asset_key.to_user_string())
        elif event.event_type_value == "ASSET_CHECK_EVALUATION":
            self._note_check(event)

    def _note_check(self, event: "DagsterEvent") -> None:
        found = event.asset_check_evaluation_data
        word = "passed" if found.passed else "failed"
        self._say(f"check {found.check_name} {word}: {found.description or 'see the asset in the browser'}")
        if not found.passed:
            self.failed_checks[found.check_name] = found.description or ""


def _raise_failure(result: "ExecuteInProcessResult", failed_checks: dict[str, str]) -> NoReturn:
    failure = next((event for event in result.all_events if event.is_step_failure), None)
    if failure is None:
        ended = next((event for event in result.all_events if event.is_run_failure), None)
        message = f"the run {result.run_id} failed: {ended.message if ended is not None else 'see it in the browser'}"
        raise ArtifactError(message)
    data = failure.step_failure_data
    if data.user_failure_data is not None and data.user_failure_data.description is not None:
        message = f"{failure.step_key}: {data.user_failure_data.description}"
        raise ArtifactError(message)
    error = None if data.error is None else _find_cause(data.error)
    if error is not None and error.cls_name in _INTERRUPTED:
        raise KeyboardInterrupt
    if error is not None and error.cls_name == _CHECK_FAILED:
        reasons = [f"the check {name} stopped the run: {reason}" for name, reason in failed_checks.items()]
        raise ArtifactError(". ".join(reasons) or error.message)
    if error is not None and error.cls_name in _names_of_ours():
        message = f"{failure.step_key}: {error.message.partition(': ')[2].strip()}"
        raise ArtifactError(message)
    # A bug of ours or of a library: the command line shows it whole.
    message = f"{failure.step_key} failed: {failure.message if data.error is None else data.error.to_string()}"
    raise RuntimeError(message)


def _find_cause(error: "SerializableErrorInfo") -> "SerializableErrorInfo":
    # Dagster wraps what a step raises.
    while error.cause is not None and error.cls_name not in (*_names_of_ours(), *_INTERRUPTED):
        error = error.cause
    return error


def _names_of_ours() -> set[str]:
    families: list[type[PhytoscopeError]] = [PhytoscopeError]
    for family in families:
        families += family.__subclasses__()
    return {family.__name__ for family in families}
