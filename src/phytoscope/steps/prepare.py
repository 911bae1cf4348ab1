"""Rows 1 to 3 of the data flow: from the user's data to manifest, rejected rows and split."""

import dataclasses
from pathlib import Path

from phytoscope import __version__
from phytoscope.data.read import read_source
from phytoscope.data.source import Source
from phytoscope.data.split import hash_manifest, split_by_group
from phytoscope.data.validate import check_learnable, summarise_rejected, validate_source
from phytoscope.errors import ArtifactError
from phytoscope.schema.artifact import hash_content, write_atomic
from phytoscope.schema.table import GROUP_ID, PATH, SPLIT, Split
from phytoscope.steps.context import Begin, RunContext, plain_settings, read_settings, take_step

_WHICH_DATA = ("kind", "root", "table", "images", "target", "label")
"""Settings that say which data a run is about."""


def run_prepare(context: RunContext) -> None:
    """Reads and validates the user's data, and draws the split.

    Raises:
        PhytoscopeError: The data cannot be read or not be learned from; `rejected.csv` says why.
    """
    config = context.config
    _check_same_data(context)
    source = read_source(config.data)
    data = plain_settings(config)["data"]
    for key in ("resize", "augment", "workers", "unit"):
        del data[key]
    inputs = hash_content({"data": data, "seed": config.seed, "files": _fingerprint(source), "version": __version__})
    take_step(context, "prepare", inputs, lambda begin: _write(context, source, begin))


def _check_same_data(context: RunContext) -> None:
    # A run on other data would replace report and package of this one, perhaps only because of a wrong folder name.
    saved = read_settings(context.run.config) if context.run.record("prepare").exists() else None
    if not isinstance(saved, dict) or not isinstance(saved.get("data"), dict):
        return
    now = plain_settings(context.config)["data"]
    other = [key for key in _WHICH_DATA if saved["data"].get(key) != now[key]]
    if other:
        described = ", ".join(f"data.{key} {saved['data'].get(key)!r} instead of {now[key]!r}" for key in other)
        message = f"{str(context.run.root)!r} holds a run on other data ({described}): choose another paths.run_dir."
        raise ArtifactError(message)


def _fingerprint(source: Source) -> str:
    def stamp(path: str) -> list[int]:
        try:
            status = Path(path).stat()
        except (OSError, ValueError):
            return []
        return [status.st_size, status.st_mtime_ns]

    stamps = [stamp(path) for path in source.rows[PATH]]
    rows = source.rows.astype(str).to_numpy().tolist()
    return hash_content(
        [stamps, rows, list(map(str, source.rows.columns)), [dataclasses.asdict(fault) for fault in source.faults]]
    )


def _write(context: RunContext, source: Source, begin: Begin) -> list[Path]:
    begin()
    config, run = context.config, context.run
    validated = validate_source(source, config.data, context.progress)
    # The reasons are written first: they are what the user needs when nothing is left.
    with write_atomic(run.rejected) as temporary:
        validated.rejected.to_csv(temporary, index=False)
    if len(validated.rejected):
        context.say(f"rejected: {summarise_rejected(validated.rejected)} (listed in {run.rejected})")
    check_learnable(validated, source)
    manifest = validated.manifest
    split = split_by_group(manifest, source.task, config.data.split, config.seed)
    for path, table in ((run.manifest, manifest), (run.split, split)):
        with write_atomic(path) as temporary:
            table.to_parquet(temporary, index=False)
    groups = split.groupby(SPLIT)[GROUP_ID].nunique()
    shares = ", ".join(
        f"{name} {int((split[SPLIT] == name).sum())} ({groups[name]} groups)" for name in Split if name in groups
    )
    context.say(f"data {hash_manifest(manifest)[:12]}: {len(manifest)} images, split by group: {shares}")
    return [run.rejected, run.manifest, run.split]
