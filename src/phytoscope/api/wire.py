"""What goes over the wire, field by field. The answers are written by `answers`; these models describe them."""

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from phytoscope.schema.table import Task
from phytoscope.schema.verdict import Reason, Verdict

IMAGE_TYPES: Final = ("image/jpeg", "image/png", "image/webp", "image/bmp", "image/tiff")
"""Media types of a body that is one photograph."""
LONGEST_NAME: Final = 255
LONGEST_COMMENT: Final = 2000
_ID: Final = "0f8e7d6c5b4a39281706f5e4d3c2b1a0"


class _Wire(BaseModel):
    # A field that nobody reads is a mistake of the sender, who would believe that it counts.
    # Nor is a 0 a false, or a text a number: what the description forbids is refused.
    model_config = ConfigDict(extra="forbid", strict=True)


class ImageUpload(_Wire):
    """One photograph in a JSON request."""

    name: Annotated[str, Field(max_length=LONGEST_NAME, description="How the answer calls it.")] = "image"
    data: Annotated[
        str,
        Field(
            min_length=4,
            description="The image file (JPEG, PNG, WebP, BMP or TIFF) as base64.",
            json_schema_extra={"format": "byte"},
        ),
    ]
    covariates: Annotated[
        dict[str, float | str | bool | None],
        Field(description="What is known beside the image: name of a column -> its value."),
    ] = {}


