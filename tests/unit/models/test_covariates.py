"""The user's own columns as numbers: fitted on training rows, missing and unknown values named."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from phytoscope.errors import ConfigError
from phytoscope.models.covariate_dropout import CovariateDropout
from phytoscope.models.covariates import CovariateEncoder, fit_covariates, list_values

TRAIN = pd.DataFrame(
    {
        "age_days": [7.0, 14.0, np.nan, 21.0],
        "condition": ["control", "drought", "Control", None],
        "lamp": pd.array([True, False, None, True], dtype="boolean"),
        "temperature": [20.0, 20.0, 20.0, 20.0],
        "tag": [None, None, None, None],
    }
)


@pytest.fixture
def encoder() -> CovariateEncoder:
    """A number, words and truth values."""
    return fit_covariates(TRAIN, ["age_days", "condition", "lamp"])


def encode(encoder: CovariateEncoder, **values: object) -> list[float]:
    """One row."""
    return encoder.encode(encoder.read_values(values))[0].tolist()


def test_rows_become_numbers_and_signs(encoder) -> None:
    """A number is standardised, a category is a 1 in its place, and what is missing is 0 with a sign of its own."""
    encoded = encoder.encode(TRAIN)
    assert encoded.dtype == np.float32
    assert encoder.sizes == (2, 3, 3)
    std = np.std([7, 14, 21])
    np.testing.assert_allclose(encoded[:, 0], [-7 / std, 0, 0, 7 / std], rtol=1e-6)
    np.testing.assert_array_equal(encoded[:, 1], [0, 0, 1, 0])
    np.testing.assert_array_equal(encoded[:, 2:5], [[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1]])
    np.testing.assert_array_equal(encoded[:, 5:], [[0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0]])


def test_rows_do_not_depend_on_each_other(encoder) -> None:
    """A row is encoded alike alone and among others: nothing is computed over the rows that are encoded."""
    whole = encoder.encode(TRAIN)
    alone = np.concatenate([encoder.encode(TRAIN.iloc[[row]]) for row in range(len(TRAIN))])
    np.testing.assert_array_equal(whole, alone)


@pytest.mark.parametrize(
    ("given", "same"),
    [
        ({"condition": " CONTROL "}, {"condition": "control"}),
        ({"Age_Days": "14"}, {"age_days": 14}),
        ({"lamp": "WAHR"}, {"lamp": True}),
        ({"lamp": 0.0}, {"lamp": np.False_}),
        ({"lamp": "yes"}, {"lamp": True}),
        ({"age_days": None, "condition": float("nan"), "lamp": pd.NA}, {}),
        ({"age_days": "two weeks"}, {}),
        ({"age_days": float("inf")}, {}),
        ({"condition": "frost"}, {}),
    ],
)
def test_one_meaning_one_code(encoder, given, same) -> None:
    """Spellings of one value are one value; what is not understood is missing."""
    assert encode(encoder, **given) == encode(encoder, **same)


def test_missing_columns_are_missing(encoder) -> None:
    """A table without a column gives what a table with empty cells gives."""
    only = TRAIN[["age_days"]]
    empty = only.assign(condition=None, lamp=None)
    np.testing.assert_array_equal(encoder.encode(only), encoder.encode(empty))
    np.testing.assert_array_equal(encoder.encode_missing(3), encoder.encode(pd.DataFrame(index=range(3))))
    assert encoder.encode_missing(3).sum() == 9


def test_what_is_not_understood_is_said(encoder) -> None:
    """One sentence a column, with the values and what is known; nothing about what is merely missing."""
    table = pd.DataFrame({"condition": ["frost", "heat", "control", None], "age_days": [1.0, np.nan, "x", 2.0]})
    assert encoder.word_unknown(table) == [
        "age_days: 'x' counts as missing; the model knows a number there",
        "condition: 'frost', 'heat' counts as missing; the model knows control, drought there",
    ]
    assert encoder.word_unknown(TRAIN) == []


def test_unknown_name_is_refused(encoder) -> None:
    """A slip in a name is an error, not a missing value."""
    with pytest.raises(ConfigError, match=r"sees no column 'age_day' beside the image; did you mean 'age_days'"):
        encoder.read_values({"age_day": 3})


def test_encoder_survives_json(encoder) -> None:
    """What is written into a package encodes as before."""
    again = CovariateEncoder.from_dict(json.loads(json.dumps(encoder.to_dict())))
    assert again == encoder
    np.testing.assert_array_equal(again.encode(TRAIN), encoder.encode(TRAIN))


def test_networks_that_answer_together_name_a_column_once(encoder) -> None:
    """Each reads the same row in its own way; people hear of it once."""
    other = fit_covariates(TRAIN.iloc[:2], ["age_days", "condition"])
    joined = CovariateEncoder(encoder.columns + other.columns)
    row = joined.read_values({"age_days": 14, "condition": "frost"})
    np.testing.assert_array_equal(joined.encode(row), np.hstack([encoder.encode(row), other.encode(row)]))
    assert joined.names == encoder.names
    assert list(joined.describe()) == list(encoder.names)
    assert joined.word_unknown(row) == ["condition: 'frost' counts as missing; the model knows control, drought there"]


def test_unusable_columns_are_all_named() -> None:
    """Constant, empty and absent columns are refused in one go."""
    with pytest.raises(ConfigError) as caught:
        fit_covariates(TRAIN, ["age_days", "temperature", "tag", "age"])
    text = str(caught.value)
    assert "'temperature' is 20 in every training row that has it" in text
    assert "'tag' is empty in every training row" in text
    assert "'age' is not in the table" in text
    assert "'age_days'" not in text


@pytest.mark.parametrize(("count", "allowed"), [(20, True), (21, False)])
def test_names_of_plants_are_refused(count, allowed) -> None:
    """Texts that differ from plant to plant are learned by heart."""
    table = pd.DataFrame({"tag": [f"plant {number}" for number in range(count)]})
    if allowed:
        assert fit_covariates(table, ["tag"]).dim == count + 1
    else:
        with pytest.raises(ConfigError, match="'tag' has 21 different texts in the training rows, at most 20"):
            fit_covariates(table, ["tag"])


def test_values_for_json() -> None:
    """What stands in a row of a table becomes plain values, nothing becomes null."""
    row = {"a": np.float64(2.5), "b": np.True_, "c": "x", "d": np.nan, "e": pd.NA, "f": 3}
    expected = {"a": 2.5, "b": True, "c": "x", "d": None, "e": None, "f": 3.0, "g": None}
    assert list_values(row, "abcdefg") == expected
    json.dumps(expected)


class TestCovariateDropout:
    """Columns that are hidden while training."""

    def test_hidden_columns_look_missing(self, encoder) -> None:
        """Each column of each sample is either as it was or as a missing one, about as often as asked for."""
        torch.manual_seed(0)
        known = torch.from_numpy(encoder.encode(TRAIN.iloc[[0]])).repeat(4000, 1)
        missing = torch.from_numpy(encoder.encode_missing(1))
        hidden = CovariateDropout(encoder.sizes, share=0.1)(known)
        start = 0
        for size in encoder.sizes:
            block = slice(start, start + size)
            gone = (hidden[:, block] == missing[:, block]).all(dim=1)
            kept = (hidden[:, block] == known[:, block]).all(dim=1)
            assert bool((gone ^ kept).all())
            assert 0.07 < float(gone.float().mean()) < 0.13
            start += size

    def test_columns_are_hidden_independently(self, encoder) -> None:
        """A sample without one column usually still has the others."""
        torch.manual_seed(0)
        known = torch.from_numpy(encoder.encode(TRAIN.iloc[[0]])).repeat(4000, 1)
        hidden = CovariateDropout(encoder.sizes, share=0.5)(known)[:, [1, 4, 7]]
        assert abs(float(torch.corrcoef(hidden.T)[0, 1])) < 0.1

    def test_nothing_happens_outside_of_training(self, encoder) -> None:
        """Validation and answers see what is known."""
        known = torch.from_numpy(encoder.encode(TRAIN))
        assert torch.equal(CovariateDropout(encoder.sizes, share=0.9).eval()(known), known)
        assert torch.equal(CovariateDropout(encoder.sizes, share=0.0)(known), known)

    def test_it_has_no_weights(self, encoder) -> None:
        """A network with it can be loaded into one without."""
        assert CovariateDropout(encoder.sizes).state_dict() == {}
