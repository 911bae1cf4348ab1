"""Chooses what computes the network of a package: what was asked for, or what is fastest on this machine."""

import dataclasses
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from phytoscope.errors import ArtifactError, ConfigError, MissingDependencyError, StorageError
from phytoscope.models.runtime import first_line, list_faults
from phytoscope.predict.engines.build import build_engine, build_int8_engine, list_versions
from phytoscope.predict.engines.engine import Engine
from phytoscope.predict.engines.speed import find_batch_size
from phytoscope.predict.package_files import WEIGHTS_NAME, PackageFiles
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.artifact import find_user_cache, hash_content, read_json, write_json
from phytoscope.schema.choices import Precision, Runtime
from phytoscope.transforms.stream import count_cores

_Say = Callable[[str], None]


@dataclass(frozen=True)
class _Found:
    runtime: Runtime
    batch_size: int
    rates: dict[str, float]


def choose_engine(
    predictor: Predictor,
    files: PackageFiles,
    runtime: Runtime,
    precision: Precision = Precision.float32,
    *,
    cores: int | None = None,
    say: _Say | None = None,
) -> Engine:
    """Prepares the engine of a package.

    Every engine computes in the numbers that are asked for and is compared with torch before it is used. `auto` builds
    each runtime that is installed, measures for a second or two which is fastest, and keeps the finding in the user's
    cache: per machine, package and versions of the libraries.

    Args:
        predictor: The model of the package.
        files: The package.
        runtime: What shall compute.
        precision: With which numbers; `int8` only for a package that holds such a network.
        cores: Threads that OpenVINO or ONNX Runtime compute with, as many as this process may use when None; torch has
            its own setting.
        say: Receiver of sentences: what was chosen, and what could not be used.

    Raises:
        MissingDependencyError: The runtime that was asked for is not installed.
        ConfigError: It cannot run the network, gives other numbers than torch, or cannot compute with such numbers.
        PackageError: A part of the package is damaged, or it has no network in 8 bits.
    """
    threads = cores if cores is not None else count_cores()
    tell = say if say is not None else lambda _: None
    if precision is Precision.int8:
        return build_int8_engine(predictor, files, runtime, threads)
    if runtime is Runtime.auto:
        return _choose(predictor, files, threads, tell)
    try:
        return build_engine(predictor, files, runtime, threads)
    except MissingDependencyError:
        raise
    except list_faults() as error:
        message = (
            f"{runtime.value} cannot run the network of {str(files.path)!r} ({first_line(error)}): choose "
            "runtime=torch, or auto, which takes the fastest that can."
        )
        raise ConfigError(message) from error


def _choose(predictor: Predictor, files: PackageFiles, cores: int, say: _Say) -> Engine:
    place = _name_place(files, cores)
    kept = _read(place)
    if kept is not None:
        engine = _build(predictor, files, kept.runtime, cores, say)
        if engine is not None:
            say(f"{_word(kept)} when it was measured on this machine")
            return dataclasses.replace(engine, batch_size=kept.batch_size)
    built = [_build(predictor, files, runtime, cores, say) for runtime in Runtime if runtime is not Runtime.auto]
    engines = [engine for engine in built if engine is not None]
    size_px, dim = predictor.preprocess.size_px, predictor.meaning.covariate_dim
    measured = [(engine, *find_batch_size(engine, size_px, dim)) for engine in engines]
    best, batch_size, _ = max(measured, key=lambda entry: entry[2])
    found = _Found(best.runtime, batch_size, {engine.runtime.value: rate for engine, _, rate in measured})
    _keep(place, found)
    say(f"{_word(found)}, measured just now")
    return dataclasses.replace(best, batch_size=batch_size)


def _build(predictor: Predictor, files: PackageFiles, runtime: Runtime, cores: int, say: _Say) -> Engine | None:
    try:
        return build_engine(predictor, files, runtime, cores)
    except MissingDependencyError:
        return None
    except list_faults() as error:
        say(f"{runtime.value} cannot run this network ({first_line(error)}); another runtime is taken")
        return None


def _word(found: _Found) -> str:
    others = sorted(found.rates, key=lambda name: -found.rates[name])
    rates = ", ".join(f"{name} {found.rates[name]:,.0f}" for name in others)
    return f"{found.runtime.value} computes the network, as the fastest here (images per second: {rates})"


def _name_place(files: PackageFiles, cores: int) -> Path:
    machine = [name_processor(), platform.machine(), platform.system(), cores]
    package = [files.sha256[WEIGHTS_NAME], files.content["model"]]
    return find_user_cache() / "engines" / f"{hash_content([machine, package, list_versions()])[:32]}.json"


def name_processor() -> str:
    """What the processor calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _read(place: Path) -> _Found | None:
    if not place.is_file():
        return None
    try:
        content = read_json(place)
        return _Found(
            Runtime(content["runtime"]),
            max(1, int(content["batch_size"])),
            {str(name): float(rate) for name, rate in content["rates"].items()},
        )
    except (ArtifactError, KeyError, TypeError, ValueError, AttributeError):
        # It is measured again.
        return None


def _keep(place: Path, found: _Found) -> None:
    try:
        write_json(place, dataclasses.asdict(found))
    except StorageError:
        # It is measured again next time.
        return
