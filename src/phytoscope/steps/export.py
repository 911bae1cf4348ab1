"""Further forms of the network of a run, in its package, with a certificate of how far they agree with torch."""

import dataclasses
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from phytoscope.data.cache.pixel_cache import PixelCache
from phytoscope.errors import ConfigError, MissingDependencyError, PackageError
from phytoscope.evaluate.bootstrap import BootstrapPlan
from phytoscope.models.runtime import TOLERANCE, first_line, list_faults
from phytoscope.predict.engines.build import INT8_GRAPH, build_engine, list_versions, read_graph
from phytoscope.predict.engines.choose import name_processor
from phytoscope.predict.engines.equip import INT8_FOLDER, equip_predictor
from phytoscope.predict.engines.openvino_engine import read_openvino
from phytoscope.predict.export.certificate_page import word_certificate
from phytoscope.predict.export.openvino import write_openvino
from phytoscope.predict.package import load_package, seal_package
from phytoscope.predict.package_files import GOLDEN_NAME, ONNX_NAME, WEIGHTS_NAME, PackageFiles, open_files
from phytoscope.predict.package_golden import answer_golden
from phytoscope.predict.predictor import Predictor
from phytoscope.predict.reference_files import draw_groups
from phytoscope.predict.trust_files import write_trust
from phytoscope.schema.artifact import write_folder_atomic, write_json
from phytoscope.schema.certificate import CERTIFICATE_NAME, CERTIFICATE_PAGE_NAME, Certificate, FormReport
from phytoscope.schema.choices import Precision, Runtime, VariantExport
from phytoscope.schema.config import PackageConfig
from phytoscope.schema.table import GROUP_ID, SAMPLE_ID, SPLIT, Split, Task
from phytoscope.steps.context import RunContext
from phytoscope.steps.export_forms import (
    LOSS_WORDS,
    Form,
    Measured,
    answer_rows,
    describe_form,
    judge_rows,
    put_on_engine,
    time_forms,
)
from phytoscope.steps.export_int8 import Int8Network, make_int8
from phytoscope.steps.prepared import PreparedData, open_cache
from phytoscope.transforms.stream import count_cores

OPENVINO_GRAPH: Final = "openvino/model.xml"
_MOST_IMAGES: Final = 1000
_REFUSED: Final = "refused: "


@dataclass(frozen=True)
class _Job:
    """What every part of an export needs.

    Attributes:
        context: Settings and folder of the run.
        prepared: The data of the run.
        predictor: The model of the package, on torch.
        cache: Squares of all rows.
        files: The package.
        rows: Rows on which all forms are measured, numbered from 0.
        split: Their split.
    """

    context: RunContext
    prepared: PreparedData
    predictor: Predictor
    cache: PixelCache
    files: PackageFiles
    rows: pd.DataFrame
    split: Split

    @property
    def settings(self) -> PackageConfig:
        """What the package shall hold."""
        return self.context.config.package

    @property
    def plan(self) -> BootstrapPlan:
        """How intervals are made."""
        config = self.context.config
        return BootstrapPlan(config.evaluate.bootstrap, config.evaluate.confidence, config.seed)


def wants_variants(settings: PackageConfig) -> bool:
    """Whether more than the network in 32 bits is wished for."""
    return (
        settings.certificate or settings.int8 is not VariantExport.never or settings.openvino is not VariantExport.never
    )


def refuse_variants(settings: PackageConfig) -> None:
    """Refuses what is not made for the ensemble of a cross-validation.

    Raises:
        ConfigError: A form or a certificate is asked for.
    """
    if wants_variants(settings):
        message = (
            "package.int8, package.openvino and package.certificate need images that no network of the package has "
            "learned from, and the networks of a cross-validation together have seen all of them: leave these settings "
            "out. Its ONNX file is written, and runs in OpenVINO and ONNX Runtime."
        )
        raise ConfigError(message)


def export_variants(context: RunContext, prepared: PreparedData, package: Path) -> None:
    """Adds the forms that are wished for to the package of a run, which is replaced at once or stays as it is.

    Args:
        context: Settings and folder of the run.
        prepared: The data of the run.
        package: The package, perhaps not yet where it will stand.

    Raises:
        MissingDependencyError: A form is wished for `always` and a library for it is not installed.
        PackageError: A form that is wished for `always` cannot be made or loses too much, or the new package does not
            reproduce its golden answers.
        StorageError: The place cannot be written.
    """
    if not wants_variants(context.config.package):
        return
    job = _start(context, prepared, package)
    with write_folder_atomic(package) as folder:
        shutil.copytree(package, folder, dirs_exist_ok=True)
        certificate, variants = _write_forms(job, folder)
        write_json(folder / CERTIFICATE_NAME, certificate.to_dict())
        (folder / CERTIFICATE_PAGE_NAME).write_text(word_certificate(certificate), encoding="utf-8")
        seal_package(folder, job.predictor.description, variants)
        _verify(folder, variants)
    for form in certificate.forms:
        context.say(_word_form(form))
    context.say(f"certificate: {context.run.package / CERTIFICATE_PAGE_NAME}")


