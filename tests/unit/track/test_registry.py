"""The registry of models, in a real store and behind a real server."""

import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from factories.mlflow_stores import Told, make_store, served
from factories.packages import make_package
from phytoscope.errors import ArtifactError, ConfigError, TrackingError
from phytoscope.predict.package import verify_package
from phytoscope.schema.artifact import hash_file
from phytoscope.steps.roll_back import roll_back
from phytoscope.track.model_version import CHALLENGER, CHAMPION, CHAMPIONS_TAG, PACKAGE_TAG, parse_reference
from phytoscope.track.registry import Registry


@pytest.fixture
def uri(tmp_path) -> str:
    """A store of its own."""
    return make_store(tmp_path / "mlflow")


@pytest.fixture
def registry(uri) -> Registry:
    """The registry in it."""
    return Registry(uri)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch) -> Path:
    """A current folder in which MLflow must leave no store of its own."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def tell_run(root: Path, uri: str, *, pyfunc: bool = False) -> tuple[str, str, dict[str, str]]:
    """Tells a store of a run with a package; gives the run's id, the model's URI, and tags."""
    make_package(root / "package")
    told = Told(root, uri, pyfunc=pyfunc)
    told.log.begin("identity", name="leaves")
    told.log.package(root / "package")
    facts = told.tell()
    tags = {PACKAGE_TAG: hash_file(root / "package" / "package.json"), "phytoscope.data_hash": "d" * 64}
    return told.remote, facts.get("model_uri") or f"runs:/{told.remote}/package", tags


def add(registry: Registry, name: str = "leaves", model_id: str = "m1", **tags: str) -> int:
    """Registers a model of which only the number matters."""
    client = MlflowClient(registry.uri, registry.uri)
    run = client.create_run(client.get_experiment_by_name("Default").experiment_id)
    source = f"runs:/{run.info.run_id}/package"
    return registry.register(name, run_id=run.info.run_id, model_uri=source, model_id=model_id, tags=tags)


def test_version_is_registered_once(registry) -> None:
    """The same weights in the same package keep their version; other weights or another package get a new one."""
    assert add(registry, model_id="a", **{PACKAGE_TAG: "1"}) == 1
    assert add(registry, model_id="a", **{PACKAGE_TAG: "1"}) == 1
    assert add(registry, model_id="b", **{PACKAGE_TAG: "2"}) == 2
    assert add(registry, model_id="a", **{PACKAGE_TAG: "3"}) == 3
    assert [version.version for version in registry.versions("leaves")] == [3, 2, 1]


def test_versions_are_found_by_number_and_alias(registry) -> None:
    """An alias is a name that can be moved; what is not there is None, or an error that says what is."""
    for model_id in ("a", "b"):
        add(registry, model_id=model_id)
    registry.set_alias("leaves", CHALLENGER, 2)
    assert registry.find("leaves", CHALLENGER).version == registry.find("leaves", 2).version == 2
    assert registry.find("leaves", 2).aliases == (CHALLENGER,)
    assert registry.find("leaves", CHAMPION) is registry.find("leaves", 3) is registry.find("beans", 1) is None
    registry.set_alias("leaves", CHALLENGER, 1)
    assert registry.get("leaves", CHALLENGER).version == 1
    registry.drop_alias("leaves", CHALLENGER)
    registry.drop_alias("leaves", CHALLENGER)
    assert registry.find("leaves", CHALLENGER) is None
    with pytest.raises(ArtifactError, match="has no version 7; there are: 2, 1"):
        registry.get("leaves", 7)
    with pytest.raises(ArtifactError, match="did you mean 'leaves'"):
        registry.get("leafs", CHAMPION)


def test_notes_are_kept_with_a_version(registry) -> None:
    """Tags are added and replaced, and a quote in a name of a model does no harm."""
    name = "O'Hara's leaves"
    version = add(registry, name)
    registry.note(name, version, {"phytoscope.decision": "kept"})
    registry.note(name, version, {"phytoscope.decision": "promoted", "phytoscope.reason": "ß" * 4000})
    found = registry.versions(name)[0]
    assert found.tags["phytoscope.decision"] == "promoted"
    assert len(found.tags["phytoscope.reason"]) == 4000
    assert registry.names() == [name]


def test_champions_are_remembered(registry) -> None:
    """Every change is noted, the newest first, with how it came about."""
    for model_id in ("a", "b"):
        add(registry, model_id=model_id)
    assert registry.history("leaves") == registry.history("beans") == []
    registry.crown("leaves", 1, "first", instead_of=None)
    registry.crown("leaves", 2, "promoted", instead_of=1)
    registry.crown("leaves", 1, "rollback", instead_of=2)
    assert [(reign.version, reign.how) for reign in registry.history("leaves")] == [
        (1, "rollback"),
        (2, "promoted"),
        (1, "first"),
    ]
    assert registry.get("leaves", CHAMPION).version == 1


def test_champion_of_before_our_time_is_remembered(registry) -> None:
    """A version that somebody made champion by hand can be gone back to."""
    for model_id in ("a", "b"):
        add(registry, model_id=model_id)
    registry.set_alias("leaves", CHAMPION, 1)
    registry.crown("leaves", 2, "promoted", instead_of=1)
    assert [reign.version for reign in registry.history("leaves")] == [2, 1]


def test_champion_that_was_set_by_hand_in_between_is_remembered(registry) -> None:
    """What was crowned in MLflow's own pages after ours can be gone back to as well."""
    for model_id in ("a", "b", "c"):
        add(registry, model_id=model_id)
    registry.crown("leaves", 1, "first", instead_of=None)
    registry.set_alias("leaves", CHAMPION, 2)
    registry.crown("leaves", 3, "promoted", instead_of=2)
    assert [reign.version for reign in registry.history("leaves")] == [3, 2, 1]
    assert roll_back("leaves", uri=registry.uri) == (3, 2)


