"""The jobs of the graph: train anew, judge anew, look at new images."""

import dagster as dg

from phytoscope.pipeline.data_assets import preprocessed_data, raw_dataset
from phytoscope.pipeline.model_assets import model_evaluation, packaged_model, trained_model
from phytoscope.pipeline.registry_assets import drift_report, promoted_model, registered_model

training_job = dg.define_asset_job(
    "training_job",
    selection=dg.AssetSelection.assets(
        raw_dataset,
        preprocessed_data,
        trained_model,
        model_evaluation,
        packaged_model,
        registered_model,
        promoted_model,
    ),
    description="All the way from the user's data to the champion. What nothing has changed for is not done again.",
)
evaluation_job = dg.define_asset_job(
    "evaluation_job",
    selection=dg.AssetSelection.assets(model_evaluation, packaged_model, registered_model, promoted_model),
    description="Judges the trained model again, for example after a change of the settings of `evaluate`.",
)
monitoring_job = dg.define_asset_job(
    "monitoring_job",
    selection=dg.AssetSelection.assets(drift_report),
    description="Compares new images with those that the champion was measured on.",
)
JOBS = [training_job, evaluation_job, monitoring_job]

__all__ = ["JOBS", "evaluation_job", "monitoring_job", "training_job"]
