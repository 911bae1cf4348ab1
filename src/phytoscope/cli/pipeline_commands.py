"""`phytoscope pipeline`: Dagster and MLflow started together, and the same graph without a browser."""

import contextlib
import signal
import webbrowser
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.markup import escape

from phytoscope.cli.addresses import keep_here
from phytoscope.cli.command import CommandApp
from phytoscope.cli.compose import Settings
from phytoscope.cli.json_output import AsJson, print_json
from phytoscope.cli.terminal import TerminalProgress, err, out, say
from phytoscope.pipeline.dagster_settings import LauncherKind, RecordsKind

pipeline_app = CommandApp(invoke_without_command=True, no_args_is_help=False)
WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace",
        "-w",
        callback=keep_here,
        help="Directory of the pipeline; the variable PHYTOSCOPE_WORKSPACE or ./phytoscope-workspace if left out.",
        metavar="DIR",
    ),
]
_Port = Annotated[int, typer.Option(min=1, max=65535, help="Port of Dagster's page.")]
_MlflowPort = Annotated[int, typer.Option(min=1, max=65535, help="Port of MLflow's page.")]
_NoMlflow = Annotated[bool, typer.Option("--no-mlflow", help="Start no MLflow server; runs are recorded all the same.")]
_Open = Annotated[bool, typer.Option("--open", help="Open Dagster's page in the browser.")]


class Example(StrEnum):
    """Data sets that can be drawn."""

    biomass = "biomass"
    disease = "disease"
    both = "both"


@pipeline_app.callback()
def pipeline(
    context: typer.Context,
    workspace: WorkspaceOption = None,
    port: _Port = 3000,
    mlflow_port: _MlflowPort = 5001,
    no_mlflow: _NoMlflow = False,
    open_page: _Open = False,
) -> None:
    """Take data sets from raw data to a promoted model, again whenever the data change: Dagster and MLflow.

    Without a command it starts Dagster's page, its daemon that looks for new data, and MLflow's page; Ctrl-C stops all.

    Examples:
        phytoscope pipeline new plants --example biomass
        phytoscope pipeline run --workspace plants --partition biomass
        phytoscope pipeline --workspace plants --port 3001
    """
    given = [name for name in context.params if str(context.get_parameter_source(name)).endswith("COMMANDLINE")]
    if context.invoked_subcommand is not None and given:
        from phytoscope.errors import ConfigError

        command = context.invoked_subcommand
        words = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        message = f"{words} stands before {command!r}: write it behind, `phytoscope pipeline {command} {words} ...`."
        raise ConfigError(message)
    if context.invoked_subcommand is None:
        _start(workspace, port=port, mlflow_port=None if no_mlflow else mlflow_port, open_page=open_page)


@pipeline_app.command()
def start(
    workspace: WorkspaceOption = None,
    port: _Port = 3000,
    mlflow_port: _MlflowPort = 5001,
    no_mlflow: _NoMlflow = False,
    open_page: _Open = False,
) -> None:
    """Start the pipeline; the same as `phytoscope pipeline` alone.

    Examples:
        phytoscope pipeline start --workspace plants --mlflow-port 5002
    """
    _start(workspace, port=port, mlflow_port=None if no_mlflow else mlflow_port, open_page=open_page)


