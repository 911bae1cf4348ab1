"""What the description of the service says of each route: bodies, answers and errors, with examples."""

from typing import Any, Final

from fastapi import FastAPI
from pydantic import BaseModel

from phytoscope import __version__
from phytoscope.api.wire import IMAGE_TYPES, ErrorAnswer, FeedbackAnswer, FeedbackBody, PredictAnswer, PredictBody

_REFERENCE: Final = "#/components/schemas/{model}"
_ERRORS: Final = {
    400: "The body is not what it says it is.",
    401: "A key is needed.",
    403: "A page from elsewhere has asked, or by a name that is not the service's own.",
    408: "The request was sent too slowly.",
    413: "Too large, or too many files.",
    415: "A body of this type cannot be read.",
    422: "Something in the request cannot be used.",
    429: "Too much to do; the header Retry-After says when to come back.",
    500: "Something went wrong in the service.",
    503: "Not ready, or stopping.",
    504: "The answer took too long.",
}
_WAIT: Final = {
    "Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}, "required": False}
}
_SECURITY: Final = {"bearer": {"type": "http", "scheme": "bearer"}}
_DESCRIPTION: Final = (
    "Photographs of plants in, answers with a verdict out. Where the service was started with keys, send one as "
    "`Authorization: Bearer KEY`. Every answer has the header `X-Request-ID`."
)


def describe_upload(summary: str, *, with_explain: bool = True) -> dict[str, Any]:
    """Arguments for a route that takes photographs.

    Args:
        summary: What it does.
        with_explain: Whether its address takes `explain`.
    """
    explain = {
        "name": "explain",
        "in": "query",
        "required": False,
        "description": "Whether to draw what each answer rests on.",
        "schema": {"type": "boolean", "default": False},
    }
    name = {
        "name": "name",
        "in": "query",
        "required": False,
        "description": "How the answer calls a photograph that is sent as the body itself.",
        "schema": {"type": "string", "default": "image"},
    }
    responses = _describe_errors(400, 401, 403, 408, 413, 415, 429, 500, 503, 504)
    responses[422] = {"model": PredictAnswer | ErrorAnswer, "description": f"No image can be read; or: {_ERRORS[422]}"}
    return {
        "summary": summary,
        "response_model": PredictAnswer,
        "responses": responses,
        "openapi_extra": {
            "security": [{}, {"bearer": []}],
            "parameters": [explain, name] if with_explain else [name],
            "requestBody": {"required": True, "content": _list_bodies()},
        },
    }


def describe_read(model: type[BaseModel], summary: str) -> dict[str, Any]:
    """Arguments for a route that only tells something.

    Args:
        model: Its answer.
        summary: What it tells.
    """
    return {"summary": summary, "response_model": model, "responses": _describe_errors(401, 403, 500, 503)}


def describe_ready(model: type[BaseModel]) -> dict[str, Any]:
    """Arguments for the route that tells whether the service is ready.

    Args:
        model: Its answer, which is the same when it is not.
    """
    return {
        "summary": "Whether the service answers",
        "response_model": model,
        "responses": {503: {"model": model, "description": "Not yet, or not any more."}, **_describe_errors(500)},
    }


def describe_metrics() -> dict[str, Any]:
    """Arguments for the route that Prometheus reads."""
    content = {"text/plain": {"schema": {"type": "string"}}}
    # The media type of a model would be that of the route, and errors are JSON here, too.
    words = {"application/json": {"schema": {"$ref": _REFERENCE.format(model=ErrorAnswer.__name__)}}}
    errors = {status: {"content": words, "description": _ERRORS[status]} for status in (401, 403, 500)}
    return {
        "summary": "Counts and times for Prometheus",
        "response_class": _plain(),
        "responses": {200: {"content": content, "description": "Lines of text."}, **errors},
    }


def describe_feedback() -> dict[str, Any]:
    """Arguments for the route that takes feedback."""
    responses = _describe_errors(400, 401, 403, 408, 413, 415, 422, 429, 500, 503)
    responses[404] = {"model": ErrorAnswer, "description": "There is no such answer."}
    content = {"application/json": {"schema": {"$ref": _REFERENCE.format(model=FeedbackBody.__name__)}}}
    return {
        "summary": "Say what the right answer was",
        "status_code": 201,
        "response_model": FeedbackAnswer,
        "responses": responses,
        "openapi_extra": {"security": [{}, {"bearer": []}], "requestBody": {"required": True, "content": content}},
    }


def describe_app(app: FastAPI) -> None:
    """Completes the description of a service with what its routes read by themselves.

    Args:
        app: The service.
    """
    original = app.openapi

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            content = original()
            parts = content.setdefault("components", {})
            parts["securitySchemes"] = _SECURITY
            for model in (PredictBody, FeedbackBody):
                schema = model.model_json_schema(ref_template=_REFERENCE)
                parts["schemas"] |= schema.pop("$defs", {})
                parts["schemas"][model.__name__] = schema
            content["info"] |= {"version": __version__, "description": _DESCRIPTION}
            app.openapi_schema = content
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]


def _describe_errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    found: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        found[status] = {"model": ErrorAnswer, "description": _ERRORS[status]}
        if status in (429, 503):
            found[status]["headers"] = _WAIT
    return found


def _list_bodies() -> dict[str, Any]:
    files = {
        "type": "object",
        "required": ["files"],
        "additionalProperties": False,
        "properties": {
            "files": {
                "type": "array",
                "minItems": 1,
                "items": {"type": "string", "format": "binary"},
                "description": "The photographs.",
            },
            "covariates": {
                "type": "string",
                "contentMediaType": "application/json",
                "description": "What is known beside the photographs, as JSON: one object (name of a column -> value) "
                "for all of them, or a list with one for each.",
            },
        },
    }
    image = {"schema": {"type": "string", "format": "binary"}}
    return {
        "multipart/form-data": {"schema": files},
        "application/json": {"schema": {"$ref": _REFERENCE.format(model=PredictBody.__name__)}},
        **dict.fromkeys(IMAGE_TYPES, image),
    }


def _plain() -> Any:
    from starlette.responses import PlainTextResponse

    return PlainTextResponse
