"""What all steps share: settings, the folder of the run, and the record that makes a finished step reusable."""

import dataclasses
import datetime
import fnmatch
import glob
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from phytoscope.errors import ArtifactError
from phytoscope.schema.artifact import read_json, resolve_path, write_atomic
from phytoscope.schema.config import RunConfig
from phytoscope.schema.engine import RowEngine
from phytoscope.schema.events import Journal, RunKind, SilentJournal
from phytoscope.schema.progress import Progress, SilentProgress
from phytoscope.schema.report import EvaluationReport
from phytoscope.schema.run_folder import RunFolder
from phytoscope.storage.mirror import publish, working_folder
from phytoscope.storage.place import as_url
from phytoscope.storage.publishing import ObjectFolder

Begin = Callable[[], None]
_WHICH_DATA = ("kind", "root", "table", "images", "target", "label")
"""Settings that say which data a run or an inspection is about."""
_AROUND = ("track", "promote", "monitor", "engine")
"""Groups of settings that no artefact of a run depends on."""


def _ignore(message: str) -> None:
    """Says nothing."""


@dataclass(frozen=True)
class RunContext:
    """What every step receives.

    Attributes:
        config: Settings.
        run: Folder of the run.
        progress: Receiver of progress.
        say: Receiver of sentences for the user.
        journal: Receiver of what trackers are told.
        run_kind: What the run is to a tracker.
        parent_run: Key of the tracked run that it is a part of.
        engine: Where images are looked at, decoded and turned into features; this process when None.
    """

    config: RunConfig
    run: RunFolder
    progress: Progress = field(default_factory=SilentProgress)
    say: Callable[[str], None] = _ignore
    journal: Journal = field(default_factory=SilentJournal)
    run_kind: RunKind = RunKind.run
    parent_run: str | None = None
    engine: RowEngine | None = None


def choose_run_folder(config: RunConfig, *, fresh: bool = False) -> RunFolder:
    """Finds the folder of a run: the one that was named, else the latest one with the same settings, else a new one.

    Args:
        config: `paths` and `overrides` are read.
        fresh: Never continue an earlier run.

    Returns:
        The folder; it need not exist yet. That of an address is the folder on this computer in which it is worked on.

    Raises:
        ConfigError: A path names a home directory that does not exist.
        StorageError: The store does not answer, or refuses.
    """
    if config.paths.run_dir is not None:
        address = as_url(config.paths.run_dir)
        named = resolve_path(config.paths.run_dir, "paths.run_dir") if address is None else working_folder(address)
        return RunFolder(named)
    address = as_url(config.paths.runs_dir)
    if address is not None:
        return RunFolder(working_folder(_choose_address(config, address.rstrip("/"), fresh=fresh)))
    runs = resolve_path(config.paths.runs_dir, "paths.runs_dir")
    wanted = _leave_out_untrained(plain_settings(config))
    for candidate in sorted(runs.glob(f"*-{glob.escape(config.name)}*/config.yaml"), reverse=True) if not fresh else []:
        if _leave_out_untrained(read_settings(candidate)) == wanted:
            return RunFolder(candidate.parent)
    return RunFolder(runs / _name_run(config, lambda name: (runs / name).exists()))


def _name_run(config: RunConfig, is_taken: Callable[[str], bool]) -> str:
    stamp = datetime.datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    name, count = f"{stamp}-{config.name}", 1
    while is_taken(name):
        count += 1
        name = f"{stamp}-{config.name}-{count}"
    return name


def _choose_address(config: RunConfig, runs: str, *, fresh: bool) -> str:
    store = ObjectFolder(runs)
    names = store.list_folders()
    wanted = _leave_out_untrained(plain_settings(config))
    for name in reversed(names) if not fresh else []:
        if not fnmatch.fnmatchcase(name, f"*-{glob.escape(config.name)}*"):
            continue
        content = store.read(f"{name}/config.yaml")
        if content is not None and _leave_out_untrained(_parse_settings(content)) == wanted:
            return f"{runs}/{name}"
    return f"{runs}/{_name_run(config, names.__contains__)}"


