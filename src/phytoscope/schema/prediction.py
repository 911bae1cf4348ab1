"""Prediction: what is said about one image."""

from dataclasses import dataclass, field


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
    remarks: tuple[str, ...] = ()
    error: str = ""
