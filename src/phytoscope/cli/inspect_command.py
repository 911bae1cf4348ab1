"""`phytoscope inspect`: what is wrong with data, before anything is trained on them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from phytoscope.cli.addresses import read_here
from phytoscope.cli.completion import complete_late_settings
from phytoscope.cli.compose import compose
from phytoscope.cli.inspect_words import translate_words
from phytoscope.cli.json_output import AsJson, list_files, print_json
from phytoscope.cli.options import write_to
from phytoscope.cli.terminal import EXIT_FINDINGS, TerminalProgress, err, out, say
from phytoscope.schema.choices import FailOn

if TYPE_CHECKING:
    from phytoscope.schema.audit import AuditReport, Finding
    from phytoscope.schema.config import RunConfig
    from phytoscope.schema.inspection_folder import InspectionFolder

_SHOWN = 15
_COLOURS = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def inspect(  # noqa: PLR0913, PLR0917 (one for each option)
    words: Annotated[
        list[str] | None,
        typer.Argument(
            help="A folder or a table, then any settings as key=value; or settings alone.",
            metavar="DIR|TABLE|KEY=VALUE",
            autocompletion=complete_late_settings,
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            "--images", help="Folder of the images that the table names; found beside it if it can be.", metavar="DIR"
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", help="Column of the table with the number to predict.", metavar="COLUMN")
    ] = None,
    label: Annotated[
        str | None, typer.Option("--label", help="Column of the table with the class to predict.", metavar="COLUMN")
    ] = None,
    group_by: Annotated[
        str | None,
        typer.Option(
            "--group-by", help="Columns that together name the plant or plot, with commas between.", metavar="COLUMNS"
        ),
    ] = None,
    split: Annotated[
        Path | None,
        typer.Option(
            "--split",
            callback=read_here,
            help="A split made elsewhere (columns image and split), to be checked for leaks.",
            metavar="FILE",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        write_to("Folder to write to; runs/inspect-NAME when not given.", "DIR"),
    ] = None,
    no_probes: Annotated[
        bool, typer.Option("--no-probes", help="Leave out the small models that look for shortcuts: faster.")
    ] = False,
    fail_on: Annotated[
        FailOn | None, typer.Option("--fail-on", help="Exit with code 3 from this severity on; `error` when not given.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find out what is wrong with data, and prove it with numbers, before anything is trained on them.

    Broken files, faulty rows, copies, classes with too few plants, labels worth a look, pictures that stand out, leaks
    of a split, and shortcuts: how well border pixels, colours or file sizes alone give the answer away.

    The folder it writes holds inspect.html to read, inspect.json for programs, and lists of rejected rows, copies and
    labels worth a look. A second call looks only at new or changed images. Exit code: 0, or 3 when something as bad as
    --fail-on was found, or 2 when the data cannot be read.

    Settings: audit

    Examples:
        phytoscope inspect leaves/
        phytoscope inspect weights.csv --images photos/ --target fresh_weight_g --group-by plant_id
        phytoscope inspect leaves/ --split split.csv --fail-on warning
        phytoscope inspect data=farmbot_biomass data.root=DIR audit.max_images=5000
    """
    settings = translate_words(
        words or [],
        images=None if images is None else str(images),
        target=target,
        label=label,
        group_by=group_by,
    )
    settings += ["audit.probes=false"] if no_probes else []
    settings += [] if fail_on is None else [f"audit.fail_on={fail_on.value}"]
    config = compose(settings)
    report, folder = look_at_data(config, output=output, split=split)
    if as_json:
        print_json(_describe(report, folder) | {"fail_on": config.audit.fail_on})
    else:
        tell_findings(report, folder)
    if _is_failed(report, config.audit.fail_on):
        err.print(f"[dim]exit code {EXIT_FINDINGS}: findings of severity {config.audit.fail_on.value} (--fail-on)[/]")
        raise typer.Exit(EXIT_FINDINGS)


def look_at_data(
    config: "RunConfig", *, output: Path | None, split: Path | None = None
) -> "tuple[AuditReport, InspectionFolder]":
    """Inspects the data that the settings name.

    Raises:
        PhytoscopeError: The data cannot be read, or the place cannot be written.
    """
    with err.status("Starting"):
        from phytoscope.steps.inspect import run_inspect
    progress = TerminalProgress()
    try:
        return run_inspect(config, output=output, split_file=split, progress=progress, say=say)
    except KeyboardInterrupt:
        progress.finish()
        say("Images that were looked at need not be looked at again.")
        raise
    finally:
        progress.finish()


