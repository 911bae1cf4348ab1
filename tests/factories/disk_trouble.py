"""A program that keeps records while its disk makes trouble: full, read-only, or a limit on the size of files.

It prints how the recorder stood before, during and after the trouble, as JSON lines.
"""

import dataclasses
import errno
import json
import resource
import sys
from pathlib import Path

from factories.records import make_prediction, wait_until
from phytoscope.api.records.recorder import open_recorder

CAPACITY = 150


def fill(folder: Path) -> None:
    """Writes until nothing more fits."""
    with (folder / "filler").open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


def forbid(folder: Path) -> None:
    """Takes the right to write away."""
    for path in folder.iterdir():
        path.chmod(0o444)
    folder.chmod(0o555)


def allow(folder: Path) -> None:
    """Gives it back."""
    folder.chmod(0o755)
    for path in folder.iterdir():
        path.chmod(0o644)


def limit(_: Path) -> None:
    """Lets no file grow."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))


TROUBLE = {
    "full": (fill, lambda folder: (folder / "filler").unlink()),
    "read-only": (forbid, allow),
    "limit": (limit, lambda _: resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)),
}


def main() -> None:
    """Goes through one kind of trouble."""
    begin, end = TROUBLE[sys.argv[1]]
    folder = Path(sys.argv[2])
    folder.mkdir(exist_ok=True)

    def start():
        return open_recorder(f"sqlite:///{folder}/records.db", images=None, capacity=CAPACITY, retention_days=None)

    def tell() -> None:
        print(json.dumps(dataclasses.asdict(recorder.status())), flush=True)  # noqa: T201 (read by the test)

    recorder = start()
    recorder.note([make_prediction(number) for number in range(10)])
    wait_until(lambda: recorder.status().written == 10)
    tell()
    if sys.argv[1] == "read-only":
        # Files that are open stay writable, so the service is started anew.
        recorder.close(10)
        begin(folder)
        recorder = start()
    else:
        begin(folder)
    answer = json.dumps({"label_set": ["rust"] * 100})
    for turn in range(2):
        recorder.note([make_prediction(100 + 100 * turn + number, answer=answer) for number in range(100)])
        wait_until(lambda: recorder.status().error is not None)
    tell()
    end(folder)
    wait_until(lambda: recorder.status().waiting == 0)
    tell()
    recorder.close(10)
    tell()


if __name__ == "__main__":
    main()
