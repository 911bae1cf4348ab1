"""Rows 1 to 3 of the data flow: from the user's data to manifest, rejected and unlabelled rows, and split."""

import dataclasses
import hashlib
from pathlib import Path

import pandas as pd

from phytoscope import __version__
from phytoscope.data.copies.duplicates import add_duplicate_ids
from phytoscope.data.copies.groups import summarise_joins
from phytoscope.data.read import read_source
from phytoscope.data.source import Source
from phytoscope.data.split import find_thin_strata, hash_manifest, split_by_group
from phytoscope.data.validate import Validated, check_learnable, check_strict, summarise_rejected
from phytoscope.errors import ArtifactError
from phytoscope.schema.artifact import hash_content, write_atomic
from phytoscope.schema.table import GROUP_ID, PATH, SAMPLE_ID, SPLIT, Split
from phytoscope.steps.context import Begin, RunContext, plain_settings, read_settings, take_step
from phytoscope.steps.look import look_at_data

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
    for key in ("resize", "augment", "workers"):
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
    digests = {str(name): _hash_column(source.rows[name]) for name in source.rows.columns}
    faults = [dataclasses.asdict(fault) for fault in (*source.faults, *source.warnings)]
    return hash_content([stamps, digests, faults, source.target_name, source.unit])


def _hash_column(column: pd.Series) -> str:
    is_plain = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_extension_array_dtype(column)
    # Row by row for a million rows: texts are hashed as they are, and a missing one unlike any text.
    texts = column if is_plain else column.astype(object).where(column.notna(), "\0").astype(str)
    return hashlib.sha256(pd.util.hash_pandas_object(texts, index=False).to_numpy().tobytes()).hexdigest()


def _write(context: RunContext, source: Source, begin: Begin) -> list[Path]:
    begin()
    config, run = context.config, context.run
    looked = look_at_data(context, source)
    validated = looked.validated
    _write_faults(context, validated)
    if config.data.strict:
        check_strict(validated, run.rejected)
    check_learnable(validated, source)
    manifest = add_duplicate_ids(
        validated.manifest, looked.facts, near=config.data.split.near_duplicates, progress=context.progress
    )
    # The column's own unit counts where the settings give none.
    manifest.attrs["unit"] = config.data.unit or source.unit
    split = split_by_group(manifest, source.task, config.data.split, config.seed)
    for path, table in ((run.manifest, manifest), (run.unlabelled, validated.unlabelled), (run.split, split)):
        with write_atomic(path) as temporary:
            table.to_parquet(temporary, index=False)
    _say_what_it_is(context, manifest, split)
    return [run.rejected, run.warnings, run.unlabelled, run.manifest, run.split]


def _write_faults(context: RunContext, validated: Validated) -> None:
    # The reasons are written first: they are what the user needs when nothing is left.
    run = context.run
    for path, table in ((run.rejected, validated.rejected), (run.warnings, validated.warnings)):
        with write_atomic(path) as temporary:
            table.to_csv(temporary, index=False)
    if len(validated.rejected):
        context.say(f"rejected: {summarise_rejected(validated.rejected)} (listed in {run.rejected})")
    if len(validated.warnings):
        context.say(f"warnings: {summarise_rejected(validated.warnings)} (listed in {run.warnings})")
    if len(validated.unlabelled):
        context.say(f"unlabelled: {len(validated.unlabelled)} good images are kept apart in {run.unlabelled}")


def _say_what_it_is(context: RunContext, manifest: pd.DataFrame, split: pd.DataFrame) -> None:
    groups = split.groupby(SPLIT)[GROUP_ID].nunique()
    shares = ", ".join(
        f"{name} {int((split[SPLIT] == name).sum())} ({groups[name]} groups)" for name in Split if name in groups
    )
    context.say(f"data {hash_manifest(manifest)[:12]}: {len(manifest)} images, split by group: {shares}")
    joined = split.set_index(SAMPLE_ID)[GROUP_ID].loc[manifest[SAMPLE_ID]]
    sentences = [summarise_joins(manifest, joined).to_text()]
    sentences += [thin.text for thin in find_thin_strata(manifest, split, context.config.data.task)]
    for sentence in filter(None, sentences):
        context.say(sentence)
