"""The asset checks: each passes for good results, fails for a planted fault, and for results that are missing."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from factories.workspaces import materialise
from phytoscope.pipeline.checks import CHECKS, PLANS, CheckPlan, build_check
from phytoscope.pipeline.places import DataPlace, DriftPlace, ModelPlace, Place, RunPlace
from phytoscope.pipeline.resources import WorkspaceResource
from phytoscope.pipeline.workspace import Workspace
from phytoscope.schema.artifact import read_json, write_json
from phytoscope.schema.drift import DriftFinding, DriftKind, DriftReport, LookWindow
from phytoscope.schema.run_folder import RunFolder

LEAVES = {"partition": "leaves"}
OF_A_RUN = [plan for plan in PLANS if plan.asset not in ("raw_dataset", "registered_model", "drift_report")]


def plan_of(name: str) -> CheckPlan:
    return next(plan for plan in PLANS if plan.name == name)


def ask(name: str, place: Place, workspace: Workspace) -> dg.AssetCheckResult:
    """Calls a check by hand."""
    check = next(check for check, plan in zip(CHECKS, PLANS, strict=True) if plan.name == name)
    result = check(workspace=WorkspaceResource(root=str(workspace.root)), place=place)
    assert isinstance(result, dg.AssetCheckResult)
    return result


@pytest.fixture
def copied(local, tmp_path) -> RunPlace:
    """The finished run in a folder that a test may damage."""
    shutil.copytree(local.run.root, tmp_path / "run")
    return RunPlace(str(tmp_path / "run"), "a" * 64, **LEAVES)


def test_all_checks_of_a_good_run_pass(local):
    """Every check of the assets up to the package was asked, passed and tells what it measured."""
    found = {one.check_name: one for one in local.result.get_asset_check_evaluations()}
    assert set(found) == {plan.name for plan in PLANS if plan.asset not in ("registered_model", "drift_report")}
    for one in found.values():
        assert one.passed, one.description
        assert one.metadata
        assert one.partition == "leaves"


def change_split(run: RunFolder) -> None:
    table = pd.read_parquet(run.split)
    table["group_id"] = "one plant"
    table.to_parquet(run.split)


def change_label(run: RunFolder) -> None:
    table = pd.read_parquet(run.manifest)
    table.loc[table.index[-1], "label"] = "unheard of"
    table.to_parquet(run.manifest)


def change_history(run: RunFolder) -> None:
    head, *rows = run.history.read_text(encoding="utf-8").splitlines()
    rows[-1] = ",".join("nan" for _ in rows[-1].split(","))
    run.history.write_text("\n".join([head, *rows]), encoding="utf-8")


def change_report(change: Callable[[dict], None]) -> Callable[[RunFolder], None]:
    def write(run: RunFolder) -> None:
        content = read_json(run.report)
        change(content)
        write_json(run.report, content)

    return write


def lose_to_baseline(report: dict) -> None:
    report["beats_baseline"] = False
    for part in report["splits"].values():
        for metric in part["metrics"]:
            if metric["name"] == "macro_f1":
                metric["value"] = 0.0


def boast(report: dict) -> None:
    calibration = report["trust"]["calibration"]
    calibration["after"]["ece"] = 0.9
    report["splits"]["test"]["n_groups"] = report["splits"]["test"]["n"]


def miss(report: dict) -> None:
    for row in report["trust"]["sets"]["rows"]:
        row["coverage"] = 0.1


def change_predictions(run: RunFolder) -> None:
    table = pd.read_parquet(run.predictions)
    names = [name for name in table if name.startswith("prob/")]
    table[names] = table[names].to_numpy()[:, ::-1]
    table.to_parquet(run.predictions)


PLANTED = {
    "preprocessed_data__no_group_in_two_splits": change_split,
    "preprocessed_data__target_in_range": change_label,
    "trained_model__loss_is_finite": change_history,
    "model_evaluation__beats_baseline": change_report(lose_to_baseline),
    "model_evaluation__calibrated": change_report(boast),
    "model_evaluation__covers": change_report(miss),
    "packaged_model__parity": change_predictions,
}
NEEDED = {
    "preprocessed_data": lambda run: run.split,
    "trained_model": lambda run: run.history,
    "model_evaluation": lambda run: run.report,
    "packaged_model": lambda run: run.package / "golden.json",
}


def test_every_check_has_a_planted_fault():
    """No check without a test that makes it fail."""
    assert set(PLANTED) == {plan.name for plan in OF_A_RUN}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_fault_is_found(local, copied, name):
    """The same run passes before the fault and fails with it, gravely enough to stop what comes after."""
    assert ask(name, copied, local.workspace).passed
    PLANTED[name](RunFolder(Path(copied.folder)))
    result = ask(name, copied, local.workspace)
    assert not result.passed
    assert result.severity is dg.AssetCheckSeverity.ERROR
    assert result.description


@pytest.mark.parametrize("name", PLANTED)
def test_missing_results_are_no_proof(local, copied, name):
    """What cannot be measured fails, with a sentence and not with a crash."""
    plan = plan_of(name)
    missing = RunFolder(Path(copied.folder))
    path = missing.manifest if name.endswith("target_in_range") else NEEDED[plan.asset](missing)
    path.unlink()
    result = ask(name, copied, local.workspace)
    assert not result.passed
    assert path.name in result.description


def test_rows_and_labels(local, tmp_path):
    """A data set with labels passes, one without fails, and so does a survey that is not there."""
    place = next((local.workspace.runs / "leaves" / "surveys").glob("*.json"))
    good = DataPlace(str(place), "a" * 64, **LEAVES)
    assert ask("raw_dataset__rows_and_labels_present", good, local.workspace).passed
    content = {**read_json(place), "labelled": 0, "classes": {}}
    (tmp_path / "bad.json").write_text(json.dumps(content), encoding="utf-8")
    for name in ("bad.json", "absent.json"):
        bad = DataPlace(str(tmp_path / name), "a" * 64, **LEAVES)
        assert not ask("raw_dataset__rows_and_labels_present", bad, local.workspace).passed


def make_drift(*, fired: bool) -> DriftReport:
    p_value = 0.001 if fired else 0.7
    finding = DriftFinding(
        DriftKind.verdict, "verdict", LookWindow.batch, 0.2, p_value, 0.01, fired, 0.1, 0.4, "", "reject 10 % -> 40 %"
    )
    return DriftReport(1, 40, 20, 40, 20, 200, 90, 0.05, 0.01, 0.01, 1000, fired, [finding])


@pytest.mark.parametrize(("fired", "passed"), [(True, False), (False, True)])
def test_drift_is_told_and_does_not_stop(local, tmp_path, fired, passed):
    """A look that fired fails as a warning, with what changed; a quiet one passes."""
    write_json(tmp_path / "report.json", make_drift(fired=fired).to_dict())
    place = DriftPlace(str(tmp_path), str(tmp_path / "report.json"), "said", **LEAVES)
    result = ask("drift_report__no_drift", place, local.workspace)
    assert result.passed == passed
    assert result.severity is dg.AssetCheckSeverity.WARN
    assert ("reject 10 % -> 40 %" in result.description) == fired


def test_drift_that_waits_or_is_missing(local, tmp_path):
    """Too few new images are no drift; a report that is missing is no proof of anything."""
    waiting = ask("drift_report__no_drift", DriftPlace(str(tmp_path), "", "3 of 20 images", **LEAVES), local.workspace)
    assert waiting.passed
    assert waiting.description == "3 of 20 images"
    lost = DriftPlace(str(tmp_path), str(tmp_path / "absent.json"), "said", **LEAVES)
    assert not ask("drift_report__no_drift", lost, local.workspace).passed


def test_registry_that_is_not_there_is_no_proof(local):
    """A model that cannot be had from the registry fails."""
    place = ModelPlace(str(local.run.root), "nowhere", "leaves", 1, **LEAVES)
    result = ask("registered_model__loads", place, local.workspace)
    assert not result.passed


def test_failing_check_stops_what_comes_after(local, records, tmp_path):
    """A blocking check that fails ends the run before the next asset."""
    workspace = dataclasses.replace(local.workspace, root=tmp_path / "workspace")
    shutil.copytree(local.workspace.root / "datasets", workspace.dataset_files)
    one_class = tmp_path / "one"
    shutil.copytree(local.workspace.root / "data" / "leaves" / "dark", one_class / "dark")
    words = {"ops": {"raw_dataset": {"config": {"data": {"root": str(one_class)}}}}}
    result = materialise(workspace, records, ["raw_dataset", "preprocessed_data"], config=words)
    assert not result.success
    assert [one.passed for one in result.get_asset_check_evaluations()] == [False]
    assert not result.asset_materializations_for_node("preprocessed_data")
    assert result.asset_materializations_for_node("raw_dataset")


def test_a_bug_in_a_check_is_not_hidden(local):
    """Only what the user can mend becomes a failed check."""

    def crash(_about):
        raise ZeroDivisionError

    check = build_check(CheckPlan("raw_dataset", "crashes", crash))
    place = DataPlace("", "a" * 64, **LEAVES)
    with pytest.raises(ZeroDivisionError):
        check(workspace=WorkspaceResource(root=str(local.workspace.root)), place=place)
