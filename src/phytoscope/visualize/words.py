"""What the page says about each number and each figure, in plain English for people who grow plants."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from phytoscope.schema.report import MetricValue
from phytoscope.schema.table import Task
from phytoscope.visualize.text import NO_BREAK, format_number, format_percent, format_quantity


@dataclass(frozen=True)
class MetricWords:
    """Title of a metric, one sentence about it, and whether it is shown in percent."""

    title: str
    meaning: str
    percent: bool = False


METRICS: Final = {
    "accuracy": MetricWords("Accuracy", "Share of photographs that were named rightly.", True),
    "macro_f1": MetricWords("Macro F1", "Every class counts equally, however rare; 100 % is perfect.", True),
    "balanced_accuracy": MetricWords("Balanced accuracy", "Mean share found per class, rare classes included.", True),
    "top3_accuracy": MetricWords("Right within top 3", "The true class is among the three most probable ones.", True),
    "nll": MetricWords("Log loss", "Punishes confident mistakes; 0 is perfect."),
    "brier": MetricWords("Brier score", "Distance of the probabilities from the truth; 0 is perfect, 2 the worst."),
    "ece": MetricWords("Calibration error", "Mean gap between how sure the model is and how often it is right.", True),
    "r2": MetricWords("R²", "Share of the variation that is explained; 1 is perfect, 0 is no better than the mean."),
    "rmse": MetricWords("RMSE", "Typical error; large errors weigh more."),
    "mae": MetricWords("Mean absolute error", "How far off a prediction is on average."),
    "bias": MetricWords("Bias", "Mean of predicted minus true: above 0 means too high on average."),
    "median_ae": MetricWords("Median absolute error", "Half of the predictions are closer than this."),
    "mape": MetricWords("Mean relative error", "Error as a share of the true value (MAPE).", True),
    "pearson_r": MetricWords("Correlation", "1 means that predictions rank and scale like the truth."),
}

BASELINES: Final = {"constant": "Always the same answer", "green_pixels": "Green pixels alone"}

CHOOSING: Final = {Task.classification: "log loss", Task.regression: "RMSE"}
"""What chooses the epoch that is kept, as a mean over several epochs."""


@dataclass(frozen=True)
class FigureWords:
    """Title of a figure, what it shows for those who cannot see it, and how to read it."""

    title: str
    alt: str
    reading: str
    group: str


FIGURES: Final = {
    "confusion_matrix": FigureWords(
        "Which classes are mixed up",
        "Matrix of true classes (rows) against predicted classes (columns) with image counts.",
        "Each row is a true class. Dark green on the diagonal is right; a number elsewhere counts photographs of the "
        "row's class that were taken for the column's class.",
        "results",
    ),
    "per_class": FigureWords(
        "How well each class is recognised",
        "Dot plot with precision, recall and F1 of each class, the weakest class on top.",
        "Recall: of the photographs of this class, how many were found. Precision: of the photographs given this name, "
        "how many deserve it. F1 combines both; a thin green line is its range. Points far apart mean that the model "
        "says this name too often or too seldom.",
        "results",
    ),
    "predicted_vs_actual": FigureWords(
        "Predicted against true",
        "Scatter plot of predicted against true values with the diagonal of perfect prediction.",
        "Each point is a photograph. On the line the prediction is right; above it is too high, below it too low. "
        "Bent clouds mean that small or large plants are systematically missed.",
        "results",
    ),
    "residuals": FigureWords(
        "Errors by size of the prediction",
        "Scatter plot of the errors against the predictions, with a histogram of the errors.",
        "Points should lie evenly around 0 at every size. The blue band holds the typical error (RMSE) on both sides.",
        "results",
    ),
    "decile_error": FigureWords(
        "Errors by size of the plant",
        "Bars of the mean absolute error and points of the bias in slices of the true value.",
        "The photographs are cut into slices from small to large true values. Bars: average size of the error, "
        "thin lines: its range. Diamonds: its direction; above 0 the model predicts too much.",
        "results",
    ),
    "confusion_gallery": FigureWords(
        "The most frequent mistakes, in pictures",
        "Photographs that were mixed up, grouped by pair of classes, each with the model's certainty.",
        "Orange frames: photographs that got the wrong name, the most confident mistake first. Green frame: a "
        "photograph that truly belongs to the class they were taken for. Look for wrong labels, blur and background.",
        "mistakes",
    ),
    "error_gallery": FigureWords(
        "The largest errors, in pictures",
        "Photographs with the largest errors, with true and predicted value.",
        "Worst first. Look for wrong table entries, plants cut off by the picture's edge, overlap and blur.",
        "mistakes",
    ),
    "reliability": FigureWords(
        "How sure it is, and how often it is right",
        "Reliability diagrams before and after calibration: how sure the answers are against how often they are right, "
        "with bars that count the answers.",
        "Each point gathers answers of about the same certainty. On the line, answers that are 80 % sure are right in "
        "80 of 100 cases. Below the line the model is too sure of itself. The dashed lines show how far off it is, the "
        "bars below count the photographs.",
        "trust",
    ),
    "coverage": FigureWords(
        "Was the promise kept?",
        "Dot plot of the share of photographs whose truth was held, for all and for each class or slice, with ranges, "
        "against the promised share; bars of the mean size beside it.",
        "The topmost dot should lie at the green line or right of it: the promise is about all photographs together. "
        "The line through a dot is its range. An orange triangle marks what was held less often than promised by more "
        "than chance explains: trust sets and intervals less there. The bars show the price: the larger, the less is "
        "said.",
        "trust",
    ),
    "set_sizes": FigureWords(
        "How many classes a set names",
        "Bars of the share of photographs by the number of classes that their prediction set names.",
        "One class means that the answer is clear. Two or three classes narrow it down. Many classes mean that the "
        "model does not know.",
        "trust",
    ),
    "intervals": FigureWords(
        "Every prediction with its interval",
        "Predicted against true values, each with a vertical line for its interval, and the diagonal.",
        "Each vertical line is the interval of one photograph. Where it crosses the diagonal it holds the truth (blue "
        "points); orange crosses missed it. Long lines say: I am not sure.",
        "trust",
    ),
    "risk_coverage": FigureWords(
        "What it is worth to leave the unsure ones to a person",
        "Curve of the error among the answered photographs against the share that is answered, the surest first.",
        "At the left only the surest answers are given. Further right more photographs are answered, unsure ones "
        "included (rejected ones never), and more of the answers are wrong. The diamond with its range is what was "
        "accepted; the dashed line is the error that was wanted.",
        "trust",
    ),
    "verdicts": FigureWords(
        "What becomes of the photographs",
        "Bars of the shares of accepted, reviewed and rejected photographs, one bar a set.",
        "Accept: act on the answer. Review: a person should look. Reject: the picture cannot be answered. In strange "
        "pictures, less should be accepted.",
        "trust",
    ),
    "home_and_away": FigureWords(
        "The same classes at home and elsewhere",
        "Dot plot of the share of each class that was found, at home and in further sets, with ranges.",
        "Circles: photographs like those it learned from. Triangles and squares: photographs from elsewhere. The gap "
        "between them is what the model loses when it leaves home.",
        "external",
    ),
    "external_gallery": FigureWords(
        "Photographs from elsewhere, with the answers",
        "Photographs of the further sets with answer, truth and verdict; wrong answers that were accepted come first.",
        "Orange frame: wrong, green frame: right, grey frame: nobody knows. Wrong and accepted answers come first: "
        "they are the ones that do harm.",
        "external",
    ),
    "slices": FigureWords(
        "Parts of the photographs against all others",
        "Dot plot of the difference between each slice of the photographs and all others, with ranges.",
        "Each dot compares some photographs with all others; its line is the range. Orange triangles: worse by more "
        "than chance explains. Grey dots: no difference can be told from so few.",
        "slices",
    ),
    "explanations_gallery": FigureWords(
        "Photographs and what speaks for the answer",
        "Photographs beside the same photographs with a heat map of the parts that speak for the answer.",
        "Bright colours mark what speaks for the answer; grey parts do not count. They should lie on the plant, and on "
        "the spots of a disease. Bright background means that the model may know the place instead of the plant. Green "
        "words: right, orange words: wrong.",
        "explanations",
    ),
    "robustness": FigureWords(
        "Quality as the photographs get worse",
        "Small curves of the quality against five strengths of each kind of spoiling, with the clean value.",
        "Each small figure spoils the same photographs in one way, more and more from 1 to 5. Blue: how good the "
        "answers are. Orange and dashed: how many are still accepted; it should fall no later than the blue one. "
        "Curves that fall early show what to avoid when taking photographs.",
        "robustness",
    ),
    "class_counts": FigureWords(
        "Photographs per class",
        "Bars of the number of images and groups of each class, by split.",
        "Left: photographs, right: leaves or plants they show. Photographs of one leaf or plant never stand in two "
        "splits.",
        "data",
    ),
    "target_distribution": FigureWords(
        "Distribution of the true values",
        "Stacked histogram of the true values by split.",
        "All splits should cover the same range: a model cannot be tested on sizes that the test photographs lack.",
        "data",
    ),
    "history": FigureWords(
        "Training history",
        "Curves of the loss and of the validation metric by epoch.",
        "Both losses should fall and level out. A validation loss that rises again while the training loss falls means "
        "that the model learns the photographs by heart. The dashed line marks the epoch that was kept: the one with "
        "the lowest mean over the last five epochs (of the log loss for classes, of the RMSE for quantities), because "
        "a single epoch can look good by luck.",
        "training",
    ),
}


MORE_TARGET: Final = "predicted_vs_actual_more_"
"""Start of the name of a further target's figure; its place among the further targets, from 1, follows."""


