"""One open run of Weights & Biases, and what each event becomes there."""

import re
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from phytoscope.errors import ArtifactError, require
from phytoscope.schema.artifact import read_json
from phytoscope.schema.choices import WandbMode
from phytoscope.schema.events import EVENTS_NAME, EndStatus, Event, EventKind, read_events
from phytoscope.track.sink import TrackedRun
from phytoscope.track.target import TrackTarget
from phytoscope.track.wandb_file import TOLD, Progress, find_files, read_progress

EPOCH, SAMPLE = "epoch", "system/sample"
"""Columns of the history that charts have on their other axis."""
START_SECONDS = 30.0
"""How long a server may take to answer when a run is opened."""
FINISH_SECONDS = 300.0
"""How long the last data of a run may take on their way to a server."""
DISK_SECONDS = 60.0
"""How long the local service may take to write what it was told."""
_FLUSH_SECONDS = 0.1
_PICTURES = {".png", ".jpg", ".jpeg"}
_PAGES = {".html"}
_EXIT_CODES = {EndStatus.finished: 0, EndStatus.failed: 1, EndStatus.interrupted: 255}
_OWN_MARK = "phytoscope.step."
_NAME_LENGTH = 100


class WandbSession:
    """A run that is open in Weights & Biases, from one process.

    The number of an event in the log is the number of its row in the history (`_step`), and numbers only grow. What is
    there already can therefore be read back, from the server or from the local files, and nothing is told twice; what
    should be there and is not is told again.
    """

    def __init__(self, target: TrackTarget, run: TrackedRun, root: Path) -> None:
        """Opens the run, or goes on with it.

        Args:
            target: Project and mode.
            run: The run.
            root: Folder that holds the folder `wandb` of the local files.

        Raises:
            ArtifactError: A local file cannot be read.
            MissingDependencyError: The package wandb is not installed.
            wandb.Error: The server does not answer, or does not let us in.
        """
        self._run = run
        self._is_online = target.wandb_mode is WandbMode.online
        before = Progress() if self._is_online else read_progress(find_files(root / "wandb", run.key))
        self._open = require("wandb").init(
            project=target.experiment,
            id=run.key,
            resume="allow",
            name=run.name,
            group=run.parent or run.key,
            job_type=run.kind.value,
            reinit="create_new",
            settings=_build_settings(target.wandb_mode, root),
        )
        # The server says with which number a run goes on that it knows already.
        self._last_row = self._open.step - 1 if self._is_online else before.step
        # Files travel beside the rows, so of a server only the rows are known to have arrived.
        self._told = before.told
        self._named: set[str] = set()
        self._name(EPOCH, hidden=True)

    @property
    def folder(self) -> Path:
        """Folder of the local files of this session."""
        return Path(self._open.dir).parent

    @property
    def facts(self) -> dict[str, str]:
        """Where the run can be seen: `url` on a server, else `folder`, which `wandb sync FOLDER` sends."""
        return {"url": str(self._open.url)} if self._is_online else {"folder": str(self.folder)}

    def find_missing(self, before: int) -> list[Event]:
        """Earlier events of the run that may have been lost on their way when a process was killed.

        Args:
            before: Only events with a smaller number.

        Raises:
            ArtifactError: The log is damaged.
        """
        path = self._run.root / EVENTS_NAME
        if before <= self._told + 1 or not path.exists():
            return []
        return [
            event for event in read_events(path, after=self._told) if event.run == self._run.key and event.seq < before
        ]

    def tell(self, events: Iterable[Event]) -> None:
        """Tells events in their order and waits until the local service has them, and offline the disk.

        Args:
            events: Events of this run.

        Raises:
            ArtifactError: A file that an event names is damaged.
            TimeoutError: The local service does not answer or does not write.
            wandb.Error: It does not run any more.
        """
        for event in events:
            self._tell_one(event)
            self._told = max(self._told, event.seq)
        if not self._is_online:
            self._open.summary.update({TOLD: self._told})
        # A question is answered only after all that was said before it was received.
        _ = self._open.step
        if not self._is_online:
            self._wait_for_disk()

    def _wait_for_disk(self) -> None:
        """Waits until the file has everything: the service throws away what it has not written when we are killed."""
        file = self.folder / f"run-{self._run.key}.wandb"
        until = time.monotonic() + DISK_SECONDS
        size = -1
        while time.monotonic() < until:
            if (now := file.stat().st_size) != size:
                size = now
                if read_progress([file]).told >= self._told:
                    return
            time.sleep(_FLUSH_SECONDS / 2)
        message = f"{str(file)!r} is not written"
        raise TimeoutError(message)

    def finish(self, status: EndStatus, reason: str = "") -> None:
        """Ends the run, and waits until all has arrived.

        Args:
            status: How the work ended.
            reason: Why.

        Raises:
            TimeoutError: The server does not take the last data.
            wandb.Error: The local service does not run any more.
        """
        self._open.summary.update({"status": status.value, **({"reason": reason} if reason else {})})
        self._open.finish(exit_code=_EXIT_CODES[status])

    def _tell_one(self, event: Event) -> None:
        content = event.content
        match event.kind:
            case EventKind.params:
                self._open.config.update(nest(content["params"]), allow_val_change=True)
            case EventKind.dataset:
                self._open.config.update({"dataset": content}, allow_val_change=True)
            case EventKind.tags:
                words = {name: value for name, value in content["tags"].items() if not name.startswith(_OWN_MARK)}
                self._open.config.update({"tags": words} if words else {}, allow_val_change=True)
            case EventKind.metrics:
                self._add_row(event, content["metrics"], EPOCH)
            case EventKind.system:
                self._add_row(event, content["metrics"], SAMPLE)
            case EventKind.artifact:
                self._add_files(event, self._run.root / content["path"], str(content["folder"]))
            case EventKind.package:
                self._add_package(self._run.root / content["path"])

    def _add_row(self, event: Event, values: dict[str, Any], axis: str) -> None:
        if event.seq <= self._last_row:
            return
        for name in values:
            self._name(name, axis=axis)
        row = {**values, axis: int(event.content["step"]), "_timestamp": event.time}
        self._open.log(row, step=event.seq, commit=True)

    def _name(self, name: str, *, axis: str | None = None, hidden: bool | None = None) -> None:
        if name not in self._named:
            self._named.add(name)
            self._open.define_metric(name, step_metric=axis, step_sync=False if axis else None, hidden=hidden)

    def _add_files(self, event: Event, source: Path, folder: str) -> None:
        if not source.exists():
            # It was replaced since; the event that says so comes later.
            return
        files = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]
        base = source if source.is_dir() else source.parent
        for path in files:
            copy = Path(self._open.dir) / folder / path.relative_to(base)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            self._open.save(str(copy), base_path=self._open.dir, policy="now", glob=False)
        if event.seq > self._last_row:
            self._add_media(event, files, base, folder)

    def _add_media(self, event: Event, files: list[Path], base: Path, folder: str) -> None:
        wandb = require("wandb")
        media: dict[str, Any] = {}
        for path in files:
            name = (Path(folder) / path.relative_to(base)).with_suffix("").as_posix()
            if path.suffix.lower() in _PICTURES:
                media[name] = wandb.Image(str(path))
            elif path.suffix.lower() in _PAGES:
                media[name] = wandb.Html(str(path), inject=False)
        if media:
            self._open.log({**media, "_timestamp": event.time}, step=event.seq, commit=True)

    def _add_package(self, source: Path) -> None:
        if not source.exists():
            return
        about = read_json(source / "package.json")
        if not isinstance(about, dict) or "model_id" not in about:
            message = f"{str(source)!r} is no model package: run the step `package` again."
            raise ArtifactError(message)
        # The copy stays as it is, also when a later run of the step replaces the package before it is sent.
        copy = self.folder / "package" / str(about["model_id"])
        shutil.copytree(source, copy, dirs_exist_ok=True)
        facts = {
            name: about.get(name) for name in ("model_id", "task", "data_hash", "split_hash", "version", "licence")
        }
        # Packages of runs of one name are versions of one model.
        name = re.sub(r"[^\w.-]+", "-", self._run.name, flags=re.ASCII).strip("-") or self._run.key
        artifact = require("wandb").Artifact(name[:_NAME_LENGTH], type="model", metadata=facts)
        for path in sorted(path for path in copy.rglob("*") if path.is_file()):
            artifact.add_file(str(path), name=path.relative_to(copy).as_posix(), policy="immutable", skip_cache=True)
        self._open.log_artifact(artifact, aliases=["latest", str(about["model_id"])])