@pipeline_app.command()
def new(
    folder: Annotated[Path, typer.Argument(callback=keep_here, help="Directory of the new workspace.", metavar="DIR")],
    example: Annotated[Example | None, typer.Option(help="Draw a data set to begin with.")] = None,
    size: Annotated[
        int | None, typer.Option(min=6, help="Plants (biomass) or leaves of each class (disease) to draw.")
    ] = None,
    records: Annotated[
        RecordsKind | None, typer.Option(help="Where Dagster keeps its records; files in DIR if left out.")
    ] = None,
    launcher: Annotated[
        LauncherKind | None,
        typer.Option(help="Where runs that a server starts are done; processes of this computer if left out."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Lay out a workspace: one directory for data set files, runs, and the records of Dagster and MLflow.

    What is there already is left as it is. PostgreSQL and Kubernetes are for a pipeline that serves a group: see
    docs/guides/deployment.md.

    Examples:
        phytoscope pipeline new plants --example biomass
        phytoscope pipeline new plants
        phytoscope pipeline new /srv/plants --records postgres
    """
    from phytoscope.pipeline.new_workspace import new_workspace
    from phytoscope.schema.artifact import resolve_path

    examples = [] if example is None else ["biomass", "disease"] if example is Example.both else [example.value]
    progress = TerminalProgress()
    made = new_workspace(
        resolve_path(str(folder), "DIR"), examples, size=size, records=records, launcher=launcher, progress=progress
    )
    if as_json:
        print_json({"workspace": made.workspace.root, "written": made.written, "kept": made.kept})
        return
    for path in made.written:
        out.print(f"Written: {escape(str(path))}")
    for path in made.kept:
        out.print(f"Kept:    {escape(str(path))}")
    first = next(iter(made.workspace.datasets()), None)
    if first is None:
        out.print(f"Next:    write {escape(str(made.workspace.dataset_files / 'NAME.yaml'))}, one file a data set.")
    else:
        out.print(f"Next:    phytoscope pipeline run --workspace {escape(str(folder))} --partition {first}")


@pipeline_app.command()
def run(
    settings: Settings = None,
    partition: Annotated[str, typer.Option("--partition", "-p", help="Name of the data set.", metavar="NAME")] = "",
    workspace: WorkspaceOption = None,
    as_json: AsJson = False,
) -> None:
    """Take one data set the whole way, from raw data to a registered and promoted model, without a browser.

    The same steps as Dagster's page takes, recorded in the same place: `phytoscope pipeline` shows them later. What is
    finished and has not changed is not done again.

    Examples:
        phytoscope pipeline run --workspace plants --partition biomass
        phytoscope pipeline run --workspace plants --partition biomass trainer.max_epochs=5
    """
    from phytoscope.configs.experiment_file import expand_experiment
    from phytoscope.configs.places import resolve_places
    from phytoscope.pipeline.workspace import find_workspace

    place = find_workspace(workspace)
    name = partition or _only_dataset(place.datasets())
    words = resolve_places(expand_experiment(settings or []), Path.cwd())
    with err.status("Starting"):
        from phytoscope.pipeline.headless import run_partition
    done = run_partition(place, name, words, say=say)
    if as_json:
        print_json(vars(done) | {"dataset": name, "runs": place.runs / name})
        return
    out.print(f"Made:    {', '.join(done.assets)}")
    if done.failed_checks:
        out.print(f"[yellow]Note:[/] checks that failed: {', '.join(done.failed_checks)}")
    out.print(f"Runs:    {escape(str(place.runs / name))}")
    uri = place.compose(name).track.uri or ""
    out.print(escape(f"Use it:  phytoscope predict models:/{name}@champion PHOTOS --output answers.csv --uri {uri}"))
    out.print(f"Next:    phytoscope pipeline --workspace {escape(str(place.root))}")


def _only_dataset(known: dict[str, Path]) -> str:
    from phytoscope.errors import ConfigError, suggest

    if len(known) == 1:
        return next(iter(known))
    message = f"no data set was named: add --partition NAME; {suggest('', known)}"
    raise ConfigError(message)


@pipeline_app.command("list")
def list_datasets(workspace: WorkspaceOption = None, as_json: AsJson = False) -> None:
    """List the data sets of a workspace: how their last run ended, and which model is the champion.

    Examples:
        phytoscope pipeline list --workspace plants
        phytoscope pipeline list --workspace plants --json
    """
    from rich.table import Table

    from phytoscope.pipeline.state import read_states
    from phytoscope.pipeline.workspace import find_workspace

    place = find_workspace(workspace)
    if as_json:
        print_json({"workspace": place.root, "datasets": read_states(place)})
        return
    table = Table("data set", "last run", "when", "champion", "remark", box=None, pad_edge=False)
    for state in read_states(place):
        row = (state.name, state.last_run, state.when, state.champion, state.remark)
        table.add_row(*(escape(cell) for cell in row))
    out.print(table)


def _start(workspace: Path | None, *, port: int, mlflow_port: int | None, open_page: bool) -> None:
    from phytoscope.pipeline.servers import run_servers
    from phytoscope.pipeline.workspace import find_workspace

    place = find_workspace(workspace)
    say(f"workspace: {place.root}")
    say("Starting; this takes about half a minute ...")
    try:
        with _ended_by_signals(), run_servers(place, port=port, mlflow_port=mlflow_port) as servers:
            out.print("  ".join(f"{server.name}: {server.address}" for server in reversed(servers.started)))
            say("Ctrl-C stops everything; what is finished is kept.")
            if open_page:
                webbrowser.open(servers.started[-1].address)
            servers.wait()
    except KeyboardInterrupt:
        # The usual end of a server is no failure.
        err.print("Stopped.")


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Lets a wish to end, or the end of the terminal, do what Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    names = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    # A shell starts programs in the background deaf to Ctrl-C; a wish to end must still be heard.
    known = {name: signal.signal(name, interrupt) for name in [*names, signal.SIGINT]}
    try:
        yield
    finally:
        for name, handler in known.items():
            signal.signal(name, handler)