def _leave_out_untrained(settings: Any) -> Any:
    """Settings without those that no artefact of a run depends on: who is told, who is promoted, what is watched."""
    if not isinstance(settings, dict):
        return settings
    words = settings.get("overrides")
    kept = {key: value for key, value in settings.items() if key not in _AROUND}
    if isinstance(words, list):
        kept["overrides"] = [word for word in words if re.split("[.=]", str(word), maxsplit=1)[0] not in _AROUND]
    return kept


def read_settings(path: Path) -> Any:
    """Reads a `config.yaml`; None when it cannot be read."""
    try:
        return _parse_settings(path.read_bytes())
    except OSError:
        return None


def _parse_settings(content: bytes) -> Any:
    try:
        return yaml.safe_load(content.decode("utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError):
        # A folder whose settings cannot be read is not the run that is looked for.
        return None


def describe_other_data(settings: Path, config: RunConfig) -> str | None:
    """Says in which settings a `config.yaml` is about other data, for an error.

    Args:
        settings: The saved settings.
        config: The settings now.

    Returns:
        For example `data.root '/a' instead of '/b'`; empty when the data are the same; None when the saved settings
        cannot be read.
    """
    saved = read_settings(settings)
    if not isinstance(saved, dict) or not isinstance(saved.get("data"), dict):
        return None
    then, now = saved["data"], plain_settings(config)["data"]
    other = [key for key in _WHICH_DATA if then.get(key) != now[key]]
    return ", ".join(f"data.{key} {then.get(key)!r} instead of {now[key]!r}" for key in other)


def take_step(context: RunContext, step: str, inputs: str, work: Callable[[Begin], list[Path]]) -> None:
    """Does a step unless it was done with the same inputs, and records that it is done.

    Args:
        context: Settings and folder; where the run lives at an address, what the step wrote is published.
        step: Name of the step.
        inputs: Hash of all it depends on.
        work: Does the step and returns what it wrote. It receives a function to call when all that can fail before
            anything is written has gone well; from then on the step and all later ones count as not done.

    Raises:
        PhytoscopeError: Whatever the step raises.
    """
    run = context.run
    if run.is_done(step, inputs):
        context.say(f"{step}: reused, nothing it depends on has changed")
        return
    started = time.monotonic()

    def begin() -> None:
        run.mark_undone(step)
        _write_config(context)

    outputs = work(begin)
    run.mark_done(step, inputs, outputs, seconds=time.monotonic() - started)
    publish(run.root)
    context.say(f"{step}: done in {time.monotonic() - started:.0f} s")


def plain_settings(config: RunConfig) -> dict[str, Any]:
    """The settings as plain dictionaries, lists, texts and numbers, as `config.yaml` holds them."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list):
            return [plain(item) for item in value]
        return value.value if hasattr(value, "value") else value

    settings = plain(dataclasses.asdict(config))
    # The folder is where the settings lie, and may be moved.
    settings["paths"].pop("run_dir")
    return dict(settings)


def _write_config(context: RunContext) -> None:
    with write_atomic(context.run.config) as temporary:
        temporary.write_text(
            yaml.safe_dump(plain_settings(context.config), sort_keys=False, allow_unicode=True), encoding="utf-8"
        )


def check_whole(run: RunFolder, step: str) -> None:
    """Makes sure that a step is finished and that what it wrote is as it was.

    Raises:
        ArtifactError: It is not finished, or a file was changed or is missing.
    """
    if not run.is_done(step, run.read_inputs(step)):
        message = (
            f"files that the step {step!r} wrote in {str(run.root)!r} were changed or are missing: run "
            f"`phytoscope {step}` again."
        )
        raise ArtifactError(message)


def read_report(run: RunFolder) -> EvaluationReport:
    """Reads the report of a run.

    Raises:
        ArtifactError: The run was not evaluated, or by another version.
    """
    return EvaluationReport.from_dict(read_json(run.report))
