"""Certificate: how far the forms of one network agree, as `certificate.json` in a package holds it."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Final

from phytoscope.errors import ArtifactError
from phytoscope.schema.comparison import MetricDifference, Winner

CERTIFICATE_FORMAT: Final = 1
CERTIFICATE_NAME: Final = "certificate.json"
CERTIFICATE_PAGE_NAME: Final = "CERTIFICATE.md"


@dataclass(frozen=True)
class FormReport:
    """One form of the network beside torch, on the same images.

    Attributes:
        name: `torch`, `onnxruntime`, `openvino` or `int8`.
        runtime: What computed it.
        precision: `float32` or `int8`.
        published: Whether the package holds it, or what it is made from.
        reason: Why it is not published, or what else is to be said; may be empty.
        largest_difference: Largest difference of an answer to torch: of a probability, or of the main target in its
            unit; None where it was not measured.
        usual_difference: The same for 99 of 100 images: the 99th percentile over the images.
        agreement: Share of images with the same class as torch, 0-1; None for numbers.
        metrics: Metrics of torch (`first`) and of this form (`second`), with the interval of the difference by groups.
        loss: What it loses against torch, see `Certificate.loss_words`; None where it is not asked.
        coverage: Share of sets or intervals that held the truth, 0-1; None where there are none.
        verdicts: Verdict -> share of images, 0-1.
        accepted_error: Share of wrong answers among accepted ones, or their mean absolute error; None without any.
        latency_ms: Median time for one image, in milliseconds.
        images_per_second: Median rate at the best number of images a call.
        batch_size: That number.
        size_bytes: Bytes of its files in the package.
    """

    name: str
    runtime: str
    precision: str
    published: bool
    reason: str = ""
    largest_difference: float | None = None
    usual_difference: float | None = None
    agreement: float | None = None
    metrics: list[MetricDifference] = field(default_factory=list)
    loss: float | None = None
    coverage: float | None = None
    verdicts: dict[str, float] = field(default_factory=dict)
    accepted_error: float | None = None
    latency_ms: float | None = None
    images_per_second: float | None = None
    batch_size: int | None = None
    size_bytes: int | None = None


@dataclass(frozen=True)
class Certificate:
    """All forms of one network on the same images.

    Attributes:
        model_id: Hash of the trained weights.
        task: Classification or regression.
        unit: Unit of the main target; empty for classification.
        split: Which images.
        n: Number of images.
        n_groups: Groups that these belong to.
        drawn: Whether these are a part of the split, drawn by group.
        confidence: Level of the intervals.
        max_loss: What 8 bits were allowed to lose.
        loss_words: How the loss is measured, in words.
        machine: Processor, number of threads and system on which the times were taken.
        versions: Library -> version.
        forms: Torch first.
        int8_steps: What was tried for 8 bits, in words, the last one taken.
    """

    model_id: str
    task: str
    unit: str
    split: str
    n: int
    n_groups: int
    drawn: bool
    confidence: float
    max_loss: float
    loss_words: str
    machine: str
    versions: dict[str, str]
    forms: list[FormReport]
    int8_steps: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The certificate as plain values, ready for JSON."""
        return {"format": CERTIFICATE_FORMAT, **dataclasses.asdict(self)}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Certificate":
        """Rebuilds a certificate from `to_dict`'s result.

        Raises:
            ArtifactError: It is of another format or not complete.
        """
        try:
            values = _read_format(content)
            forms = [
                FormReport(**{**form, "metrics": [_read_metric(metric) for metric in form["metrics"]]})
                for form in values.pop("forms")
            ]
            return cls(**values, forms=forms)
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            message = f"the certificate cannot be read ({error}): `phytoscope export RUN` makes a new one."
            raise ArtifactError(message) from error


def _read_metric(content: dict[str, Any]) -> MetricDifference:
    return MetricDifference(**{**content, "winner": Winner(content["winner"])})


def _read_format(content: dict[str, Any]) -> dict[str, Any]:
    values = dict(content)
    if values.pop("format") != CERTIFICATE_FORMAT:
        message = f"it is not of format {CERTIFICATE_FORMAT}"
        raise ValueError(message)
    return values
