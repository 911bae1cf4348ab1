"""`/v1/feedback`: what the right answer was, said later."""

import asyncio
import math
import secrets
from datetime import UTC, datetime
from typing import Final, NoReturn

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from phytoscope.api import openapi
from phytoscope.api.body import read_body
from phytoscope.api.errors import RequestError
from phytoscope.api.routes import get_service
from phytoscope.api.uploads import read_model
from phytoscope.api.wire import FeedbackBody
from phytoscope.errors import suggest
from phytoscope.schema.package import ModelDescription
from phytoscope.schema.records import FeedbackRecord
from phytoscope.schema.table import Task

router = APIRouter()
_MOST_BYTES: Final = 64_000


@router.post("/v1/feedback", tags=["answers"], **openapi.describe_feedback())
async def take_feedback(request: Request) -> Response:
    """The true class or number of an answer, for the next training and for watching the quality."""
    service = get_service(request)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        _refuse("feedback is sent as application/json.", 415, "unsupported_media_type")
    body = read_model(FeedbackBody, await read_body(request, _MOST_BYTES, service.config.body_timeout_s))
    check_feedback(body, service.slot.current.predictor.description)
    if service.recorder is None:
        _refuse("this service keeps no answers, so it can keep no feedback (serve.records=true).", 503, "not_ready")
    record = FeedbackRecord(
        secrets.token_hex(16), body.id, datetime.now(UTC), body.label, body.value, body.target, body.comment
    )
    # Each may wait for a database that does not answer; others are told to come back.
    with service.feedback.take(1):
        await asyncio.to_thread(service.recorder.add_feedback, record)
    return JSONResponse({"id": record.id}, 201)


def check_feedback(body: FeedbackBody, model: ModelDescription) -> None:
    """Refuses feedback that the model could not learn from.

    Args:
        body: The feedback.
        model: The model that answers.

    Raises:
        RequestError: It says nothing, or something that is no answer of this model (422).
    """
    if body.label is None and body.value is None and body.comment is None:
        _refuse("give the right `label` or `value`, or a `comment`.")
    if model.task is Task.classification:
        if body.value is not None or body.target is not None:
            _refuse("this model names classes: give a `label` instead of a `value` or `target`.")
        if body.label is not None and body.label not in model.class_names:
            _refuse(f"{body.label!r} is no class of this model; {suggest(body.label, model.class_names)}")
        return
    if body.label is not None:
        _refuse("this model predicts numbers: give a `value` instead of a `label`.")
    if body.value is not None and not math.isfinite(body.value):
        _refuse("`value` is not a finite number.")
    if body.target is not None and body.target not in model.units:
        _refuse(f"{body.target!r} is no number of this model; {suggest(body.target, model.units)}")


def _refuse(message: str, status: int = 422, code: str = "bad_request") -> NoReturn:
    raise RequestError(status, code, message)
