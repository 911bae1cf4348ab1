"""Where a run stands in MLflow, as links on Dagster's page."""

from typing import Any

import dagster as dg

from phytoscope.pipeline.resources import MlflowResource
from phytoscope.schema.choices import TrackSink
from phytoscope.schema.config import RunConfig
from phytoscope.schema.run_folder import RunFolder
from phytoscope.track.cursor import read_delivered
from phytoscope.track.target import resolve_targets


def link_tracked_run(run: RunFolder, config: RunConfig, mlflow: MlflowResource) -> dict[str, dg.MetadataValue[Any]]:
    """Id and page of the run in MLflow; nothing when MLflow is not told, or has not heard of the run yet.

    Args:
        run: Folder of the run.
        config: `track` is read.
        mlflow: Where its pages are.
    """
    for target in resolve_targets(config):
        told = [entry for entry in read_delivered(run.root, target).values() if entry.remote]
        if target.sink is TrackSink.mlflow and told:
            # A folder whose training started over was told as several runs, one after the other.
            last = max(told, key=lambda entry: entry.seq)
            page = last.facts.get("url") or mlflow.link_run(target.place, last.remote)
            return {"mlflow_run_id": dg.MetadataValue.text(last.remote), "mlflow_run": dg.MetadataValue.url(page)}
    return {}
