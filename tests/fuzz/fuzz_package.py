"""Feeds the loader of packages with archives of any bytes, and with packages that were changed and signed again."""

import logging
import sys
import tempfile
import zipfile
from pathlib import Path

import atheris
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

with atheris.instrument_imports(
    include=["phytoscope.predict", "phytoscope.schema", "phytoscope.trust", "phytoscope.transforms", "zipfile", "json"]
):
    from phytoscope.errors import PackageError
    from phytoscope.predict.package import load_files
    from phytoscope.predict.package_files import open_files
    from phytoscope.predict.package_golden import compare_golden

from factories.broken_packages import break_parts, read_parts, zip_parts
from factories.packages import make_package

_MEANINGS = ("classes", "several")
_BYTES_MODE = 64


def main() -> None:
    """Runs until the time is over; arguments are those of libFuzzer, the first folder keeps what reached new code."""
    logging.disable(logging.CRITICAL)
    np.seterr(all="ignore")
    place = Path(tempfile.mkdtemp(prefix="fuzz-"))
    packages = [_make(place / meaning, meaning) for meaning in _MEANINGS]
    for folder in (Path(argument) for argument in sys.argv[1:] if not argument.startswith("-")):
        if folder.is_dir():
            _write_seeds(folder, packages)
    atheris.Setup(sys.argv, lambda data: try_package(data, packages, place / "model.phyto"))
    atheris.Fuzz()


def try_package(data: bytes, packages: list[dict[str, bytes]], place: Path) -> None:
    """Loads one package and lets it answer; anything but `PackageError` is a finding."""
    provider = atheris.FuzzedDataProvider(data)
    if provider.ConsumeIntInRange(0, 255) < _BYTES_MODE:
        place.write_bytes(data[:-1])
    else:
        parts = packages[provider.ConsumeIntInRange(0, len(packages) - 1)]
        broken = break_parts(parts, lambda below: provider.ConsumeIntInRange(0, below - 1) if below > 1 else 0)
        deflate = provider.ConsumeBool()
        place.write_bytes(zip_parts(broken, zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED))
    try:
        files = open_files(place)
        compare_golden(load_files(files), files)
    except PackageError:
        return


def _make(folder: Path, meaning: str) -> dict[str, bytes]:
    make_package(folder, meaning)
    return read_parts(folder)


def _write_seeds(folder: Path, packages: list[dict[str, bytes]]) -> None:
    """Archives without weights, which are small, and random bytes that choose changes; the last byte chooses which."""
    rng = np.random.default_rng(0)
    for number, parts in enumerate(packages):
        small = {name: content for name, content in parts.items() if len(content) < 5000}
        for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            (folder / f"archive-{number}-{compression}").write_bytes(zip_parts(small, compression) + b"\0")
    for number in range(200):
        (folder / f"changes-{number}").write_bytes(rng.bytes(100) + b"\xff")


if __name__ == "__main__":
    main()