class PredictBody(_Wire):
    """Photographs as JSON."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "images": [
                    {
                        "name": "leaf.png",
                        "data": "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAFElEQVR4nGO0"
                        "6TFiwAaYsIoOWgkAyG4BCpR0swEAAAAASUVORK5CYII=",
                    }
                ]
            }
        }
    )
    images: Annotated[list[ImageUpload], Field(min_length=1, description="The photographs.")]
    explain: Annotated[bool, Field(description="Whether to draw what each answer rests on.")] = False


class ModelName(_Wire):
    """Which model answered."""

    name: Annotated[str, Field(examples=["leaf-diseases"])]
    model_id: Annotated[str, Field(description="Hash of the trained weights.", examples=["0123456789abcdef"])]
    version: Annotated[str | None, Field(description="Version in a registry of models.", examples=["3"])]
    task: Task
    target_name: Annotated[str, Field(description="What is predicted.", examples=["class"])]
    unit: Annotated[str, Field(description="Its unit; empty for classes.", examples=["g"])]


class ReasonWords(_Wire):
    """Why an answer is not accepted, and what to do."""

    code: Reason
    text: Annotated[str, Field(examples=["blurred: hold the camera still and let it focus"])]


class ImageFault(_Wire):
    """Why one photograph has no answer."""

    code: Annotated[
        str,
        Field(
            description="unreadable: the file; too_large: too many pixels; decoder_failed, decoder_timeout: it could "
            "not be decoded safely.",
            examples=["unreadable"],
        ),
    ]
    message: Annotated[str, Field(examples=["the file is truncated"])]


class ExplanationPictures(_Wire):
    """What an answer rests on."""

    picture: Annotated[str, Field(description="The square that the network sees, a PNG as data URL.")]
    heat: Annotated[str, Field(description="Heat map to lay over it: PNG with transparency, same size, as data URL.")]
    method: Annotated[str, Field(description="How it was made.", examples=["hires_cam"])]
    words: Annotated[str, Field(description="What can be said of it.")]


class PredictionAnswer(_Wire):
    """The answer for one photograph."""

    id: Annotated[str, Field(description="Its number, for feedback.", examples=[_ID])]
    name: Annotated[str, Field(description="The photograph, as it was named.", examples=["leaf.jpg"])]
    verdict: Annotated[
        Verdict | None,
        Field(description="Whether to act on the answer; null where the model cannot judge, or there is no answer."),
    ]
    reasons: list[ReasonWords]
    label: Annotated[str | None, Field(description="The class.", examples=["rust"])]
    probability: Annotated[float | None, Field(description="Its probability, 0-1.", ge=0, le=1, examples=[0.93])]
    probabilities: dict[str, float]
    label_set: Annotated[list[str], Field(description="Classes that it may be.")]
    value: Annotated[float | None, Field(description="The number, in its unit.", examples=[12.5])]
    unit: str
    lower: Annotated[float | None, Field(description="Lower end of its interval.")]
    upper: Annotated[float | None, Field(description="Upper end of its interval.")]
    values: Annotated[dict[str, float | None], Field(description="All numbers that the model predicts.")]
    units: dict[str, str]
    lowers: dict[str, float | None]
    uppers: dict[str, float | None]
    novelty: Annotated[float | None, Field(description="How unlike the training images it is; larger is stranger.")]
    remarks: Annotated[list[str], Field(description="What was given and could not be used.")]
    width_px: Annotated[int | None, Field(description="Width of the upright photograph.")]
    height_px: int | None
    explanation: ExplanationPictures | None
    error: ImageFault | None


class PredictAnswer(_Wire):
    """Answers for the photographs of one request, in their order."""

    request_id: Annotated[str, Field(examples=[_ID])]
    model: ModelName
    predictions: list[PredictionAnswer]
    took_ms: Annotated[float, Field(examples=[23.4])]


class ErrorWords(_Wire):
    """What went wrong."""

    code: Annotated[str, Field(examples=["too_busy"])]
    message: Annotated[str, Field(description="What is wrong, and what to do.")]
    request_id: Annotated[str, Field(examples=[_ID])]


class ErrorAnswer(_Wire):
    """Why a request was not answered."""

    error: ErrorWords


class FeedbackBody(_Wire):
    """What the right answer was."""

    model_config = ConfigDict(json_schema_extra={"example": {"id": _ID, "label": "rust", "comment": "seen by hand"}})
    id: Annotated[str, Field(pattern="^[0-9a-f]{32}$", description="`id` of a prediction.")]
    label: Annotated[str | None, Field(description="The right class.", max_length=LONGEST_NAME)] = None
    value: Annotated[float | None, Field(description="The right number, in the model's unit.")] = None
    target: Annotated[
        str | None, Field(description="Which number; the main one when left out.", max_length=LONGEST_NAME)
    ] = None
    comment: Annotated[str | None, Field(description="Anything else.", max_length=LONGEST_COMMENT)] = None


class FeedbackAnswer(_Wire):
    """That the feedback is kept."""

    id: Annotated[str, Field(description="Number of the feedback.", examples=[_ID])]


class CovariateWords(_Wire):
    """One column that the model sees beside the image."""

    name: str
    values: Annotated[list[str] | None, Field(description="What it may be; null for a number.")]


class Limits(_Wire):
    """What one request may hold."""

    max_files: int
    max_mb: float
    max_megapixels: float


class ModelAnswer(_Wire):
    """What a model is."""

    name: str
    model_id: str
    version: str | None
    task: Task
    class_names: list[str]
    target_name: str
    units: Annotated[dict[str, str], Field(description="Name of each number -> its unit; empty for classes.")]
    backbone: str
    input_size_px: int
    runtime: Annotated[str, Field(description="What computes it.", examples=["openvino"])]
    precision: Annotated[str, Field(examples=["float32"])]
    metrics: dict[str, float | None]
    created_at: str
    licence: str
    covariates: list[CovariateWords]
    coverage: Annotated[
        float | None,
        Field(description="Share of sets, or of intervals of the main number, that hold the truth; null without them."),
    ]
    explains: Annotated[bool, Field(description="Whether heat maps can be asked for.")]
    limits: Limits


class ModelsAnswer(_Wire):
    """The models that answer."""

    models: list[ModelAnswer]


class HealthAnswer(_Wire):
    """That the process is there."""

    status: Annotated[str, Field(examples=["alive"])]


class ReadyAnswer(_Wire):
    """Whether the service answers."""

    status: Annotated[str, Field(description="ready, starting or stopping.", examples=["ready"])]
    model_id: str | None
    runtime: str | None
    golden_difference: Annotated[
        float | None, Field(description="Largest difference to the answers kept in the package.")
    ]
    reload_error: Annotated[str | None, Field(description="Why a newer package was not taken.")]
    records: Annotated[dict[str, Any], Field(description="What was kept, and what was lost.")]
