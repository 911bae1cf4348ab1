"""`phytoscope predict`: answers for photographs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from phytoscope.cli.json_output import AsJson, print_json
from phytoscope.cli.options import Uri, refuse_existing
from phytoscope.cli.terminal import TerminalProgress, err, out, say
from phytoscope.errors import ConfigError, DataValidationError
from phytoscope.schema.address import as_url
from phytoscope.schema.choices import Precision, Runtime
from phytoscope.schema.engine import EngineConfig, EngineKind

if TYPE_CHECKING:
    from phytoscope.predict.batch_tally import Tally
    from phytoscope.predict.covariate_rows import CovariateRows
    from phytoscope.predict.predictor import Predictor


def predict(  # noqa: PLR0913, PLR0917 (one for each option)
    model: Annotated[
        str,
        typer.Argument(
            help="Model package: the folder `package/` of a run, a .phyto file, or models:/NAME@champion.",
            metavar="PACKAGE",
        ),
    ],
    sources: Annotated[
        list[Path],
        typer.Argument(
            help="Images, folders, archives (.zip, .tar, .tar.gz), or a list (.csv or .parquet with a column `path`, "
            ".txt with a path a line).",
            metavar="PATH",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Table to write: .csv, .jsonl or .parquet, or .parts for a folder of Parquet parts; here, or at an "
            "address such as s3://bucket/answers.csv.",
            metavar="FILE",
        ),
    ],
    table: Annotated[
        Path | None,
        typer.Option(
            "--table",
            help="Table with file names and the columns that the model sees beside it.",
            metavar="FILE",
        ),
    ] = None,
    probs: Annotated[bool, typer.Option("--probs", help="One column per class with its probability.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the output if it exists, and begin anew where it was stopped.")
    ] = False,
    runtime: Annotated[
        Runtime | None,
        typer.Option(help="What computes the network; auto measures which is fastest. Default: auto for many images."),
    ] = None,
    precision: Annotated[
        Precision, typer.Option(help="int8 is faster, where the package holds such a network.")
    ] = Precision.float32,
    workers: Annotated[int | None, typer.Option(min=1, help="Threads that read images; one per core.")] = None,
    engine: Annotated[
        EngineKind, typer.Option(help="Where the work is done: in this process, or on a Ray cluster.")
    ] = EngineKind.local,
    address: Annotated[
        str | None,
        typer.Option(help="Ray cluster, HOST:6379; with --engine ray and without it, one is started on this machine."),
    ] = None,
    engine_settings: Annotated[
        list[str] | None,
        typer.Option(
            "--engine-set",
            help="Setting of the engine, as workers=8, cores=4, rows_per_task=1024, retries=3; may be repeated.",
            metavar="KEY=VALUE",
        ),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Images a call of the network; by measurement when left out.")
    ] = None,
    uri: Uri = None,
    as_json: AsJson = False,
) -> None:
    """Answer for photographs with a model package.

    A model that was trained with data.covariates reads them from --table; those that are not there count as missing.

    Each answer has a `verdict`: accept it, let a person review it, or reject the picture and take another one. The
    `reasons` say what to do ("blurred: hold the camera still"). `set` names every class that the answer may be, and
    `lower` and `upper` are the ends of the interval of a number.

    When it is stopped, the same command goes on where it was; the output appears when it is whole.

    A photograph that cannot be read becomes a row with an `error`; the others are answered all the same. When none of
    them can be read, the exit code is 2.

    Examples:
        phytoscope predict runs/TIME-NAME/package photos/ --output answers.csv --probs
        phytoscope predict models:/leaf-diseases@champion photos/ -o answers.csv --json
        phytoscope predict leaves.phyto photos.zip --output answers.parquet
    """
    from phytoscope.predict.table_parts import output_exists

    if output_exists(output) and not overwrite:
        raise refuse_existing(output)
    from phytoscope.cluster import open_engine
    from phytoscope.predict.batch import BatchPlan, count_images, predict_sources
    from phytoscope.predict.package import load_source
    from phytoscope.predict.sources import check_source
    from phytoscope.predict.table_hash import hash_answers
    from phytoscope.predict.table_writer import check_output

    config = _read_engine(engine, address, engine_settings or [])
    check_output(output)
    for source in sources:
        check_source(source)
    if runtime is None:
        count = count_images(sources)
        # To find the fastest takes a few seconds; of an archive nobody knows how many images it holds.
        runtime = (
            Runtime.auto if precision is not Precision.float32 or count is None or count >= _MANY else Runtime.torch
        )
    place = _name_source(model, uri)
    predictor = load_source(place, runtime, precision, say)
    known = _read_known(predictor, table)
    progress = TerminalProgress()
    try:
        with open_engine(config, say) as opened:
            plan = BatchPlan(
                probs,
                batch_size,
                workers,
                engine=opened,
                package=str(place),
                task_rows=config.rows_per_task,
                fresh=overwrite,
                say=say,
            )
            tally = predict_sources(predictor, sources, output, plan, known=known, progress=progress)
    finally:
        progress.finish()
    if tally.answered == 0:
        message = (
            f"none of the {tally.failed} images could be read, the first one is {tally.first_error}; "
            f"{str(output)!r} says for each what is wrong."
        )
        raise DataValidationError(message)
    if as_json:
        unmatched = None if known is None else known.unmatched
        is_here = as_url(output) is None
        about = {"output": as_url(output) or output, "content_hash": hash_answers(output) if is_here else None}
        judged = {"judged": predictor.trust is not None, "rows_unmatched": unmatched}
        print_json(about | tally.to_dict() | judged)
        return
    note = f", {tally.failed} with an error (column `error`)" if tally.failed else ""
    out.print(escape(f"{tally.answered} answered{note}: {as_url(output) or output}"))
    if as_url(output) is None:
        # What lies at an address would have to be fetched again.
        out.print(f"content hash (of the rows in any order): {hash_answers(output)}")
    _report_verdicts(predictor, tally)
    if known is not None and known.unmatched > 0:
        err.print(
            escape(f"{table}: no row for {known.unmatched} of the images; they were answered from the picture alone")
        )


_SHOWN_REASONS = 3
_MANY = 1000


def _read_engine(kind: EngineKind, address: str | None, settings: list[str]) -> EngineConfig:
    if kind is EngineKind.local:
        if address is not None or settings:
            message = "--address and --engine-set are for --engine ray: add it, or leave them out."
            raise ConfigError(message)
        return EngineConfig()
    from phytoscope.configs import compose_config

    # The schema asks for data, which are named elsewhere here.
    words = ["data=folder", f"engine={kind.value}", *(f"engine.{setting}" for setting in settings)]
    if address is not None:
        words.append(f"engine.address={address}")
    config = compose_config(words).engine
    if config.gpus > 0:
        message = (
            f"--engine-set gpus={config.gpus:g}: predict computes on processor cores, and GPUs that its workers took "
            "would do nothing: leave it out; --engine-set cores=4 gives each worker more cores."
        )
        raise ConfigError(message)
    return config


def _name_source(model: str, uri: str | None) -> str | Path:
    if uri is None or not model.startswith("models:"):
        return model
    # Only a registry needs more than what answers for photographs.
    from phytoscope.steps.model_source import resolve_package

    return resolve_package(model, uri)


def _report_verdicts(predictor: "Predictor", tally: "Tally") -> None:
    from phytoscope.schema.verdict import REASON_WORDS, Verdict

    if predictor.trust is None:
        columns = "verdict, reasons, set" if predictor.description.class_names else "verdict, reasons, lower, upper"
        err.print(
            f"The package holds nothing to judge its answers by, as it was made by an earlier version: {columns} and "
            "novelty are empty. `phytoscope evaluate` and `phytoscope package` with paths.run_dir=RUN add it."
        )
        return
    words = {Verdict.accept: "accepted", Verdict.review: "to review", Verdict.reject: "rejected"}
    out.print(", ".join(f"{tally.verdicts[verdict]} {word}" for verdict, word in words.items()))
    for reason, count in tally.reasons.most_common(_SHOWN_REASONS):
        out.print(escape(f"  {count} x {REASON_WORDS[reason]}"))


def _read_known(predictor: "Predictor", table: Path | None) -> "CovariateRows | None":
    encoder = predictor.meaning.covariates
    if encoder is None:
        if table is not None:
            message = f"--table {str(table)!r}: the model sees the image alone; leave the table out."
            raise ConfigError(message)
        return None
    names = ", ".join(encoder.names)
    if table is None:
        err.print(escape(f"the model also sees {names}; without --table they count as missing for every image"))
        return None
    from phytoscope.data.readers.covariate_table import read_covariate_table
    from phytoscope.data.source import find_file
    from phytoscope.predict.covariate_rows import CovariateRows

    found = read_covariate_table(find_file(str(table), "--table"), encoder.names)
    remarks = (
        [f"there is no column {', '.join(map(repr, found.absent))}: missing for every image"] if found.absent else []
    )
    if found.faults:
        first = found.faults[0]
        remarks.append(
            f"{len(found.faults)} cells cannot be read and count as missing, the first in line {first.source_row}, "
            f"column {first.column!r}: {first.reason}"
        )
    for remark in [*remarks, *encoder.word_unknown(found.columns)]:
        err.print(escape(f"{table}: {remark}"))
    return CovariateRows(encoder, found.images, found.columns)
