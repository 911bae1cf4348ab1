"""From what the model says to what goes over the wire; the fields are those of `wire`."""

import math
from collections.abc import Mapping
from typing import Any

from phytoscope.predict.predictor import Predictor
from phytoscope.schema.prediction import Prediction
from phytoscope.schema.verdict import REASON_WORDS
from phytoscope.transforms.photo import Photo


def describe_model(predictor: Predictor, version: str | None) -> dict[str, Any]:
    """Which model answers.

    Args:
        predictor: The model.
        version: Its version in a registry; None when it comes from elsewhere.
    """
    about = predictor.description
    return {
        "name": about.name,
        "model_id": about.model_id,
        "version": version,
        "task": about.task.value,
        "target_name": about.target_name,
        "unit": about.unit,
    }


def word_prediction(
    key: str, prediction: Prediction, photo: Photo, explanation: Mapping[str, str] | None
) -> dict[str, Any]:
    """The answer for one photograph.

    Args:
        key: Number of the answer.
        prediction: What the model says.
        photo: The photograph.
        explanation: Pictures of what the answer rests on.
    """
    return {
        "id": key,
        "name": prediction.path,
        "verdict": prediction.verdict or None,
        "reasons": [{"code": reason.value, "text": REASON_WORDS[reason]} for reason in prediction.reasons],
        "label": prediction.label,
        "probability": prediction.probability,
        "probabilities": prediction.probabilities,
        "label_set": prediction.label_set,
        "value": _finite(prediction.value),
        "unit": prediction.unit,
        "lower": _finite(prediction.lower),
        "upper": _finite(prediction.upper),
        "values": _all_finite(prediction.values),
        "units": prediction.units,
        "lowers": _all_finite(prediction.lowers),
        "uppers": _all_finite(prediction.uppers),
        "novelty": _finite(prediction.novelty),
        "remarks": prediction.remarks,
        "width_px": photo.width_px,
        "height_px": photo.height_px,
        "explanation": explanation,
        "error": None,
    }


def word_failure(key: str, name: str, code: str, message: str) -> dict[str, Any]:
    """The answer for a photograph that cannot be answered.

    Args:
        key: Number of the answer.
        name: How the photograph was named.
        code: Why, for programs.
        message: Why, for people.
    """
    empty: dict[str, Any] = dict.fromkeys(
        ("verdict", "label", "probability", "value", "lower", "upper", "novelty", "width_px", "height_px")
    )
    return {
        "id": key,
        "name": name,
        **empty,
        "reasons": [],
        "probabilities": {},
        "label_set": [],
        "unit": "",
        "values": {},
        "units": {},
        "lowers": {},
        "uppers": {},
        "remarks": [],
        "explanation": None,
        "error": {"code": code, "message": message},
    }


def _finite(value: float | None) -> float | None:
    # JSON has no word for what is not a number.
    return value if value is not None and math.isfinite(value) else None


def _all_finite(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: _finite(value) for name, value in values.items()}