def _start(context: RunContext, prepared: PreparedData, package: Path) -> _Job:
    predictor = load_package(package)
    split = Split.test if len(prepared.of(Split.test)) else Split.val
    rows = prepared.of(split)
    groups = rows[GROUP_ID].astype(str).to_numpy(dtype=object)
    drawn = draw_groups(groups, np.ones(len(rows), dtype=bool), _MOST_IMAGES, context.config.seed)
    cache = open_cache(context, prepared, predictor.preprocess)
    return _Job(context, prepared, predictor, cache, open_files(package), rows[drawn].reset_index(drop=True), split)


def _write_forms(job: _Job, folder: Path) -> tuple[Certificate, dict[str, Any]]:
    """Makes and measures all forms, and leaves those in the folder that are published."""
    torch = _read_torch(job)
    forms = [Form("torch", job.predictor, job.files.size(WEIGHTS_NAME))]
    measured = [torch]
    absent: list[FormReport] = []
    for found in _build_exact(job):
        if isinstance(found, FormReport):
            absent.append(found)
            continue
        forms.append(found)
        job.context.say(f"{found.name}: answering {len(job.rows)} images of {job.split.value} ...")
        measured.append(answer_rows(job.context, found.predictor, job.cache, job.rows, job.split))
    variants = _write_openvino(job, folder)
    int8 = _make_int8(job, folder)
    if isinstance(int8, Int8Network):
        forms.append(Form("int8", int8.predictor, _measure_size(folder, INT8_FOLDER)))
        measured.append(_judge_own(job, int8))
    elif int8 is not None:
        absent.append(int8)
    pairs = zip(forms, measured, strict=True)
    reports = [describe_form(form, torch, own, job.split, job.plan) for form, own in pairs]
    reports = [_decide(job, report, form) for report, form in zip(time_forms(forms, reports), forms, strict=True)]
    steps = int8.steps if isinstance(int8, Int8Network) else []
    variants |= _settle(job, folder, [*reports, *absent])
    return _certify(job, [*reports, *absent], steps), variants


def _read_torch(job: _Job) -> Measured:
    """What torch answered when the run was evaluated."""
    table = pd.read_parquet(job.context.run.predictions).set_index(SAMPLE_ID, drop=False)
    chosen = table.loc[job.rows[SAMPLE_ID]].reset_index(drop=True)
    return judge_rows(job.context, job.predictor, chosen, job.split)


def _judge_own(job: _Job, int8: Int8Network) -> Measured:
    table = int8.predictions.set_index(SAMPLE_ID, drop=False)
    chosen = table.loc[job.rows[SAMPLE_ID]].reset_index(drop=True)
    return judge_rows(job.context, int8.predictor, chosen, job.split)


def _build_exact(job: _Job) -> Iterator[Form | FormReport]:
    """The forms in 32 bits that the package's ONNX file is run in, or why there is none."""
    for runtime in (Runtime.onnxruntime, Runtime.openvino):
        if ONNX_NAME not in job.files.names:
            yield _absent(runtime.value, Precision.float32, "there is no ONNX file to run (package.onnx)")
            continue
        try:
            engine = build_engine(job.predictor, job.files, runtime, count_cores())
        except MissingDependencyError as error:
            yield _absent(runtime.value, Precision.float32, first_line(error))
            continue
        except list_faults() as error:
            yield _absent(runtime.value, Precision.float32, f"{_REFUSED}{first_line(error)}")
            continue
        yield Form(runtime.value, put_on_engine(job.predictor, engine), job.files.size(ONNX_NAME))


def _absent(name: str, precision: Precision, reason: str) -> FormReport:
    runtime = Runtime.openvino.value if precision is Precision.int8 else name
    return FormReport(name, runtime, precision.value, published=False, reason=reason)


def _write_openvino(job: _Job, folder: Path) -> dict[str, Any]:
    if job.settings.openvino is VariantExport.never:
        return {}
    try:
        written = write_openvino(read_openvino(read_graph(job.predictor, job.files)), folder / OPENVINO_GRAPH)
    except (MissingDependencyError, PackageError) as error:
        if job.settings.openvino is VariantExport.always:
            raise
        job.context.say(f"no OpenVINO files: {error}")
        return {}
    return {"openvino": {"parts": [path.relative_to(folder).as_posix() for path in written]}}


def _make_int8(job: _Job, folder: Path) -> Int8Network | FormReport | None:
    if job.settings.int8 is VariantExport.never:
        return None
    try:
        model = read_openvino(read_graph(job.predictor, job.files))
        found = make_int8(job.context, job.prepared, job.predictor, job.cache, model)
    except (MissingDependencyError, PackageError) as error:
        if job.settings.int8 is VariantExport.always:
            raise
        return _absent("int8", Precision.int8, first_line(error))
    write_openvino(found.model, folder / INT8_GRAPH)
    if found.predictor.trust is not None:
        write_trust(folder / INT8_FOLDER, found.predictor.trust, found.predictor.novelty)
    write_json(folder / INT8_FOLDER / GOLDEN_NAME, answer_golden(found.predictor, job.files))
    return found