def test_rollback_ignores_a_promotion_that_was_killed_half_way(registry, monkeypatch) -> None:
    """A version that was noted and never crowned is none to go back to; the promotion can be made again."""
    for model_id in ("a", "b"):
        add(registry, model_id=model_id)
    registry.crown("leaves", 1, "first", instead_of=None)

    def die(*words: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(registry, "set_alias", die)
        with pytest.raises(KeyboardInterrupt):
            registry.crown("leaves", 2, "promoted", instead_of=1)
    with pytest.raises(ArtifactError, match="the only champion"):
        roll_back("leaves", uri=registry.uri)
    registry.crown("leaves", 2, "promoted", instead_of=1)
    assert roll_back("leaves", uri=registry.uri) == (2, 1)


def test_champion_changed_meanwhile_is_not_replaced(registry) -> None:
    """A decision against another champion than the present one is void."""
    for model_id in ("a", "b", "c"):
        add(registry, model_id=model_id)
    registry.crown("leaves", 1, "first", instead_of=None)
    registry.crown("leaves", 2, "promoted", instead_of=1)
    with pytest.raises(TrackingError, match="version 2 is champion of 'leaves' by now"):
        registry.crown("leaves", 3, "promoted", instead_of=1)
    with pytest.raises(TrackingError, match="version 2 is champion"):
        registry.crown("leaves", 3, "first", instead_of=None)
    assert registry.get("leaves", CHAMPION).version == 2


@pytest.mark.slow
def test_processes_that_crown_at_once_leave_one_champion_and_a_whole_history(registry, uri) -> None:
    """Of three processes that replace the same champion one wins, and the others say so."""
    for number in range(5):
        add(registry, model_id=str(number))
    registry.crown("leaves", 1, "first", instead_of=None)
    code = (
        "import sys\nfrom phytoscope.track.registry import Registry\n"
        "Registry(sys.argv[1]).crown('leaves', int(sys.argv[2]), 'promoted', instead_of=1)"
    )
    words = [[sys.executable, "-c", code, uri, str(version)] for version in (2, 3, 4)]
    running = [subprocess.Popen(each, stderr=subprocess.PIPE, text=True) for each in words]
    said = [process.communicate(timeout=300)[1] for process in running]
    assert sorted(process.returncode for process in running) == [0, 1, 1]
    assert sum("because another process changed it meanwhile" in text for text in said) == 2
    winner = next(version for version, process in zip((2, 3, 4), running, strict=True) if process.returncode == 0)
    assert [reign.version for reign in registry.history("leaves")] == [winner, 1]
    assert registry.get("leaves", CHAMPION).version == winner


def test_damaged_history_is_said(registry) -> None:
    """A tag that somebody edited is no reason to forget champions in silence."""
    add(registry)
    MlflowClient(registry.uri, registry.uri).set_registered_model_tag("leaves", CHAMPIONS_TAG, "[1, 2]")
    with pytest.raises(ArtifactError, match="champions of the model 'leaves' is damaged"):
        registry.history("leaves")


@pytest.mark.parametrize("pyfunc", [False, True])
def test_package_comes_back_as_it_was(tmp_path, elsewhere, registry, uri, pyfunc) -> None:
    """By version and by alias, from the run's files and from the MLflow model, with every part as it was."""
    run_id, model_uri, tags = tell_run(tmp_path / "run", uri, pyfunc=pyfunc)
    assert model_uri.startswith("models:/m-" if pyfunc else "runs:/")
    version = registry.register("leaves", run_id=run_id, model_uri=model_uri, model_id="m", tags=tags)
    registry.set_alias("leaves", CHAMPION, version)
    for reference in (f"models:/leaves/{version}", "models:/leaves@champion"):
        place = registry.download(reference, tmp_path / "there" / "package")
        assert hash_file(place / "package.json") == tags[PACKAGE_TAG]
        assert verify_package(place) == pytest.approx(0.0, abs=1e-6)
    assert not (elsewhere / "mlflow.db").exists()


def test_package_that_was_replaced_is_refused(tmp_path, registry, uri) -> None:
    """Files that are not those that were registered are not handed out, nor left lying about."""
    run_id, model_uri, tags = tell_run(tmp_path / "run", uri)
    registry.register("leaves", run_id=run_id, model_uri=model_uri, model_id="m", tags={**tags, PACKAGE_TAG: "0" * 64})
    with pytest.raises(ArtifactError, match="not those that were registered"):
        registry.download("models:/leaves/1", tmp_path / "package")
    assert not (tmp_path / "package").exists()
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


def test_model_that_is_not_ours_is_refused(registry, tmp_path) -> None:
    """A version without a package of ours says so."""
    client = MlflowClient(registry.uri, registry.uri)
    run = client.create_run(client.get_experiment_by_name("Default").experiment_id)
    client.log_text(run.info.run_id, "x", "package/model.txt")
    source = f"runs:/{run.info.run_id}/package"
    registry.register("other", run_id=run.info.run_id, model_uri=source, model_id="x")
    with pytest.raises(ArtifactError, match="holds no package of phytoscope"):
        registry.download("models:/other/1", tmp_path / "package")


def test_texts_are_kept_in_runs(tmp_path, registry, uri) -> None:
    """A decision is stored beside the run's files, and read again; what is not there is None."""
    run_id, _, _ = tell_run(tmp_path / "run", uri)
    registry.keep_text(run_id, '{"a": 1}', "promotion/one.json")
    assert registry.fetch(run_id, "promotion/one.json", tmp_path / "got").read_text(encoding="utf-8") == '{"a": 1}'
    assert registry.fetch(run_id, "promotion/two.json", tmp_path / "got") is None
    assert registry.fetch(run_id, "nothing/two.json", tmp_path / "got") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("models:/leaves@champion", ("leaves", "champion")),
        ("models:/leaf diseases/12", ("leaf diseases", 12)),
    ],
)
def test_references_are_read(text, expected) -> None:
    """A name with an alias or a number."""
    assert parse_reference(text) == expected


