"""A model package as a model of MLflow, which `mlflow models serve` and `mlflow.pyfunc.load_model` load."""

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from phytoscope import __version__
from phytoscope.errors import ArtifactError, PackageError
from phytoscope.schema.artifact import hash_file, read_json
from phytoscope.schema.package import ModelDescription
from phytoscope.track.mlflow_package import PACKAGE_DESCRIPTION
from phytoscope.track.mlflow_words import MODEL_ID, OWN, PACKAGE_HASH
from phytoscope.track.pyfunc_columns import IMAGE, list_answer_columns, list_known_columns, name_known

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.models import ModelSignature

_CODE = Path(__file__).with_name("pyfunc_model.py")
_GOLDEN = "golden.json"


def keep_model(client: "MlflowClient", experiment: str, remote: str, package: Path) -> str:
    """Keeps a package as an MLflow model; one of the same content that is there already is not kept again.

    The same weights with other limits of belief are another model: what was registered before is never changed.

    Args:
        client: The open client.
        experiment: Id of the experiment.
        remote: Id of the run that made the package.
        package: The package, complete.

    Returns:
        Its URI, `models:/m-...`.

    Raises:
        PackageError: The package cannot be read.
        MlflowException: MLflow does not take it.
    """
    description = _read_description(package)
    digest = hash_file(package / PACKAGE_DESCRIPTION)
    wanted = f"tags.`{PACKAGE_HASH}` = '{digest}' AND source_run_id = '{remote}'"
    found = client.search_logged_models([experiment], wanted, order_by=[{"field_name": "creation_timestamp"}])
    if found:
        model = found[0]
    else:
        tags = {PACKAGE_HASH: digest, MODEL_ID: description.model_id, f"{OWN}task": description.task.value}
        # Points, colons and slashes have a meaning in the addresses of models.
        name = re.sub(r"[^\w\- ]", "_", description.name)[:200] or "model"
        model = client.create_logged_model(experiment, name, remote, tags, model_type=description.task.value)
    if str(model.status) != "READY":
        with tempfile.TemporaryDirectory(prefix="phytoscope-") as place:
            save_model(package, Path(place) / "model", model)
            client.log_model_artifacts(model.model_id, str(Path(place) / "model"))
        _tell_results(client, remote, model.model_id)
        client.finalize_logged_model(model.model_id, "READY")
    _link_output(client, remote, model.model_id)
    return f"models:/{model.model_id}"


def save_model(package: Path, folder: Path, model: "LoggedModel | None" = None) -> None:
    """Writes the folder of an MLflow model around a package.

    Args:
        package: The package.
        folder: Where the model shall stand; it must not exist.
        model: What MLflow calls it; None for a model that MLflow does not know.

    Raises:
        PackageError: The package cannot be read.
    """
    import mlflow.pyfunc
    from mlflow.models import Model

    description = _read_description(package)
    known: dict[str, Any] = {}
    if model is not None:
        known = {"artifact_path": model.artifact_location, "run_id": model.source_run_id, "model_id": model.model_id}
        known["model_uuid"] = model.model_id
    about = Model(**known)
    mlflow.pyfunc.save_model(
        path=str(folder),
        python_model=str(_CODE),
        artifacts={"package": str(package)},
        mlflow_model=about,
        signature=build_signature(description),
        input_example=_build_example(package, description),
        # What answers is the package; whoever serves it installs phytoscope as it was installed here.
        pip_requirements=[f"mlflow=={mlflow.__version__}", f"phytoscope=={__version__}"],
        metadata={"model_id": description.model_id, "task": description.task.value},
    )
    # MLflow notes where both came from on this machine, and never reads it.
    flavor = about.flavors["python_function"]
    flavor["model_code_path"] = _CODE.name
    for artifact in flavor["artifacts"].values():
        artifact["uri"] = artifact["path"]
    about.save(str(folder / "MLmodel"))


def build_signature(description: ModelDescription) -> "ModelSignature":
    """What goes in and what comes out, in MLflow's words.

    Args:
        description: What the package says about itself.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    known = (ColSpec(kind, name, required=False) for name, kind in list_known_columns(description).items())
    answers = (ColSpec(kind, name, required=False) for name, kind in list_answer_columns(description).items())
    return ModelSignature(inputs=Schema([ColSpec("binary", IMAGE), *known]), outputs=Schema([*answers]))


def _build_example(package: Path, description: ModelDescription) -> pd.DataFrame | None:
    try:
        first = read_json(package / _GOLDEN)[0]
        content = (package / first["image"]).read_bytes()
    except (ArtifactError, OSError, KeyError, IndexError, TypeError) as error:
        message = f"{_GOLDEN} of the package {str(package)!r} cannot be used ({error}): copy the package again."
        raise PackageError(message) from error
    kept = first.get("covariates", {})
    names = list_known_columns(description)
    known = {name_known(name): [value] for name, value in kept.items() if value is not None}
    return pd.DataFrame({IMAGE: [content], **{name: cell for name, cell in known.items() if name in names}})


def _read_description(package: Path) -> ModelDescription:
    try:
        return ModelDescription.from_dict(read_json(package / PACKAGE_DESCRIPTION)["model"])
    except (ArtifactError, KeyError, TypeError) as error:
        message = f"the package {str(package)!r} is damaged: {PACKAGE_DESCRIPTION} is not complete; copy it again."
        raise PackageError(message) from error


def _tell_results(client: "MlflowClient", remote: str, model_id: str) -> None:
    """Puts what was measured on test beside the model too: MLflow compares models by it."""
    from mlflow.entities import Metric

    results = []
    for name in client.get_run(remote).data.metrics:
        if name.startswith("test/"):
            last = max(client.get_metric_history(remote, name), key=lambda point: (point.step, point.timestamp))
            # The same time and place as in the run, where it is the same row.
            point = (last.key, last.value, last.timestamp, last.step)
            results.append(Metric(*point, model_id=model_id, run_id=remote))
    if results:
        client.log_batch(remote, metrics=results, synchronous=True)


def _link_output(client: "MlflowClient", remote: str, model_id: str) -> None:
    from mlflow.entities import LoggedModelOutput

    outputs = client.get_run(remote).outputs
    # Unlike inputs, an output that is told twice would be there twice.
    if outputs is None or all(output.model_id != model_id for output in outputs.model_outputs):
        client.log_outputs(remote, [LoggedModelOutput(model_id, step=0)])
