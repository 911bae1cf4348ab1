"""The figure of the robustness shows each kind beside the clean value, whatever was measured."""

import pytest

from phytoscope.errors import ArtifactError
from phytoscope.schema.robustness import CLEAN, RobustnessReport, RobustnessRow
from phytoscope.schema.table import Task
from phytoscope.visualize.robustness import plot_robustness


def make_report(scores: dict[str, list[float | None]], *, verdicts=False, task=Task.classification) -> RobustnessReport:
    """A report with these scores, of 40 pictures."""

    def row(kind: str, severity: int, score: float | None) -> RobustnessRow:
        judged = (
            {"accept": 0.5, "review": 0.3, "reject": 0.2, "accepted": 20, "error_accepted": 0.1} if verdicts else {}
        )
        return RobustnessRow(kind, kind.replace("_", " "), severity, 40, score, 0.97, **judged)

    rows = [row(CLEAN, 0, 0.97)]
    rows += [row(kind, place, score) for kind, line in scores.items() for place, score in enumerate(line, start=1)]
    return RobustnessReport(task, "" if task is Task.classification else "g", 40, 30, rows)


BLUR = {"motion_blur": [0.97, 0.95, 0.61, 0.4, 0.2], "noise": [0.97, 0.96, 0.85, 0.8, 0.7]}


def test_first_break_is_the_mildest_large_loss() -> None:
    """At the same severity the deeper one counts; a loss of a tenth or less does not."""
    report = make_report(BLUR)
    assert report.describe() == ["What breaks it first: motion blur (accuracy 0.97 → 0.61 at severity 3)."]
    mild = make_report({"noise": [0.97, 0.97, 0.96, 0.95, 0.9]})
    assert mild.find_first_break() is None
    assert "by more than 0.1; most harm does noise (accuracy 0.97 → 0.90 at severity 5)" in mild.describe()[0]
    assert make_report({"noise": [0.97, 0.98]}).describe()[0].startswith("Nothing that was tried lowers the accuracy")
    unknown = make_report({"noise": [None, None]}, task=Task.regression)
    assert "lowers the R2" in unknown.describe()[0]


def test_verdicts_are_put_into_words() -> None:
    """At the worst severity: how many are still accepted, and how many of these are wrong."""
    report = make_report(BLUR, verdicts=True)
    assert report.describe()[1] == (
        "Of the 80 answers at severity 5, 50 % are still accepted, and 10 % of these are wrong."
    )
    numbers = make_report(BLUR, verdicts=True, task=Task.regression)
    assert numbers.describe()[1].endswith("with a mean absolute error of 0.1 g.")


def test_one_panel_a_kind() -> None:
    """Each line starts at the clean value, and the share of accepted answers is there when verdicts are."""
    figure = plot_robustness(make_report(BLUR))
    shown = [ax for ax in figure.axes if ax.get_visible()]
    assert [ax.get_title() or ax.get_title(loc="left") for ax in shown] == ["motion blur", "noise"]
    line = next(each for each in shown[0].lines if each.get_label() == "score")
    assert list(line.get_xdata()) == [0, 1, 2, 3, 4, 5]
    assert list(line.get_ydata()) == [0.97, 0.97, 0.95, 0.61, 0.4, 0.2]
    assert "share accepted" not in [each.get_label() for each in shown[0].lines]
    judged = plot_robustness(make_report(BLUR, verdicts=True)).axes[0]
    assert "share accepted" in [each.get_label() for each in judged.lines]


def test_scores_that_are_not_defined_or_far_below_zero_are_drawn() -> None:
    """R2 may be undefined or very negative; the figure shows what it can."""
    report = make_report({"noise": [0.9, None, -7.0], "jpeg": [None, None]}, task=Task.regression)
    assert plot_robustness(report).axes[0].get_ylim()[0] >= -1.1


def test_report_of_another_form_is_refused() -> None:
    """A damaged report is an error that says what to do."""
    content = make_report(BLUR).to_dict()
    assert RobustnessReport.from_dict(content) == make_report(BLUR)
    for damaged in ({}, {**content, "rows": [{"kind": "x"}]}, {**content, "task": "guess"}):
        with pytest.raises(ArtifactError, match="evaluate the run again"):
            RobustnessReport.from_dict(damaged)
