"""Rows 1 to 3 of the data flow: from the user's data to manifest, rejected and unlabelled rows, and split."""

import dataclasses
import hashlib
from pathlib import Path

import pandas as pd

from phytoscope import __version__
from phytoscope.data.copies.disagreements import find_disagreements
from phytoscope.data.copies.duplicates import add_duplicate_ids
from phytoscope.data.copies.groups import summarise_joins
from phytoscope.data.facts.look import stat_files
from phytoscope.data.read import read_source
from phytoscope.data.readers.group_names import NAMELESS
from phytoscope.data.source import Source, sort_faults
from phytoscope.data.split import find_thin_strata, hash_manifest, split_by_group
from phytoscope.data.split.ledger import held_ledger, read_ledger, write_ledger
from phytoscope.data.split.official_split import read_official_column
from phytoscope.data.validate import Validated, check_learnable, check_strict, summarise_rejected
from phytoscope.errors import ArtifactError
from phytoscope.schema.artifact import hash_content, resolve_path, write_atomic
from phytoscope.schema.config import RunConfig
from phytoscope.schema.table import FOLD, GROUP_ID, PATH, SAMPLE_ID, SPLIT, Split, Task
from phytoscope.steps.context import Begin, RunContext, describe_other_data, plain_settings, take_step
from phytoscope.steps.look import look_at_data


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


def _draw_split(config: RunConfig, manifest: pd.DataFrame, task: Task) -> pd.DataFrame:
    asked, ledger = config.data.split, find_ledger(config)
    # An official split is what it is, whatever was drawn before.
    if ledger is None or asked.column is not None:
        return split_by_group(manifest, task, asked, config.seed)
    with held_ledger(ledger):
        split = split_by_group(manifest, task, asked, config.seed, read_ledger(ledger))
        write_ledger(ledger, manifest, split)
    return split


def find_ledger(config: RunConfig) -> Path | None:
    """The file that remembers the splits of plants; None when none is kept.

    Raises:
        ConfigError: The path names a home directory that does not exist.
    """
    named = config.data.split.ledger
    return None if named is None else resolve_path(named, "data.split.ledger")


def _check_same_data(context: RunContext) -> None:
    # A run on other data would replace report and package of this one, perhaps only because of a wrong folder name.
    if not context.run.record("prepare").exists():
        return
    other = describe_other_data(context.run.config, context.config)
    if other:
        message = f"{str(context.run.root)!r} holds a run on other data ({other}): choose another paths.run_dir."
        raise ArtifactError(message)


def _fingerprint(source: Source) -> str:
    # Not the time at which the entry changed: a copy or a new access right would train everything again.
    stamps = stat_files([str(path) for path in source.rows[PATH]])[:, :2].tolist()
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
    _say_nameless(context, source)
    if config.data.strict:
        check_strict(validated, run.rejected)
    check_learnable(validated, source)
    manifest = add_duplicate_ids(
        validated.manifest, looked.facts, near=config.data.split.near_duplicates, progress=context.progress
    )
    # The column's own unit counts where the settings give none.
    manifest.attrs["unit"] = config.data.unit or source.unit
    _warn_of_disagreements(context, validated, find_disagreements(manifest, source.task, source.target_name))
    split = _draw_split(config, manifest, source.task)
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


def _say_nameless(context: RunContext, source: Source) -> None:
    # Photographs of one plant may stand in two splits then, which no later step can see.
    for fault in source.warnings:
        if fault.reason.startswith(NAMELESS):
            context.say(f"{fault.reason.partition(': ')[2]}: {fault.remedy}")


def _warn_of_disagreements(context: RunContext, validated: Validated, found: pd.DataFrame) -> None:
    if found.empty:
        return
    path = context.run.warnings
    table = pd.concat([validated.warnings, found], ignore_index=True) if len(validated.warnings) else found
    with write_atomic(path) as temporary:
        sort_faults(table).to_csv(temporary, index=False)
    context.say(f"warnings: {summarise_rejected(found)}; both are kept (listed in {path})")


def _describe_split(context: RunContext, manifest: pd.DataFrame, split: pd.DataFrame) -> list[str]:
    """What the split has otherwise than the user asked for or gave."""
    asked, sentences = context.config.data.split, []
    if asked.column is not None:
        official = read_official_column(manifest, asked.column).to_numpy()
        drawn = split.set_index(SAMPLE_ID)[SPLIT].loc[manifest[SAMPLE_ID]].to_numpy()
        for name, count in pd.Series(drawn[drawn != official]).value_counts().items():
            sentences.append(
                f"the official split has no {name}: {count} images were taken out of its train part by group; "
                f"data.split.{name}=0 keeps them there."
            )
    folds = int(split[FOLD].max()) + 1
    if folds < asked.folds:
        sentences.append(
            f"data.split.folds={asked.folds}, but only {folds} groups stand outside test: {folds} folds were drawn."
        )
    return sentences


def _say_what_it_is(context: RunContext, manifest: pd.DataFrame, split: pd.DataFrame) -> None:
    groups = split.groupby(SPLIT)[GROUP_ID].nunique()
    shares = ", ".join(
        f"{name} {int((split[SPLIT] == name).sum())} ({groups[name]} groups)" for name in Split if name in groups
    )
    context.say(f"data {hash_manifest(manifest)[:12]}: {len(manifest)} images, split by group: {shares}")
    joined = split.set_index(SAMPLE_ID)[GROUP_ID].loc[manifest[SAMPLE_ID]]
    sentences = [summarise_joins(manifest, joined).to_text()]
    sentences += _describe_split(context, manifest, split)
    sentences += [thin.text for thin in find_thin_strata(manifest, split, context.config.data.task)]
    for sentence in filter(None, sentences):
        context.say(sentence)
