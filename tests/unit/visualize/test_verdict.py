"""The first sentence says the truth in plain words."""

import dataclasses

from factories.reports import build_regression
from phytoscope.visualize.verdict import word_judgement, word_ranges, word_verdict, word_weakest


def plain(text):
    return text.replace("\u00a0", " ")


def test_classification_verdict_compares_with_guessing(diseases):
    """Photographs, leaves, accuracy and the baseline are all in one sentence."""
    part = diseases.report.splits["test"]
    bare = [dataclasses.replace(metric, low=None, high=None) for metric in part.metrics]
    report = dataclasses.replace(diseases.report, splits={"test": dataclasses.replace(part, metrics=bare)})
    accuracy = 100 * report.metric("test", "accuracy")
    assert plain(word_verdict(report, "test")) == (
        f"On 36 photographs of 12 leaves or plants that training never saw, {accuracy:.0f} of 100 were named rightly; "
        "always guessing the most frequent class would get 17."
    )


def test_verdict_tells_the_range(full_diseases, full_weights):
    """Where the interval is known, the first sentence holds both ends."""
    part = full_diseases.report.splits["test"]
    accuracy = next(metric for metric in part.metrics if metric.name == "accuracy")
    words = f"named rightly (between {100 * accuracy.low:.0f} and {100 * accuracy.high:.0f});"
    assert words in word_verdict(full_diseases.report, "test")
    text = plain(word_verdict(full_weights.report, "test"))
    assert "on average (between 0." in text
    assert " g; R² 0." in text


def test_verdict_without_accuracy_says_so(diseases):
    """A report that lacks the number does not make one up."""
    part = dataclasses.replace(diseases.report.splits["test"], metrics=[])
    report = dataclasses.replace(diseases.report, splits={"test": part})
    assert "it was not measured" in word_verdict(report, "test")


def test_ranges_are_explained_where_there_are_any(full_diseases, diseases):
    """The reader learns that groups were drawn, not photographs; without ranges nothing is said."""
    text = word_ranges(full_diseases.report, full_diseases.report.splits["test"])
    assert "95 of 100 such ranges" in text
    assert "12 groups again 1,000 times" in text
    part = diseases.report.splits["test"]
    bare = [dataclasses.replace(metric, low=None, high=None) for metric in part.metrics]
    assert word_ranges(diseases.report, dataclasses.replace(part, metrics=bare)) == ""


def test_regression_verdict_has_units_and_both_baselines(weights):
    """Error, mean and green pixels stand side by side in grams."""
    text = plain(word_verdict(weights.report, "test"))
    assert text.startswith(
        "On 40 photographs of 10 leaves or plants that training never saw, predictions of fresh_weight"
    )
    assert text.count(" g") >= 3
    assert "counting green pixels by" in text


def test_verdict_on_validation_warns():
    """Numbers on images that chose the model are called too rosy."""
    assert "too rosy" in word_verdict(build_regression().report, "val")


def test_verdict_without_baselines_makes_no_comparison(diseases):
    """What was not measured is not mentioned."""
    part = dataclasses.replace(diseases.report.splits["test"], baselines=[])
    report = dataclasses.replace(diseases.report, splits={"test": part})
    assert "were named rightly" in word_verdict(report, "test")
    assert "guessing" not in word_verdict(report, "test")


def test_groups_of_one_are_not_mentioned(diseases):
    """If each photograph is its own group, there is no word of leaves."""
    part = dataclasses.replace(diseases.report.splits["test"], n=1, n_groups=1)
    report = dataclasses.replace(diseases.report, splits={"test": part})
    assert word_verdict(report, "test").startswith("On 1 photograph that training never saw")


def test_judgement_follows_the_report(diseases):
    """The badge repeats what the report says."""
    assert word_judgement(diseases.report) == "Better than every simple baseline"
    assert (
        word_judgement(dataclasses.replace(diseases.report, beats_baseline=False))
        == "Not better than a simple baseline"
    )


def test_untested_model_is_not_judged(diseases):
    """Without a test split the badge neither praises nor blames."""
    report = dataclasses.replace(diseases.report, beats_baseline=None)
    assert word_judgement(report) == "Not tested on images it never saw"


def test_weakest_class_is_named_where_there_are_classes(diseases, weights):
    """Regression has none."""
    assert word_weakest(diseases.report.splits["test"]).startswith("Weakest class: ")
    assert word_weakest(weights.report.splits["test"]) is None


def test_weakest_class_is_the_one_found_least_often(diseases):
    """The share in the sentence is the smallest of all classes, as the matrix shows it."""
    part = diseases.report.splits["test"]
    found = [dataclasses.replace(row, recall=0.9, f1=0.2) for row in part.classes]
    found[1] = dataclasses.replace(found[1], recall=0.5, f1=0.8)
    said = word_weakest(dataclasses.replace(part, classes=found))
    assert "found 50" in plain(said)
