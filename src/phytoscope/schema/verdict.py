"""Verdict: whether an answer can be acted on, and why not."""

from enum import StrEnum
from typing import Final


class Verdict(StrEnum):
    """What to do with an answer.

    `accept`: act on it; `review`: a person should look; `reject`: the picture cannot be answered, take another one.
    """

    accept = "accept"
    review = "review"
    reject = "reject"


class Reason(StrEnum):
    """Why an answer is not accepted, the gravest first."""

    no_plant = "no_plant"
    unlike_training = "unlike_training"
    too_dark = "too_dark"
    too_bright = "too_bright"
    too_small = "too_small"
    blurred = "blurred"
    somewhat_unlike = "somewhat_unlike"
    unsure = "unsure"
    wide_interval = "wide_interval"


REASONS: Final = tuple(Reason)
"""In the order of the columns of `Judged.reasons`."""
REASON_WORDS: Final = {
    Reason.no_plant: "no plant is to be seen: point the camera at the plant",
    Reason.unlike_training: "unlike all pictures that the model learned from: is it the right crop, organ and camera?",
    Reason.too_dark: "too dark: more light",
    Reason.too_bright: "too bright: less light, or not against the sun",
    Reason.too_small: "too few pixels: come closer, or send the original picture",
    Reason.blurred: "blurred: hold the camera still and let it focus",
    Reason.somewhat_unlike: "rather unlike the pictures that the model learned from",
    Reason.unsure: "the model is not sure enough",
    Reason.wide_interval: "the number could be far from this",
}
"""What to tell a person, for each reason."""
REJECTING: Final = (Reason.no_plant, Reason.unlike_training, Reason.too_dark, Reason.too_bright)
"""Reasons for which an answer is rejected; the others ask for a review."""
