"""The certificate of a package as a page to read, `CERTIFICATE.md`."""

from collections.abc import Callable

from phytoscope.schema.certificate import Certificate, FormReport
from phytoscope.schema.comparison import MetricDifference
from phytoscope.schema.metric import count_hundred
from phytoscope.schema.table import Task
from phytoscope.schema.verdict import Verdict

_METRICS = {
    Task.classification.value: ("accuracy", "macro_f1", "nll", "ece"),
    Task.regression.value: ("rmse", "mae", "bias", "r2"),
}


def word_certificate(certificate: Certificate) -> str:
    """The page, in Markdown."""
    drawn = ", drawn by group" if certificate.drawn else ""
    parts = [
        f"# Certificate of the model {certificate.model_id}",
        "",
        (
            f"The same network in several forms, on the same {certificate.n} images of the split `{certificate.split}`"
            f"{drawn} ({certificate.n_groups} groups, for example leaves or plants). The first form, torch, is the "
            "network as it was trained; all others are compared with it."
        ),
        "",
        *[f"- **{form.name}**: {_word_fate(form)}" for form in certificate.forms],
        "",
        "## Answers",
        "",
        *_list_answers(certificate),
        "",
        "The difference is that of the answer before calibration"
        + (f", in {certificate.unit}" if certificate.unit else "")
        + "; the usual one holds for 99 of 100 images.",
        "",
        "## Metrics",
        "",
        *_list_metrics(certificate),
        "",
        (
            f"In brackets: the interval ({100 * certificate.confidence:g} %) of the difference to torch for other "
            "plants like these; both forms answered the same drawn groups."
        ),
        "",
        *_word_int8(certificate),
        "## Speed and size",
        "",
        *_list_speed(certificate),
        "",
        f"Measured in turns on: {certificate.machine}. Median of several. Preparing the photographs is not in it.",
        "",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in certificate.versions.items()) + ".",
        "",
    ]
    return "\n".join(parts)


def _word_fate(form: FormReport) -> str:
    fate = "in the package" if form.published else "NOT in the package"
    return f"{fate}; {form.reason}" if form.reason else fate


def _word_int8(certificate: Certificate) -> list[str]:
    if not certificate.int8_steps:
        return []
    return [
        "## How the 8 bits were made",
        "",
        *[f"- {step}" for step in certificate.int8_steps],
        "",
        (
            f"Allowed on the images above: a loss of {certificate.max_loss:g}, {certificate.loss_words}. Temperature, "
            "sets or intervals, limits of the verdicts and novelty were fitted anew to the answers of 8 bits."
        ),
        "",
    ]


def _list_answers(certificate: Certificate) -> list[str]:
    columns: dict[str, Callable[[FormReport], str]] = {
        "largest difference": lambda form: _number(form.largest_difference),
        "usual difference": lambda form: _number(form.usual_difference),
        "same class of 100": lambda form: _share(form.agreement),
        "truth in set or interval, of 100": lambda form: _share(form.coverage),
        **{
            f"{verdict.value}, of 100": lambda form, name=verdict.value: _share(form.verdicts.get(name))  # type: ignore[misc]
            for verdict in Verdict
        },
        "error of accepted": lambda form: _number(form.accepted_error),
    }
    return _tabulate(certificate.forms, columns)


def _list_metrics(certificate: Certificate) -> list[str]:
    names = _METRICS[certificate.task]
    return _tabulate(certificate.forms, {name: lambda form, name=name: _metric(form, name) for name in names})  # type: ignore[misc]


def _list_speed(certificate: Certificate) -> list[str]:
    columns: dict[str, Callable[[FormReport], str]] = {
        "one image, ms": lambda form: _number(form.latency_ms),
        "images per second": lambda form: "" if form.images_per_second is None else f"{form.images_per_second:,.0f}",
        "at images a call": lambda form: "" if form.batch_size is None else str(form.batch_size),
        "MB": lambda form: "" if form.size_bytes is None else f"{form.size_bytes / 1e6:.1f}",
    }
    return _tabulate(certificate.forms, columns)


def _tabulate(forms: list[FormReport], columns: dict[str, Callable[[FormReport], str]]) -> list[str]:
    kept = {name: word for name, word in columns.items() if any(word(form) for form in forms)}
    head = ["| form | " + " | ".join(kept) + " |", "|---" * (1 + len(kept)) + "|"]
    return [*head, *(f"| {form.name} | " + " | ".join(word(form) for word in kept.values()) + " |" for form in forms)]


def _metric(form: FormReport, name: str) -> str:
    found: MetricDifference | None = next((metric for metric in form.metrics if metric.name == name), None)
    if found is None or found.second is None:
        return ""
    unit = f" {found.unit}" if found.unit else ""
    if found.low is None or found.high is None:
        return f"{found.second:.4g}{unit}"
    return f"{found.second:.4g}{unit} ({found.low:+.2g} to {found.high:+.2g})"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2g}"


def _share(value: float | None) -> str:
    return "" if value is None else count_hundred(value)
