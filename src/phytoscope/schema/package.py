"""What a model package says about itself, in `package.json`."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from phytoscope.errors import PackageError
from phytoscope.schema.table import Task

PACKAGE_FORMAT = 1


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
            PackageError: A field is missing or unknown.
        """
        try:
            return cls(**{**content, "task": Task(content["task"])})
        except (TypeError, KeyError, ValueError) as error:
            message = f"the model description is not complete ({error}): was it made by another version of phytoscope?"
            raise PackageError(message) from error
