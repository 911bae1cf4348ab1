"""The registry of models: versions under a name, which of them is champion, and who was it before."""

import contextlib
import datetime
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import filelock

from phytoscope.errors import ArtifactError, ConfigError, TrackingError, require, storage_error, suggest
from phytoscope.schema.artifact import hash_file, write_folder_atomic
from phytoscope.track.mlflow_client import answering, find_local_folder, hide_secret, open_client
from phytoscope.track.model_version import (
    CHAMPION,
    CHAMPIONS_TAG,
    MODEL_ID_TAG,
    PACKAGE_TAG,
    REFERENCE,
    ModelVersion,
    Reign,
    check_name,
    parse_reference,
    read_version,
)

__all__ = ["CHAMPION", "ModelVersion", "Registry", "Reign"]
_DESCRIPTION: Final = "package.json"
_KEPT: Final = 50
"""Changes of champion that are remembered."""
_SCHEMES: Final = ("sqlite", "http", "https", "postgresql", "mysql", "mssql")
_PATIENCE_S: Final = 60
_RUN: Final = re.compile(r"runs:/(?P<id>\w+)/(?P<path>.+)")
_ABSENT: Final = ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND")


class Registry:
    """The models that are kept in an MLflow store, local or behind a server."""

    def __init__(self, uri: str) -> None:
        """Opens it.

        Args:
            uri: `sqlite:///FILE` or `http://HOST:PORT`.

        Raises:
            ConfigError: It is no such address.
            MissingDependencyError: MLflow is not installed.
            TrackingError: It does not answer.
        """
        if uri.partition(":")[0].partition("+")[0] not in _SCHEMES:
            message = (
                f"{hide_secret(uri)!r} is no place where MLflow keeps models: name sqlite:///FILE or http://HOST:PORT."
            )
            raise ConfigError(message)
        self.uri = uri
        with self._asking():
            self._client = open_client(uri)

    @property
    def place(self) -> str:
        """Its address as it may stand in a text."""
        return hide_secret(self.uri)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other processes of this machine from changing a local registry meanwhile.

        Raises:
            TrackingError: Another process holds it.
        """
        folder = find_local_folder(self.uri)
        if folder is None:
            yield
            return
        lock = filelock.FileLock(folder / ".registry.lock", timeout=_PATIENCE_S)
        try:
            lock.acquire()
        except filelock.Timeout as error:
            message = f"another process works in the registry {self.place!r}: try again when it is done."
            raise TrackingError(message) from error
        except OSError as error:
            raise storage_error(folder, error) from error
        try:
            yield
        finally:
            lock.release()

    def register(
        self, name: str, *, run_id: str, model_uri: str, model_id: str, tags: Mapping[str, str] | None = None
    ) -> int:
        """Makes a version of a model, unless there is one of the same weights and the same package.

        Args:
            name: Name of the model; it is made when there is none.
            run_id: The MLflow run.
            model_uri: `models:/m-ID` or `runs:/ID/package`.
            model_id: Hash of the weights.
            tags: What else to note; `phytoscope.package_hash` tells packages of the same weights apart.

        Returns:
            Its number.

        Raises:
            ConfigError: The name cannot be used.
            TrackingError: The registry does not answer.
        """
        check_name(name)
        noted = {**(tags or {}), MODEL_ID_TAG: model_id}
        with self.locked():
            for known in self.versions(name):
                if all(known.tags.get(key) == noted.get(key) for key in (MODEL_ID_TAG, PACKAGE_TAG)):
                    return known.version
            with self._asking():
                if self._get_model(name) is None:
                    self._client.create_registered_model(name)
                logged = model_uri.removeprefix(REFERENCE) if model_uri.startswith(f"{REFERENCE}m-") else None
                # MLflow would look for a `models:/m-ID` in its default store, and make one in the current folder.
                source = model_uri if logged is None else self._client.get_logged_model(logged).artifact_location
                made = self._client.create_model_version(name, source, run_id=run_id, tags=noted, model_id=logged)
            return int(made.version)

    def names(self) -> list[str]:
        """Names of all models, in order."""
        with self._asking():
            return sorted(str(model.name) for model in self._client.search_registered_models(max_results=1000))

    def versions(self, name: str) -> list[ModelVersion]:
        """All versions of a model, the newest first; none when there is no such model."""
        with self._asking():
            model = self._get_model(name)
            if model is None:
                return []
            mark = "'" if "'" not in name else '"'
            found = self._client.search_model_versions(f"name={mark}{name}{mark}")
        return sorted((read_version(version, model.aliases) for version in found), key=lambda one: -one.version)

    def find(self, name: str, which: str | int) -> ModelVersion | None:
        """One version of a model.

        Args:
            name: Name of the model.
            which: Alias or number.

        Returns:
            None when there is no such model or version.

        Raises:
            TrackingError: The registry does not answer.
        """
        with self._asking():
            model = self._get_model(name)
            if model is None:
                return None
            number = model.aliases.get(which) if isinstance(which, str) else which
            if number is None:
                return None
            version = self._or_none(lambda: self._client.get_model_version(name, str(number)))
        return None if version is None else read_version(version, model.aliases)

    def get(self, name: str, which: str | int) -> ModelVersion:
        """The same, and an error when there is none.

        Raises:
            ArtifactError: There is no such model or version; the text says what there is.
            TrackingError: The registry does not answer.
        """
        found = self.find(name, which)
        if found is not None:
            return found
        known = self.versions(name)
        if not known:
            names = self.names()
            hint = (
                suggest(name, names)
                if names
                else "it holds no models: register a run with `phytoscope register RUN`, or name another registry with "
                "--uri, MLFLOW_TRACKING_URI or PHYTOSCOPE_WORKSPACE (the directory of a pipeline)."
            )
            message = f"the registry {self.place!r} has no model {name!r}; {hint}"
            raise ArtifactError(message)
        aliases = [f"@{alias}" for version in known for alias in version.aliases]
        there = ", ".join([*aliases, *(str(version.version) for version in known)][:20])
        what = f"version {which}" if isinstance(which, int) else f"{which}"
        message = f"the model {name!r} in {self.place!r} has no {what}; there are: {there}."
        raise ArtifactError(message)

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Lets a name such as `challenger` point to a version."""
        with self._asking():
            self._client.set_registered_model_alias(name, alias, str(version))

    def drop_alias(self, name: str, alias: str) -> None:
        """Lets a name point to nothing; nothing happens when it did so before."""
        with self._asking():
            model = self._get_model(name)
            if model is not None and alias in model.aliases:
                self._client.delete_registered_model_alias(name, alias)

    def note(self, name: str, version: int, tags: Mapping[str, str]) -> None:
        """Adds tags to a version; those of the same name are replaced."""
        with self._asking():
            for key, value in tags.items():
                self._client.set_model_version_tag(name, str(version), key, value)

    def history(self, name: str) -> list[Reign]:
        """Who became champion, the newest first; empty when nobody did.

        Raises:
            ArtifactError: What was noted cannot be read.
            TrackingError: The registry does not answer.
        """
        with self._asking():
            model = self._get_model(name)
        text = "[]" if model is None else model.tags.get(CHAMPIONS_TAG, "[]")
        try:
            return [Reign(int(entry["version"]), str(entry["at"]), str(entry["how"])) for entry in json.loads(text)]
        except (ValueError, TypeError, KeyError) as error:
            message = f"the tag {CHAMPIONS_TAG} of the model {name!r} is damaged ({error}): remove it in MLflow."
            raise ArtifactError(message) from error

    def crown(self, name: str, version: int, how: str, *, instead_of: int | None) -> None:
        """Makes a version the champion, and remembers who was it before.

        Args:
            name: Name of the model.
            version: The new champion.
            how: `first`, `promoted` or `rollback`.
            instead_of: Who must be champion up to now; None for nobody.

        Raises:
            TrackingError: Another process changed the champion meanwhile, or the registry does not answer.
        """
        with self.locked():
            before = self.find(name, CHAMPION)
            if (None if before is None else before.version) != instead_of:
                is_now = "nobody" if before is None else f"version {before.version}"
                message = (
                    f"{is_now} is champion of {name!r} by now, because another process changed it meanwhile: run the "
                    "command again."
                )
                raise TrackingError(message)
            at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            reigns = self.history(name)
            if before is not None and (not reigns or reigns[0].version != before.version):
                # Somebody was crowned by hand, and shall be found again by a rollback.
                reigns = [Reign(before.version, "", "by hand"), *reigns]
            reigns = [Reign(version, at, how), *reigns][:_KEPT]
            text = json.dumps([vars(reign) for reign in reigns])
            with self._asking():
                self._client.set_registered_model_tag(name, CHAMPIONS_TAG, text)
            self.set_alias(name, CHAMPION, version)
            after = self.find(name, CHAMPION)
        if after is None or after.version != version:
            message = f"another process made another version champion of {name!r} at the same time: look at it again."
            raise TrackingError(message)

    def keep_text(self, run_id: str, text: str, place: str) -> None:
        """Keeps a text among the artefacts of a run.

        Args:
            run_id: The MLflow run.
            text: The text.
            place: Path of the file among the artefacts.
        """
        with self._asking():
            self._client.log_text(run_id, text, place)

    def fetch(self, run_id: str, place: str, folder: Path) -> Path | None:
        """Downloads one file or folder of a run's artefacts.

        Args:
            run_id: The MLflow run.
            place: Its path among the artefacts.
            folder: Where to put it.

        Returns:
            Where it is; None when the run has none.

        Raises:
            TrackingError: The store does not answer.
        """
        parent = place.rpartition("/")[0]
        with self._asking():
            held = self._client.list_artifacts(run_id, parent or None)
            if place not in {entry.path for entry in held}:
                return None
            folder.mkdir(parents=True, exist_ok=True)
            return Path(self._client.download_artifacts(run_id, place, str(folder)))

    def download(self, reference: str, folder: Path) -> Path:
        """Downloads the package of a model.

        Args:
            reference: `models:/NAME@ALIAS` or `models:/NAME/VERSION`.
            folder: Where the package shall stand; an older folder there is replaced.

        Returns:
            The folder.

        Raises:
            ArtifactError: There is no such model, it holds no package, or the package is another one than was
                registered.
            TrackingError: The registry does not answer.
            StorageError: The folder cannot be written.
        """
        found = self.get(*parse_reference(reference))
        with write_folder_atomic(folder) as temporary, tempfile.TemporaryDirectory(dir=temporary.parent) as received:
            with self._asking():
                self._receive(found, received)
            package = _find_package(Path(received), found)
            for part in list(package.iterdir()):
                shutil.move(part, temporary / part.name)
        return folder

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        with answering(self.uri, later="Run the command again when it does."):
            yield

    def _receive(self, version: ModelVersion, folder: str) -> None:
        # Of a `models:/NAME/VERSION` MLflow would look into its default store, whatever it is told.
        source = str(self._client.get_model_version_download_uri(version.name, str(version.version)))
        run = _RUN.fullmatch(source)
        if run is None:
            require("mlflow.artifacts").download_artifacts(
                artifact_uri=source, dst_path=folder, tracking_uri=self.uri, registry_uri=self.uri
            )
        else:
            self._client.download_artifacts(run["id"], run["path"], folder)

    def _get_model(self, name: str) -> Any:
        return self._or_none(lambda: self._client.get_registered_model(name))

    def _or_none(self, ask: Any) -> Any:
        try:
            return ask()
        except require("mlflow.exceptions").MlflowException as error:
            if error.error_code in _ABSENT:
                return None
            raise


def _find_package(received: Path, version: ModelVersion) -> Path:
    found = sorted(received.rglob(_DESCRIPTION), key=lambda path: len(path.parts))
    if not found:
        message = f"{version.reference} holds no package of phytoscope: register the run with `phytoscope register`."
        raise ArtifactError(message)
    expected = version.tags.get(PACKAGE_TAG)
    if expected is not None and hash_file(found[0]) != expected:
        message = (
            f"the files of {version.reference} are not those that were registered; its run was probably evaluated "
            "anew: register the run again with `phytoscope register`."
        )
        raise ArtifactError(message)
    return found[0].parent
