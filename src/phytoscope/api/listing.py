"""What is said of a model at /v1/models; the fields are those of `wire.ModelAnswer`."""

from typing import Any

from phytoscope.api.model_slot import ServedModel
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.serve import ServeConfig


def list_model(model: ServedModel, config: ServeConfig) -> dict[str, Any]:
    """Everything that a client needs to know of a model.

    Args:
        model: The model.
        config: Settings with the limits.
    """
    about, engine = model.predictor.description, model.predictor.engine
    encoder = model.predictor.meaning.covariates
    # The networks of an ensemble have the same columns.
    columns = () if encoder is None else encoder.columns
    known = {column.name: list(column.categories) or None for column in columns}
    return {
        "name": about.name,
        "model_id": about.model_id,
        "version": model.about["version"],
        "task": about.task.value,
        "class_names": list(about.class_names),
        "target_name": about.target_name,
        "units": about.units,
        "backbone": about.backbone,
        "input_size_px": model.recipe.size_px,
        "runtime": engine.runtime.value,
        "precision": engine.precision.value,
        "metrics": about.metrics,
        "created_at": about.created_at,
        "licence": about.licence,
        "covariates": [{"name": name, "values": values} for name, values in known.items()],
        "coverage": _read_coverage(model.predictor),
        "explains": model.desk is not None and model.desk.is_possible,
        "limits": {
            "max_files": config.max_files,
            "max_mb": config.max_mb,
            "max_megapixels": model.recipe.max_megapixels,
        },
    }


def _read_coverage(predictor: Predictor) -> float | None:
    trust = predictor.trust
    if trust is None:
        return None
    rule = trust.sets if trust.sets is not None else next(iter(trust.intervals), None)
    return None if rule is None else float(rule.promised)
