"""Declared rules are read without being executed, and broken ones are found in spite of rounding and empty cells."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phytoscope.data.source import Source
from phytoscope.data.validate.fault_log import FaultLog
from phytoscope.data.validate.rule_text import parse_rule
from phytoscope.data.validate.rules import check_rules
from phytoscope.errors import ConfigError
from phytoscope.schema.choices import DataKind
from phytoscope.schema.data_config import DataConfig
from phytoscope.schema.table import Task

WRONG_RULES = {
    "": "it ends where a column",
    "a": "it compares nothing",
    "a + b": "it compares nothing",
    "a =": "it ends where a column",
    "(a = 3": "a parenthesis is opened",
    "a = 3 b": "'b' stands where",
    "1 = 1": "it names no column",
    "a in x,,y": "a value between the commas is empty",
    "a ** 2 = 4": "'\\*' stands where",
    "a = 'x'": "stands where a column or a number",
    "a = 3x": "is not understood",
    "a[0] = 1": "is not understood",
    "__import__('os') = 3": "'\\(' stands where",
    "(" * 60 + "a = 1": "too many parentheses",
    "a" + "+a" * 200 + " = 1": "401|words and signs",
}


def check(columns, *rules, target="total", **options):
    """Lines with a broken rule: those about the target, then the others; and what was said."""
    table = pd.DataFrame(columns)
    rows = table.drop(columns=target).add_prefix("meta/")
    rows["target"] = table[target]
    rows["sample_id"] = [f"{number}.png" for number in range(len(rows))]
    rows["source_row"] = pd.array(range(2, len(rows) + 2), dtype="Int64")
    source = Source(rows, Task.regression, target, "file")
    faults, warnings = FaultLog(rows), FaultLog(rows)
    config = dataclasses.replace(DataConfig(DataKind.table, rules=list(rules)), **options)
    check_rules(rows, source, config, faults=faults, warnings=warnings)
    errors, others = faults.to_table(), warnings.to_table()
    return (
        list(errors["source_row"]),
        list(others["source_row"]),
        [*errors.to_dict("records"), *others.to_dict("records")],
    )


@pytest.mark.parametrize("text", WRONG_RULES)
def test_wrong_rule_is_refused(text):
    """The message shows the rule and the place, and nothing of it is executed."""
    with pytest.raises(ConfigError, match=f"(?s)data.rules: .*{WRONG_RULES[text]}"):
        parse_rule(text)


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text):
    """Whatever is typed, the answer is a rule or a sentence."""
    try:
        parse_rule(text)
    except ConfigError:
        return


def test_rule_about_the_target_is_an_error_and_others_are_warnings():
    """Only what makes the answer doubtful costs a row."""
    columns = {"total": [3.5, 3.5, 9.5], "shoot": [1.5, 1.5, 1.5], "root": [2.0, 2.0, 2.0], "age": [7, 700, 7]}
    errors, warnings, said = check(columns, "total = shoot + root", "0 <= age <= 100")
    assert (errors, warnings) == ([4], [3])
    assert said[0]["reason"] == "a rule is broken: total = shoot + root"
    assert said[0]["value"] == "total=9.5, shoot=1.5, root=2"
    assert (said[0]["column"], said[1]["column"]) == ("total", "age")
    assert all(fault["remedy"] for fault in said)


def test_empty_cells_and_division_by_zero_are_not_checked():
    """A rule says nothing about what was not measured."""
    columns = {"total": [1.0, np.nan, 1.0], "root": [np.nan, 1.0, 0.0], "ratio": [5.0, 5.0, 5.0]}
    assert check(columns, "total = root + 3", "ratio = total / root")[:2] == ([4], [])


@pytest.mark.parametrize(("root", "ratio"), [(0.0001, 379.0), (0.0002, 155.0), (0.0011, 33.1)])
def test_rounding_of_the_published_decimals_is_no_fault(root, ratio):
    """A ratio of weights that were rounded to 0.1 mg may be far from the ratio of the rounded weights."""
    columns = {"total": [1.0, 1.0], "shoot": [0.0379, 0.0123], "root": [root, root], "ratio": [ratio, 0.0123 / root]}
    assert check(columns, "ratio = shoot / root")[1] == []


def test_counts_are_exact():
    """One leaf too many is one too many."""
    columns = {"total": [1.0] * 3, "small": [2, 3, 4], "big": [5, 5, 5], "leaves": [7, 9, 9]}
    assert check(columns, "leaves = small + big")[1] == [3]


def test_tolerance_is_a_share_of_the_larger_side():
    """At 2 % the sum may be off by 2 %, and with a tolerance of 0 not at all."""
    columns = {"total": [102, 103, 97], "sum": [100, 100, 100]}
    assert check(columns, "total = sum", rule_tolerance=0.02)[0] == [3, 4]
    assert check(columns, "total = sum", rule_tolerance=0.0)[0] == [2, 3, 4]


@pytest.mark.parametrize(
    ("rule", "broken"),
    [
        ("kind in a, b", [4]),
        ("kind in (a, 'b')", [4]),
        ("kind not in A", [4]),
        ("dose in 1, 2.0", [4]),
        ("lamp in WAHR", [3]),
        ("`wet weight (g)` >= 0", [2]),
        ("wet_weight > -2 if present", []),
        ("-dose < -1", [2]),
        ("dose != 2", [3]),
        ("dose * (2 - 1) == dose / 1", []),
    ],
)
def test_forms_of_a_rule(rule, broken):
    """Lists of words, names with spaces, signs and parentheses."""
    columns = {
        "total": [1.0] * 4,
        "kind": ["a", "b", "A", None],
        "dose": [1, 2, 3, np.nan],
        "lamp": pd.array([True, False, None, None], dtype="boolean"),
        "wet weight (g)": [-1.0, 0.0, 1.0, np.nan],
    }
    assert check(columns, rule)[1] == broken


def test_near_word_is_suggested():
    """What may have been meant is said."""
    said = check({"total": [1.0], "kind": ["Drought"]}, "kind in control, drought")[2]
    assert "did you mean 'drought'" in said[0]["remedy"]


def test_missing_column_is_refused_unless_if_present():
    """A slip in a name does not switch a rule off; who is not sure of the column says so."""
    columns = {"total": [1.0], "shoot": [1.0]}
    with pytest.raises(ConfigError, match="'total = shot': the table has no column 'shot'; did you mean 'shoot'"):
        check(columns, "total = shot")
    assert check(columns, "total = shot if present")[2][0]["reason"].startswith("a rule is not checked")


def test_words_are_not_compared_as_numbers():
    """The message says how words are compared."""
    with pytest.raises(ConfigError, match=r"needs numbers, but the column 'kind' holds text such as 'a'.*kind in WORD"):
        check({"total": [1.0], "kind": ["a"]}, "kind = 3")


@given(
    shoot=st.lists(st.integers(1, 20000), min_size=2, max_size=30),
    root=st.integers(1, 5000),
    decimals=st.integers(1, 4),
)
def test_sum_of_rounded_weights_never_breaks_its_rule(shoot, root, decimals):
    """Whatever was weighed and however it was rounded, the total is the sum."""
    weights = np.array(shoot) / 10**4
    columns = {
        "shoot": np.round(weights, decimals),
        "root": np.round(np.full(len(weights), root / 10**4), decimals),
        "total": np.round(weights + root / 10**4, decimals),
    }
    # One row shows that the scale has that many decimals.
    columns = {name: np.append(values, 10.0**-decimals * 11) for name, values in columns.items()}
    columns["total"][-1] = columns["shoot"][-1] + columns["root"][-1]
    assert check(columns, "total = shoot + root")[0] == []
