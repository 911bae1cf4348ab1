"""Registered runs are put to the gate on images that neither model has learned from."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from factories.mlflow_stores import make_store
from factories.registered_runs import Photos, draw_photos, make_run, split_photos
from phytoscope.cli.compose import compose
from phytoscope.errors import ArtifactError, TrackingError
from phytoscope.predict.seen_files import SeenImages, keep_seen, read_seen
from phytoscope.schema.events import EventLog
from phytoscope.schema.operate import PromoteConfig
from phytoscope.schema.promotion import PromotionDecision, PromotionVerdict
from phytoscope.schema.run_folder import RunFolder
from phytoscope.steps.context import RunContext
from phytoscope.steps.gate_answers import SEEN, SEEN_GROUP, UNREADABLE
from phytoscope.steps.model_source import find_cache, resolve_package
from phytoscope.steps.promote import FILE_TAG, PromotionRequest, promote, read_decision
from phytoscope.steps.register import Registered, register_run
from phytoscope.steps.roll_back import roll_back
from phytoscope.track.model_version import CHALLENGER, CHAMPION
from phytoscope.track.registry import Registry

RULES = PromoteConfig(min_groups=5)


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Photos:
    """Photographs of eighty plants."""
    return draw_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def runs(photos, tmp_path_factory) -> Path:
    """Runs of planted quality, none of which a test may change."""
    place = tmp_path_factory.mktemp("runs")
    rows = split_photos(photos)
    make_run(place / "good", rows, seed=1)
    make_run(place / "poor", rows, seed=1, spoilt=1.0)
    make_run(place / "other", rows, seed=2)
    make_run(place / "turned", split_photos(photos, 3), seed=3, split_hash="t" * 64)
    make_run(place / "silent", rows, seed=4, seen=False)
    return place


class Place:
    """A registry of its own, and copies of runs that are registered in it."""

    def __init__(self, folder: Path, runs: Path) -> None:
        self.folder = folder
        self.uri = make_store(folder / "mlflow")
        self.registry = Registry(self.uri)
        self._runs = runs

    def register(self, name: str) -> Registered:
        """Registers a copy of a run as a version of `leaves`."""
        root = self.folder / name
        if not root.exists():
            shutil.copytree(self._runs / name, root)
        config = compose([f"paths.run_dir={root}", f"track.uri={self.uri}"])
        return register_run(RunContext(config, RunFolder(root)))

    def request(self, **words) -> PromotionRequest:
        """What to put to the gate."""
        request = PromotionRequest("leaves", self.uri, rules=RULES, cache=self.folder / "cache", workers=1)
        return dataclasses.replace(request, **words)

    def promote(self, **words) -> PromotionDecision:
        """Puts the challenger to the gate."""
        return promote(self.request(**words))

    def champion(self) -> int | None:
        """Number of the champion."""
        found = self.registry.find("leaves", CHAMPION)
        return None if found is None else found.version


@pytest.fixture
def place(tmp_path, runs) -> Place:
    """A registry of its own."""
    return Place(tmp_path, runs)


def test_run_is_registered_once_as_challenger(place) -> None:
    """The version says what it came from; a second time nothing changes."""
    found = place.register("good")
    assert (found.name, found.version, found.reference) == ("leaves", 1, "models:/leaves/1")
    assert place.register("good") == found
    version = place.registry.get("leaves", CHALLENGER)
    assert version.run_id == found.run_id
    tags = {key.removeprefix("phytoscope."): value for key, value in version.tags.items()}
    assert tags["model_id"] == found.model_id
    assert tags["data_hash"] == "d" * 64
    assert (tags["metric"], tags["value"]) == ("macro_f1", "0.9")
    assert tags["run_dir"] == str(place.folder / "good")


def test_run_without_a_package_cannot_be_registered(tmp_path, place) -> None:
    """The error names the command that makes one."""
    config = compose([f"paths.run_dir={tmp_path / 'empty'}", "data=folder", f"data.root={tmp_path}"])
    with pytest.raises(ArtifactError, match="holds no package: run `phytoscope package"):
        register_run(RunContext(config, RunFolder(tmp_path / "empty")))


def test_run_cannot_be_registered_while_the_server_is_away(place, runs) -> None:
    """The error says why, and nothing is lost."""
    shutil.copytree(runs / "good", place.folder / "good")
    config = compose([f"paths.run_dir={place.folder / 'good'}", "track.uri=http://127.0.0.1:9"])
    with pytest.raises(
        TrackingError, match=r"cannot be registered, because MLflow could not be told of it.*127\.0\.0\.1:9"
    ):
        register_run(RunContext(config, RunFolder(place.folder / "good")))
    assert EventLog(RunFolder(place.folder / "good")).path.is_file()


def test_better_worse_and_same_models_are_decided_rightly(place) -> None:
    """The first becomes champion, a better one replaces it, a worse one does not, and an equal one does."""
    place.register("poor")
    first = place.promote()
    assert first.verdict is PromotionVerdict.first, first.reason
    assert (place.champion(), first.challenger.version, first.champion) == (1, 1, None)
    place.register("good")
    better = place.promote()
    assert better.verdict is PromotionVerdict.promoted, better.reason
    assert (better.n, better.n_groups, better.left_out) == (64, 32, {})
    assert (better.champion.version, better.challenger.version, place.champion()) == (1, 2, 2)
    assert place.registry.find("leaves", CHALLENGER) is None
    worse = place.promote(challenger=1)
    assert worse.verdict is PromotionVerdict.kept
    assert not worse.get_check("overall").passed
    assert place.champion() == 2
    place.register("other")
    equal = place.promote()
    assert equal.verdict is PromotionVerdict.promoted, equal.reason
    assert [reign.version for reign in place.registry.history("leaves")] == [3, 2, 1]
    assert {"golden", "parity", "baseline"} <= {check.name for check in equal.checks if check.passed}


def test_decision_is_kept_with_its_reasons(place, tmp_path) -> None:
    """In the MLflow run as JSON, at the version in words, and in the folder that was asked for."""
    place.register("good")
    place.promote()
    place.register("poor")
    decision = place.promote(output=tmp_path / "why")
    version = place.registry.get("leaves", 2)
    assert version.tags["phytoscope.decision"] == "kept"
    assert version.tags["phytoscope.reason"] == decision.reason
    assert version.tags[FILE_TAG].startswith("promotion/")
    assert read_decision(place.registry, version) == decision
    content = json.loads((tmp_path / "why" / "promotion.json").read_text(encoding="utf-8"))
    assert PromotionDecision.from_dict(content) == decision
    assert len(pd.read_csv(tmp_path / "why" / "slices.csv")) == len(decision.slices) > 0


def test_dry_run_leaves_the_registry_as_it_is(place) -> None:
    """The decision is made and nothing is noted."""
    place.register("good")
    before = place.registry.versions("leaves")
    assert place.promote(dry_run=True).verdict is PromotionVerdict.first
    assert place.registry.versions("leaves") == before
    assert place.registry.history("leaves") == []


def test_champion_is_not_put_to_the_gate_again(place) -> None:
    """A second time gives the decision that was made; one crowned by hand has none."""
    place.register("good")
    first = place.promote()
    said: list[str] = []
    assert place.promote(say=said.append) == first
    assert said == ["version 1 is champion of 'leaves' already"]
    place.register("other")
    place.registry.set_alias("leaves", CHAMPION, 2)
    with pytest.raises(ArtifactError, match="no decision was noted for version 2"):
        place.promote(challenger=2)


def test_images_that_a_model_has_learned_from_are_left_out(place, photos) -> None:
    """A challenger that was split otherwise is compared on the plants that are new to both, and the rest is counted."""
    place.register("good")
    place.promote()
    place.register("turned")
    decision = place.promote()
    splits = [split_photos(photos, turn)["split"] for turn in (0, 3)]
    both = (splits[0] == "test") & (splits[1] == "test")
    assert decision.n == both.sum()
    assert decision.left_out == {SEEN: int((splits[1] == "test").sum() - both.sum())}
    assert decision.n_groups == decision.n // 2


def test_too_few_groups_that_are_new_to_both_keep_the_champion(place) -> None:
    """Where hardly anything is left the champion stays, and the sentence says what was left out."""
    place.register("good")
    place.promote()
    place.register("turned")
    decision = place.promote(rules=PromoteConfig(min_groups=30))
    assert decision.verdict is PromotionVerdict.kept
    assert f"images {SEEN}" in decision.reason


def test_other_images_of_a_seen_plant_are_left_out(place) -> None:
    """A plant that was learned from is known, whichever of its pictures is asked about."""
    place.register("good")
    place.promote()
    root = place.folder / "turned"
    place.register("turned")
    answers = pd.read_parquet(root / "answers.parquet")
    new_to_both = pd.read_parquet(place.folder / "good" / "answers.parquet").query("split == 'test'")["sample_id"]
    first = answers.index[(answers["split"] == "test") & answers["sample_id"].isin(new_to_both)][0]
    seen = answers.loc[answers["split"] != "test", "group_id"].iloc[0]
    of_plant = answers["group_id"] == answers.loc[first, "group_id"]
    answers.loc[of_plant, "group_id"] = seen
    answers.to_parquet(root / "answers.parquet", index=False)
    assert place.promote().left_out[SEEN_GROUP] == 2


def test_champion_of_an_earlier_version_is_compared_on_the_same_split_only(place) -> None:
    """Without a list of what it has seen only the same split is fair; anything else is refused with what to do."""
    place.register("silent")
    assert place.promote().verdict is PromotionVerdict.first
    place.register("other")
    assert place.promote(dry_run=True).n == 64
    place.register("turned")
    with pytest.raises(ArtifactError, match="package the champion's run again"):
        place.promote()


def test_run_folder_is_not_needed(place) -> None:
    """What the gate needs lies in MLflow too, for a challenger from another computer."""
    place.register("good")
    shutil.rmtree(place.folder / "good")
    assert place.promote().verdict is PromotionVerdict.first


def test_run_folder_that_was_evaluated_anew_is_not_mistaken(place, runs) -> None:
    """A folder whose package is another one by now is passed over; MLflow has what was registered."""
    place.register("good")
    for part in ("package", "answers.parquet", "report.json"):
        target = place.folder / "good" / part
        shutil.rmtree(target) if target.is_dir() else target.unlink()
        copy = shutil.copytree if (runs / "poor" / part).is_dir() else shutil.copy
        copy(runs / "poor" / part, target)
    decision = place.promote()
    assert decision.get_check("parity").passed, decision.reason


def test_images_that_are_gone_are_said(place, photos, tmp_path) -> None:
    """All of them gone is an error, some of them are counted, and changed ones are noticed."""
    moved = draw_photos(tmp_path / "photos", 80)
    make_run(place.folder / "mine", split_photos(moved), seed=1)
    place.register("mine")
    test = pd.read_parquet(place.folder / "mine" / "answers.parquet").query("split == 'test'")["path"].tolist()
    Path(test[0]).unlink()
    assert place.promote(dry_run=True).left_out == {UNREADABLE: 1}
    Image.fromarray(np.full((32, 32, 3), 120, np.uint8)).save(test[1])
    decision = place.promote(dry_run=True)
    assert "were the images changed since then?" in decision.get_check("parity").reason
    assert decision.verdict is PromotionVerdict.kept
    shutil.rmtree(tmp_path / "photos")
    with pytest.raises(ArtifactError, match="none of the 64 test images can be read"):
        place.promote()


def test_rollback_goes_back_and_forth(place) -> None:
    """One call makes the champion of before champion again, a second one takes that back, and any can be named."""
    for name in ("poor", "good", "other"):
        place.register(name)
        place.promote()
    assert place.champion() == 3
    assert roll_back("leaves", uri=place.uri) == (3, 2)
    assert roll_back("leaves", uri=place.uri) == (2, 3)
    assert roll_back("leaves", uri=place.uri, version=1) == (3, 1)
    assert place.champion() == 1
    history = place.registry.history("leaves")
    assert [reign.version for reign in history] == [1, 3, 2, 3, 2, 1]
    assert [reign.how for reign in history[:4]] == ["rollback", "rollback", "rollback", "promoted"]
    with pytest.raises(ArtifactError, match="champion already"):
        roll_back("leaves", uri=place.uri, version=1)


def test_a_version_that_was_rolled_back_does_not_come_back_by_itself(place) -> None:
    """The same gate would let it through again on the same images; only who says so gets it back."""
    for name in ("poor", "good"):
        place.register(name)
        place.promote()
    roll_back("leaves", uri=place.uri)
    kept = place.promote(challenger=2)
    assert (kept.verdict, place.champion()) == (PromotionVerdict.kept, 1)
    assert [check.name for check in kept.checks if not check.passed] == ["rollback"]
    assert "--challenger 2" in kept.reason
    assert place.promote(challenger=2, after_rollback=True).verdict is PromotionVerdict.promoted
    assert place.champion() == 2


def test_nothing_to_go_back_to_is_said(place) -> None:
    """A model without a champion, or with only one ever, is an error with what to do."""
    place.register("good")
    with pytest.raises(ArtifactError, match="has no champion"):
        roll_back("leaves", uri=place.uri)
    place.promote()
    with pytest.raises(ArtifactError, match="the only champion that there ever was"):
        roll_back("leaves", uri=place.uri)


def test_package_is_downloaded_once_and_again_when_damaged(place, monkeypatch) -> None:
    """An alias leads to the version's package; it is kept, checked, and replaced when it is not whole."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(place.folder / "xdg"))
    assert find_cache() == place.folder / "xdg" / "phytoscope" / "models"
    place.register("good")
    place.promote()
    first = resolve_package("models:/leaves@champion", place.uri)
    assert first.is_relative_to(find_cache())
    stamp = (first / "package.json").stat().st_ino
    assert resolve_package("models:/leaves/1", place.uri) == first
    assert (first / "package.json").stat().st_ino == stamp
    (first / "model.safetensors").write_bytes(b"x")
    assert (resolve_package("models:/leaves/1", place.uri) / "model.safetensors").stat().st_size > 1
    (first / "golden.json").unlink()
    assert (resolve_package("models:/leaves/1", place.uri) / "golden.json").is_file()


