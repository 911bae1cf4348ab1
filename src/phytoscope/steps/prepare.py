"""Rows 1 to 3 of the data flow: from the user's data to manifest, rejected rows and split."""

import dataclasses
from pathlib import Path

from phytoscope import __version__
from phytoscope.data.read import read_source
from phytoscope.data.source import Source
from phytoscope.data.split import hash_manifest, split_by_group
from phytoscope.data.validate import check_learnable, summarise_rejected, validate_source
from phytoscope.schema.artifact import hash_content, write_atomic
from phytoscope.schema.table import GROUP_ID, PATH, SPLIT, Split
from phytoscope.steps.context import RunContext, plain_settings, take_step


def run_prepare(context: RunContext) -> None:
    """Reads and validates the user's data, and draws the split.

    Raises:
        PhytoscopeError: The data cannot be read or not be learned from; `rejected.csv` says why.
    """
    config = context.config
    source = read_source(config.data)
    data = plain_settings(config)["data"]
    for key in ("resize", "augment", "workers", "unit"):
        del data[key]
    inputs = hash_content({"data": data, "seed": config.seed, "files": _fingerprint(source), "version": __version__})
    take_step(context, "prepare", inputs, lambda: _write(context, source))


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


def _write(context: RunContext, source: Source) -> list[Path]:
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
