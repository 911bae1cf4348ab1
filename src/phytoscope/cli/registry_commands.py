"""`phytoscope register`, `promote`, `rollback` and `models`: which model answers, and why this one."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from phytoscope.cli.compose import compose
from phytoscope.cli.json_output import AsJson, print_json
from phytoscope.cli.options import Uri, write_to
from phytoscope.cli.terminal import EXIT_FINDINGS, TerminalProgress, err, out, say
from phytoscope.schema.operate import PromoteConfig

if TYPE_CHECKING:
    from phytoscope.schema.promotion import PromotionCheck, PromotionDecision
    from phytoscope.track.model_version import ModelVersion
    from phytoscope.track.registry import Registry

_Name = Annotated[str, typer.Argument(help="Name of the registered model.", metavar="NAME")]
_RULES = PromoteConfig()
_TOLD = ("metric", "unit", "model_id", "data_hash", "decision", "decided_at", "reason")


def register(
    run_dir: Annotated[Path, typer.Argument(help="Folder of a run that is packaged.", metavar="RUN_DIR")],
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the model; else track.model_name, else the run's name.")
    ] = None,
    uri: Annotated[
        str | None, typer.Option("--uri", help="Where MLflow keeps its models; else where the run's settings say.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make the package of a run a version of a registered model, and its challenger.

    MLflow is told everything about the run first. A second time nothing changes: the same package keeps its version.

    Examples:
        phytoscope register runs/TIME-NAME
        phytoscope register runs/TIME-NAME --name leaf-diseases --uri http://127.0.0.1:5001
    """
    config = compose([f"paths.run_dir={run_dir}", *([] if uri is None else [f"track.uri={uri}"])])
    with err.status("Registering"):
        from phytoscope.schema.run_folder import RunFolder
        from phytoscope.steps.context import RunContext
        from phytoscope.steps.register import register_run
        from phytoscope.storage.mirror import kept_folder

        with kept_folder(run_dir, say) as root:
            found = register_run(RunContext(config, RunFolder(root.absolute()), say=say), name=name)
    if as_json:
        print_json(vars(found) | {"uri": _hide(found.uri), "reference": found.reference})
        return
    out.print(escape(f"{found.name}: version {found.version}, model {found.model_id}"))
    out.print(escape(f"Registry:  {_hide(found.uri)}"))
    words = _word_uri(found.uri)
    answer = f"phytoscope predict {shlex.quote(found.reference)} IMAGE_OR_FOLDER --output answers.csv{words}"
    out.print(escape(f"Predict:   {answer}"))
    out.print(escape(f"Next:      phytoscope promote {shlex.quote(found.name)}{words}"))


def promote(  # noqa: PLR0913 (one for each option)
    name: _Name,
    *,
    challenger: Annotated[
        int | None,
        typer.Option("--challenger", min=1, help="Version; else the one with the alias challenger, else the newest."),
    ] = None,
    margin: Annotated[
        float,
        typer.Option(min=0.0, help="How much worse it may be: points of macro-F1 (0.02 = 2), or share of the RMSE."),
    ] = _RULES.margin,
    slice_margin: Annotated[
        float, typer.Option(min=0.0, help="The same in a class, a range of the true value, a column.")
    ] = _RULES.slice_margin,
    must_win: Annotated[bool, typer.Option("--must-win", help="It must be clearly better.")] = _RULES.must_win,
    min_groups: Annotated[
        int, typer.Option(min=2, help="Plants or leaves that both must be measured on, and each part that is judged.")
    ] = _RULES.min_groups,
    calibration_margin: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="How much the calibration error may grow.")
    ] = _RULES.calibration_margin,
    coverage_margin: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="How far sets or intervals may stay below their promise.")
    ] = _RULES.coverage_margin,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.999, help="How sure the decision must be.")] = (
        _RULES.confidence
    ),
    slices: Annotated[
        list[str] | None, typer.Option("--slice", help="Column of the data to look at by itself; may be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draws.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Decide, and leave the registry as it is.")] = False,
    output: Annotated[
        Path | None,
        write_to("Folder for promotion.json and slices.csv.", "DIR"),
    ] = None,
    uri: Uri = None,
    as_json: AsJson = False,
) -> None:
    """Put the challenger to the gate: it becomes champion when it is not worse than the champion anywhere.

    Both models answer the challenger's test images again, except those that either has learned from. Overall a loss
    beyond the margin must be ruled out; no class, range of values or column may be clearly worse; calibration and
    coverage must be kept; the package must prove itself. The first model of a name has to pass its own checks only.

    Exit code 0: it is champion. 3: it is not, and the table says why.

    Examples:
        phytoscope promote leaf-diseases
        phytoscope promote leaf-diseases --margin 0.05 --slice camera --dry-run
    """
    with err.status("Starting"):
        from phytoscope.steps.promote import PromotionRequest
        from phytoscope.steps.promote import promote as decide
    rules = PromoteConfig(margin, slice_margin, must_win, min_groups, calibration_margin, coverage_margin, confidence)
    progress = TerminalProgress()
    try:
        decision = decide(
            PromotionRequest(
                name=name,
                uri=uri,
                challenger=challenger,
                rules=rules,
                slices=tuple(slices or ()),
                seed=seed,
                # Who names a version knows what became of it.
                after_rollback=challenger is not None,
                dry_run=dry_run,
                output=output,
                progress=progress,
                say=say,
            )
        )
    finally:
        progress.finish()
    if as_json:
        print_json(decision.to_dict() | {"is_accepted": decision.is_accepted, "dry_run": dry_run})
    else:
        show_decision(decision)
        if dry_run:
            out.print("Dry run: the registry stays as it is.")
    if not decision.is_accepted:
        raise typer.Exit(EXIT_FINDINGS)


