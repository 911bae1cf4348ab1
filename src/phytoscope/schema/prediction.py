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
        value: Predicted number (regression).
        unit: Its unit (regression).
        error: Why the image could not be read; empty otherwise.
    """

    path: str
    label: str | None = None
    probability: float | None = None
    probabilities: dict[str, float] = field(default_factory=dict)
    value: float | None = None
    unit: str = ""
    error: str = ""
