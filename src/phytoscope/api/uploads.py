"""From the body of a request to photographs, whichever of the three ways they were sent."""

import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from phytoscope.api.errors import RequestError
from phytoscope.api.multipart import read_form
from phytoscope.api.wire import IMAGE_TYPES, LONGEST_NAME, PredictBody

_FILES, _COVARIATES = "files", "covariates"
_Model = TypeVar("_Model", bound=BaseModel)
# Of what is known beside one photograph; a description of plants in a field has some tens of them.
_MOST_MARKS = 1000
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True)
class Upload:
    """One photograph that was sent.

    Attributes:
        name: How the answer calls it.
        content: The file's bytes.
        covariates: What is known beside it.
    """

    name: str
    content: bytes
    covariates: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Order:
    """What a request asks for.

    Attributes:
        uploads: The photographs.
        explain: Whether to draw what each answer rests on.
    """

    uploads: list[Upload]
    explain: bool = False


def read_order(content_type: str, body: bytes, query: Mapping[str, str], max_files: int) -> Order:
    """Reads the photographs of a request.

    Args:
        content_type: Header of the body.
        body: All of it.
        query: What stands behind the question mark of the address.
        max_files: Photographs at most.

    Raises:
        RequestError: The body is of another kind (415), not readable (400), holds no or wrong parts (422) or too many
            (413).
    """
    kind = content_type.partition(";")[0].strip().lower()
    explain = _read_truth(query.get("explain", "false"))
    if kind in IMAGE_TYPES:
        order = Order([Upload(query.get("name", "image")[:LONGEST_NAME], body)], explain)
    elif kind == "multipart/form-data":
        order = Order(_read_files(body, content_type, max_files), explain)
    elif kind == "application/json":
        order = _read_json(body, explain, max_files)
    else:
        message = (
            f"a body of the type {kind[:80]!r} cannot be read; send the file itself ({', '.join(IMAGE_TYPES)}), a form "
            "(multipart/form-data) or application/json."
        )
        # What curl says of a file when nobody tells it more.
        if kind == "application/x-www-form-urlencoded":
            message = "the file's type is missing: with curl, add -H 'Content-Type: image/jpeg' to --data-binary @FILE."
        raise RequestError(415, "unsupported_media_type", message)
    if not any(upload.content for upload in order.uploads):
        message = (
            "the body is empty: is the path of the file right?"
            if kind in IMAGE_TYPES
            else f"no photograph was sent; a form holds it in the field {_FILES!r}."
        )
        raise RequestError(422, "bad_request", message)
    if len(order.uploads) > max_files:
        message = f"{len(order.uploads)} photographs are more than the {max_files} that one request may hold."
        raise RequestError(413, "too_large", message)
    return order


def read_model(kind: type[_Model], body: bytes) -> _Model:
    """Reads a JSON body.

    Raises:
        RequestError: It is no JSON (400), or not what it should be (422).
    """
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        if first["type"] == "json_invalid":
            message = "the body is not JSON."
            raise RequestError(400, "bad_request", message) from error
        place = ".".join(str(part) for part in first["loc"])
        message = f"{place + ': ' if place else ''}{first['msg']}."
        raise RequestError(422, "bad_request", message) from error


def _read_truth(text: str) -> bool:
    if text.lower() not in _TRUTH:
        message = "explain must be true or false."
        raise RequestError(422, "bad_request", message)
    return _TRUTH[text.lower()]


def _check_marks(body: bytes, max_files: int) -> None:
    """Refuses millions of empty entries before they are made: each would cost a thousand times its bytes."""
    if body.count(b",") + body.count(b"[") > _MOST_MARKS * (max_files + 1):
        message = f"the JSON has too many entries; one request may hold {max_files} photographs."
        raise RequestError(413, "too_large", message)


def _read_json(body: bytes, explain: bool, max_files: int) -> Order:
    _check_marks(body, max_files)
    wanted = read_model(PredictBody, body)
    uploads = [
        Upload(image.name, _read_base64(image.data, number), image.covariates)
        for number, image in enumerate(wanted.images)
    ]
    return Order(uploads, explain or wanted.explain)


def _read_base64(text: str, number: int) -> bytes:
    # Browsers give data URLs.
    head, comma, rest = text.partition(",")
    coded = rest if comma and head.startswith("data:") else text
    try:
        return binascii.a2b_base64(coded, strict_mode=True)
    except (binascii.Error, ValueError) as error:
        message = f"images.{number}.data is not base64."
        raise RequestError(422, "bad_request", message) from error


def _read_files(body: bytes, content_type: str, max_files: int) -> list[Upload]:
    parts = read_form(body, content_type, max_files + 1)
    unknown = sorted({part.field for part in parts} - {_FILES, _COVARIATES})
    if unknown:
        message = f"the form has a field {unknown[0][:80]!r}; known are {_FILES!r} and {_COVARIATES!r}."
        raise RequestError(422, "bad_request", message)
    files = [part for part in parts if part.field == _FILES]
    known = [part.content for part in parts if part.field == _COVARIATES]
    for text in known:
        _check_marks(text, max_files)
    covariates = _read_covariates(known, len(files))
    return [
        Upload((part.file_name or "image")[:LONGEST_NAME], part.content, values)
        for part, values in zip(files, covariates, strict=True)
    ]


def _read_covariates(texts: Sequence[bytes], count: int) -> list[Mapping[str, Any]]:
    if not texts:
        return [{}] * count
    try:
        found = json.loads(texts[0]) if len(texts) == 1 else None
    except (ValueError, RecursionError) as error:
        message = f"the field {_COVARIATES!r} is not JSON."
        raise RequestError(422, "bad_request", message) from error
    entries = [found] * count if isinstance(found, dict) else found
    if not isinstance(entries, list) or len(entries) != count or not all(map(_is_plain, entries)):
        message = (
            f"the field {_COVARIATES!r} must be one JSON object (name of a column -> number, text or truth value) for "
            "all files, or a list with one for each."
        )
        raise RequestError(422, "bad_request", message)
    return entries


def _is_plain(entry: Any) -> bool:
    return isinstance(entry, dict) and all(
        isinstance(value, str | int | float | bool | None) for value in entry.values()
    )
