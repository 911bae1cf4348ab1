"""What assets hand on: where things lie, and which settings were given by hand. Kept as JSON, never as pickles."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg

from phytoscope.errors import ArtifactError
from phytoscope.pipeline.resources import WorkspaceResource
from phytoscope.schema.artifact import read_json, write_json


@dataclass(frozen=True)
class Place:
    """What every asset hands on.

    Attributes:
        partition: Name of the data set.
        words: Settings that were given by hand in the launchpad, as words of the command line.
    """

    partition: str = field(kw_only=True)
    words: tuple[str, ...] = field(default=(), kw_only=True)


@dataclass(frozen=True)
class DataPlace(Place):
    """Where the data of a data set are described.

    Attributes:
        survey: File with what a look at the data found.
        content_hash: Hash of rows and images.
    """

    survey: str
    content_hash: str


@dataclass(frozen=True)
class RunPlace(Place):
    """Where a run lies.

    Attributes:
        folder: Folder of the run.
        content_hash: Hash of the data it is about.
    """

    folder: str
    content_hash: str


@dataclass(frozen=True)
class ModelPlace(Place):
    """Where a registered model lies.

    Attributes:
        folder: Folder of the run that it came from.
        uri: Where the registry is.
        name: Name in the registry.
        version: Version in the registry.
    """

    folder: str
    uri: str
    name: str
    version: int

    @property
    def reference(self) -> str:
        """How `phytoscope predict` names this version."""
        return f"models:/{self.name}/{self.version}"


@dataclass(frozen=True)
class DriftPlace(Place):
    """Where a look at new images lies.

    Attributes:
        monitor: Folder in which the model is watched.
        report: Report of the last look at this model's images; empty where too few images waited for a first one.
        sentence: What came of it, in words.
    """

    monitor: str
    report: str
    sentence: str


_KINDS: dict[str, Any] = {kind.__name__: kind for kind in (DataPlace, RunPlace, ModelPlace, DriftPlace)}


class PlaceStore(dg.ConfigurableIOManager):
    """Keeps what assets hand on as `assets/PARTITION/ASSET.json` in the workspace.

    Attributes:
        root: Directory of the workspace; None is found as `WorkspaceResource` finds it, which cannot be a part of this
            one, because Dagster 1.13 warns of itself then.
    """

    root: str | None = None

    def handle_output(self, context: dg.OutputContext, obj: Place | None) -> None:
        """Writes where the output of an asset lies."""
        if obj is not None:
            path = self._find(context.partition_key, context.asset_key)
            write_json(path, {"kind": type(obj).__name__, **dataclasses.asdict(obj)})

    def load_input(self, context: dg.InputContext) -> Place:
        """Reads where the output of an earlier asset lies.

        Raises:
            ArtifactError: That asset was never made, or the file is damaged.
        """
        path = self._find(context.asset_partition_key, context.asset_key)
        if not path.exists():
            message = (
                f"{context.asset_key.to_user_string()} of {context.asset_partition_key!r} was not made yet: "
                "materialise it first, or all assets together with the job training_job."
            )
            raise ArtifactError(message)
        return read_place(path)

    def _find(self, partition: str, key: dg.AssetKey) -> Path:
        return (
            WorkspaceResource(root=self.root).open().root / "assets" / partition / f"{key.to_python_identifier()}.json"
        )


def read_place(path: Path) -> Place:
    """Reads what an asset handed on.

    Raises:
        ArtifactError: The file is missing or damaged.
    """
    content = read_json(path)
    try:
        kind = _KINDS[content.pop("kind")]
        place: Place = kind(**{**content, "words": tuple(content["words"])})
    except (AttributeError, KeyError, TypeError) as error:
        message = f"{str(path)!r} is damaged ({error}): materialise the asset {path.stem!r} again."
        raise ArtifactError(message) from error
    return place
