"""Figures about classes show every class and the right counts."""

import itertools

import pytest

from factories.predictions import evaluate_drawn
from factories.reports import build_classification
from phytoscope.schema.table import Task
from phytoscope.visualize.classes import plot_confusion_matrix, plot_per_class
from phytoscope.visualize.style import save_figures


def test_confusion_matrix_writes_each_count_into_its_cell(diseases):
    """The numbers in the figure are the report's."""
    part = diseases.report.splits["test"]
    ax = plot_confusion_matrix(part, diseases.report.class_names).axes[0]
    shown = {(int(text.get_position()[1]), int(text.get_position()[0])): int(text.get_text()) for text in ax.texts}
    assert shown == {(i, j): n for i, row in enumerate(part.confusion) for j, n in enumerate(row) if n > 0}
    assert ax.get_yticklabels()[4].get_text() == "Tomato: spider mites Two-spotted spider mite"


@pytest.mark.parametrize("n_classes", [2, 38])
def test_confusion_matrix_fits_few_and_many_classes(n_classes):
    """All names are inside the picture and do not overlap each other."""
    names = [f"Tomato___Spider_mites Two-spotted_spider_mite_{i:02d}" for i in range(n_classes)]
    run = build_classification(names, n_per_class=1)
    fig = plot_confusion_matrix(run.report.splits["test"], names)
    fig.draw_without_rendering()
    boxes = [label.get_window_extent() for label in fig.axes[0].get_yticklabels()]
    assert all(box.x0 >= 0 and box.y0 >= 0 for box in boxes)
    assert not any(upper.overlaps(lower) for upper, lower in itertools.pairwise(boxes))
    columns = [label.get_window_extent() for label in fig.axes[0].get_xticklabels()]
    assert all(box.y0 >= 0 and box.x1 <= fig.bbox.width for box in columns)


def test_per_class_puts_the_weakest_class_on_top(diseases):
    """The class that needs attention is seen first."""
    part = diseases.report.splits["test"]
    ax = plot_per_class(part).axes[0]
    weakest = min(part.classes, key=lambda row: row.f1)
    top = ax.get_yticklabels()[-1].get_text()
    assert top.split(":")[0] == weakest.name.split("___")[0].replace("_", " ")


def test_odd_class_names_are_drawn_as_they_are(tmp_path):
    """Dollar signs, underscores, markup and other scripts are text, not formulas."""
    names = ["$\\frac{1}{0}$", "a_b^c $", "<script>alert(1)</script>", "Mehltau äöü", "100 % \\alpha"]
    run = build_classification(names, n_per_class=2, accuracy=0.5)
    part = run.report.splits["test"]
    figures = {"matrix": plot_confusion_matrix(part, names), "classes": plot_per_class(part)}
    assert all(path.exists() for path in save_figures(figures, tmp_path).values())


def test_class_without_images_is_still_listed():
    """A class that the test split lacks has a line without points."""
    run = build_classification(["a", "b", "c"], n_per_class=2, accuracy=1.0)
    rows = run.predictions.query("label != 'c' and split == 'test'")
    report = evaluate_drawn(
        rows,
        run.manifest.query("split == 'train'"),
        task=Task.classification,
        class_names=["a", "b", "c"],
        target_name="class",
        unit="",
        name="",
        data_hash="",
        split_hash="",
    )
    ax = plot_per_class(report.splits["test"]).axes[0]
    assert sorted(label.get_text() for label in ax.get_yticklabels()) == ["a", "b", "c"]


def test_ranges_of_f1_are_drawn_where_they_are_known(full_diseases):
    """A thin line per class reaches from one end of its range to the other."""
    part = full_diseases.report.splits["test"]
    lines = [line for line in plot_per_class(part).axes[0].lines if line.get_marker() == "None"]
    drawn = {tuple(line.get_xdata()) for line in lines}
    assert {(row.f1_low, row.f1_high) for row in part.classes} <= drawn
