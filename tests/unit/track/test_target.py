import dataclasses

import pytest

from phytoscope.errors import ArtifactError, ConfigError
from phytoscope.schema.choices import TrackSink, WandbMode
from phytoscope.schema.config import PathsConfig, RunConfig
from phytoscope.schema.operate import TrackConfig
from phytoscope.track.mlflow_client import hide_secret
from phytoscope.track.target import TrackTarget, find_uri, load_targets, resolve_targets, save_targets

TARGET = TrackTarget(TrackSink.mlflow, "http://127.0.0.1:9", "leaves")


def make_config(tmp_path, **track) -> RunConfig:
    return RunConfig(name="x", track=TrackConfig(**track), paths=PathsConfig(runs_dir=str(tmp_path / "runs")))


def test_nobody_is_told_unless_named(tmp_path) -> None:
    """No tracker without a word, each named one once."""
    assert resolve_targets(make_config(tmp_path)) == []
    both = [TrackSink.mlflow, TrackSink.wandb, TrackSink.mlflow]
    found = resolve_targets(make_config(tmp_path, sinks=both, experiment="e", pyfunc=False))
    assert [target.sink for target in found] == [TrackSink.mlflow, TrackSink.wandb]
    assert found[1].place == str(tmp_path / "runs" / "wandb")
    assert all((target.experiment, target.pyfunc) == ("e", False) for target in found)


def test_address_of_mlflow(tmp_path, monkeypatch) -> None:
    """The settings win over the environment, and that over the file beside the runs."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert find_uri(make_config(tmp_path)) == f"sqlite:///{tmp_path}/runs/mlflow/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:7")
    assert find_uri(make_config(tmp_path)) == "http://127.0.0.1:7"
    assert find_uri(make_config(tmp_path, uri="http://127.0.0.1:8")) == "http://127.0.0.1:8"


@pytest.mark.parametrize("from_environment", [False, True])
def test_file_is_found_from_any_folder(tmp_path, monkeypatch, from_environment) -> None:
    """A relative file is kept with its whole path, because the run may be told later from another folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///here/mlflow.db")
    config = make_config(tmp_path, uri=None if from_environment else "sqlite:///here/mlflow.db")
    assert find_uri(config) == f"sqlite:///{tmp_path}/here/mlflow.db"
    assert find_uri(make_config(tmp_path, uri="sqlite:////there/mlflow.db")) == "sqlite:////there/mlflow.db"


def test_password_is_refused(tmp_path) -> None:
    """An address with a password would be written beside every run."""
    with pytest.raises(ConfigError, match="MLFLOW_TRACKING_PASSWORD") as caught:
        find_uri(make_config(tmp_path, uri="http://me:secret@127.0.0.1:5000"))
    assert "secret" not in str(caught.value)


def test_targets_are_kept_beside_the_run(tmp_path) -> None:
    """What was named once is known later, each once, the last word about it counting."""
    assert load_targets(tmp_path) == []
    other = TrackTarget(TrackSink.wandb, "runs/wandb", "leaves", WandbMode.online)
    save_targets(tmp_path, [TARGET])
    save_targets(tmp_path, [other, dataclasses.replace(TARGET, pyfunc=False)])
    assert load_targets(tmp_path) == [dataclasses.replace(TARGET, pyfunc=False), other]


def test_targets_are_told_apart() -> None:
    """Place, experiment and mode of W&B make a tracker another one; whether models are kept does not."""
    others = [
        dataclasses.replace(TARGET, place="http://127.0.0.1:8"),
        dataclasses.replace(TARGET, experiment="roots"),
        dataclasses.replace(TARGET, sink=TrackSink.wandb),
        dataclasses.replace(TARGET, sink=TrackSink.wandb, wandb_mode=WandbMode.online),
    ]
    assert len({target.id for target in [TARGET, *others]}) == 5
    assert dataclasses.replace(TARGET, pyfunc=False).id == TARGET.id


@pytest.mark.parametrize("content", ["[{}]", '[{"sink": "mlflow", "wandb_mode": "sometimes"}]', "{"])
def test_damaged_list_is_an_error_for_readers_and_begun_anew_by_writers(tmp_path, content) -> None:
    """Who asks whom a run is told to is told of the damage; who names a tracker mends it."""
    (tmp_path / "targets.json").write_text(content)
    with pytest.raises(ArtifactError):
        load_targets(tmp_path)
    save_targets(tmp_path, [TARGET])
    assert load_targets(tmp_path) == [TARGET]


@pytest.mark.parametrize(
    "uri", ["postgresql+psycopg2://me:secret@db/x", "HTTP://me:secret@host", "http://me:se@cret@host"]
)
def test_passwords_are_known_in_every_scheme(tmp_path, uri) -> None:
    """A digit or a capital in the scheme, or an @ in the password, hides nothing."""
    with pytest.raises(ConfigError, match="holds a password"):
        find_uri(make_config(tmp_path, uri=uri))
    assert "cret" not in hide_secret(uri)


def test_address_that_nobody_is_told_at_stops_nothing(tmp_path, monkeypatch) -> None:
    """A password in the environment is another program's business as long as MLflow is not told."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:5000")
    assert resolve_targets(make_config(tmp_path)) == []
    assert [target.sink for target in resolve_targets(make_config(tmp_path, sinks=[TrackSink.wandb]))] == ["wandb"]
    with pytest.raises(ConfigError, match="MLFLOW_TRACKING_URI"):
        resolve_targets(make_config(tmp_path, sinks=[TrackSink.mlflow]))


def test_mlflow_is_the_same_however_wandb_is_told() -> None:
    """What a run told while it was trained is not told again when it is registered."""
    online = dataclasses.replace(TARGET, wandb_mode=WandbMode.online)
    assert online.id == TARGET.id
    assert dataclasses.replace(online, sink=TrackSink.wandb).id != dataclasses.replace(TARGET, sink=TrackSink.wandb).id
