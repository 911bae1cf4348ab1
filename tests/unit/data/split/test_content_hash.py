"""The version of the data: what is in it and what is not, and the same number everywhere."""

import datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phytoscope.data.split import hash_manifest

NAMES = ["rust/b.jpg", "rust/ä.jpg", "scab/a.jpg"]


def make_manifest(**columns):
    table = pd.DataFrame(
        {
            "sample_id": NAMES,
            "path": [f"/data/{name}" for name in NAMES],
            "sha256": [letter * 64 for letter in "abc"],
            "label": pd.Series(["rust", "rust", "scab"], dtype=object),
            "target": [np.nan, np.nan, np.nan],
            "group_id": pd.Series(["leaf1", "leaf1", "leaf2"], dtype=object),
            "meta/age": [10, 20, 20],
            "meta/height (mm)": [0.1, np.nan, -2.5],
            "meta/cultivar": pd.Series(["Gala", None, ""], dtype=object),
        }
    )
    return table.assign(**columns)


def test_version_is_pinned():
    """The same data have the same version on every system and with every version of the libraries."""
    assert hash_manifest(make_manifest())[:16] == "c62c2712ec257ebb"
    dated = make_manifest(**{"meta/when": pd.to_datetime(["2024-05-01 00:00", "2024-05-02 10:30", None])})
    assert hash_manifest(dated)[:16] == "fa01374785d36d79"


@pytest.mark.parametrize("column", ["sample_id", "sha256", "label", "group_id", "meta/cultivar"])
@pytest.mark.parametrize("value", ["changed", None, "x" * 5])
def test_changed_text_is_another_version(column, value):
    """Names, pictures, answers, groups and the user's own columns."""
    changed = make_manifest().astype({column: object})
    changed.loc[0, column] = value
    assert hash_manifest(changed) != hash_manifest(make_manifest())


@pytest.mark.parametrize("column", ["target", "meta/age", "meta/height (mm)"])
@pytest.mark.parametrize("value", [0.0, 0.1 + 1e-16, np.inf, 11.0, None])
def test_changed_number_is_another_version(column, value):
    """Zero is not missing, and the last digit counts."""
    changed = make_manifest().astype({column: float})
    changed.loc[1, column] = value
    is_same = column != "meta/age" and value is None
    assert (hash_manifest(changed) == hash_manifest(make_manifest())) is is_same


def test_name_of_a_column_and_its_absence_count():
    """A column that was added, removed or renamed is another version, an empty one too."""
    versions = [
        make_manifest(),
        make_manifest().drop(columns="meta/age"),
        make_manifest().rename(columns={"meta/age": "meta/days"}),
        make_manifest(**{"meta/empty": None}),
    ]
    assert len({hash_manifest(version) for version in versions}) == 4


def test_text_does_not_run_into_the_next():
    """The same letters, cut otherwise, are another version; a missing text is not an empty one."""
    cuts = [["ab", "c", ""], ["a", "bc", ""], ["ab", "", "c"], ["ab", "c", None]]
    assert len({hash_manifest(make_manifest(**{"meta/cultivar": pd.Series(cut, dtype=object)})) for cut in cuts}) == 4


def test_order_place_and_storage_do_not_count():
    """Rows and columns in another order, files elsewhere, whole numbers stored as others: the same version."""
    manifest = make_manifest()
    others = [
        manifest.iloc[::-1],
        manifest[manifest.columns[::-1]],
        make_manifest(path="elsewhere", source_row=5, duplicate_id="x", width_px=7),
        manifest.astype({"meta/age": float}),
        manifest.astype({"meta/age": "Int16", "label": "category", "group_id": "str"}),
        make_manifest(**{"meta/height (mm)": pd.Series([0.1, None, -2.5], dtype=object)}),
    ]
    assert {hash_manifest(other) for other in others} == {hash_manifest(manifest)}


def test_large_whole_numbers_are_exact():
    """Barcodes that differ in the last digit only are two."""
    first, second = (make_manifest(**{"meta/code": [2**60 + last, 5, 7]}) for last in (0, 1))
    assert hash_manifest(first) != hash_manifest(second)


@pytest.mark.parametrize(
    "values",
    [
        [1, "one", None],
        ["\udcff", "b", None],
        [[1], [2, 3], None],
        [datetime.date(2024, 5, 1), datetime.date(2024, 5, 2), None],
        [datetime.timedelta(days=1), datetime.timedelta(0), None],
        [datetime.time(10, 30), datetime.time(11), None],
        [True, False, None],
    ],
)
def test_columns_of_any_content(values):
    """Whatever stands in a column of the user, a change of it is seen and the order of the rows is not."""
    manifest = make_manifest(**{"meta/any": pd.Series(values, dtype=object)})
    changed = make_manifest(**{"meta/any": pd.Series([values[1], values[0], None], dtype=object)})
    assert hash_manifest(manifest) == hash_manifest(manifest.iloc[::-1]) != hash_manifest(changed)


def test_no_images_have_a_version():
    """An empty manifest too."""
    assert hash_manifest(make_manifest().iloc[:0]) != hash_manifest(make_manifest())


texts = st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5), min_size=3, max_size=3)
floats = st.lists(st.none() | st.floats(allow_nan=False), min_size=3, max_size=3)


@given(texts, floats, st.booleans())
def test_version_is_the_same_after_writing(tmp_path_factory, text, numbers, is_object):
    """What `prepare` says is what a later command reads from the manifest, however the column is held in memory."""
    columns = {
        "meta/text": pd.Series(text, dtype=object if is_object else "str"),
        "meta/number": pd.Series(numbers, dtype=object if is_object else float),
        "meta/when": pd.to_datetime(pd.Series(["2024-05-01 10:00:00.000001", None, "1999-01-01"]), format="ISO8601"),
    }
    manifest = make_manifest(**columns)
    path = tmp_path_factory.getbasetemp() / "manifest.parquet"
    manifest.to_parquet(path, index=False)
    assert hash_manifest(pd.read_parquet(path)) == hash_manifest(manifest)
