"""What Dagster loads. Only the executor is chosen here: the workspace is found when a run or a sensor needs it."""

import os

import dagster as dg

from phytoscope.pipeline.assets import ASSETS
from phytoscope.pipeline.checks import CHECKS
from phytoscope.pipeline.executors import choose_executor
from phytoscope.pipeline.jobs import JOBS
from phytoscope.pipeline.places import PlaceStore
from phytoscope.pipeline.resources import MlflowResource, WorkspaceResource
from phytoscope.pipeline.schedules import SCHEDULES
from phytoscope.pipeline.sensors import SENSORS

defs = dg.Definitions(
    assets=ASSETS,
    asset_checks=CHECKS,
    jobs=JOBS,
    sensors=SENSORS,
    schedules=SCHEDULES,
    resources={
        "workspace": WorkspaceResource(),
        "mlflow": MlflowResource(),
        "io_manager": PlaceStore(),
    },
    executor=choose_executor(os.environ),
)
