"""Forms with files, read from memory: the size of a body is limited before, so no temporary files are needed."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from phytoscope.api.errors import RequestError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_MOST_HEADER_BYTES = 8192


@dataclass(frozen=True)
class FormPart:
    """One field of a form.

    Attributes:
        field: Name of the field.
        file_name: Name of the file; None where the field is a text.
        content: Its bytes.
    """

    field: str
    file_name: str | None
    content: bytes


def read_form(body: bytes, content_type: str, most: int) -> list[FormPart]:
    """Reads a form.

    Args:
        body: The body.
        content_type: The header with the boundary.
        most: Number of parts at most.

    Raises:
        RequestError: It is not a whole form (400), or has too many parts (413).
    """
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not boundary:
        _refuse("its Content-Type names no boundary")
    reader = _Reader(most)
    try:
        parser = MultipartParser(boundary, reader.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        _refuse("it cannot be read", error)
    if not reader.has_ended:
        _refuse("its end is missing")
    return reader.parts


def _refuse(reason: str, cause: Exception | None = None) -> NoReturn:
    message = f"the form is not a whole multipart/form-data body: {reason}."
    raise RequestError(400, "bad_request", message) from cause


class _Reader:
    """Collects the parts while the parser finds them."""

    def __init__(self, most: int) -> None:
        self.parts: list[FormPart] = []
        self.has_ended = False
        self._most = most
        self._name, self._value = bytearray(), bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._chunks: list[bytes] = []

    def callbacks(self) -> "MultipartCallbacks":
        """The parser's callbacks."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._grow(self._name, data[start:end]),
            "on_header_value": lambda data, start, end: self._grow(self._value, data[start:end]),
            "on_header_end": self._end_header,
            "on_part_data": lambda data, start, end: self._chunks.append(data[start:end]),
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        if len(self.parts) >= self._most:
            message = f"the form has more than {self._most} parts; send fewer files at once."
            raise RequestError(413, "too_large", message)
        self._headers, self._chunks = {}, []

    def _grow(self, text: bytearray, more: bytes) -> None:
        text += more
        if len(text) > _MOST_HEADER_BYTES:
            _refuse("a header is too long")

    def _end_header(self) -> None:
        self._headers[bytes(self._name).lower()] = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def _end(self) -> None:
        disposition, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if disposition != b"form-data" or b"name" not in options:
            _refuse("a part has no name")
        name = options.get(b"filename")
        self.parts.append(
            FormPart(
                options[b"name"].decode("utf-8", "replace"),
                None if name is None else name.decode("utf-8", "replace"),
                self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks),
            )
        )

    def _finish(self) -> None:
        self.has_ended = True
