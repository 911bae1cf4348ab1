"""`phytoscope track sync|status`: what runs wrote into their event logs is told to MLflow or Weights & Biases."""

import os
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from phytoscope.cli.addresses import keep_here
from phytoscope.cli.command import CommandApp
from phytoscope.cli.json_output import AsJson, print_json
from phytoscope.cli.terminal import EXIT_FINDINGS, TerminalProgress, out, print_table, say
from phytoscope.errors import ArtifactError, ConfigError, TrackingError
from phytoscope.schema.artifact import resolve_path
from phytoscope.schema.choices import TrackSink, WandbMode
from phytoscope.schema.config import PathsConfig, RunConfig
from phytoscope.schema.operate import TrackConfig

if TYPE_CHECKING:
    from phytoscope.track.target import TrackTarget
    from phytoscope.track.teller import Delivery

_HELP = """Tell MLflow or Weights & Biases about runs, also long after they were made.

Examples:
    phytoscope track status
    phytoscope track sync runs --to mlflow --uri http://127.0.0.1:5001
"""
track_app = CommandApp(help=_HELP)
_SILENT_AFTER = 2
Places = Annotated[
    list[Path] | None,
    typer.Argument(
        callback=keep_here,
        help="Folders of runs, of sweeps, or of many of them; runs when none is named.",
        metavar="PLACE",
    ),
]


