"""How answers become records."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phytoscope.schema.records import PredictionRecord, word_answer
from phytoscope.schema.serve import ServeConfig

if TYPE_CHECKING:
    from phytoscope.api.records.recorder import Recorder


def open_records(config: ServeConfig) -> "Recorder | None":
    """Opens the database that keeps answers.

    Args:
        config: Settings.

    Returns:
        What writes to it; None when nothing is kept.

    Raises:
        PhytoscopeError: A setting cannot be right. A database that does not answer is no reason not to start.
    """
    if not config.records:
        return None
    from phytoscope.api.records.recorder import open_recorder

    return open_recorder(
        config.records_url,
        images=None if config.keep_images is None else Path(config.keep_images),
        capacity=config.records_buffer,
        retention_days=config.retention_days,
    )


def make_record(
    prediction: Mapping[str, Any],
    model: Mapping[str, Any],
    request_id: str,
    at: datetime,
    sha256: str,
    took_ms: float,
    image: bytes | None,
) -> PredictionRecord:
    """The record of one answer.

    Args:
        prediction: The answer, see `wire.PredictionAnswer`.
        model: Which model gave it, see `wire.ModelName`.
        request_id: The request that it was part of.
        at: When it was given.
        sha256: Hash of the photograph's file.
        took_ms: Time from the request to the answer, in milliseconds.
        image: The file's bytes, where photographs are kept.
    """
    same = {
        name: prediction[name]
        for name in (
            "id",
            "label",
            "probability",
            "value",
            "unit",
            "lower",
            "upper",
            "verdict",
            "novelty",
            "width_px",
            "height_px",
        )
    }
    return PredictionRecord(
        **same,
        request_id=request_id,
        at=at,
        model_id=model["model_id"],
        model_name=model["name"],
        model_version=model["version"],
        task=model["task"],
        reasons=tuple(reason["code"] for reason in prediction["reasons"]),
        image_sha256=sha256,
        took_ms=took_ms,
        answer=word_answer(prediction),
        image=image,
    )
