"""The biomass table as it is exported: German CSV and spreadsheet, and the few pictures with known weights."""

from pathlib import Path

import pandas as pd
import pytest

from factories.runs import TINY, run_tiny, run_words
from phytoscope.configs import compose_config
from phytoscope.data.read import read_source
from phytoscope.errors import ConfigError, DataValidationError
from phytoscope.schema.table import SOURCE_ROW, TARGET

pytestmark = pytest.mark.real
TABLES = ("labels_sample_german.csv", "digital_biomass_labels_sample.xlsx")


@pytest.fixture
def root(real_data_root) -> Path:
    """The folder with the tables and the pictures."""
    return real_data_root / "farmbot_biomass"


def words(root: Path, table: str) -> list[str]:
    """Settings for one of the tables."""
    return ["data=farmbot_biomass", f"data.table={root / table}", f"data.images={root / 'images'}"]


def test_german_csv_equals_spreadsheet(root) -> None:
    """The two exports of one table are read as the same rows."""
    csv, xlsx = (read_source(compose_config([*words(root, table), *TINY]).data) for table in TABLES)
    assert len(csv.rows) == 29
    pd.testing.assert_frame_equal(csv.rows, xlsx.rows, rtol=1e-9)
    assert csv.faults == xlsx.faults


@pytest.mark.parametrize("table", TABLES)
def test_rows_without_an_image_are_listed(root, tmp_path, table) -> None:
    """The pictures of these rows are not there: the run says so, and lists each row with its line."""
    with pytest.raises(DataValidationError, match=r"none of the 29 images can be used: .*29 x the file does not exist"):
        run_tiny(run_words(words(root, table), tmp_path / "run"), "prepare")
    rejected = pd.read_csv(tmp_path / "run" / "rejected.csv")
    missing = rejected[rejected["reason"].str.startswith("the file does not exist")]
    assert missing[SOURCE_ROW].tolist() == list(range(2, 31))


def test_real_pictures_go_the_whole_way(root, tmp_path) -> None:
    """Nine weighed plants are too few to learn from, but every step works on them."""
    data = [*words(root, "labels.csv"), "data.group_by=[experiment_id,farmbot,plant_number]"]
    run, _ = run_tiny(run_words(data, tmp_path / "run", "data.split.calibration=0", "package.onnx=never"))
    manifest = pd.read_parquet(run.manifest)
    assert len(manifest) == 9
    assert manifest[TARGET].between(0.01, 3).all()
    assert pd.read_parquet(run.predictions)["prediction"].ge(0).all()


@pytest.mark.parametrize("table", TABLES)
def test_shoot_root_age_and_condition_are_used(root, table) -> None:
    """The real table gives further targets and covariates as they are, and refuses what gives the weight away."""
    settings = [*words(root, table), "data.more_targets=[fresh_weight_shoot,fresh_weight_root]", *TINY]
    source = read_source(compose_config([*settings, "data.covariates=[age_days,condition]"]).data)
    known = source.rows[["meta/age_days", "meta/condition", "meta/fresh_weight_root"]].notna().sum()
    assert (known > 0).all()
    assert (known < len(source.rows)).any()
    with pytest.raises(ConfigError, match="'dry_weight_shoot' gives the target away"):
        read_source(compose_config([*settings, "data.covariates=[dry_weight_shoot]"]).data)
