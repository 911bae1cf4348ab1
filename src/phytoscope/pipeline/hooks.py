"""Who is told when something goes wrong: a run that failed, and new images that the model does not know."""

import json
import logging
import os

import dagster as dg

from phytoscope.errors import PhytoscopeError
from phytoscope.pipeline.alert import send_alert
from phytoscope.pipeline.news import read_last_drift
from phytoscope.pipeline.workspace import find_workspace
from phytoscope.schema.drift import DriftReport

PAGE_VARIABLE = "PHYTOSCOPE_DAGSTER_PAGE"
_PARTITION_TAG = "dagster/partition"
_SECONDS = 30
_FINDINGS = 3


@dg.run_failure_sensor(
    minimum_interval_seconds=_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Says in the log and to the address in PHYTOSCOPE_WEBHOOK that a run failed, and why.",
)
def alert_on_failure(context: dg.RunFailureSensorContext) -> None:
    """Tells about one failed run."""
    send_alert(word_failure(context), _log_of(context))


@dg.sensor(
    minimum_interval_seconds=_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Says in the log and to the address in PHYTOSCOPE_WEBHOOK that new images differ from the known ones.",
)
def alert_on_drift(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Tells once about each look that found a difference."""
    workspace = find_workspace()
    told: dict[str, str] = json.loads(context.cursor) if context.cursor else {}
    n_told = 0
    for name in workspace.datasets():
        try:
            report = read_last_drift(workspace, name)
        except PhytoscopeError as error:
            context.log.warning(f"{name} is passed over: {error}")
            continue
        if report is None or not report.fired or told.get(name) == _name_look(report):
            continue
        # What could not be posted is tried again at the next look.
        if send_alert(word_drift(name, report), _log_of(context)):
            told[name] = _name_look(report)
            n_told += 1
    return dg.SensorResult(skip_reason=f"told about {n_told} data sets", cursor=json.dumps(told, sort_keys=True))


def word_failure(context: dg.RunFailureSensorContext) -> str:
    """A sentence about a failed run: which data set, which asset, why, and where to look."""
    run = context.dagster_run
    failures = context.get_step_failure_events()
    partition = run.tags.get(_PARTITION_TAG, "no data set")
    where, why = "", context.failure_event.message or "no reason was given"
    if failures:
        data = failures[0].step_failure_data
        where = f" at {failures[0].step_key}"
        named = data.user_failure_data.description if data.user_failure_data is not None else None
        why = named or (data.error.message.strip() if data.error is not None else why)
    page = os.environ.get(PAGE_VARIABLE, "").strip()
    link = f" {page.rstrip('/')}/runs/{run.run_id}" if page else f" (run {run.run_id})"
    return f"phytoscope: {run.job_name} of {partition} failed{where}: {why}{link}"


def word_drift(name: str, report: DriftReport) -> str:
    """A sentence about a look that found a difference."""
    fired = [finding.effect or finding.key for finding in report.list_fired()]
    shown = "; ".join(fired[:_FINDINGS]) + ("; ..." if len(fired) > _FINDINGS else "")
    return f"phytoscope: new images of {name} differ from those that the model knows ({report.n} images): {shown}"


def _name_look(report: DriftReport) -> str:
    return f"{report.model_id}-{report.reference_id}-{report.look}"


def _log_of(context: dg.RunFailureSensorContext | dg.SensorEvaluationContext) -> logging.Logger:
    return context.log


ALERTS = [alert_on_failure, alert_on_drift]
