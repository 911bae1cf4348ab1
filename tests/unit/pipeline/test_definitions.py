"""The graph as Dagster loads it."""

import subprocess
import sys

import dagster as dg

from phytoscope.pipeline import defs
from phytoscope.pipeline.checks import CHECKS, PLANS

TRAINING = [
    "raw_dataset",
    "preprocessed_data",
    "trained_model",
    "model_evaluation",
    "packaged_model",
    "registered_model",
    "promoted_model",
]


def keys_of(job: str) -> set[str]:
    return {key.to_user_string() for key in defs.resolve_job_def(job).asset_layer.executable_asset_keys}


def test_definitions_can_be_loaded():
    """Every asset, check, job and resource fits the others."""
    dg.Definitions.validate_loadable(defs)


def test_assets_stand_in_the_order_of_the_data_flow():
    """Each asset depends on the one before it."""
    graph = defs.resolve_asset_graph()
    for before, after in zip(TRAINING, [*TRAINING[1:], "drift_report"], strict=True):
        assert graph.get(dg.AssetKey(after)).parent_keys == {dg.AssetKey(before)}


def test_every_asset_is_partitioned_by_data_set_and_says_its_version():
    """Disease and biomass are partitions of one graph; a new version of the package makes assets stale."""
    from phytoscope import __version__

    graph = defs.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.partitions_def == dg.DynamicPartitionsDefinition(name="datasets")
        assert node.code_version == __version__
        assert node.description


def test_jobs_take_the_right_assets():
    """Training goes from the data to the champion, evaluation begins at the evaluation, monitoring looks alone."""
    assert keys_of("training_job") == set(TRAINING)
    assert keys_of("evaluation_job") == set(TRAINING[3:])
    assert keys_of("monitoring_job") == {"drift_report"}


def test_checks_are_called_asset_and_claim_and_block_where_they_must():
    """Only drift does not stop anything: new images are not wrong."""
    specs = [spec for check in CHECKS for spec in check.check_specs]
    assert len(specs) == len(PLANS) == 10
    for spec in specs:
        assert spec.name.startswith(f"{spec.asset_key.to_user_string()}__")
        assert spec.blocking == (spec.name != "drift_report__no_drift")
        assert spec.description


def test_one_training_at_a_time():
    """Only the training waits for a place in the pool."""
    pools = {key.to_user_string(): pools for key, pools in _pools().items()}
    assert pools["trained_model"] == {"training"}
    assert not any(found for name, found in pools.items() if name != "trained_model")


def _pools() -> dict[dg.AssetKey, set[str]]:
    graph = defs.resolve_asset_graph()
    return {key: set(graph.get(key).pools or ()) for key in graph.get_all_asset_keys()}


def test_loading_reads_neither_environment_nor_workspace_nor_torch(tmp_path):
    """A server loads the graph quickly, wherever it is started and whatever the environment says."""
    script = (
        "import sys, time\n"
        "from phytoscope.pipeline import defs\n"
        "heavy = {'torch', 'lightning', 'pandas', 'sklearn', 'mlflow', 'cv2', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "print(type(defs).__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        env={"PHYTOSCOPE_WORKSPACE": str(tmp_path / "nowhere"), "PATH": "", "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "Definitions"
    assert list(tmp_path.iterdir()) == []