@track_app.command()
def sync(
    places: Places = None,
    to: Annotated[
        TrackSink | None, typer.Option(help="Whom to tell; when left out, those that each run was made with.")
    ] = None,
    uri: Annotated[
        str | None, typer.Option(help="Where MLflow keeps its runs: sqlite:///FILE or http://HOST:PORT.")
    ] = None,
    experiment: Annotated[
        str | None, typer.Option(help="Experiment of MLflow, project of Weights & Biases.", metavar="NAME")
    ] = None,
    online: Annotated[
        bool, typer.Option("--online", help="Tell Weights & Biases over the network, not into a folder.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Tell the trackers all that they do not know yet of some runs. What they know already is not told twice.

    A tracker that does not answer loses nothing: start it, and give the same command again. MLflow without --uri is the
    one of the environment variable MLFLOW_TRACKING_URI, else the file runs/mlflow/mlflow.db.

    Examples:
        phytoscope track sync
        phytoscope track sync runs/20261123-101500-plantvillage
        phytoscope track sync runs --to mlflow --uri http://127.0.0.1:5001
        phytoscope track sync runs --to wandb --experiment my-plants --online
    """
    from phytoscope.track.told import word_target

    wish = _Wish(to or (TrackSink.mlflow if uri is not None else None), uri, experiment, online)
    found = [(run, target) for run in _find(places) for target in wish.choose(run)]
    if not found:
        message = "these runs were made without a tracker, so nobody is told: name one with --to mlflow or --to wandb."
        raise ConfigError(message)
    outcome = _Outcome()
    deliveries = []
    progress = TerminalProgress()
    progress.start("Telling", sum(_count_waiting(run, target) for run, target in found))
    try:
        for run, target in found:
            delivery = outcome.tell(run, target, progress)
            deliveries.append({"run_dir": run, "tracker": target.sink.value, "told": delivery.told})
            line = f"{_shorten(run)}: {_word(delivery)}, {word_target(target)}"
            out.print(escape(line))
    finally:
        progress.finish()
    if outcome.errors:
        reasons = " ".join(dict.fromkeys(outcome.errors))
        message = f"{outcome.waiting} events could not be told. {reasons}"
        raise TrackingError(message)
    if as_json:
        print_json({"runs": deliveries})


@track_app.command()
def status(places: Places = None, as_json: AsJson = False) -> None:
    """Show which trackers know how much of each run.

    Examples:
        phytoscope track status
        phytoscope track status runs/20261123-101500-plantvillage --json
    """
    states = {run: _read_states(run) for run in _find(places)}
    if as_json:
        print_json({"runs": [{"run_dir": run, "trackers": found} for run, found in states.items()]})
        return
    table = Table(box=None, pad_edge=False)
    for title in ("run", "tracker", "told", "where, or what is wrong"):
        table.add_column(title, justify="right" if title == "told" else "left", no_wrap=True, overflow="ignore")
    for run, found in states.items():
        if not found:
            table.add_row(escape(_shorten(run)), "none", "", "")
        for state in found:
            where = state["error"] or state["place"]
            table.add_row(escape(_shorten(run)), state["tracker"], f"{state['told']}/{state['total']}", escape(where))
    print_table(table)


def _read_states(run: Path) -> list[dict[str, Any]]:
    """Each tracker of a run: events it was told, of all events, where it keeps them, and what is wrong."""
    from phytoscope.track.cursor import tracking_folder
    from phytoscope.track.target import load_targets
    from phytoscope.track.told import Told, read_told, word_target

    states = []
    for target in load_targets(tracking_folder(run)):
        try:
            told = read_told(run, target)
        except ArtifactError as error:
            told = Told(0, 0, str(error))
        place = told.facts.get("url") or told.facts.get("folder") or word_target(target)
        counts = {"told": told.told, "total": told.total}
        states.append({"tracker": target.sink.value, **counts, "place": place, "error": told.error})
    return states


@track_app.command(hidden=True)
def follow(
    root: Path,
    target: Annotated[str, typer.Option(help="Name of the tracker in tracking/targets.json.")],
    patience: Annotated[
        float,
        typer.Option(
            min=0, envvar="PHYTOSCOPE_TRACK_PATIENCE_S", help="Seconds to wait for a tracker after the run is over."
        ),
    ] = 600,
) -> None:
    """Tell one tracker about a run while it goes on; started by the run itself, and over soon after it."""
    from phytoscope.track.courier import follow as follow_run
    from phytoscope.track.cursor import tracking_folder
    from phytoscope.track.target import load_targets

    chosen = next((each for each in load_targets(tracking_folder(root)) if each.id == target), None)
    if chosen is None:
        message = f"{target!r} is no tracker of {str(root)!r}: see `phytoscope track status {root}`."
        raise ConfigError(message)
    if hasattr(os, "nice"):
        # The training comes first.
        os.nice(10)
    over = threading.Event()
    threading.Thread(target=_watch, args=(over,), daemon=True).start()
    delivery = follow_run(root, chosen, over=over, patience_s=patience, say=say)
    if delivery.waiting:
        raise typer.Exit(EXIT_FINDINGS)


def _watch(over: threading.Event) -> None:
    # The run holds the other end for as long as it lives, however it dies.
    try:
        while os.read(sys.stdin.fileno(), 1024):
            pass
    finally:
        over.set()


@dataclass(frozen=True)
class _Wish:
    """What the user asked for."""

    to: TrackSink | None
    uri: str | None
    experiment: str | None
    online: bool

    def __post_init__(self) -> None:
        if self.uri is not None and self.to is not TrackSink.mlflow:
            message = "--uri is an address of MLflow: say --to mlflow, or leave it out."
            raise ConfigError(message)
        if self.online and self.to is not TrackSink.wandb:
            message = "--online is about Weights & Biases: say --to wandb, or leave it out."
            raise ConfigError(message)
        if self.to is None and self.experiment is not None:
            message = "--experiment needs --to mlflow or --to wandb."
            raise ConfigError(message)

    def choose(self, run: Path) -> "list[TrackTarget]":
        """The trackers that a run is to be told to."""
        from phytoscope.track.cursor import tracking_folder
        from phytoscope.track.target import load_targets, resolve_targets

        known = load_targets(tracking_folder(run))
        if self.to is None:
            return known
        same = [target for target in known if target.sink is self.to]
        if same and self.uri is None and self.experiment is None and not self.online:
            return same
        experiment = self.experiment or (same[0].experiment if same else TrackConfig.experiment)
        mode = WandbMode.online if self.online else WandbMode.offline
        track = TrackConfig(sinks=[self.to], uri=self.uri, experiment=experiment, wandb_mode=mode)
        return resolve_targets(RunConfig(name="sync", track=track, paths=PathsConfig()))


@dataclass
class _Outcome:
    """How it went so far with each tracker.

    Attributes:
        waiting: Events that could not be told.
        errors: Why not.
    """

    waiting: int = 0
    errors: list[str] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)

    def tell(self, run: Path, target: "TrackTarget", progress: TerminalProgress) -> "Delivery":
        """Tells one tracker about one run; one that was silent again and again is not asked any more."""
        from phytoscope.track.courier import deliver
        from phytoscope.track.cursor import tracking_folder
        from phytoscope.track.target import load_targets, save_targets
        from phytoscope.track.teller import Delivery

        try:
            if self.failures.get(target.id, 0) >= _SILENT_AFTER:
                waiting = _count_waiting(run, target)
                delivery = Delivery(0, waiting, self.errors[-1] if waiting > 0 else "")
            else:
                delivery = deliver(run, target, advance=lambda count: progress.advance(count, run.name))
                self.failures[target.id] = self.failures.get(target.id, 0) + 1 if delivery.error else 0
        except ArtifactError as error:
            # One damaged log holds up no other run, and says nothing about the tracker.
            delivery = Delivery(0, 1, str(error))
        if delivery.error:
            self.waiting += delivery.waiting
            self.errors.append(delivery.error)
        elif target not in load_targets(tracking_folder(run)):
            # A tracker that answered is known from now on; an address with a slip in it is not.
            save_targets(tracking_folder(run), [target])
        return delivery


def _find(places: list[Path] | None) -> list[Path]:
    from phytoscope.track.log_runs import find_runs

    named = [resolve_path(str(place), "PLACE") for place in places or [Path(PathsConfig.runs_dir)]]
    for place in named:
        if not place.is_dir():
            message = f"{str(place)!r} is no folder: name the folder of a run, or one that holds runs."
            raise ArtifactError(message)
    found = list(dict.fromkeys(run for place in named for run in find_runs(place)))
    if not found:
        shown = ", ".join(repr(str(place)) for place in named)
        message = (
            f"there is no run with an event log in {shown}: name the folder of a run, or one that holds runs. A run "
            "of an older version gets its log when it is evaluated again."
        )
        raise ArtifactError(message)
    return found


def _count_waiting(run: Path, target: "TrackTarget") -> int:
    from phytoscope.track.told import read_told

    try:
        told = read_told(run, target)
    except ArtifactError:
        return 1
    return told.total - told.told


def _word(delivery: "Delivery") -> str:
    if delivery.error:
        return f"{delivery.told} events told, {delivery.waiting} wait"
    return f"{delivery.told} events told, all known" if delivery.told else "all known already"


def _shorten(run: Path) -> str:
    here = Path.cwd()
    return str(run.relative_to(here) if run.is_relative_to(here) else run)
