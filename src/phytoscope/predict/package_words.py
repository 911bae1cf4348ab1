"""What a package is, in words and as plain values, without loading its network."""

from typing import Any

from phytoscope.predict.card_words import describe_limits
from phytoscope.predict.package_files import ONNX_NAME, PackageFiles
from phytoscope.predict.trust_files import read_package_trust
from phytoscope.schema.metric import count_hundred
from phytoscope.schema.package import ModelDescription
from phytoscope.schema.table import Task
from phytoscope.trust.novelty import NoveltyReference
from phytoscope.trust.trust import Trust

_SHOWN_CLASSES = 20
_SHOWN_DIGITS = 12
_KILO = 1000


def describe_package(files: PackageFiles) -> dict[str, Any]:
    """What a package is, as plain values, ready for JSON.

    Args:
        files: The package.

    Returns:
        `path`, `format`, `content_sha256`, `model`, `trust` and `novelty` (None where there is none), `variants`,
        `parts` with name, bytes and SHA-256, and `not_part`: files that no part names.

    Raises:
        PackageError: A part is missing, or what it says cannot be used.
    """
    description = ModelDescription.from_dict(files.content["model"])
    trust, novelty = read_package_trust(files)
    return {
        "path": str(files.path),
        "format": files.written_format,
        "content_sha256": files.content["content_sha256"],
        "model": description.to_dict(),
        "trust": None if trust is None else trust.to_dict(),
        "novelty": None if novelty is None else novelty.to_dict(),
        "variants": files.content["variants"],
        "parts": [
            {"name": name, "bytes": files.size(name), "sha256": digest} for name, digest in sorted(files.sha256.items())
        ],
        "not_part": files.list_strangers(),
    }


def word_package(files: PackageFiles) -> list[tuple[str, list[str]]]:
    """The same for a person.

    Args:
        files: The package.

    Returns:
        Headings, each with its lines.

    Raises:
        PackageError: A part is missing, or what it says cannot be used.
    """
    description = ModelDescription.from_dict(files.content["model"])
    trust, novelty = read_package_trust(files)
    strangers = files.list_strangers()
    sections = [
        (description.name, _word_model(description, files)),
        ("Made", _word_origin(description)),
        ("Measured on test images, which it never saw", _word_metrics(description)),
        ("How it judges its answers", _word_trust(trust, novelty, description)),
        ("Runtimes", _word_runtimes(files)),
        ("Parts", [_word_part(name, files.size(name), digest) for name, digest in sorted(files.sha256.items())]),
    ]
    if strangers:
        sections.append(("Not part of the package, and never read", strangers))
    return sections


def format_bytes(count: int) -> str:
    """A size for a person, for example `1.5 MB`."""
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < _KILO:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= _KILO
    return f"{size:.1f} GB"


def _word_model(description: ModelDescription, files: PackageFiles) -> list[str]:
    if description.task is Task.classification:
        names = description.class_names
        more = f" and {len(names) - _SHOWN_CLASSES} more" if len(names) > _SHOWN_CLASSES else ""
        answer = f"names one of {len(names)} classes: {', '.join(names[:_SHOWN_CLASSES])}{more}"
    else:
        numbers = (f"{name}{f' in {unit}' if unit else ''}" for name, unit in description.units.items())
        answer = f"estimates {' and '.join(numbers)}"
    preprocess = description.preprocess
    lines = [answer, f"network: {description.backbone}, {preprocess.get('size_px')} px, {preprocess.get('resize')}"]
    columns = [] if description.covariates is None else description.covariates.get("columns", [])
    beside = [str(column.get("name")) for column in columns if isinstance(column, dict)]
    lines += [f"also sees, where it is known: {', '.join(beside)}"] if beside else []
    lines += [f"averages the answers of {len(description.members)} networks"] if description.members else []
    lines += [f"averages the answers for {description.views} views of each image"] if description.views > 1 else []
    return [*lines, f"model id {description.model_id}, package format {files.written_format}"]


def _word_origin(description: ModelDescription) -> list[str]:
    version = description.version or "(version unknown)"
    return [
        f"{description.created_at or 'at an unknown time'} with phytoscope {version}",
        f"first weights: {description.weights_origin}",
        f"data {description.data_hash[:_SHOWN_DIGITS]}, split {description.split_hash[:_SHOWN_DIGITS]}",
        f"licence: {description.licence}",
    ]


def _word_metrics(description: ModelDescription) -> list[str]:
    if not description.metrics:
        return ["nothing was measured"]
    return [
        f"{name.removeprefix('test/')}: {'not defined' if value is None else format(value, '.4g')}"
        for name, value in description.metrics.items()
    ]


def _word_trust(trust: Trust | None, novelty: NoveltyReference | None, description: ModelDescription) -> list[str]:
    if trust is None:
        return ["it does not: made by an earlier version, or nothing could be fitted"]
    lines = []
    if trust.task is Task.classification:
        temperature = trust.calibration.temperature
        note = "" if temperature is None else f", temperature {temperature:.4g}"
        lines.append(f"probabilities are calibrated: {trust.calibration.kind.value}{note}")
    if trust.sets is not None:
        lines.append(f"its sets of classes promise to hold the true class for {count_hundred(trust.sets.promised)}")
        lines[-1] += " of 100 new leaves or plants"
    for name, rule in zip(description.units, trust.intervals, strict=False):
        if rule is not None:
            lines.append(f"its intervals of {name} promise to hold the true value for {count_hundred(rule.promised)}")
            lines[-1] += " of 100 new plants"
    lines += describe_limits(trust, description.unit)
    lines.append(f"novelty: {'not measured' if novelty is None else novelty.kind.value}")
    return [*lines, *trust.remarks]


def _word_runtimes(files: PackageFiles) -> list[str]:
    lines = ["torch"]
    lines += ["onnxruntime and openvino, from model.onnx"] if ONNX_NAME in files.names else []
    return [*lines, *(str(name) for name in files.content["variants"])]


def _word_part(name: str, size: int, digest: str) -> str:
    return f"{format_bytes(size):>9}  {digest[:_SHOWN_DIGITS]}  {name}"
