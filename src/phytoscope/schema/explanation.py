"""Explanation: which parts of a picture an answer rests on, and how far that can be believed."""

import dataclasses
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final

from phytoscope.errors import ArtifactError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OUTSIDE_LIMIT: Final = 0.5
"""An answer counts as resting on the background when more than this share of its heat lies outside the plant."""
SHARE_LIMIT: Final = 0.2
"""The report warns when this holds for more than this share of the images."""
TEST_LIMIT: Final = 0.5
"""The report warns when no more than this share of the heat maps is better than a random one."""
LEAST_PLANT: Final = 0.005
"""With a smaller share of plant pixels no plant counts as found."""


class ExplanationMethod(StrEnum):
    """How a heat map is made.

    `grad_cam`: channels weighted by their mean gradient (Selvaraju 2017, arXiv 1610.02391); `hires_cam`: gradient times
    activation at every place (Draelos 2020, arXiv 2011.08891), which for a net that ends in a mean and a linear layer
    is exactly what each place adds to the answer; `layer_cam`: the same with positive gradients only (Jiang 2021,
    doi 10.1109/TIP.2021.3089943); `eigen_cam`: what the activations have most in common, whatever the answer (Muhammad
    2020, arXiv 2008.00299); `attention_rollout`: which patches the class token of a transformer has gathered from,
    whatever the answer (Abnar 2020, doi 10.18653/v1/2020.acl-main.385); `auto`: the one that did best when compared.
    """

    auto = "auto"
    grad_cam = "grad_cam"
    hires_cam = "hires_cam"
    layer_cam = "layer_cam"
    eigen_cam = "eigen_cam"
    attention_rollout = "attention_rollout"


@dataclass(frozen=True)
class HeatTest:
    """What happens to the answer when the hottest parts are taken out of the picture, or put in, first.

    Each number is the area under a curve: the mean, while the parts of the picture are exchanged with a blurred picture
    one after the other, of the probability of the explained class (0-1) or of the predicted number (in its unit).

    Attributes:
        deletion: The hottest parts are blurred first; the lower the better.
        insertion: The hottest parts are put into the blurred picture first; the higher the better.
        random_deletion: The same for random maps, mean of several.
        random_insertion: The same for random maps, mean of several.
    """

    deletion: float
    insertion: float
    random_deletion: float
    random_insertion: float

    @property
    def better_than_random(self) -> bool:
        """Whether the map knows more about the answer than chance does."""
        return self.insertion - self.deletion > self.random_insertion - self.random_deletion


@dataclass(frozen=True)
class Explanation:
    """Where in one picture an answer comes from.

    Attributes:
        heat: Shape (S, S), float32, 0-1: how much each pixel speaks for the answer; all 0 when none does.
        method: How it was made; never `auto`.
        explained: The class, or the name of the number, that it is about.
        outside_plant: Share of the heat outside the plant, 0-1; None when no plant was found or there is no heat.
        plant_share: Share of the picture that is plant, 0-1.
        test: What the map is worth; None when it was not tested.
    """

    heat: "NDArray[np.float32]"
    method: ExplanationMethod
    explained: str
    outside_plant: float | None
    plant_share: float
    test: HeatTest | None = None

    @property
    def looks_outside(self) -> bool:
        """Whether the answer rests on the background."""
        return self.outside_plant is not None and self.outside_plant > OUTSIDE_LIMIT