@pytest.mark.parametrize("text", ["models:/leaves", "models:/leaves/latest", "models:/@champion", "models:/m/1/2", "x"])
def test_other_references_are_refused(text) -> None:
    """The error says both ways to write one."""
    with pytest.raises(ConfigError, match="write models:/NAME@champion or models:/NAME/VERSION"):
        parse_reference(text)


def test_wrong_addresses_and_names_are_refused(registry) -> None:
    """A folder is no registry, and a name with a slash cannot be found again."""
    with pytest.raises(ConfigError, match="name sqlite:///FILE or http://HOST:PORT"):
        Registry("runs/mlflow")
    with pytest.raises(ConfigError, match="cannot be the name of a model"):
        registry.register("leaf/disease", run_id="r", model_uri="runs:/r/package", model_id="m")


def test_absent_server_is_an_error_without_the_password() -> None:
    """The address is named, the password is not."""
    with pytest.raises(TrackingError, match=r"127\.0\.0\.1:9") as caught:
        Registry("http://anna:geheim@127.0.0.1:9").names()
    assert "geheim" not in str(caught.value)


@pytest.mark.slow
def test_everything_works_behind_a_real_server(tmp_path, elsewhere) -> None:
    """Register, aliases, history, texts and packages, through HTTP alone."""
    with served(tmp_path / "server") as address:
        registry = Registry(address)
        run_id, model_uri, tags = tell_run(tmp_path / "run", address, pyfunc=True)
        for _ in range(2):
            version = registry.register("leaves", run_id=run_id, model_uri=model_uri, model_id="m", tags=tags)
            assert version == 1
        registry.crown("leaves", 1, "first", instead_of=None)
        place = registry.download("models:/leaves@champion", tmp_path / "package")
        assert hash_file(place / "package.json") == tags[PACKAGE_TAG]
        plain = registry.register("plain", run_id=run_id, model_uri=f"runs:/{run_id}/package", model_id="m", tags=tags)
        registry.download(f"models:/plain/{plain}", tmp_path / "plain")
        registry.keep_text(run_id, "why", "promotion/one.json")
        assert registry.fetch(run_id, "promotion/one.json", tmp_path / "got").read_text(encoding="utf-8") == "why"
        assert registry.names() == ["leaves", "plain"]
        assert [reign.version for reign in registry.history("leaves")] == [1]
        assert not (elsewhere / "mlflow.db").exists()
