"""Prediction: what is said about one image."""

from dataclasses import dataclass, field

from phytoscope.schema.verdict import Reason


@dataclass(frozen=True)
class Prediction:
    """The answer for one image, or why there is none.

    Attributes:
        path: The image, as it was named.
        label: Predicted class (classification).
        probability: Its probability, 0-1 (classification).
        probabilities: Class name -> probability, in the model's order, summing to 1 (classification).
        value: Predicted number of the main target (regression).
        unit: Its unit (regression).
        values: Name of each target, the main one first -> predicted number (regression).
        units: Name of each target -> its unit, which may be empty (regression).
        verdict: `accept`, `review` or `reject`; empty where the model cannot judge its answers.
        reasons: Why it is not accepted, the gravest first.
        label_set: Classes that the answer may be, as often right as promised (classification).
        lower: Lower end of the interval of the main target (regression).
        upper: Its upper end (regression).
        lowers: Name of each target with an interval -> its lower end (regression).
        uppers: Name of each target with an interval -> its upper end (regression).
        novelty: How unlike the training images the image is, larger is stranger; None where not measured.
        remarks: What was given beside the image and could not be used, in words.
        error: Why the image could not be read; empty otherwise.
    """

    path: str
    label: str | None = None
    probability: float | None = None
    probabilities: dict[str, float] = field(default_factory=dict)
    value: float | None = None
    unit: str = ""
    values: dict[str, float] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    verdict: str = ""
    reasons: tuple[Reason, ...] = ()
    label_set: tuple[str, ...] = ()
    lower: float | None = None
    upper: float | None = None
    lowers: dict[str, float] = field(default_factory=dict)
    uppers: dict[str, float] = field(default_factory=dict)
    novelty: float | None = None
    remarks: tuple[str, ...] = ()
    error: str = ""
