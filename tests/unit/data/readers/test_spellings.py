"""Labels that mean the same, and numbers that mean "not measured"."""

import numpy as np
import pytest

from phytoscope.data.readers.spellings import find_codes, fold_label


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Early Blight", "early_blight"),
        ("Early  Blight", "EarlyBlight"),
        (" healthy ", "Healthy"),
        ("stage 1_2", "Stage 1 2"),
        ("\N{FULLWIDTH LATIN CAPITAL LETTER A}", "a"),
    ],
)
def test_only_case_spaces_and_underscores_are_folded(one, other):
    """What differs in nothing else is one label."""
    assert fold_label(one) == fold_label(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("-N", "N"), ("A-", "A"), ("A-", "A+"), ("late-blight", "late blight"), ("p1_1", "p11"), ("1_2", "12")],
)
def test_signs_and_parted_digits_count(one, other):
    """Without nitrogen is not with it, and plant 1 of tray 1 is not plant 11."""
    assert fold_label(one) != fold_label(other)


def test_codes_are_codes_only_beside_positive_numbers():
    """A column with other negative numbers may well hold -99."""
    assert find_codes(np.array([1.0, -99.0, np.nan])).tolist() == [False, True, False]
    assert not find_codes(np.array([-5.0, -99.0])).any()
