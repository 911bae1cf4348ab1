"""Events as MLflow stores them: names, lengths and numbers within its limits."""

import json
import posixpath
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from phytoscope.schema.events import EndStatus, Event

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, Metric

# Limits of the server; what is longer would be refused.
_NAME_CHARACTERS: Final = 250
_PARAM_CHARACTERS: Final = 6000
_TAG_CHARACTERS: Final = 5000
_INPUT_TAG_CHARACTERS: Final = 500
_HALF_DIGEST: Final = 17

OWN: Final = "phytoscope."
"""Before the name of each tag of ours."""
RUN_KEY: Final = f"{OWN}run_key"
PARENT_KEY: Final = f"{OWN}parent_key"
END_REASON: Final = f"{OWN}end_reason"
MODEL_PROBLEM: Final = f"{OWN}model_problem"
MODEL_ID: Final = f"{OWN}model_id"
PACKAGE_HASH: Final = f"{OWN}package_hash"
STEP_MARK: Final = f"{OWN}step."
PARENT_RUN: Final = "mlflow.parentRunId"
CHANGED: Final = "changed/"
"""Before the name of a setting that was another one when the run began."""

STATUSES: Final = {EndStatus.finished: "FINISHED", EndStatus.failed: "FAILED", EndStatus.interrupted: "KILLED"}


def clean_name(name: str) -> str:
    """A name that MLflow takes for a metric, param or tag: letters, digits and `_-. :/`, no longer than it may be.

    Args:
        name: Any text, for example `val/f1/Corn_(maize)`.
    """
    kept = re.sub(r"[^\w\-. /:]", "_", name)[:_NAME_CHARACTERS]
    path = posixpath.normpath(kept).lstrip("/")
    return "_" if path in {"", "."} or path.startswith("..") else path


def word_param(value: Any) -> str:
    """A setting as text, cut to what MLflow takes."""
    return _cut(value if isinstance(value, str) else str(value), _PARAM_CHARACTERS)


def word_tag(value: Any) -> str:
    """A word about a run as text, cut to what MLflow takes."""
    return _cut(str(value), _TAG_CHARACTERS)


def name_tag(name: str) -> str:
    """The name of a tag: one that has no folder of its own yet stands under ours."""
    return clean_name(name if "." in name else f"{OWN}{name}")


def build_metrics(event: Event) -> list["Metric"]:
    """The numbers of an event of kind `metrics` or `system`; a repeated event gives identical ones.

    Args:
        event: The event; its time counts, not the time when it is told.
    """
    from mlflow.entities import Metric

    step, when = int(event.content["step"]), round(event.time * 1000)
    return [Metric(clean_name(name), float(value), when, step) for name, value in event.content["metrics"].items()]


def build_datasets(content: Mapping[str, Any]) -> list["DatasetInput"]:
    """One input a split, named `<data set>/<split>`, whose digest tells data and split.

    MLflow keeps one entry for each name and digest of an experiment, so both hashes are part of the digest: the same
    photographs split in another way are another input.

    Args:
        content: What an event of kind `dataset` says.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag

    data, split = str(content.get("data_hash", "")), str(content.get("split_hash", ""))
    digest = f"{data[:_HALF_DIGEST]}-{split[:_HALF_DIGEST]}"
    inputs = []
    for name, rows in dict(content.get("rows", {})).items():
        facts = {"num_rows": rows, "data_hash": data, "split_hash": split}
        facts |= {key: content[key] for key in ("task", "target") if key in content}
        tags = {"mlflow.data.context": name, f"{OWN}data_hash": data, f"{OWN}split_hash": split, f"{OWN}rows": rows}
        dataset = Dataset(
            name=f"{content.get('name', 'data')}/{name}",
            digest=digest,
            source_type="local",
            source=json.dumps({"uri": str(content.get("source", ""))}),
            profile=json.dumps(facts),
        )
        words = [InputTag(key, _cut(str(value), _INPUT_TAG_CHARACTERS)) for key, value in tags.items()]
        inputs.append(DatasetInput(dataset, words))
    return inputs


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."
