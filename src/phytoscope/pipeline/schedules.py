"""What starts at a time of day: a look at new images every night, and a new evaluation every week."""

import dagster as dg

from phytoscope.errors import PhytoscopeError
from phytoscope.pipeline.state import find_champion
from phytoscope.pipeline.workspace import find_workspace


@dg.schedule(
    job_name="monitoring_job",
    cron_schedule="0 3 * * *",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Every night at 3: compares the images in monitor.incoming of each data set with the training images.",
)
def nightly_monitoring(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
    """Asks for a look at the new images of every data set that names a place for them."""
    workspace, requests = find_workspace(), []
    for name in workspace.datasets():
        try:
            is_watched = workspace.compose(name).monitor.incoming is not None and bool(find_champion(workspace, name))
        except PhytoscopeError as error:
            context.log.warning(f"{name} is passed over: {error}")
            continue
        if is_watched:
            requests.append(_request(context, name))
    return requests or dg.SkipReason("no data set has both a place for new images (monitor.incoming) and a champion")


@dg.schedule(
    job_name="evaluation_job",
    cron_schedule="0 4 * * 0",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Every Sunday at 4: evaluates the last model of each data set again, for example on further sets.",
)
def weekly_evaluation(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
    """Asks for a new evaluation of every data set that was trained on."""
    workspace = find_workspace()
    trained = [
        name for name in workspace.datasets() if (workspace.root / "assets" / name / "trained_model.json").exists()
    ]
    requests = [_request(context, name) for name in trained]
    return requests or dg.SkipReason("no data set has a trained model yet")


def _request(context: dg.ScheduleEvaluationContext, name: str) -> dg.RunRequest:
    return dg.RunRequest(run_key=f"{name}-{context.scheduled_execution_time:%Y-%m-%dT%H:%M}", partition_key=name)


SCHEDULES = [nightly_monitoring, weekly_evaluation]