def find_figure_words(name: str, more_targets: Sequence[str] = ()) -> FigureWords:
    """Words of a figure.

    Args:
        name: Name of the figure.
        more_targets: Names of the further targets, in their order.

    Returns:
        Its words; a figure that has none stands among the results under its own name.
    """
    if name in FIGURES:
        return FIGURES[name]
    place = name.removeprefix(MORE_TARGET)
    if place != name and place.isdecimal() and 0 < int(place) <= len(more_targets):
        words = FIGURES["predicted_vs_actual"]
        return dataclasses.replace(words, title=f"{words.title}: {more_targets[int(place) - 1]}")
    title = name.replace("_", " ").capitalize()
    return FigureWords(title, title, "", "results")


def title_metric(name: str) -> str:
    """Title of a metric; an unknown one keeps its name."""
    return METRICS[name].title if name in METRICS else name.replace("_", " ")


def format_metric(metric: MetricValue) -> str:
    """Value of a metric as the page shows it, with its unit."""
    words = METRICS.get(metric.name)
    if words is not None and words.percent:
        return format_percent(metric.value)
    if metric.unit == "nats":
        return format_number(metric.value)
    return format_quantity(metric.value, metric.unit)


def format_span(metric: MetricValue) -> str:
    """Interval of a metric as the page shows it under its value, such as `88.0 to 95.1 %`; empty where not known."""
    if metric.low is None or metric.high is None:
        return ""
    low, high = (format_metric(dataclasses.replace(metric, value=end)) for end in (metric.low, metric.high))
    # The unit stands once, at the end.
    return f"{low.split(NO_BREAK)[0]} to {high}"
