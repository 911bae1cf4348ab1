"""A quick look at the user's data: which rows and images there are, and one hash that changes when any of them does.

No image is decoded, and of images that did not change since the last look not a byte is read.
"""

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.data.facts.look import stat_file, stat_files
from phytoscope.data.read import read_source
from phytoscope.data.source import Source
from phytoscope.data.split import hash_manifest
from phytoscope.errors import ArtifactError
from phytoscope.schema.artifact import hash_content, hash_file, resolve_path, write_atomic
from phytoscope.schema.config import RunConfig
from phytoscope.schema.progress import Progress, SilentProgress
from phytoscope.schema.table import GROUP_ID, LABEL, META_PREFIX, PATH, SAMPLE_ID, SHA256, TARGET, Task
from phytoscope.steps.context import plain_settings

HASHES_NAME = "hashes.parquet"
ONLY_SPEED = (
    *("num_workers", "threads", "accelerator", "checkpoint_minutes", "profile"),
    *("devices", "num_nodes", "strategy"),
)
"""Training settings that change the speed and not the result."""
_DECIDE = ("seed", "data", "model", "adapt", "task", "trainer")
_STATE = ("size", "modified_ns", "changed_ns")
_PREVIEWED = 5
_READERS = 8
_Key = tuple[str, int, int, int]
_SECOND_NS = 1e9


