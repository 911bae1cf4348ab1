"""Everything that the page of a watch shows, and its figures with their words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from phytoscope.errors import ArtifactError
from phytoscope.schema.drift import DriftReport, TruthReport
from phytoscope.schema.table import PREDICTION, Task
from phytoscope.visualize.drift import choose_panels, plot_class_mix, plot_errors, plot_looks, plot_then_now
from phytoscope.visualize.page import CSS_PX_PER_INCH, encode_address
from phytoscope.visualize.style import draw_svg


@dataclass(frozen=True)
class Watch:
    """Everything that the page shows.

    Attributes:
        root: Folder of the monitor.
        name: Name of the model.
        task: Classification or regression.
        target: What is predicted.
        unit: Its unit.
        reports: All looks, the first one first; at least one.
        accepted: Share of accepted answers of each look, 0-1.
        reference: Rows of the reference.
        batch: Rows of the last look.
        gallery: Picture of the strangest photographs of the last look; None for none.
        truth: The last report about true errors; None when no truth is known.
        facts: Title -> text, where all this comes from.
    """

    root: Path
    name: str
    task: Task
    target: str
    unit: str
    reports: list[DriftReport]
    accepted: list[float]
    reference: pd.DataFrame
    batch: pd.DataFrame
    gallery: Path | None = None
    truth: TruthReport | None = None
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def last(self) -> DriftReport:
        """The last look."""
        return self.reports[-1]


def inline_figures(watch: Watch) -> dict[str, list[dict[str, str]]]:
    """All figures of the page by section, as the page shows them.

    Raises:
        ArtifactError: The picture of the most unlike photographs cannot be read.
    """
    last = watch.last
    now = []
    panels = choose_panels(last, watch.reference, watch.batch)
    if panels:
        fired = [finding.name for finding in last.list_fired()]
        drawn = plot_then_now(panels, watch.reference, watch.batch, fired=fired, target=watch.target, unit=watch.unit)
        now.append(_inline("then_now", drawn, _WORDS["then_now"]))
    if watch.task is Task.classification and PREDICTION in watch.reference:
        now.append(_inline("class_mix", plot_class_mix(watch.reference, watch.batch), _WORDS["class_mix"]))
    figures = {"now": now, "unlike": [], "truth": [], "looks": []}
    if any(report.findings for report in watch.reports):
        figures["looks"] = [_inline("looks_over_time", plot_looks(watch.reports), _WORDS["looks_over_time"])]
    if watch.truth is not None and watch.truth.windows:
        figures["truth"] = [_inline("errors_over_time", plot_errors(watch.truth), _WORDS["errors_over_time"])]
    if watch.gallery is not None:
        figures["unlike"] = [_inline_picture(watch.gallery)]
    return figures


_WORDS: Final[Mapping[str, Sequence[str]]] = {
    "then_now": (
        "Then and now",
        "Distributions of measures of the photographs and answers, when the model was measured and in the last look.",
        (
            "Grey: photographs on which the model was measured. Blue line: those of this look. Dashed: the middle "
            "values. Where blue and grey lie on each other, nothing has changed."
        ),
    ),
    "class_mix": (
        "Which answers it gives",
        "Bars: share of photographs given each class name, when the model was measured and in the last look.",
        (
            "How often each name is given, those with the largest change on top. Another mix can be right, when "
            "other plants were photographed; when the plants are the same, the model has become unreliable."
        ),
    ),
    "looks_over_time": (
        "How surprising each look was",
        "For each look the chance of its largest difference if nothing had changed, and the limit that it had to pass.",
        (
            "The higher a point, the harder it is to explain by chance. A look beyond the dashed line counts as a "
            "change. The line is stricter than a single look would need, because many looks are taken."
        ),
    ),
    "errors_over_time": (
        "True errors over time",
        "Errors of answers whose truth became known, with intervals, beside those when the model was measured.",
        (
            "Points: errors of the answers given in one look or month; bars: the range in which they may lie. "
            "Grey band: the errors when the model was measured."
        ),
    ),
}


def _inline(name: str, drawn: Figure, words: Sequence[str]) -> dict[str, str]:
    width, height = (round(CSS_PX_PER_INCH * side) for side in drawn.get_size_inches())
    title, alt, reading = words
    return {
        "name": name,
        "title": title,
        "alt": alt,
        "reading": reading,
        "source": encode_address(draw_svg(drawn), "svg+xml"),
        "width": str(width),
        "height": str(height),
    }


def _inline_picture(path: Path) -> dict[str, str]:
    try:
        content = path.read_bytes()
        with Image.open(path) as picture:
            dpi = float(picture.info.get("dpi", (CSS_PX_PER_INCH, CSS_PX_PER_INCH))[0])
            width, height = (round(CSS_PX_PER_INCH * pixels / max(dpi, 1.0)) for pixels in picture.size)
    except OSError as error:
        message = f"the picture {str(path)!r} cannot be read ({error}): remove it and look again."
        raise ArtifactError(message) from error
    return {
        "name": "unlike_gallery",
        "title": "The most unlike first",
        "alt": "Photographs of the last look that are most unlike those that the model learned from.",
        "reading": "Frames: green is accepted, orange goes to a person, red is rejected. Novelty is the distance "
        "from the photographs that the model learned from.",
        "source": encode_address(content, "jpeg"),
        "width": str(width),
        "height": str(height),
    }