def test_alias_leads_to_the_present_champion(place) -> None:
    """After a promotion the same text names another package."""
    cache = place.folder / "cache"
    place.register("poor")
    place.promote()
    before = resolve_package("models:/leaves@champion", place.uri, cache)
    place.register("good")
    place.promote()
    assert resolve_package("models:/leaves@champion", place.uri, cache) != before


def test_folder_stays_a_folder(tmp_path) -> None:
    """What is no reference is a place on this computer, and no registry is asked."""
    assert resolve_package(str(tmp_path / "package"), "http://127.0.0.1:9") == tmp_path / "package"


def test_seen_list_holds_hashes_only(tmp_path) -> None:
    """No name of a plant or image can be read out of it, and missing groups are none."""
    rows = pd.DataFrame({"sha256": ["a" * 64, "b" * 64], "group_id": ["plant-7", None]})
    keep_seen(rows, ["bed 3", None])(tmp_path)
    content = (tmp_path / "seen.parquet").read_bytes()
    assert b"plant-7" not in content
    seen = read_seen(tmp_path)
    assert isinstance(seen, SeenImages)
    assert len(seen.groups) == 2
    image, group = seen.find(["a" * 64, "c" * 64], ["plant-8", "bed 3"])
    assert image.tolist() == [True, False]
    assert group.tolist() == [False, True]
    assert read_seen(tmp_path / "elsewhere") is None