def tell_findings(report: "AuditReport", folder: "InspectionFolder") -> None:
    """Says what was found and where it is written."""
    _print_report(report)
    out.print(f"\nReport: {escape(str(folder.page))}")


def _describe(report: "AuditReport", folder: "InspectionFolder") -> dict[str, Any]:
    names = ("name", "task", "target_name", "unit", "data_hash", "counts", "worst", "findings", "skipped")
    places = ("page", "report", "manifest", "rejected", "warnings", "duplicates", "suspects", "unlabelled")
    return {name: getattr(report, name) for name in names} | {
        "files": list_files(**{name: getattr(folder, name) for name in places})
    }


def _is_failed(report: "AuditReport", fail_on: FailOn) -> bool:
    order = [choice.value for choice in FailOn]
    worst = report.worst
    return worst is not None and fail_on is not FailOn.never and order.index(worst.value) <= order.index(fail_on.value)


def _print_report(report: "AuditReport") -> None:
    from phytoscope.visualize.audit_words import word_judgement, word_verdict

    out.print(f"\n[bold]{escape(report.name)}[/]  [dim]data {report.data_hash[:12]}[/]")
    out.print(escape(_describe_counts(report)))
    out.print(f"[bold]{escape(word_judgement(report)[0])}.[/] {escape(word_verdict(report))}")
    for line in filter(None, (_describe_probes(report), _describe_split(report))):
        out.print(escape(line))
    if not report.findings:
        out.print("\n[green]Nothing was found that speaks against these data.[/]")
    else:
        out.print()
    for finding in report.findings[:_SHOWN]:
        _print_finding(finding)
    if len(report.findings) > _SHOWN:
        out.print(f"[dim]and {len(report.findings) - _SHOWN} more in the report[/]")
    for reason, names in _sort_skipped(report).items():
        out.print(f"[dim]not done: {escape(', '.join(names))} ({escape(reason)})[/]")


def _print_finding(finding: "Finding") -> None:
    colour = _COLOURS[finding.severity.value]
    out.print(f"[{colour}]{finding.severity.value.upper():<8}[/] {escape(finding.title)}")
    if finding.remedy:
        out.print(f"         [dim]{escape(finding.remedy)}[/]")


def _describe_counts(report: "AuditReport") -> str:
    counts = report.counts
    n_classes = len(report.labels)
    parts = [
        _count(counts["images"], "image"),
        _count(n_classes, "class", "es") if n_classes > 0 else f"answer in {report.target_name!r}",
        _count(counts["groups"], "group"),
    ]
    parts += [f"{counts[name]:,} {words}" for name, words in _ODD_COUNTS.items() if counts.get(name, 0) > 0]
    return ", ".join(parts)


def _count(number: int, noun: str, ending: str = "s") -> str:
    return f"{number:,} {noun}{'' if number == 1 else ending}"


_ODD_COUNTS = {"rejected": "rejected", "unlabelled": "without an answer", "warnings": "warnings"}


def _describe_probes(report: "AuditReport") -> str:
    scores = [
        f"{probe.name.replace('_', ' ')} {probe.score:.2f}".replace("-", "\u2212")
        for probe in report.probes
        if probe.score is not None
    ]
    if not scores:
        return ""
    first = report.probes[0]
    line = f"what a quick model reaches ({_name_metric(first.metric)}, chance {first.chance:.2f}): {', '.join(scores)}"
    gap = report.optimism
    if gap is not None:
        line += (
            f"\non a random split {gap.random_score:.3f}, by group {gap.group_score:.3f} ({_name_metric(gap.metric)})"
        )
    return line


def _describe_split(report: "AuditReport") -> str:
    coverage = report.coverage
    if coverage is None:
        return ""
    unknown = f" and {coverage.unknown:,} that are not in the data" if coverage.unknown > 0 else ""
    leaks = "" if report.leakage is None else f"; leaks found: {len(report.leakage):,}"
    return f"the given split names {coverage.named:,} of {_count(coverage.images, 'image')}{unknown}{leaks}"


def _name_metric(metric: str) -> str:
    return {"r2": "R²"}.get(metric, metric.replace("_", " "))


def _sort_skipped(report: "AuditReport") -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for name, reason in report.skipped.items():
        reasons.setdefault(reason, []).append(name)
    return reasons
