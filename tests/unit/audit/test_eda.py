"""What the answers look like."""

import numpy as np
import pandas as pd
import pytest

from factories.tables import make_manifest
from phytoscope.audit.columns import collect_columns
from phytoscope.audit.eda import (
    break_down,
    correlate_columns,
    count_labels,
    count_missing,
    list_constant_columns,
    summarise_target,
)
from phytoscope.schema.table import Task


def plants(targets, photos=1, **columns):
    """A manifest of plants with the same number of photographs each, and columns given once a plant."""
    repeated = {f"meta/{name}": np.repeat(values, photos) for name, values in columns.items()}
    groups = np.repeat([f"plant{number}" for number in range(len(targets))], photos)
    return make_manifest(groups, np.repeat(targets, photos)).assign(**repeated)


def correlations_of(manifest):
    """Column -> its row."""
    return {row.column: row for row in correlate_columns(manifest, collect_columns(manifest))}


class TestLabels:
    """Images and groups of every class."""

    def test_counts(self) -> None:
        """The largest class first; a class with fewer groups than splits is marked."""
        manifest = make_manifest(list("aabbcdeef"), ["x"] * 5 + ["y"] * 4, task=Task.classification)
        rows = count_labels(manifest, n_splits=4)
        assert [(row.label, row.images, row.groups, row.too_few_groups) for row in rows] == [
            ("x", 5, 3, True),
            ("y", 4, 3, True),
        ]
        assert not any(row.too_few_groups for row in count_labels(manifest, n_splits=3))


class TestTarget:
    """Distribution and suggested transform."""

    def test_skewed_weights(self) -> None:
        """A log-normal weight is suggested to be learned as log1p, whatever its unit."""
        weights = np.random.default_rng(0).lognormal(0, 1, 400)
        for unit in (1.0, 1e-4, 1e4):
            summary = summarise_target(plants(weights * unit))
            assert summary.suggested_transform == "log1p"
            assert summary.skewness > 2 > summary.skewness_log1p
            assert summary.quantiles[3] == pytest.approx(np.median(weights) * unit)

    def test_plants_count_once(self) -> None:
        """Skewness is of the plants: photographing the few large ones often does not change it."""
        manifest = make_manifest([*"abcdefgh", *"h" * 40], [1, 1, 1, 1, 1, 1, 1, 9, *[9] * 40])
        summary = summarise_target(manifest)
        assert (summary.n, summary.n_groups) == (48, 8)
        assert summary.skewness == pytest.approx(summarise_target(plants([1.0] * 7 + [9.0])).skewness)

    @pytest.mark.parametrize(
        ("targets", "words"),
        [
            (np.arange(20.0), "nearly even"),
            ([-1.0, 0, 0, 0, 0, 0, 0, 30], "needs 0 or more"),
            ([30.0, 30, 30, 29, 30, 30, 0, 30], "long tail of small values"),
            ([2.0, 2.0], "never changes"),
            ([2.0], "never changes"),
            ([0.0] * 30 + [1.0], "log(1 + x) leaves"),
        ],
    )
    def test_no_transform(self, targets, words) -> None:
        """Where a logarithm would not help, the reason is said."""
        summary = summarise_target(plants(targets))
        assert summary.suggested_transform == "none"
        assert words in summary.why


class TestCorrelations:
    """Every numeric column with the target."""

    def test_order_and_values(self) -> None:
        """Age first, then by strength; truth values and times count, texts do not."""
        target = np.arange(40.0)
        noise = np.random.default_rng(0).normal(size=40)
        manifest = plants(
            target,
            area=target**3,
            age_days=noise + target / 20,
            lamp=pd.array(target > 20, dtype="boolean"),
            taken=pd.date_range("2024-01-01", periods=40).astype(str),
            robot=["r"] * 40,
        )
        found = correlations_of(manifest)
        assert next(iter(found)) == "age_days"
        assert set(list(found)[1:3]) == {"area", "taken"}
        assert list(found)[3:] == ["lamp"]
        assert found["area"].spearman == pytest.approx(1)
        assert 0.9 < found["area"].pearson < 1
        assert found["taken"].pearson == pytest.approx(1)
        assert found["lamp"].n == 40

    def test_a_growing_plant_is_not_averaged_away(self) -> None:
        """Two plants photographed every day: age explains the size though their means are equal."""
        days = np.tile(np.arange(10.0), 2)
        manifest = make_manifest(np.repeat(["a", "b"], 10), days * 2).assign(**{"meta/day": days})
        assert correlations_of(manifest)["day"].pearson == pytest.approx(1)
        assert correlations_of(manifest)["day"].n == 2

    def test_missing_values(self) -> None:
        """Rows without the number are left out and counted."""
        area = np.arange(20.0)
        area[:5] = np.nan
        row = correlations_of(plants(np.arange(20.0), photos=2, area=area))["area"]
        assert (row.n, row.missing, row.pearson) == (15, 0.25, pytest.approx(1))

    def test_constant_column(self) -> None:
        """A column with one value has no correlation, and stands last."""
        found = correlations_of(plants(np.arange(5.0), same=[1.0] * 5, other=[1.0, 2, 1, 2, 1]))
        assert list(found) == ["other", "same"]
        assert found["same"].pearson is None


