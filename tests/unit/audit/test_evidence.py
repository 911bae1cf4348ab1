"""Images for the probes are drawn by whole groups, and columns find their roles."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phytoscope.audit.evidence import build_probe_data, find_roles, sample_groups
from phytoscope.data.facts.image_facts import ImageFacts
from phytoscope.errors import ArtifactError
from phytoscope.schema.table import Task


@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=30),
    limit=st.integers(6, 200),
    seed=st.integers(0, 2**32 - 1),
)
def test_whole_groups_are_drawn(sizes, limit, seed):
    """No group is torn, the limit holds, and the same seed draws the same."""
    groups = pd.Series(np.repeat(np.arange(len(sizes)), sizes)).astype(str)
    drawn = sample_groups(groups, limit, seed)
    kept = groups.iloc[drawn]
    assert len(drawn) <= limit
    assert len(drawn) > 0
    assert not set(kept) & set(groups.drop(index=groups.index[drawn]))
    np.testing.assert_array_equal(drawn, sample_groups(groups, limit, seed))


@pytest.mark.parametrize("limit", [None, 4])
def test_all_are_kept_when_they_fit(limit):
    """Nothing is drawn where everything fits."""
    np.testing.assert_array_equal(sample_groups(pd.Series(["a", "a", "b", "c"]), limit, 0), np.arange(4))


def test_smallest_group_stands_for_groups_that_are_all_too_large():
    """Something is left even when every group is larger than the limit."""
    assert sample_groups(pd.Series(["a"] * 9 + ["b"] * 7), 5, 0).tolist() == list(range(9, 16))


def test_roles_follow_usual_names():
    """Age, time, source and treatment are recognised with units and spaces; the target's relatives are not."""
    names = [
        "Age (days)",
        "timestamp",
        "farmbot_name",
        "Experiment ID",
        "condition",
        "fresh_weight_root",
        "temperature",
    ]
    roles = find_roles(["sample_id", "age", *(f"meta/{name}" for name in names)])
    assert roles.age == "meta/Age (days)"
    assert roles.times == ("meta/timestamp",)
    assert roles.tags == ("meta/farmbot_name", "meta/Experiment ID")
    assert roles.conditions == ("meta/condition",)


def test_image_without_facts_is_an_error():
    """An image that was not looked at is named."""
    manifest = pd.DataFrame({"sample_id": ["a.png", "b.png"], "path": ["a.png", "b.png"], "label": ["x", "y"]})
    facts = ImageFacts(pd.DataFrame({"path": ["a.png"]}))
    with pytest.raises(ArtifactError, match=r"1 images were not looked at, for example 'b\.png'"):
        build_probe_data(manifest, ["1", "2"], facts, task=Task.classification, max_images=None, seed=0)
