"""`phytoscope demo`: both tasks on drawn plants."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from phytoscope.cli.compose import compose
from phytoscope.cli.inspect_command import look_at_data, tell_findings
from phytoscope.cli.json_output import AsJson, print_json
from phytoscope.cli.options import write_to
from phytoscope.cli.run_commands import report_result, start_run
from phytoscope.cli.run_summary import summarize_run
from phytoscope.cli.terminal import TerminalProgress, out, say
from phytoscope.schema.artifact import resolve_path


def demo(
    output: Annotated[
        Path,
        write_to("Folder for the drawn data and the two runs.", "DIR"),
    ] = Path("demo_output"),
    leaves: Annotated[int, typer.Option(min=6, help="Leaves per class (three photographs each).")] = 24,
    plants: Annotated[int, typer.Option(min=20, help="Plants on the scale (two photographs each).")] = 120,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the drawings and of the training.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Draw leaves with lesions and rosettes of known weight, inspect them, and run both tasks: no data, no network.

    Examples:
        phytoscope demo
        phytoscope demo --leaves 12 --plants 40 --output small
    """
    from phytoscope.data.synthetic import draw_field_leaves, draw_leaf_dataset, draw_rosette_dataset
    from phytoscope.models.weights import check_pypi_weights

    # Before minutes of drawing.
    check_pypi_weights()
    folder = resolve_path(str(output), "--output") / f"leaves{leaves}-plants{plants}-seed{seed}"
    drawn_leaves = _draw(
        folder / "leaves",
        lambda place, tick: draw_leaf_dataset(place, leaves_per_class=leaves, seed=seed, on_image=tick),
    )
    drawn_plants = _draw(
        folder / "rosettes", lambda place, tick: draw_rosette_dataset(place, plants=plants, seed=seed, on_image=tick)
    )
    drawn_field = _draw(folder / "field", lambda place, tick: draw_field_leaves(place, seed=seed, on_image=tick))
    elsewhere = f"evaluate.external=[field={drawn_field},rosettes={drawn_plants / 'images_med_res'}]"
    common = [
        "model=efficientnet_lite0",
        "model.input_size_px=160",
        f"seed={seed}",
        f"paths.cache_dir={folder / 'cache'}",
    ]
    # From few images: what adapts less of the network keeps more of what it has seen before.
    few_classes = ["adapt=norm", "adapt.running_statistics=true", "trainer.max_epochs=12"]
    few_numbers = ["adapt=last_stages", "adapt.stages=3", "trainer.smallest_size=1.0", "trainer.batch_size=16"]
    # Named, because `auto` measures which way is faster here, and the demo shall show the same numbers everywhere.
    few_numbers.append("trainer.mode=trunk")
    tasks = (
        ("plantvillage", drawn_leaves, "disease", [*few_classes, elsewhere]),
        ("farmbot_biomass", drawn_plants, "biomass", few_numbers),
    )
    for kind, root, name, _ in tasks:
        words = [f"data={kind}", f"data.root={root}", f"name={name}", *common]
        found = look_at_data(compose(words), output=folder / f"inspect-{name}")
        tell_findings(*found)
    out.print()
    runs = [
        start_run(
            [f"data={kind}", f"data.root={root}", f"name={name}", f"paths.run_dir={folder / name}", *more, *common]
        )
        for kind, root, name, more in tasks
    ]
    if as_json:
        print_json({"folder": folder, "runs": [summarize_run(run) for run in runs]})
        return
    for title, run in zip(("Leaf disease", "Plant weight"), runs, strict=True):
        out.print(f"\n[bold]{title}[/]")
        report_result(run)
    out.print(
        f"\nNext: phytoscope predict {escape(str(runs[0].package))} {escape(str(drawn_leaves))} --output answers.csv"
        f"\n  or: phytoscope serve {escape(str(runs[0].package))}, and drop a photograph on the page it names"
    )


def _draw(place: Path, draw: Callable[[Path, Callable[[int], None]], object]) -> Path:
    from phytoscope.schema.artifact import write_folder_atomic

    if place.is_dir():
        say(f"drawn data: reused, {place}")
        return place
    progress = TerminalProgress()
    progress.start(f"Drawing {place.name}", None)
    try:
        with write_folder_atomic(place) as temporary:
            draw(temporary, lambda _count: progress.advance())
    finally:
        progress.finish()
    return place
