"""What a service says, as the client gives it."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class AnswerReason:
    """Why an answer is not accepted.

    Attributes:
        code: For programs, for example `blurred`.
        text: For people: what to do.
    """

    code: str
    text: str


@dataclass(frozen=True)
class AnswerFault:
    """Why one photograph has no answer.

    Attributes:
        code: For programs, for example `unreadable`.
        message: For people.
    """

    code: str
    message: str


@dataclass(frozen=True)
class AnswerPictures:
    """What an answer rests on.

    Attributes:
        picture: The square that the network sees, a PNG file.
        heat: Heat map to lay over it, a PNG file with transparency and of the same size.
        method: How it was made.
        words: What can be said of it.
    """

    picture: bytes
    heat: bytes
    method: str
    words: str


@dataclass(frozen=True)
class Answer:
    """The answer for one photograph.

    Attributes:
        id: Its name, for feedback.
        name: The photograph, as it was named.
        model_id: Hash of the weights of the model that answered.
        model_name: Its name.
        verdict: `accept`, `review` or `reject`; None where the model cannot judge, or there is no answer.
        reasons: Why it is not accepted, the gravest first.
        label: Predicted class (classification).
        probability: Its probability, 0-1 (classification).
        probabilities: Class name -> probability, summing to 1 (classification).
        label_set: Classes that it may be (classification).
        value: Predicted number (regression).
        unit: Its unit (regression).
        lower: Lower end of its interval (regression).
        upper: Upper end of its interval (regression).
        values: Name of each number -> the number, the main one first (regression).
        units: Name of each number -> its unit (regression).
        lowers: Name of each number -> lower end of its interval (regression).
        uppers: Name of each number -> upper end of its interval (regression).
        novelty: How unlike the training images it is, larger is stranger; None where not measured.
        remarks: What was given beside the image and could not be used.
        width_px: Width of the upright photograph in pixels.
        height_px: Its height in pixels.
        explanation: What the answer rests on, where it was asked for.
        error: Why there is no answer; None when there is one.
    """

    id: str
    name: str
    model_id: str
    model_name: str
    verdict: str | None = None
    reasons: tuple[AnswerReason, ...] = ()
    label: str | None = None
    probability: float | None = None
    probabilities: dict[str, float] = field(default_factory=dict)
    label_set: tuple[str, ...] = ()
    value: float | None = None
    unit: str = ""
    lower: float | None = None
    upper: float | None = None
    values: dict[str, float] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    lowers: dict[str, float] = field(default_factory=dict)
    uppers: dict[str, float] = field(default_factory=dict)
    novelty: float | None = None
    remarks: tuple[str, ...] = ()
    width_px: int | None = None
    height_px: int | None = None
    explanation: AnswerPictures | None = None
    error: AnswerFault | None = None


@dataclass(frozen=True)
class ServedModel:
    """A model that a service answers with.

    Attributes:
        name: Its name.
        model_id: Hash of its weights.
        version: Its version in a registry; None when it came from a folder.
        task: `classification` or `regression`.
        class_names: Classes it tells apart (classification).
        target_name: What it predicts.
        units: Name of each number -> its unit (regression).
        runtime: What computes it.
        precision: With which numbers.
        covariates: Name of each column that it sees beside the image -> what it may be; None for a number.
        max_files: Photographs that one request may hold.
        max_mb: Megabytes that one request may hold.
        about: Everything that the service says of it.
    """

    name: str
    model_id: str
    version: str | None
    task: str
    class_names: tuple[str, ...]
    target_name: str
    units: dict[str, str]
    runtime: str
    precision: str
    covariates: dict[str, list[str] | None]
    max_files: int
    max_mb: float
    about: dict[str, Any]


def read_answer(entry: Mapping[str, Any], model: Mapping[str, Any]) -> Answer:
    """Reads one prediction of a service's answer; what a newer service says beside it is left out.

    Args:
        entry: One entry of `predictions`.
        model: The model that answered.

    Raises:
        KeyError: A part is missing.
        TypeError: A part is not what it should be.
        ValueError: A picture cannot be read.
    """
    known = {name: entry[name] for name in Answer.__dataclass_fields__ if name in entry}
    known |= {
        "model_id": model["model_id"],
        "model_name": model["name"],
        "reasons": tuple(AnswerReason(reason["code"], reason["text"]) for reason in entry["reasons"]),
        "label_set": tuple(entry["label_set"]),
        "remarks": tuple(entry["remarks"]),
        "error": None if entry["error"] is None else AnswerFault(entry["error"]["code"], entry["error"]["message"]),
        "explanation": None if entry["explanation"] is None else _read_pictures(entry["explanation"]),
    }
    return Answer(**known)


def read_served(entry: Mapping[str, Any]) -> ServedModel:
    """Reads one model of a service's list.

    Args:
        entry: One entry of `models`.

    Raises:
        KeyError: A part is missing.
        TypeError: A part is not what it should be.
    """
    return ServedModel(
        **{
            name: entry[name]
            for name in ("name", "model_id", "version", "task", "target_name", "units", "runtime", "precision")
        },
        class_names=tuple(entry["class_names"]),
        covariates={column["name"]: column["values"] for column in entry["covariates"]},
        max_files=int(entry["limits"]["max_files"]),
        max_mb=float(entry["limits"]["max_mb"]),
        about=dict(entry),
    )


def _read_pictures(entry: Mapping[str, Any]) -> AnswerPictures:
    return AnswerPictures(_read_data(entry["picture"]), _read_data(entry["heat"]), entry["method"], entry["words"])


def _read_data(url: str) -> bytes:
    return base64.b64decode(url.partition(",")[2], validate=True)
