"""`phytoscope predict`: answers for photographs."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from phytoscope.cli.terminal import TerminalProgress, out
from phytoscope.errors import ConfigError


def predict(
    model: Annotated[Path, typer.Argument(help="Model package, the folder `package/` of a run.", metavar="PACKAGE")],
    sources: Annotated[
        list[Path], typer.Argument(help="Images, folders, or a CSV with a column `path`.", metavar="PATH...")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Table to write: .csv, .jsonl or .parquet.")],
    probs: Annotated[bool, typer.Option("--probs", help="One column per class with its probability.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Images per step.")] = 32,
) -> None:
    """Answer for photographs with a model package.

    [bold]Example[/]

    phytoscope predict runs/TIME-NAME/package photos/ --output answers.csv --probs

    A photograph that cannot be read becomes a row with an `error`; the others are answered all the same.
    """
    if output.exists() and not overwrite:
        message = f"the output {str(output)!r} exists: choose another name, or add --overwrite to replace it."
        raise ConfigError(message)
    from phytoscope.predict.batch import predict_files
    from phytoscope.predict.package import load_package
    from phytoscope.predict.table_writer import check_output

    check_output(output)
    progress = TerminalProgress()
    try:
        done, failed = predict_files(
            load_package(model), sources, output, probs=probs, batch_size=batch_size, progress=progress
        )
    finally:
        progress.finish()
    note = f", {failed} with an error (column `error`)" if failed else ""
    out.print(escape(f"{done} answered{note}: {output}"))