def nest(values: dict[str, Any]) -> dict[str, Any]:
    """Settings under dotted names as groups of groups, which is how Weights & Biases shows them.

    Args:
        values: Dotted name -> value.

    Returns:
        The groups. A name that is both a value and a group keeps its dots.
    """
    nested: dict[str, Any] = {}
    for name, value in values.items():
        place: Any = nested
        *groups, last = name.split(".")
        for group in groups:
            place = place.setdefault(group, {}) if isinstance(place, dict) else None
        if isinstance(place, dict) and not isinstance(place.get(last), dict):
            place[last] = value
        else:
            nested[name] = value
    return nested


def _build_settings(mode: WandbMode, root: Path) -> Any:
    """Settings under which only what we tell is kept: no sight of the machine, the code or the console."""
    return require("wandb").Settings(
        mode=mode.value,
        root_dir=str(root),
        silent=True,
        console="off",
        disable_git=True,
        disable_code=True,
        disable_job_creation=True,
        symlink=False,
        program="phytoscope",
        host="",
        x_disable_meta=True,
        x_disable_stats=True,
        x_save_requirements=False,
        init_timeout=START_SECONDS,
        x_transaction_log_flush_interval=_FLUSH_SECONDS,
        finish_timeout=FINISH_SECONDS,
        finish_timeout_raises=True,
    )
