"""The inspection: looks at the user's data as preparing does, makes every check, and writes page, report and lists."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import yaml

from phytoscope.audit.inspect import Inspected, inspect_data
from phytoscope.data.source import find_file
from phytoscope.data.split.official_split import GivenSplit, read_given_column, read_split
from phytoscope.data.validate import Validated
from phytoscope.errors import ArtifactError, ConfigError
from phytoscope.schema.address import as_url
from phytoscope.schema.artifact import resolve_path, write_atomic, write_json
from phytoscope.schema.audit import AuditReport
from phytoscope.schema.config import RunConfig
from phytoscope.schema.inspection_folder import InspectionFolder
from phytoscope.schema.progress import Progress
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import SAMPLE_ID, SPLIT
from phytoscope.steps.context import RunContext, describe_other_data, plain_settings
from phytoscope.steps.look import LookedAt, check_outside_data, find_cache_folder, look_at_data
from phytoscope.steps.row_engine import with_engine
from phytoscope.storage.bringing import bring_here
from phytoscope.visualize.audit_page import build_audit_page

_USUAL_NAMES = ("labels", "metadata", "annotations", "table", "data", "index")


def run_inspect(
    config: RunConfig,
    *,
    output: Path | None,
    split_file: Path | None,
    progress: Progress,
    say: Callable[[str], None],
) -> tuple[AuditReport, InspectionFolder]:
    """Inspects the data that the settings name.

    What is known of each image is kept in the cache folder, so a second inspection looks only at what is new.

    Args:
        config: Settings; `data`, `audit`, `paths`, `seed` and `name` are read.
        output: Where to write; chosen from `paths` when None.
        split_file: A split made elsewhere, to be checked; when None the one of `data.split.column` or of the run that
            was named, if any.
        progress: Told how far it is.
        say: Told sentences for the user.

    Raises:
        PhytoscopeError: The data cannot be read, or the place cannot be written, is in use or holds an inspection of
            other data.
    """
    config = _named(config)
    context = RunContext(config, RunFolder(Path()), progress, say)
    folder = choose_inspection_folder(config, output)
    check_outside_data(config, [folder.root, find_cache_folder(context)], "the inspection")
    folder.check_own()
    _check_same_data(folder, config)
    # A wrong name is told before all images are looked at.
    split_path = None if split_file is None else find_file(str(split_file), "--split")
    with folder.locked():
        started = time.monotonic()
        with with_engine(context) as working:
            looked = look_at_data(working)
        seconds = time.monotonic() - started
        split = _read_split(config, split_path, looked)
        inspected = inspect_data(looked.source, looked.validated, looked.facts, config, split=split, progress=progress)
        timed = {"images and rows": round(seconds, 3), **inspected.report.seconds}
        inspected = dataclasses.replace(inspected, report=dataclasses.replace(inspected.report, seconds=timed))
        _write(folder, inspected, looked.validated, config, progress)
    return inspected.report, folder


def choose_inspection_folder(config: RunConfig, output: Path | None) -> InspectionFolder:
    """Finds where an inspection is written: where it was said, else in the folder of the run, else beside the runs.

    Args:
        config: `paths`, `data` and `name` are read.
        output: What the user said.

    Returns:
        The folder; it need not exist yet. An earlier inspection of the same data is replaced, one of other data is not.

    Raises:
        ConfigError: A path names a home directory that does not exist, or is an address.
    """
    if output is not None:
        return InspectionFolder(resolve_path(str(output), "--output"))
    named = config.paths.run_dir if config.paths.run_dir is not None else config.paths.runs_dir
    if as_url(named) is not None:
        message = f"an inspection is written on this computer, and {named!r} is an address: add --output DIR."
        raise ConfigError(message)
    if config.paths.run_dir is not None:
        return InspectionFolder(resolve_path(config.paths.run_dir, "paths.run_dir") / "inspection")
    runs = resolve_path(config.paths.runs_dir, "paths.runs_dir")
    count = 1
    while True:
        folder = InspectionFolder(runs / (f"inspect-{config.name}" + (f"-{count}" if count > 1 else "")))
        if not folder.root.exists() or _is_of_these_data(folder, config):
            return folder
        count += 1


def _is_of_these_data(folder: InspectionFolder, config: RunConfig) -> bool:
    other = describe_other_data(folder.config, config)
    # A lock alone is no inspection.
    return other == "" if other is not None else all(entry.name.startswith(".") for entry in folder.root.iterdir())


def _check_same_data(folder: InspectionFolder, config: RunConfig) -> None:
    other = describe_other_data(folder.config, config) if folder.report.is_file() else None
    if other:
        message = f"{str(folder.root)!r} holds an inspection of other data ({other}): choose another --output."
        raise ArtifactError(message)


def _named(config: RunConfig) -> RunConfig:
    # The usual name speaks of a backbone, and no model is meant here.
    if any(word.startswith("name=") for word in config.overrides):
        return config
    data = config.data
    place = Path(data.table or data.root or data.images or data.kind.value).absolute()
    name = place.name if data.table is None else place.stem
    if name.lower() in _USUAL_NAMES:
        # Many tables are called labels.csv; their folder says more.
        name = place.parent.name
    return dataclasses.replace(config, name=name if name.strip(". ") else data.kind.value)


def _read_split(config: RunConfig, split_file: Path | None, looked: LookedAt) -> GivenSplit | None:
    # Rows that were left out count too: what is wrong with them does not keep them out of a split made elsewhere.
    rows = looked.source.rows
    if rows.empty:
        return None
    if split_file is not None:
        return read_split(split_file, rows)
    if config.data.split.column is not None:
        return read_given_column(looked.validated.manifest, rows, config.data.split.column)
    if config.paths.run_dir is not None:
        named = config.paths.run_dir
        root = resolve_path(named, "paths.run_dir") if as_url(named) is None else bring_here(named)
        of_run = RunFolder(root).split
        return _match_split(pd.read_parquet(of_run), rows) if of_run.is_file() else None
    return None


def _match_split(split: pd.DataFrame, rows: pd.DataFrame) -> GivenSplit:
    known = split[SAMPLE_ID].isin(rows[SAMPLE_ID])
    return GivenSplit(split.loc[known, [SAMPLE_ID, SPLIT]], [str(name) for name in split.loc[~known, SAMPLE_ID]])


def _write(
    folder: InspectionFolder, inspected: Inspected, validated: Validated, config: RunConfig, progress: Progress
) -> None:
    report = inspected.report
    tables = {
        folder.rejected: validated.rejected,
        folder.warnings: validated.warnings,
        folder.duplicates: _list_copies(report),
        folder.suspects: pd.DataFrame([dataclasses.asdict(row) for row in report.suspects], columns=_SUSPECT_COLUMNS),
        folder.manifest: inspected.manifest,
        folder.unlabelled: validated.unlabelled,
    }
    # The report is written first: by it the folder is known as an inspection's.
    write_json(folder.report, report.to_dict())
    for path, table in tables.items():
        with write_atomic(path) as temporary:
            if path.suffix == ".csv":
                table.to_csv(temporary, index=False)
            else:
                table.to_parquet(temporary, index=False)
    with write_atomic(folder.config) as temporary:
        text = yaml.safe_dump(plain_settings(config), sort_keys=False, allow_unicode=True)
        temporary.write_text(text, encoding="utf-8")
    progress.start("Drawing the page", None)
    page = build_audit_page(report, inspected.pictures, title=f"Inspection of {report.name}")
    with write_atomic(folder.page) as temporary:
        temporary.write_text(page, encoding="utf-8")
    progress.finish()


_SUSPECT_COLUMNS = [SAMPLE_ID, "given", "suggested", "confidence"]
_COPY_COLUMNS = ["cluster", "kind", "conflicting", SAMPLE_ID, "answer"]


def _list_copies(report: AuditReport) -> pd.DataFrame:
    rows = [
        (number, cluster.kind, cluster.conflicting, sample_id, label)
        for number, cluster in enumerate(report.duplicates, start=1)
        for sample_id, label in zip(cluster.sample_ids, cluster.labels, strict=True)
    ]
    return pd.DataFrame(rows, columns=_COPY_COLUMNS)