@dataclass(frozen=True)
class Survey:
    """What a quick look found.

    Attributes:
        content_hash: SHA-256 of the rows and of the images' bytes, 64 hexadecimal digits; neither the place of the data
            nor the order of the rows makes a difference.
        task: What the answers allow.
        target_name: The user's own name of the target, or `class`.
        unit: Unit of the target; may be empty.
        rows: Rows of the table, or images of the folder.
        images: Different image files that are there.
        missing: Rows whose image is not there.
        labelled: Rows with an answer.
        groups: Different groups (leaf, plant) that are named; 0 where none are.
        faults: Cells and files that cannot be used, as far as the table tells.
        classes: Class -> rows, the most frequent first (classification).
        smallest: Smallest and, as `largest`, largest answer (regression); None where there is none.
        largest: See `smallest`.
        changed_at: When the newest of the files was last changed, seconds since 1970.
        preview: Some rows: column -> value as text.
    """

    content_hash: str
    task: Task
    target_name: str
    unit: str
    rows: int
    images: int
    missing: int
    labelled: int
    groups: int
    faults: int
    classes: dict[str, int] = field(default_factory=dict)
    smallest: float | None = None
    largest: float | None = None
    changed_at: float = 0.0
    preview: list[dict[str, str]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The survey as plain values, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Survey":
        """Rebuilds a survey from `to_dict`'s result.

        Raises:
            ArtifactError: It is not complete.
        """
        try:
            return cls(**{**content, "task": Task(content["task"])})
        except (KeyError, TypeError, ValueError) as error:
            message = f"the survey of the data is not complete ({error}): look at the data again."
            raise ArtifactError(message) from error


def survey_source(config: RunConfig, progress: Progress | None = None) -> Survey:
    """Looks at the rows and the bytes of the images of a data set.

    Hashes of the images are kept in `<paths.runs_dir>/surveys` under size and times of the files.

    Args:
        config: `data` and `paths.runs_dir` are read.
        progress: Told about every image whose bytes are read.

    Raises:
        ConfigError: A setting or a named column is missing or wrong.
        DataNotFoundError: A folder or table does not exist or is empty.
        DataValidationError: A table cannot be read.
        StorageError: The hashes cannot be kept.
    """
    source = read_source(config.data)
    paths = list(source.rows[PATH])
    states = stat_files([str(path) for path in paths])
    digests = _hash_images(paths, states, find_survey_folder(config) / HASHES_NAME, progress or SilentProgress())
    there = states[:, 0] >= 0
    newest = max(int(states[:, 1:].max(initial=0)), _date_table(config.data.table))
    return Survey(
        content_hash=_hash_source(source, digests),
        task=source.task,
        target_name=source.target_name,
        unit=config.data.unit or source.unit,
        rows=len(paths),
        images=len({path for path, is_there in zip(paths, there, strict=True) if is_there}),
        missing=int((~there).sum()),
        groups=int(source.rows[GROUP_ID].nunique()),
        faults=len(source.faults),
        changed_at=newest / _SECOND_NS,
        preview=_preview(source),
        **_count_answers(source),
    )


def find_survey_folder(config: RunConfig) -> Path:
    """Folder of what is known of the data of a data set, beside its runs.

    Raises:
        ConfigError: A path names a home directory that does not exist.
    """
    return resolve_path(config.paths.runs_dir, "paths.runs_dir") / "surveys"


def plan_run_folder(config: RunConfig, content_hash: str) -> Path:
    """The folder of the run with these data and settings: the same for the same, another one for others.

    Settings that change how the model is judged, packed, told or watched make no difference: these steps are repeated
    in the folder.

    Args:
        config: Settings.
        content_hash: Hash of the data, of `survey_source`.

    Raises:
        ConfigError: A path names a home directory that does not exist.
    """
    settings = plain_settings(config)
    decide = {name: settings[name] for name in _DECIDE}
    decide["data"] = {key: value for key, value in settings["data"].items() if key != "workers"}
    # Where the ledger lies says nothing about what is in it.
    decide["data"]["split"] = {key: value for key, value in decide["data"]["split"].items() if key != "ledger"}
    decide["trainer"] = {key: value for key, value in settings["trainer"].items() if key not in ONLY_SPEED}
    runs = resolve_path(config.paths.runs_dir, "paths.runs_dir")
    return runs / f"{content_hash[:12]}-{hash_content(decide)[:8]}"


def _hash_images(paths: Sequence[str], states: NDArray[np.int64], file: Path, progress: Progress) -> list[str]:
    """SHA-256 of each file, empty for one that cannot be read; those known from an earlier look are not read again."""
    keys: list[_Key] = [(path, *state) for path, state in zip(paths, map(tuple, states.tolist()), strict=True)]
    known = _read_hashes(file)
    unknown = sorted({key for key in keys if key not in known and key[1] >= 0})
    if unknown:
        progress.start("Reading new and changed images", len(unknown))
        # Hashing lets other threads run, and a network drive answers several at once.
        with ThreadPoolExecutor(_READERS) as pool:
            for key, digest in zip(unknown, pool.map(_hash_image, [key[0] for key in unknown]), strict=True):
                known[key] = digest
                progress.advance(1)
        progress.finish()
    found = {key: known.get(key, "") for key in keys}
    if unknown or len(known) > 2 * len(found):
        _write_hashes(file, found)
    return [found[key] for key in keys]


def _hash_image(path: str) -> str:
    try:
        return hash_file(Path(path))
    except OSError:
        # Preparing says what is wrong with it.
        return ""


def _read_hashes(file: Path) -> dict[_Key, str]:
    try:
        table = pd.read_parquet(file)
        return dict(zip(zip(table[PATH], *(table[name] for name in _STATE), strict=True), table[SHA256], strict=True))
    except (OSError, ValueError, KeyError):
        # Without the file everything is read once more.
        return {}


def _write_hashes(file: Path, found: dict[_Key, str]) -> None:
    # A file that could not be read is tried again the next time.
    rows = [(*key, digest) for key, digest in found.items() if digest]
    with write_atomic(file) as temporary:
        pd.DataFrame(rows, columns=[PATH, *_STATE, SHA256]).to_parquet(temporary, index=False)


def _hash_source(source: Source, digests: list[str]) -> str:
    rows = source.rows.assign(**{SHA256: digests})
    for column in (LABEL, TARGET):
        if column not in rows:
            rows[column] = None
    faults = sorted([fault.path, fault.column, fault.value, fault.reason] for fault in source.faults)
    about = [source.task.value, source.target_name, source.unit]
    # Rows are sorted by content, so that two of the same name have one order.
    order = pd.util.hash_pandas_object(rows[[SAMPLE_ID, SHA256]].astype(str), index=False).to_numpy().argsort()
    return hash_content([hash_manifest(rows.iloc[order]), faults, about])


def _count_answers(source: Source) -> dict[str, Any]:
    rows = source.rows
    if source.task is Task.classification:
        counts = rows[LABEL].dropna().value_counts()
        classes = {
            str(name): int(count) for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        }
        return {"labelled": sum(classes.values()), "classes": classes}
    values = rows[TARGET].to_numpy(dtype=np.float64)
    values = values[np.isfinite(values)]
    ends = (float(values.min()), float(values.max())) if len(values) else (None, None)
    return {"labelled": len(values), "smallest": ends[0], "largest": ends[1]}


def _preview(source: Source) -> list[dict[str, str]]:
    names = [
        SAMPLE_ID,
        LABEL,
        TARGET,
        GROUP_ID,
        *(str(name) for name in source.rows if str(name).startswith(META_PREFIX)),
    ]
    shown = source.rows[[name for name in names if name in source.rows]].head(_PREVIEWED)
    titles = {LABEL: source.target_name, TARGET: source.target_name}
    texts = shown.rename(columns=lambda name: titles.get(name, str(name).removeprefix(META_PREFIX)))
    return [
        {str(name): "" if pd.isna(value) else str(value) for name, value in row.items()}
        for row in texts.to_dict("records")
    ]


def _date_table(table: str | None) -> int:
    return 0 if table is None else max(stat_file(str(Path(table).expanduser()))[1:])