def _word_loss(job: _Job, loss: float) -> str:
    change = f"it is better by {-loss:.4f}" if loss < 0 else f"it loses {loss:.4f}"
    words = f"{change}, allowed is a loss of {job.settings.max_loss:g} (package.max_loss)"
    groups = int(job.rows[GROUP_ID].nunique())
    # What one group more or less would change is the least that can be seen.
    if 1 / groups > job.settings.max_loss:
        words += f"; {len(job.rows)} images of {groups} groups are too few to show so small a loss for other plants"
    return words


def _decide(job: _Job, report: FormReport, form: Form) -> FormReport:
    """Whether a form may be handed on."""
    if form.name == "torch":
        return report
    if report.precision == Precision.int8.value:
        loss = np.inf if report.loss is None else report.loss
        words = _word_loss(job, loss)
        # Worded so that a loss that is not a number is refused too.
        if not loss <= job.settings.max_loss:
            if job.settings.int8 is VariantExport.always:
                message = (
                    f"the network in 8 bits is refused: {words}, {LOSS_WORDS[job.predictor.description.task]}; set "
                    "package.int8=auto for a package without it and a certificate that says so, or allow more."
                )
                raise PackageError(message)
            return dataclasses.replace(report, published=False, reason=f"{_REFUSED}{words}")
        return dataclasses.replace(report, reason=words)
    largest = np.inf if report.largest_difference is None else report.largest_difference
    allowed = TOLERANCE * _find_scale(job)
    if not largest <= allowed:
        words = f"{_REFUSED}an answer differs by {largest:.2g}, allowed is {allowed:.2g}"
        return dataclasses.replace(report, published=False, reason=words)
    return report


def _find_scale(job: _Job) -> float:
    """1 for probabilities, the largest answer for numbers where that is above 1."""
    if job.predictor.description.task is Task.classification:
        return 1.0
    return max(1.0, float(_read_torch(job).predictions["prediction"].abs().max()))


def _settle(job: _Job, folder: Path, reports: list[FormReport]) -> dict[str, Any]:
    """Removes what is refused, and says what of the rest the package holds."""
    fates = {report.name: report.published for report in reports}
    variants: dict[str, Any] = {}
    # Both runtimes read one file; that one of them is not installed says nothing about it.
    exact = [report for report in reports if report.name in (Runtime.onnxruntime.value, Runtime.openvino.value)]
    refused = any(report.reason.startswith(_REFUSED) for report in exact)
    if refused and not any(report.published for report in exact):
        (folder / ONNX_NAME).unlink(missing_ok=True)
    elif (folder / ONNX_NAME).is_file():
        variants["onnx"] = {"parts": [ONNX_NAME]}
    if not fates.get("int8", False):
        shutil.rmtree(folder / INT8_FOLDER, ignore_errors=True)
    else:
        parts = sorted(path.relative_to(folder).as_posix() for path in (folder / INT8_FOLDER).iterdir())
        variants["int8"] = {"parts": parts, "runtime": Runtime.openvino.value, "max_loss": job.settings.max_loss}
    return variants


def _measure_size(folder: Path, name: str) -> int:
    return sum(path.stat().st_size for path in (folder / name).iterdir())


def _certify(job: _Job, forms: list[FormReport], steps: list[str]) -> Certificate:
    description = job.predictor.description
    whole = len(job.prepared.rows[job.prepared.rows[SPLIT] == job.split.value])
    return Certificate(
        model_id=description.model_id,
        task=description.task.value,
        unit=description.unit,
        split=job.split.value,
        n=len(job.rows),
        n_groups=int(job.rows[GROUP_ID].nunique()),
        drawn=len(job.rows) < whole,
        confidence=job.plan.confidence,
        max_loss=job.settings.max_loss,
        loss_words=LOSS_WORDS[description.task],
        machine=f"{name_processor()}, {count_cores()} threads, {platform.system()} {platform.machine()}",
        versions=list_versions(),
        forms=forms,
        int8_steps=steps,
    )


def _verify(folder: Path, variants: dict[str, Any]) -> None:
    """Lets every form of the new package reproduce the golden answers that are kept for it."""
    files = open_files(folder)
    equip_predictor(load_package(folder), files, Runtime.torch)
    if "int8" in variants:
        equip_predictor(load_package(folder), files, Runtime.openvino, Precision.int8)


def _word_form(form: FormReport) -> str:
    fate = "published" if form.published else "not published"
    speed = "" if form.images_per_second is None else f", {form.images_per_second:,.0f} images per second"
    why = f" ({form.reason})" if form.reason else ""
    return f"{form.name}: {fate}{why}{speed}"
