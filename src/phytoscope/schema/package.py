"""What a model package says about itself, in `package.json`."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Final

from phytoscope.errors import PackageError
from phytoscope.schema.table import Task

MOST_VIEWS: Final = 8
"""Ways in which a square can be turned and mirrored."""


MOST_MEMBERS: Final = 100
"""Networks whose answers are averaged."""
_KINDS: Final[dict[str, tuple[Any, str]]] = {
    **dict.fromkeys(("name", "model_id", "backbone", "target_name", "unit", "weights_origin"), (str, "text")),
    **dict.fromkeys(("data_hash", "split_hash", "licence", "created_at", "version"), (str, "text")),
    "class_names": (str, "list of texts"),
    **dict.fromkeys(("more_targets", "members"), (dict, "list of tables")),
    **dict.fromkeys(("preprocess", "metrics"), (dict, "table")),
    **dict.fromkeys(("target_scale", "covariates", "sums"), (dict | None, "table")),
    "views": (int, "whole number"),
}


@dataclass(frozen=True)
class ModelDescription:
    """Everything inference needs besides the weights, and everything a person should know.

    Attributes:
        name: Name of the run that made it.
        model_id: Hash of the trained weights, 16 hexadecimal digits.
        task: Classification or regression.
        backbone: timm name of the backbone.
        class_names: In the order of the outputs (classification).
        target_name: The user's own column name (regression).
        unit: Unit of the answer (regression).
        preprocess: Parameters of the preparation.
        target_scale: Learned scale of the answer (regression).
        weights_origin: Where the pre-trained weights came from.
        data_hash: Content hash of the manifest.
        split_hash: Content hash of the split.
        licence: Licence, as the user stated it.
        created_at: Time, ISO 8601, UTC.
        version: Version of phytoscope that made it.
        metrics: `test/<metric>` -> value in the user's unit; `test/<target>/<metric>` for further targets.
        more_targets: Name, unit and learned scale of each further number, in the order of the outputs (regression).
        covariates: Encoder of the columns that are seen beside the image; None when there are none.
        sums: Sums that the answers keep, as places among the targets (regression); None when there are none.
        views: Turned and mirrored versions of each image whose answers are averaged.
        members: Fields of its own for each network of an ensemble, in the order of their outputs (`task`,
            `class_names`, `target_scale`, `covariates` ...); empty for a single network.
    """

    name: str
    model_id: str
    task: Task
    backbone: str
    class_names: list[str]
    target_name: str
    unit: str
    preprocess: dict[str, Any]
    target_scale: dict[str, Any] | None
    weights_origin: str
    data_hash: str
    split_hash: str
    licence: str = "not stated"
    created_at: str = ""
    version: str = ""
    metrics: dict[str, float | None] = field(default_factory=dict)
    more_targets: list[dict[str, Any]] = field(default_factory=list)
    covariates: dict[str, Any] | None = None
    sums: dict[str, Any] | None = None
    views: int = 1
    members: list[dict[str, Any]] = field(default_factory=list)

    @property
    def outputs(self) -> int:
        """Number of outputs of the network."""
        return len(self.class_names) if self.task is Task.classification else 1 + len(self.more_targets)

    @property
    def units(self) -> dict[str, str]:
        """Name of each target, the main one first -> its unit; empty for classification."""
        if self.task is Task.classification:
            return {}
        return {self.target_name: self.unit, **{target["name"]: target["unit"] for target in self.more_targets}}

    def to_dict(self) -> dict[str, Any]:
        """The description as plain values, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "ModelDescription":
        """Rebuilds a description from `to_dict`'s result.

        Raises:
            PackageError: A field is missing, unknown or of another kind.
        """
        try:
            description = cls(**{**content, "task": Task(content["task"])})
        except (TypeError, KeyError, ValueError) as error:
            message = f"the model description is not complete ({error}): was it made by another version of phytoscope?"
            raise PackageError(message) from error
        faults = _find_faults(description)
        if faults:
            message = f"the model description cannot be used: {'; '.join(faults)}. Copy the package again."
            raise PackageError(message)
        return description


def _find_faults(description: ModelDescription) -> list[str]:
    """What in a description is not what it should be, in words."""
    faults = []
    for name, (kind, what) in _KINDS.items():
        # Anything may stand in the file, whatever the fields promise.
        value: Any = getattr(description, name)
        fits = _is_list(value, kind) if what.startswith("list") else isinstance(value, kind)
        faults += [] if fits else [f"{name} is no {what}"]
    if faults:
        return faults
    if not all(isinstance(value, int | float | None) for value in description.metrics.values()):
        return ["metrics hold something else than numbers"]
    # A truth value is a whole number to Python.
    if description.views is True or not 1 <= description.views <= MOST_VIEWS:
        return [f"views is {description.views}, allowed are 1 to {MOST_VIEWS}"]
    if len(description.members) > MOST_MEMBERS:
        return [f"there are {len(description.members)} members, allowed are {MOST_MEMBERS}"]
    return _find_doubtful_names(description)


def _find_doubtful_names(description: ModelDescription) -> list[str]:
    if description.task is Task.classification:
        names = description.class_names
        if not names:
            return ["there are no class_names"]
    else:
        names = [description.target_name, *(str(target.get("name")) for target in description.more_targets)]
    return [] if len(set(names)) == len(names) else ["two outputs have the same name"]


def _is_list(value: Any, kind: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, kind) for entry in value)
