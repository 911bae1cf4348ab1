"""What is sent: the photographs as they are, and as forms."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_BOUNDARY = "7MA4YWxkTrZu0gW"


@dataclass(frozen=True)
class Bodies:
    """Bodies of requests in a folder.

    Attributes:
        folder: Holds the files and `index.txt` with their names.
        content_type: What they are.
    """

    folder: Path
    content_type: str

    def read(self) -> list[bytes]:
        """All of them, in the order in which they are sent."""
        names = (self.folder / "index.txt").read_text(encoding="utf-8").split()
        return [(self.folder / name).read_bytes() for name in names]


def write_bodies(photographs: Sequence[Path], folder: Path, field: str | None) -> Bodies:
    """Writes one body for each photograph.

    Args:
        photographs: JPEG files.
        folder: Where the bodies go.
        field: Name of the form's field; the bytes of the photograph alone when None.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(photographs):
        data = path.read_bytes()
        (folder / f"{number:03}").write_bytes(data if field is None else _wrap(data, field))
    (folder / "index.txt").write_text("\n".join(f"{number:03}" for number in range(len(photographs))))
    return Bodies(folder, "image/jpeg" if field is None else f"multipart/form-data; boundary={_BOUNDARY}")


def _wrap(data: bytes, field: str) -> bytes:
    head = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="leaf.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    return head.encode() + data + f"\r\n--{_BOUNDARY}--\r\n".encode()
