"""What starts runs by itself: data that changed, and new images that no longer look like those the model knows."""

import json
import time
from collections.abc import Callable

import dagster as dg

from phytoscope.errors import PhytoscopeError
from phytoscope.pipeline.hooks import ALERTS
from phytoscope.pipeline.instance import end_dead_runs
from phytoscope.pipeline.news import DataLook, SeenData, find_settle_seconds, look_at_data, look_for_retraining
from phytoscope.pipeline.running import PARTITIONS
from phytoscope.pipeline.workspace import Workspace, find_workspace

_SECONDS = 30
_TRAINING = "training_job"


@dg.sensor(
    job_name=_TRAINING,
    minimum_interval_seconds=_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts a run when the table or the images of a data set change, once for each change.",
)
def new_data(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Looks at all data sets; a data set whose file or data are wrong is named and does not stop the others."""
    workspace = find_workspace()
    end_dead_runs(workspace, context.instance, servers_stopped=False)
    seen = _read_cursor(context.cursor)
    now, settle_seconds = time.time(), find_settle_seconds()

    def look(name: str) -> DataLook:
        return look_at_data(workspace, name, seen.get(name, SeenData()), now=now, settle_seconds=settle_seconds)

    looks, faults = _look_at_each(workspace, look)
    for fault in faults:
        context.log.warning(fault)
    # A data set that is wrong for a while is remembered.
    remembered = {name: item for name, item in seen.items() if name in workspace.datasets()}
    remembered |= {name: found.seen for name, found in looks.items()}
    unknown = set(looks) - set(context.instance.get_dynamic_partitions(_name_partitions()))
    return dg.SensorResult(
        run_requests=_request(looks),
        skip_reason=_word_skip(looks, faults),
        cursor=json.dumps({name: item.to_dict() for name, item in sorted(remembered.items())}),
        dynamic_partitions_requests=[PARTITIONS.build_add_request(sorted(unknown))] if unknown else [],
    )


@dg.sensor(
    job_name=_TRAINING,
    minimum_interval_seconds=_SECONDS,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Starts a run when new images differ from the training images and new rows with answers are there. "
    "Stop new_data and start this one to train only when it is needed.",
)
def retrain_on_drift(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Looks at the last drift report of all data sets."""
    workspace = find_workspace()
    looks, faults = _look_at_each(workspace, lambda name: look_for_retraining(workspace, name))
    for fault in faults:
        context.log.warning(fault)
    return dg.SensorResult(run_requests=_request(looks), skip_reason=_word_skip(looks, faults))


def _look_at_each(workspace: Workspace, look: Callable[[str], DataLook]) -> tuple[dict[str, DataLook], list[str]]:
    looks, faults = {}, []
    for name in workspace.datasets():
        try:
            looks[name] = look(name)
        except (PhytoscopeError, OSError) as error:
            faults.append(f"{name} is passed over: {error}")
    return looks, faults


def _request(looks: dict[str, DataLook]) -> list[dg.RunRequest]:
    return [
        dg.RunRequest(run_key=found.run_key, partition_key=name, tags={"phytoscope/why": found.sentence[:250]})
        for name, found in looks.items()
        if found.run_key
    ]


def _word_skip(looks: dict[str, DataLook], faults: list[str]) -> str | None:
    if any(found.run_key for found in looks.values()):
        return None
    sentences = [*faults, *(found.sentence for found in looks.values())]
    return ". ".join(sentences) or "there are no data sets yet"


def _name_partitions() -> str:
    name = PARTITIONS.name
    if name is None:
        message = "the partitions of the pipeline have no name"
        raise ValueError(message)
    return name


def _read_cursor(cursor: str | None) -> dict[str, SeenData]:
    try:
        content = json.loads(cursor) if cursor else {}
    except ValueError:
        # What was remembered is lost; the hash of the last run is still known.
        content = {}
    return {name: SeenData.from_dict(item) for name, item in content.items()} if isinstance(content, dict) else {}


SENSORS = [new_data, retrain_on_drift, *ALERTS]
