"""The `phytoscope` command: arguments in, sentences and exit codes out. Heavy imports wait until they are needed."""

import os
import shlex
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichBar

from phytoscope import __version__
from phytoscope.errors import ConfigError, PhytoscopeError
from phytoscope.schema.artifact import resolve_path

if TYPE_CHECKING:
    from phytoscope.schema.config import RunConfig
    from phytoscope.schema.report import EvaluationReport
    from phytoscope.schema.run_folder import RunFolder

EXIT_USER, EXIT_BUG, EXIT_INTERRUPTED = 2, 1, 130
_QUIET_SECONDS = 20.0
_PATH_KEYS = ("data.root", "data.table", "data.images", "paths.run_dir", "paths.runs_dir", "paths.cache_dir")

app = typer.Typer(
    name="phytoscope",
    help="From plant photographs to answers: leaf diseases and plant weights, on a laptop, without a network.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)

SETTINGS_HELP = (
    "Settings as key=value, for example data=plantvillage data.root=DIR model=resnet18 trainer.max_epochs=5. "
    "`phytoscope settings` lists them all."
)
Settings = Annotated[list[str] | None, typer.Argument(help=SETTINGS_HELP, metavar="[KEY=VALUE]...")]


class TerminalProgress:
    """A bar on a terminal; elsewhere a line now and then, so that log files stay short."""

    def __init__(self) -> None:
        """Draws nothing yet."""
        self._bar: RichBar | None = None
        self._description = ""
        self._done = 0
        self._total: int | None = None
        self._spoken_at = 0.0

    def start(self, description: str, total: int | None) -> None:
        """Begins a stretch of work."""
        self.finish()
        self._description, self._total, self._done, self._spoken_at = description, total, 0, time.monotonic()
        if not err.is_terminal:
            err.print(f"{description} ...")
            return
        self._bar = RichBar(
            SpinnerColumn(),
            TextColumn("{task.description:<20}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("[dim]{task.fields[note]}"),
            console=err,
            transient=True,
        )
        self._bar.start()
        self._bar.add_task(description, total=total, note="")

    def advance(self, units: int = 1, note: str = "") -> None:
        """Moves the bar, or says how far it is when nothing was said for a while."""
        self._done += units
        if self._bar is not None:
            task = self._bar.tasks[0]
            self._bar.update(task.id, advance=units, note=escape(note) if note else task.fields["note"])
        elif not err.is_terminal and time.monotonic() - self._spoken_at > _QUIET_SECONDS:
            self._spoken_at = time.monotonic()
            whole = "" if self._total is None else f"/{self._total}"
            err.print(f"  {self._description}: {self._done}{whole} {escape(note)}".rstrip())

    def finish(self) -> None:
        """Removes the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _say(message: str) -> None:
    err.print(escape(message))


def _absolute_paths(words: Sequence[str]) -> list[str]:
    # Settings are kept in the run folder and read again, perhaps from another place.
    result = []
    for word in words:
        key, _, value = word.partition("=")
        if value in ("", "null") or key not in (*_PATH_KEYS, "model.weights"):
            result.append(word)
            continue
        path = resolve_path(value.strip("'\""), key)
        is_name = key == "model.weights" and (value in ("auto", "pypi", "random") or not path.is_file())
        result.append(word if is_name else f"{key}={path}")
    return result


def _compose(settings: Sequence[str] | None) -> "RunConfig":
    import yaml

    from phytoscope.configs import compose_config

    words = _absolute_paths(settings or [])
    folder = next((word.partition("=")[2] for word in reversed(words) if word.startswith("paths.run_dir=")), None)
    saved = Path(folder) / "config.yaml" if folder else None
    if saved is not None and saved.is_file():
        try:
            words = [*yaml.safe_load(saved.read_text(encoding="utf-8"))["overrides"], *words]
        except (yaml.YAMLError, KeyError, TypeError, OSError, UnicodeDecodeError) as error:
            message = (
                f"{str(saved)!r} is not the settings of a run, or is damaged ({type(error).__name__}: {error}): choose "
                "another paths.run_dir, or move the file away and give all settings."
            )
            raise ConfigError(message) from error
    elif saved is not None and not any(word.startswith("data=") for word in words):
        message = (
            f"there is no run in {folder!r} and no data were named: name the folder of a run, or start one with "
            "`phytoscope run data=...`."
        )
        raise ConfigError(message)
    return compose_config(words)


def _start(settings: Sequence[str] | None, *, fresh: bool = False, step: str | None = None) -> "RunFolder":
    config = _compose(settings)
    # Importing torch takes seconds; wrong settings are answered before that.
    with err.status("Starting"):
        from phytoscope.steps import RunContext, choose_run_folder, run_all, run_step
    run = choose_run_folder(config, fresh=fresh)
    _say(f"run folder: {run.root}")
    progress = TerminalProgress()
    context = RunContext(config, run, progress, _say)
    try:
        if step is None:
            run_all(context)
        else:
            run_step(context, step)
    finally:
        progress.finish()
    return run


def _report_result(run: "RunFolder") -> None:
    from phytoscope.steps import read_report

    report = read_report(run)
    out.print(_verdict(report))
    for warning in report.warnings:
        out.print(f"[yellow]Note:[/] {escape(warning)}")
    out.print(f"Report:  {escape(str(run.report_page))}")


def _verdict(report: "EvaluationReport") -> str:
    from phytoscope.visualize.figures import shown_split
    from phytoscope.visualize.verdict import word_verdict

    return escape(word_verdict(report, shown_split(report)))


@app.command()
def run(
    settings: Settings = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start a new run even if one with the same settings exists.")
    ] = False,
) -> None:
    """Take data the whole way: check, split, train, evaluate, package. Finished steps are reused.

    [bold]Examples[/]

    phytoscope run data=plantvillage data.root=DIR

    phytoscope run data=folder data.root=DIR model=resnet18

    phytoscope run data=table data.table=FILE data.images=DIR data.target=COLUMN data.unit=g data.group_by=plant_id

    phytoscope run data=farmbot_biomass data.root=DIR

    Interrupted? The same command continues. All of one run lies in one folder, runs/TIME-NAME or paths.run_dir=DIR.
    """
    folder = _start(settings, fresh=fresh)
    _report_result(folder)
    out.print(f"Package: {escape(str(folder.package))}")
    out.print(
        f"Next:    phytoscope predict {escape(shlex.quote(str(folder.package)))} IMAGE_OR_FOLDER --output answers.csv"
    )


@app.command()
def prepare(settings: Settings = None) -> None:
    """Read and check the data, list what cannot be used, draw the split."""
    folder = _start(settings, step="prepare")
    out.print(f"Manifest: {escape(str(folder.manifest))}")
    out.print(f"Rejected: {escape(str(folder.rejected))}")
    out.print(f"Split:    {escape(str(folder.split))}")


@app.command()
def train(settings: Settings = None) -> None:
    """Train on prepared data (paths.run_dir=DIR names the run)."""
    folder = _start(settings, step="train")
    out.print(f"Checkpoints: {escape(str(folder.checkpoints))}\nHistory:     {escape(str(folder.history))}")


@app.command()
def evaluate(settings: Settings = None) -> None:
    """Predict val, calibration and test, and write the report (paths.run_dir=DIR names the run)."""
    _report_result(_start(settings, step="evaluate"))


@app.command()
def package(settings: Settings = None) -> None:
    """Pack the trained model into one folder that can be handed on (paths.run_dir=DIR names the run)."""
    folder = _start(settings, step="package")
    out.print(f"Package: {escape(str(folder.package))}")


@app.command()
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


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Folder for the drawn data and the two runs.")] = Path("demo_output"),
    leaves: Annotated[int, typer.Option(min=6, help="Leaves per class (three photographs each).")] = 24,
    plants: Annotated[int, typer.Option(min=20, help="Plants on the scale (two photographs each).")] = 120,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the drawings and of the training.")] = 0,
) -> None:
    """Draw leaves with lesions and rosettes of known weight, and run both tasks on them: no data, no network."""
    from phytoscope.data.synthetic import draw_leaf_dataset, draw_rosette_dataset

    folder = resolve_path(str(output), "--output") / f"leaves{leaves}-plants{plants}-seed{seed}"
    drawn_leaves = _draw(
        folder / "leaves",
        lambda place, tick: draw_leaf_dataset(place, leaves_per_class=leaves, seed=seed, on_image=tick),
    )
    drawn_plants = _draw(
        folder / "rosettes", lambda place, tick: draw_rosette_dataset(place, plants=plants, seed=seed, on_image=tick)
    )
    common = [
        "model=efficientnet_lite0",
        "model.input_size_px=160",
        f"seed={seed}",
        f"paths.cache_dir={folder / 'cache'}",
    ]
    runs = [
        _start([f"data={kind}", f"data.root={root}", f"name={name}", f"paths.run_dir={folder / name}", *more, *common])
        for kind, root, name, more in (
            ("plantvillage", drawn_leaves, "disease", ["trainer.max_epochs=8"]),
            ("farmbot_biomass", drawn_plants, "biomass", ["trainer.max_epochs=40", "trainer.batch_size=16"]),
        )
    ]
    for title, run in zip(("Leaf disease", "Plant weight"), runs, strict=True):
        out.print(f"\n[bold]{title}[/]")
        _report_result(run)
    out.print(
        f"\nNext: phytoscope predict {escape(str(runs[0].package))} {escape(str(drawn_leaves))} --output answers.csv"
    )


def _draw(place: Path, draw: Callable[[Path, Callable[[int], None]], object]) -> Path:
    from phytoscope.schema.artifact import write_folder_atomic

    if place.is_dir():
        _say(f"drawn data: reused, {place}")
        return place
    progress = TerminalProgress()
    progress.start(f"Drawing {place.name}", None)
    try:
        with write_folder_atomic(place) as temporary:
            draw(temporary, lambda _count: progress.advance())
    finally:
        progress.finish()
    return place


@app.command()
def settings() -> None:
    """List the groups of settings with their presets, and every key with its default."""
    import dataclasses

    from phytoscope.configs import list_groups
    from phytoscope.schema.config import SCHEMA_OF_GROUP, RunConfig

    out.print("[bold]Presets[/] (group=preset)")
    for group, presets in list_groups().items():
        out.print(f"  {group:<11}{', '.join(presets)}")
    out.print("\n[bold]Keys[/] (key=value; a preset may set another default, None is chosen from the data)")
    out.print(f"  {'name':<30}data and backbone\n  {'seed':<30}{RunConfig.seed}")
    for group, schema in SCHEMA_OF_GROUP.items():
        for entry in dataclasses.fields(schema):
            default = entry.default if entry.default_factory is dataclasses.MISSING else entry.default_factory()
            shown = "set by the preset" if default == "???" else default
            out.print(escape(f"  {f'{group}.{entry.name}':<30}{shown}"))


def _show_version(value: bool) -> None:
    if value:
        out.print(f"phytoscope {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[  # noqa: ARG001 (its callback has already answered)
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    # The library asks the network for a newer version of itself whenever it is imported.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    # Threads that wait by spinning take the cores away from the processes that prepare batches, and from other work:
    # two trainings side by side on two cores were twenty times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def main() -> None:
    """Runs the command line: exit code 0 on success, 2 on a user's mistake, 130 after Ctrl-C, 1 on a bug of ours."""
    try:
        app()
    except PhytoscopeError as error:
        err.print(f"[red]Error:[/] {escape(str(error))}")
        sys.exit(EXIT_USER)
    except SystemExit as stop:
        # The command-line library turns Ctrl-C into this exit code without a word.
        if stop.code == EXIT_INTERRUPTED:
            err.print("Interrupted. Finished steps and epochs are kept: the same command continues.")
        raise
    except Exception:
        err.print(escape(traceback.format_exc()))
        err.print(f"[red]This is a bug of phytoscope {__version__}.[/] Please report it with the text above.")
        sys.exit(EXIT_BUG)
