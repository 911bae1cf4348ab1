"""`phytoscope sweep`: which settings do best?"""

import dataclasses
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from phytoscope.cli.compose import Settings, compose
from phytoscope.cli.json_output import AsJson, list_files, print_json
from phytoscope.cli.terminal import TerminalProgress, err, out, say

if TYPE_CHECKING:
    from phytoscope.steps.sweep import SweepResult

_SHOWN = 5


def sweep(settings: Settings = None, as_json: AsJson = False) -> None:
    """Try settings on val, many trainings on the same prepared data, and keep the best as an experiment.

    What is tried stands in sweep.space; a setting with null is not. Interrupted? The same command continues; n_trials
    counts the trials of all calls. Needs the extra: pip install "phytoscope[sweep]".

    Settings: sweep

    Examples:
        phytoscope sweep sweep=default n_trials=20 data=plantvillage data.root=DIR
        phytoscope sweep data=folder data.root=DIR sweep.n_workers=4 sweep.timeout_minutes=60
    """
    config = compose(name_sweep_keys(settings or []))
    with err.status("Starting"):
        from phytoscope.steps.sweep import run_sweep
    progress = TerminalProgress()
    try:
        result = run_sweep(config, progress=progress, say=say)
    finally:
        progress.finish()
    if as_json:
        print_json(_describe(result))
        return
    _show(result)
    data = [word for word in config.overrides if word.startswith(("data=", "data.")) and not _is_tried(word)]
    best = shlex.quote(str(result.best_run.root))
    out.print(f"\nBest settings: {escape(str(result.folder.best))}")
    out.print(f"Figures:       {escape(str(result.folder.figures))}")
    out.print(f"Next, with the weights of the best trial: phytoscope run paths.run_dir={escape(best)}")
    words = " ".join(shlex.quote(word) for word in [f"experiment={result.folder.best}", *data])
    out.print(f"Or train anew, perhaps on other data:     phytoscope run {escape(words)}")


def _describe(result: "SweepResult") -> dict[str, Any]:
    columns = ["trial", "state", "objective", "seconds", *result.keys]
    return {
        "metric": result.metric,
        "trials": result.trials[columns].to_dict("records"),
        "importance": result.importance,
        "best_run_dir": result.best_run.root,
        "files": list_files(best=result.folder.best, figures=result.folder.figures),
    }


def name_sweep_keys(words: Sequence[str]) -> list[str]:
    """Lets the settings of a sweep stand without their group: `n_trials=20` is `sweep.n_trials=20`."""
    from phytoscope.schema.train_config import SweepConfig

    bare = {field.name for field in dataclasses.fields(SweepConfig)}
    return [f"sweep.{word}" if word.partition("=")[0] in bare else word for word in words]


def _is_tried(word: str) -> bool:
    return word.startswith(("data.augment=", "data.resize="))


def _show(result: "SweepResult") -> None:
    trials = result.trials
    counts = ", ".join(f"{count} {state}" for state, count in trials["state"].value_counts().items())
    out.print(f"\n[bold]{len(trials)} trials[/] ({counts}), judged by {escape(result.metric)}; test was not looked at")
    for row in trials[trials["state"] == "complete"].head(_SHOWN).to_dict("records"):
        values = " ".join(f"{key}={_word(row[key])}" for key in result.keys)
        out.print(f"  {_word(row['objective'])}  trial {row['trial']}, {row['seconds']:.0f} s: {escape(values)}")
    for key, share in sorted(result.importance.items(), key=lambda item: -item[1]):
        out.print(f"  {escape(key)} explains {share:.0%} of the differences between trials")


def _word(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
