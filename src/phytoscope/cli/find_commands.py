"""`phytoscope find`: a learning rate and a batch size, from a few steps on a copy of the network."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from phytoscope.cli.command import CommandApp
from phytoscope.cli.compose import Settings, compose
from phytoscope.cli.json_output import AsJson, list_files, print_json
from phytoscope.cli.terminal import TerminalProgress, err, out, say

if TYPE_CHECKING:
    from phytoscope.steps import RunContext

_HELP = """Suggest a learning rate or a batch size; the run stays as it is.

Examples:
    phytoscope find learning-rate paths.run_dir=DIR
    phytoscope find batch-size paths.run_dir=DIR
"""
find_app = CommandApp(help=_HELP)


@find_app.command("learning-rate")
def learning_rate(
    settings: Settings = None,
    steps: Annotated[int, typer.Option("--steps", min=20, help="Training steps at most.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Raise the learning rate step by step until the loss rises too, and draw it.

    Examples:
        phytoscope find learning-rate paths.run_dir=DIR
        phytoscope find learning-rate data=folder data.root=DIR --steps 200
    """
    context = _start(settings)
    from phytoscope.steps.find import find_learning_rate

    try:
        found, figure = find_learning_rate(context, steps=steps)
    finally:
        context.progress.finish()
    chosen = context.config.trainer.learning_rate
    if as_json:
        rates = {"suggestion": found.suggestion, "configured": chosen}
        print_json({"run_dir": context.run.root} | rates | {"files": list_files(figure=figure)})
        return
    if found.suggestion is None:
        out.print("The loss did not fall clearly at any rate: more --steps, or other settings, may tell more.")
    else:
        out.print(f"The loss falls fastest at {found.suggestion:.1e}; the settings have {chosen:.1e}.")
        out.print(f"To use it: trainer.learning_rate={found.suggestion:.1e}")
    out.print(f"Figure:    {escape(str(figure))}")


@find_app.command("batch-size")
def batch_size(settings: Settings = None, as_json: AsJson = False) -> None:
    """Time training steps at several batch sizes, up to where the memory ends.

    Examples:
        phytoscope find batch-size paths.run_dir=DIR
        phytoscope find batch-size data=folder data.root=DIR model=resnet18
    """
    context = _start(settings)
    from phytoscope.steps.find import find_batch_size

    try:
        trials, suggestion = find_batch_size(context)
    finally:
        context.progress.finish()
    if as_json:
        configured = context.config.trainer.batch_size
        found = {"suggestion": suggestion, "configured": configured, "trials": trials}
        print_json({"run_dir": context.run.root} | found)
        return
    for trial in trials:
        speed = trial.reason if trial.images_per_s is None else f"{trial.images_per_s:.1f} images/s"
        out.print(f"  {trial.size:>5}  {escape(speed)}")
    out.print("Preparing the images is not counted; larger batches may want a higher learning rate.")
    out.print(f"To use the smallest that is about as fast as the fastest: trainer.batch_size={suggestion}")


def _start(settings: list[str] | None) -> "RunContext":
    config = compose(settings)
    with err.status("Starting"):
        from phytoscope.steps import RunContext, choose_run_folder
    run = choose_run_folder(config)
    say(f"run folder: {run.root}")
    return RunContext(config, run, TerminalProgress(), say)
