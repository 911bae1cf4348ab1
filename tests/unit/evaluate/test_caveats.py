"""The report says aloud what makes its own numbers doubtful, and is silent where nothing does."""

from dataclasses import replace

import pandas as pd
import pytest

from factories.tables import look_and_validate, make_source
from phytoscope.evaluate.caveats import count_ungrouped, list_warnings, loses_to
from phytoscope.schema.report import Baseline, ClassRow, MetricValue, SliceReport, SplitReport
from phytoscope.schema.table import Split, Task


def make_part(f1=0.9, baseline=0.2, accuracy=0.9, n=100, n_groups=20, supports=(50, 50)):
    metric = [MetricValue("macro_f1", f1, "", True), MetricValue("accuracy", accuracy, "", True)]
    chance = [MetricValue("macro_f1", baseline, "", True), MetricValue("accuracy", 0.2, "", True)]
    classes = [ClassRow(f"class{i}", n, None, None, None) for i, n in enumerate(supports)]
    return SplitReport(n, n_groups, metric, [Baseline("constant", "", chance)], classes)


def warn(**splits):
    return list_warnings(Task.classification, splits, "macro_f1", higher_is_better=True)


def test_sound_numbers_give_no_warning():
    """A warning that always stands there is not read."""
    assert warn(test=make_part(), val=make_part(f1=0.85)) == []


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"n": 29}, "Few test images: 29"),
        ({"n_groups": 4}, "Few test groups (leaves, plants): 4"),
        ({"f1": 0.2}, "not better than always giving the same answer: macro F1 0.2 against 0.2"),
        ({"f1": None}, "macro F1 undefined against 0.2"),
        ({"accuracy": 0.2}, "not better than always giving the same answer: accuracy 0.2 against 0.2"),
        ({"supports": (4, 50, 0)}, "2 of 3 classes: class0 (4), class2 (0)"),
        ({"f1": 0.7}, "Validation and test disagree: macro F1 0.90 against 0.70"),
    ],
)
def test_each_reason_for_doubt_has_its_sentence(changes, text):
    """The sentence carries the numbers."""
    (found,) = [sentence for sentence in warn(test=make_part(**changes), val=make_part()) if text in sentence]
    assert found.endswith(".")


def test_long_lists_of_small_classes_are_cut():
    """A sentence of hundred names is no sentence."""
    (sentence,) = warn(test=make_part(supports=(1,) * 14))
    assert "class9 (1) and 4 more" in sentence


def test_missing_test_split_is_the_only_thing_to_say():
    """Without a test split nothing else matters."""
    (sentence,) = warn(val=make_part())
    assert "no test split" in sentence


def test_groups_named_by_the_user_are_groups():
    """A plant may well be called `image/7`; only names made from an image's content stand for none."""
    names = ["image/0123456789abcdef", "image/7", "image/0123456789abcdef/leaf", "plant", 4]
    table = pd.DataFrame({"group_id": names, "split": "test"})
    assert count_ungrouped(table, Split.test) == 1
    assert count_ungrouped(table, Split.val) == 0


def test_manifest_and_evaluation_agree_on_what_names_no_group(tmp_path):
    """An image without a group gets a name in the manifest that is recognised here."""
    source = make_source(tmp_path, [1.0, 2.0, 3.0])
    source.rows["group_id"] = ["plant", None, None]
    validated = look_and_validate(source, tmp_path / "looked")
    assert count_ungrouped(validated.manifest.assign(split="test"), Split.test) == 2


@pytest.mark.parametrize(("ungrouped", "start"), [(1, "1 of 100 test photographs names"), (100, "100 of 100 test")])
def test_missing_groups_have_their_sentence(ungrouped, start):
    """The sentence counts the photographs and names the settings that help."""
    parts = {"test": make_part()}
    (sentence,) = list_warnings(Task.classification, parts, "macro_f1", higher_is_better=True, ungrouped=ungrouped)
    assert sentence.startswith(start)
    assert sentence.endswith("name it with data.group_by or data.group_pattern.")


def test_a_draw_counts_as_lost():
    """A model that is just as good as a constant is no use."""
    assert loses_to(make_part(f1=0.2), "macro_f1", higher_is_better=True)
    assert not loses_to(make_part(f1=0.1), "macro_f1", higher_is_better=False)


def make_slice(value, *, worse, accuracy=0.5):
    """A slice of 40 photographs with its accuracy and interval."""
    metric = MetricValue("accuracy", accuracy, "", True, accuracy - 0.1, accuracy + 0.1)
    gap = MetricValue("accuracy", accuracy - 0.9, "", True, -0.5, -0.3)
    return SliceReport("camera", value, 40, 8, [metric], gap, differs=True, worse=worse)


def test_parts_that_are_worse_are_named():
    """Those that are better are not, and long lists are cut."""
    part = make_part(n_groups=50)
    (found,) = warn(test=replace(part, slices=[make_slice("old", worse=True), make_slice("new", worse=False)]))
    assert found == (
        "Worse where camera is old: accuracy 0.5 (0.4 to 0.6) on 40 photographs of 8 leaves or plants, against 0.9 on "
        "all."
    )
    many = [make_slice(str(number), worse=True) for number in range(8)]
    found = warn(test=replace(part, slices=many))
    assert len(found) == 6
    assert found[-1] == "Worse in 3 more parts of the photographs: see the slices."


def test_worse_slice_without_a_range_is_told_by_its_number():
    """No empty brackets stand where no interval could be drawn."""
    metric = MetricValue("macro_f1", 0.3, "", True)
    part = replace(make_part(), slices=[SliceReport("camera", "phone", 40, 8, [metric], metric, True, True)])
    (sentence,) = warn(test=part, val=make_part())
    assert "Worse where camera is phone: macro F1 0.3 on 40 photographs of 8 leaves or plants" in sentence
