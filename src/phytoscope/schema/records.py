"""Records of the service: what it answered, and what turned out to be true."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

NEVER_KEPT: Final = ("name", "explanation", "error")
"""Parts of an answer that are not kept: names of files may name people and places, and errors may name files."""


@dataclass(frozen=True, slots=True)
class PredictionRecord:
    """One answer of the service, as it is kept.

    Attributes:
        id: Name of the answer, 32 hexadecimal digits; feedback is given under it.
        request_id: The request that it was part of.
        at: When it was given, with a time zone.
        model_id: Hash of the model's weights.
        model_name: The model's name.
        model_version: Its version in the registry; None when it came from a folder.
        task: `classification` or `regression`.
        label: Predicted class (classification).
        probability: Its probability, 0-1 (classification).
        value: Predicted number of the main target (regression).
        unit: Its unit (regression).
        lower: Lower end of its interval (regression).
        upper: Upper end of its interval (regression).
        verdict: `accept`, `review` or `reject`; None where the model cannot judge its answers.
        reasons: Why it is not accepted, the gravest first.
        novelty: How unlike the training images the image is; None where not measured.
        image_sha256: SHA-256 of the file as it was sent.
        width_px: Width of the upright original in pixels.
        height_px: Its height in pixels.
        took_ms: Time from the request's arrival to its answer, in milliseconds.
        answer: The whole answer as JSON, as `word_answer` gives it.
        image: The file's bytes, where photographs are kept; else None.
    """

    id: str
    request_id: str
    at: datetime
    model_id: str
    model_name: str
    model_version: str | None
    task: str
    label: str | None
    probability: float | None
    value: float | None
    unit: str
    lower: float | None
    upper: float | None
    verdict: str | None
    reasons: tuple[str, ...]
    novelty: float | None
    image_sha256: str
    width_px: int | None
    height_px: int | None
    took_ms: float
    answer: str
    image: bytes | None = None


@dataclass(frozen=True, slots=True)
class FeedbackRecord:
    """What turned out to be true of one answered photograph.

    Attributes:
        id: Name of the feedback, 32 hexadecimal digits.
        prediction_id: The answer that it is about.
        at: When it was given, with a time zone.
        label: The true class (classification).
        value: The true number (regression).
        target: Which number it is; None for the main one (regression).
        comment: What the person wrote.
    """

    id: str
    prediction_id: str
    at: datetime
    label: str | None = None
    value: float | None = None
    target: str | None = None
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class RecorderStatus:
    """How the keeping of records goes in one process.

    Attributes:
        written: Answers that are in the database.
        lost: Answers that are not and will not be.
        waiting: Answers that wait to be written.
        error: Why writing does not work now, in words; None when it works.
        images_lost: Photographs that should have been kept and were not.
    """

    written: int
    lost: int
    waiting: int
    error: str | None
    images_lost: int = 0


def word_answer(prediction: Mapping[str, Any]) -> str:
    """One prediction of the service's answer as JSON to keep, without the file's name, heat map and error text.

    Args:
        prediction: One entry of `predictions` in the answer of `/v1/predict`.
    """
    kept = {key: value for key, value in prediction.items() if key not in NEVER_KEPT}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))