class TestBreakdowns:
    """Answers by the values of a column."""

    def of(self, manifest, task=Task.regression):
        """Column -> value -> row."""
        parts = break_down(manifest, task, collect_columns(manifest))
        return {part.column: {row["value"]: row for row in part.rows} for part in parts}

    def test_condition(self) -> None:
        """Mean over plants by condition, however often each was photographed."""
        manifest = make_manifest(list("aaab"), [1.0, 1, 1, 3]).assign(**{"meta/condition": ["wet"] * 4})
        manifest = pd.concat([manifest, make_manifest(["c"], [8.0]).assign(**{"meta/condition": "dry"})])
        found = self.of(manifest.reset_index(drop=True))["condition"]
        assert (found["wet"]["images"], found["wet"]["groups"], found["wet"]["mean"]) == (4, 2, 2.0)
        assert (found["dry"]["mean"], found["dry"]["sd"]) == (8.0, None)

    def test_group_size(self) -> None:
        """Plants with one photograph and plants with several."""
        found = self.of(make_manifest(list("abbcccc"), range(7)))["group size"]
        assert {name: row["images"] for name, row in found.items()} == {"1 photograph": 1, "2": 2, "3-5": 4}

    @pytest.mark.parametrize(
        ("days", "values"),
        [
            (3, ["2024-01-01", "2024-01-02", "2024-01-03"]),
            (21, ["week of 2024-01-01", "week of 2024-01-08", "week of 2024-01-15"]),
            (130, ["2024-01", "2024-02", "2024-03", "2024-04", "2024-05"]),
        ],
    )
    @pytest.mark.parametrize("form", ["iso", "unix"])
    def test_time(self, days, values, form) -> None:
        """By day, week or month, from ISO texts and from seconds since 1970."""
        times = pd.date_range("2024-01-01 08:00", periods=days)
        column = times.astype(str) if form == "iso" else (times - pd.Timestamp(0)).total_seconds()
        assert list(self.of(plants(np.arange(float(days)), timestamp=column))["timestamp"]) == values

    def test_classes(self) -> None:
        """The most frequent class and its share; numbers in the order of numbers."""
        manifest = make_manifest(range(5), list("xxyyy"), task=Task.classification)
        found = self.of(manifest.assign(**{"meta/tray": [10.0, 2.0, 2.0, 10.0, 10.0]}), Task.classification)["tray"]
        assert list(found) == ["2", "10"]
        assert (found["10"]["label"], found["10"]["share"]) == ("y", pytest.approx(2 / 3))
        assert (found["2"]["label"], found["2"]["share"]) == ("x", 0.5)

    def test_columns_with_many_values_are_left_out(self) -> None:
        """A number of its own for every plant breaks nothing down."""
        assert self.of(plants(np.arange(30.0), weight=np.arange(30.0), name=[f"n{n}" for n in range(30)])) == {}


def test_missing_shares_of_all_rows() -> None:
    """Rows without an answer count; the emptiest column first, each under the user's name."""
    rows = pd.DataFrame({"target": [1.0, np.nan], "group_id": ["a", "b"], "meta/age": [np.nan, np.nan], "path": "x"})
    found = [(entry.column, entry.missing, entry.n) for entry in count_missing(rows, "weight")]
    assert found == [("age", 1.0, 2), ("weight", 0.5, 2), ("group (plant, leaf)", 0.0, 2)]


def test_constant_columns() -> None:
    """Only the user's own columns, and only where several rows say the same."""
    manifest = plants([1.0, 2, 3], robot=["r", "r", "r"], tray=[1.0, 1.0, 2.0]).assign(width_px=64)
    assert list_constant_columns(collect_columns(manifest)) == ["robot"]