@dataclass(frozen=True)
class ExplainedImage:
    """One row of an explanation report: an explanation without its picture.

    Attributes:
        name: Sample id, or path, of the image.
        explained: The class, or the name of the number, that is explained.
        answer: The model's answer in words.
        truth: The true answer in words; empty when nobody knows it.
        is_right: Whether the answer is the true class, or its error is among the smaller half; None when nobody knows.
        outside_plant: Share of the heat outside the plant, 0-1; None when no plant was found or there is no heat.
        plant_share: Share of the picture that is plant, 0-1.
        looks_outside: Whether the answer rests on the background.
        test: What the map is worth; None when it was not tested.
    """

    name: str
    explained: str
    answer: str
    truth: str
    is_right: bool | None
    outside_plant: float | None
    plant_share: float
    looks_outside: bool
    test: HeatTest | None = None

    def to_row(self) -> dict[str, Any]:
        """The image as one flat row of a table, the test's numbers in columns of their own."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "test"}
        numbers = {name.name: getattr(self.test, name.name, None) for name in dataclasses.fields(HeatTest)}
        return {**plain, **numbers, "better_than_random": None if self.test is None else self.test.better_than_random}


@dataclass(frozen=True)
class ExplanationReport:
    """What the explanations of some images say together.

    Attributes:
        method: How the heat maps were made; never `auto`.
        rows: One entry an image.
        warnings: What a reader must know before believing the model, or the maps.
    """

    method: ExplanationMethod
    rows: list[ExplainedImage]
    warnings: list[str] = field(default_factory=list)

    @property
    def n(self) -> int:
        """Images that were explained."""
        return len(self.rows)

    @property
    def outside_plant(self) -> float | None:
        """Mean share of the heat outside the plant, 0-1; None when no plant was found in any image."""
        return _mean([row.outside_plant for row in self.rows])

    @property
    def share_outside(self) -> float | None:
        """Share of the images with a plant whose answer rests on the background, 0-1; None when there is none."""
        return _mean([float(row.looks_outside) for row in self.rows if row.outside_plant is not None])

    @property
    def share_better(self) -> float | None:
        """Share of the tested heat maps that are better than a random one, 0-1; None when none was tested."""
        return _mean([float(row.test.better_than_random) for row in self.rows if row.test is not None])

    @property
    def mean_test(self) -> HeatTest | None:
        """Means of the tests; None when no map was tested."""
        tests = [row.test for row in self.rows if row.test is not None]
        if not tests:
            return None
        return HeatTest(*(fmean([getattr(test, item.name) for test in tests]) for item in _TEST_FIELDS))

    def to_dict(self) -> dict[str, Any]:
        """The report as plain dictionaries and lists, ready for JSON, its summary included."""
        summary = {
            "n": self.n,
            "outside_plant": self.outside_plant,
            "share_outside": self.share_outside,
            "share_better": self.share_better,
            "mean_test": None if self.mean_test is None else dataclasses.asdict(self.mean_test),
        }
        return {**dataclasses.asdict(self), "method": self.method.value, "summary": summary}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "ExplanationReport":
        """Rebuilds a report from `to_dict`'s result.

        Raises:
            ArtifactError: The content is not complete.
        """
        try:
            rows = [
                ExplainedImage(**{**row, "test": None if row["test"] is None else HeatTest(**row["test"])})
                for row in content["rows"]
            ]
            return cls(ExplanationMethod(content["method"]), rows, list(content["warnings"]))
        except (KeyError, TypeError, ValueError) as error:
            message = f"the explanations are not complete ({type(error).__name__}: {error}): evaluate the run again."
            raise ArtifactError(message) from error


def report_explanations(method: ExplanationMethod, rows: list[ExplainedImage]) -> ExplanationReport:
    """Puts explained images together and says what a reader must know.

    Args:
        method: How the heat maps were made.
        rows: The images.
    """
    report = ExplanationReport(method, rows)
    warnings = []
    if report.share_outside is not None and report.share_outside > SHARE_LIMIT:
        warnings.append(
            f"The model looks at the background in {100 * report.share_outside:.0f} % of the {report.n} explained "
            "images: it may know the place or the camera instead of the plant. Compare with pictures from elsewhere."
        )
    if report.share_better is not None and report.share_better <= TEST_LIMIT:
        warnings.append(
            f"Only {100 * report.share_better:.0f} % of the heat maps are better than a random one when the hottest "
            "parts are taken out of the picture: do not draw conclusions from them."
        )
    return dataclasses.replace(report, warnings=warnings)


_TEST_FIELDS = dataclasses.fields(HeatTest)


def _mean(values: list[float | None] | list[float]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
