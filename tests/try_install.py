"""Uses an installed phytoscope as a stranger would: asks for help, and lets a package of each task answer a photograph.

    python tests/try_install.py                    # after `pip install phytoscope`, with whatever extras there are
    python tests/try_install.py --hide-extras      # as if no extra, and nothing of what extras bring, were installed

Needs nothing but phytoscope. Used by the workflows, by the tests, and to prove the steps of the Dockerfiles.
"""

import importlib.metadata
import re
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

PACKAGES = Path(__file__).parent / "old_packages"
_NAME = re.compile(r"[\w.-]+")


def canonical(name: str) -> str:
    """The name of a distribution as all ways of writing it become the same."""
    return re.sub(r"[-_.]+", "-", name).lower()


def list_needed(root: str, extras_of_root: Iterable[str] = ()) -> set[str]:
    """Canonical names of a distribution and of all that it needs, and that needs, without extras that nobody asks for.

    A requirement that counts only for some systems is taken as needed.
    """
    needed: set[str] = set()
    open_ends: list[tuple[str, frozenset[str]]] = [(root, frozenset(extras_of_root))]
    seen = set(open_ends)
    while open_ends:
        name, extras = open_ends.pop()
        needed.add(canonical(name))
        try:
            requirements = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for text in requirements:
            declared, _, marker = text.partition(";")
            wanted = re.findall(r"""extra\s*==\s*['"]([^'"]+)['"]""", marker)
            if wanted and not extras & {canonical(extra) for extra in wanted}:
                continue
            asked = re.search(r"\[([^\]]*)\]", declared)
            found = frozenset(canonical(extra.strip()) for extra in asked.group(1).split(",")) if asked else frozenset()
            end = (_NAME.match(declared.strip()).group(), found)
            if end not in seen:
                seen.add(end)
                open_ends.append(end)
    return needed


def list_hidden() -> set[str]:
    """Modules that are here only because of an extra, or because somebody installed them beside phytoscope."""
    needed = list_needed("phytoscope")
    return {
        module
        for module, owners in importlib.metadata.packages_distributions().items()
        if not {canonical(owner) for owner in owners} & needed and module not in {"pip", "pkg_resources"}
    }


class Hider:
    """Finds modules as Python does, apart from those that are hidden: these it does not find."""

    def __init__(self, names: set[str]) -> None:
        self.names = names
        self.find_distributions = PathFinder.find_distributions

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The way to a module, None for a hidden one and for one that is not there."""
        return None if name.partition(".")[0] in self.names else PathFinder.find_spec(name, path, target)


def hide_extras() -> set[str]:
    """Lets this process find nothing that only an extra brings, and gives the names of what is hidden."""
    names = list_hidden()
    sys.meta_path[sys.meta_path.index(PathFinder)] = Hider(names)
    return names


def check_help() -> None:
    """The command line starts and lists its commands."""
    from phytoscope import cli

    sys.argv = ["phytoscope", "--help"]
    try:
        cli.main()
    except SystemExit as end:
        if end.code:
            raise


def predict_all(folder: Path) -> Iterator[str]:
    """Loads the newest package of each task, which must give its kept answers again, and asks about a photograph."""
    import phytoscope

    for task in ("classes", "numbers"):
        archive = max(PACKAGES.glob(f"format_*_{task}.zip"))
        place = folder / archive.stem
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(place)
        answer = phytoscope.Predictor.load(place).predict(place / "golden" / "0.png")
        if answer.verdict is None:
            message = f"{archive.name} gave an answer without a verdict."
            raise RuntimeError(message)
        yield f"{archive.stem}: {answer.label or answer.value}, {answer.verdict}"


def main(words: list[str]) -> None:
    """Does all of it, and says what was done."""
    if words == ["--hide-extras"]:
        tell(f"hidden: {len(hide_extras())} modules")
    elif words:
        raise SystemExit(__doc__)
    check_help()
    with tempfile.TemporaryDirectory() as folder:
        for line in predict_all(Path(folder)):
            tell(line)
    import phytoscope

    tell(f"phytoscope {phytoscope.__version__} of {Path(phytoscope.__file__).parent} works")
    tell(f"loaded: {[name for name in ('lightning', 'mlflow', 'onnxruntime', 'openvino') if name in sys.modules]}")


def tell(line: str) -> None:
    """Prints a line."""
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
