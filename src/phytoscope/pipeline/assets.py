"""All assets of the graph, in the order of the data flow."""

from phytoscope.pipeline.data_assets import preprocessed_data, raw_dataset
from phytoscope.pipeline.model_assets import model_evaluation, packaged_model, trained_model
from phytoscope.pipeline.registry_assets import drift_report, promoted_model, registered_model

ASSETS = [
    raw_dataset,
    preprocessed_data,
    trained_model,
    model_evaluation,
    packaged_model,
    registered_model,
    promoted_model,
    drift_report,
]
