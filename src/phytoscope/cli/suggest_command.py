"""`phytoscope suggest`: which images without a label are most worth one."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from phytoscope.cli.addresses import keep_here, read_here
from phytoscope.cli.json_output import AsJson, list_files, print_json
from phytoscope.cli.options import BatchSize, Overwrite, refuse_existing, write_to
from phytoscope.cli.terminal import TerminalProgress, err, out
from phytoscope.errors import ConfigError


def suggest(
    model: Annotated[
        Path,
        typer.Argument(
            callback=read_here,
            help="Package (folder or .phyto file), or the folder of a run.",
            metavar="PACKAGE_OR_RUN",
        ),
    ],
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            callback=keep_here,
            help="Images without labels: files, folders, or a CSV with a column `path`. Left out: those of the run.",
            metavar="IMAGE",
        ),
    ] = None,
    output: Annotated[Path, write_to("List to write, .csv.", "FILE")] = Path("to_label.csv"),
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="How many images you want to label.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draws; the same seed gives the same list.")] = 0,
    batch_size: BatchSize = 32,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """List the images without a label that are most worth one.

    Suggested are images that the model is unsure of or that are unlike what it learned from, and no two that are alike.
    Photographs that are dark, blurred, too small or without a plant are left out. The list (rank, path, why, the
    current answer, how many images are like it) comes with a sheet of pictures.

    Then sort the listed images into class folders or write their numbers into your table, train again with them, and
    ask again: several small rounds teach more than one large one.

    Examples:
        phytoscope suggest runs/TIME-NAME field_photos/ -n 40 --output to_label.csv
        phytoscope suggest runs/TIME-NAME
    """
    if output.suffix.lower() != ".csv":
        message = f"--output {str(output)!r}: the list is written as .csv; choose a name that ends so."
        raise ConfigError(message)
    taken = next((place for place in (output, output.with_suffix(".png")) if place.exists()), None)
    if taken is not None and not overwrite:
        raise refuse_existing(taken)
    from phytoscope.steps.explain_files import load_model
    from phytoscope.steps.suggest import find_unlabelled, suggest_images, write_suggestions

    predictor = load_model(model)
    if predictor.trust is None:
        err.print("the package cannot judge its answers (evaluate the run again); doubts are not calibrated")
    if predictor.meaning.covariates is not None:
        names = ", ".join(predictor.meaning.covariates.names)
        err.print(escape(f"the model also sees {names}; here they count as missing for every image"))
    progress = TerminalProgress()
    try:
        found = suggest_images(
            predictor, sources or find_unlabelled(model), n, seed=seed, batch_size=batch_size, progress=progress
        )
    finally:
        progress.finish()
    sheet = write_suggestions(found, output)
    if as_json:
        about = {"looked_at": found.looked_at, "passed_over": found.skipped, "images": found.images}
        print_json(about | {"files": list_files(table=output, sheet=sheet)})
        return
    passed = ", ".join(f"{count} {reason}" for reason, count in found.skipped.items())
    note = f" ({passed} passed over)" if passed else ""
    out.print(escape(f"{len(found.images)} of {found.looked_at} images to label{note}: {output}"))
    if len(found.images) < n:
        out.print("There are no more that differ from these and would teach the model something.")
    out.print(escape(f"Pictures: {sheet}"))
