"""`phytoscope explain`: what the answers for photographs rest on."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from phytoscope.cli.addresses import keep_here
from phytoscope.cli.json_output import AsJson, list_files, print_json
from phytoscope.cli.options import Overwrite, Uri, write_to
from phytoscope.cli.terminal import TerminalProgress, err, out
from phytoscope.schema.explanation import ExplanationMethod


def explain(
    model: Annotated[
        str,
        typer.Argument(
            help="Package (folder or .phyto file), folder of a run, or models:/NAME@champion.",
            metavar="PACKAGE_OR_RUN",
        ),
    ],
    sources: Annotated[
        list[Path],
        typer.Argument(callback=keep_here, help="Images, folders, or a CSV with a column `path`.", metavar="IMAGE"),
    ],
    output: Annotated[Path, write_to("Folder to write.", "DIR")],
    method: Annotated[
        ExplanationMethod, typer.Option(help="How the heat maps are made; `auto` takes what did best when compared.")
    ] = ExplanationMethod.auto,
    overwrite: Overwrite = False,
    uri: Uri = None,
    as_json: AsJson = False,
) -> None:
    """Show on each photograph what the answer rests on, and test whether that is true.

    The folder holds a page to read (explanations.html), a table (explanations.csv: share of the heat outside the plant,
    deletion and insertion scores) and each picture beside its heat map. Needs the extra: pip install
    "phytoscope[explain]".

    Examples:
        phytoscope explain runs/TIME-NAME/package photos/ --output why
        phytoscope explain models:/leaf-diseases@champion leaf.jpg --output why --method auto
    """
    from phytoscope.steps.explain_files import PAGE_NAME, TABLE_NAME, explain_files, load_model
    from phytoscope.steps.model_source import resolve_package
    from phytoscope.visualize.explanations import describe_explanations

    predictor = load_model(resolve_package(model, uri))
    if predictor.meaning.covariates is not None:
        names = ", ".join(predictor.meaning.covariates.names)
        err.print(escape(f"the model also sees {names}; here they count as missing for every image"))
    progress = TerminalProgress()
    try:
        report, failed = explain_files(
            predictor, sources, output, method=method, overwrite=overwrite, progress=progress
        )
    finally:
        progress.finish()
    if as_json:
        table, page = output / TABLE_NAME, output / PAGE_NAME
        rows = {"method": report.method.value, "explained": report.rows, "failed": failed, "warnings": report.warnings}
        print_json(rows | {"files": list_files(table=table, page=page)})
        return
    for sentence in describe_explanations(report) if report.n > 0 else []:
        out.print(escape(sentence))
    for warning in report.warnings:
        err.print(f"[yellow]Warning:[/] {escape(warning)}")
    note = f", {failed} with an error (column `error`)" if failed else ""
    out.print(escape(f"{report.n} explained{note}: {output / PAGE_NAME}"))