def rollback(
    name: _Name,
    to: Annotated[
        int | None, typer.Option("--to", min=1, help="Version that shall be champion; else the champion before.")
    ] = None,
    uri: Uri = None,
    as_json: AsJson = False,
) -> None:
    """Make the champion of before champion again.

    The change is noted like any other, so that a second rollback takes the first one back.

    Examples:
        phytoscope rollback leaf-diseases
        phytoscope rollback leaf-diseases --to 3
    """
    with err.status("Starting"):
        from phytoscope.steps.roll_back import roll_back
    before, now = roll_back(name, uri=uri, version=to)
    if as_json:
        print_json({"name": name, "champion": now, "champion_before": before})
        return
    out.print(escape(f"{name}: version {now} is champion again, instead of version {before}"))


def models(
    name: Annotated[str | None, typer.Argument(help="Name of one model; else all.", metavar="NAME")] = None,
    uri: Uri = None,
    as_json: AsJson = False,
) -> None:
    """List registered models: versions, who is champion, how good they are, and why it was decided so.

    Examples:
        phytoscope models
        phytoscope models leaf-diseases --json
    """
    from phytoscope.errors import ArtifactError, suggest
    from phytoscope.steps.model_source import find_store
    from phytoscope.track.registry import Registry

    with err.status("Looking"):
        registry = Registry(find_store(uri))
        known = registry.names()
    if name is not None and name not in known:
        message = f"the registry {registry.place!r} has no model {name!r}: {suggest(name, known)}"
        raise ArtifactError(message)
    shown = known if name is None else [name]
    if as_json:
        print_json({"registry": registry.place, "models": [_describe_model(registry, each) for each in shown]})
        return
    if not known:
        out.print(escape(f"{registry.place} holds no model yet: register one with phytoscope register RUN_DIR"))
        return
    for each in shown:
        versions = registry.versions(each)
        out.print(f"[bold]{escape(each)}[/]")
        out.print(_tabulate_versions(versions))
        if name is not None:
            for version in versions:
                if reason := version.tags.get("phytoscope.reason"):
                    out.print(escape(f"  {version.version}: {reason}"))
            for reign in registry.history(each):
                out.print(escape(f"  {reign.at or 'earlier'}: version {reign.version} became champion ({reign.how})"))


def show_decision(decision: "PromotionDecision") -> None:
    """Prints the checks of a decision as a table, and the verdict as a sentence."""
    table = Table(box=None, pad_edge=False)
    table.add_column("check")
    table.add_column("")
    table.add_column("why")
    for check in decision.checks:
        table.add_row(check.name, _word_passed(check), escape(check.reason))
    out.print(table)
    for note in decision.notes:
        out.print(escape(note), style="dim")
    style = "bold green" if decision.is_accepted else "bold yellow"
    out.print(escape(decision.reason), style=style)


def _word_passed(check: "PromotionCheck") -> str:
    return "[green]passed[/]" if check.passed else "[red]failed[/]"


def _describe_model(registry: "Registry", name: str) -> dict[str, Any]:
    versions = [_read_tags(version) for version in registry.versions(name)]
    return {"name": name, "versions": versions, "champions": registry.history(name)}


def _read_tags(version: "ModelVersion") -> dict[str, Any]:
    from phytoscope.track.model_version import PREFIX

    tags = {key.removeprefix(PREFIX): value for key, value in version.tags.items()}
    texts = {name: tags.get(name, "") for name in _TOLD}
    value = float(tags["value"]) if tags.get("value") else None
    about = {"version": version.version, "aliases": version.aliases, "reference": version.reference}
    return about | {"value": value} | texts


def _tabulate_versions(versions: "list[ModelVersion]") -> Table:
    from phytoscope.track.model_version import PREFIX

    table = Table(box=None, pad_edge=False)
    for heading in ("version", "alias", "metric", "data", "decision", "decided at"):
        table.add_column(heading)
    for version in versions:
        tags = _read_tags(version)
        value, unit = version.tags.get(f"{PREFIX}value", ""), tags["unit"]
        metric = f"{tags['metric']} {value} {unit}".strip() if value else ""
        cells = (
            str(version.version),
            ", ".join(f"@{alias}" for alias in version.aliases),
            metric,
            tags["data_hash"][:12],
            tags["decision"],
            tags["decided_at"].replace("+00:00", "Z"),
        )
        table.add_row(*map(escape, cells))
    return table


def _word_uri(uri: str) -> str:
    """The option that names a registry, unless it is the one that is looked into anyway."""
    from phytoscope.steps.model_source import choose_uri

    return "" if uri == choose_uri() else f" --uri {shlex.quote(_hide(uri))}"


def _hide(uri: str) -> str:
    from phytoscope.track.mlflow_client import hide_secret

    return hide_secret(uri)
