"""Whether an ONNX file holds all of its numbers, or makes a runtime read other files of this machine."""

from collections.abc import Iterator
from typing import Final, NoReturn

from phytoscope.errors import PackageError

# Of each message of onnx.proto3 that can hold a tensor: number of the field -> what lies in it.
_PARTS: Final[dict[str, dict[int, str]]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_VARINT, _LONG, _BYTES, _SHORT = 0, 1, 2, 5
_FIXED: Final = {_LONG: 8, _SHORT: 4}
_MOST_VARINT_BYTES: Final = 10
_DEEPEST: Final = 100


def check_contained(graph: bytes) -> None:
    """Refuses an ONNX file with tensors that lie in other files: OpenVINO would read them, wherever they are.

    Args:
        graph: Content of the file.

    Raises:
        PackageError: It names another file, or it is no ONNX file.
    """
    _check(memoryview(graph), "model", 0)


def _check(message: memoryview, kind: str, depth: int) -> None:
    if depth > _DEEPEST:
        _refuse("it is nested too deeply")
    for field, wire, content in _iterate_fields(message):
        if kind == "model" and field == 1 and wire != _VARINT:
            # Other formats of networks begin so, and runtimes read them, too.
            _refuse("it is another kind of file")
        if kind == "tensor" and field in (_EXTERNAL_DATA, _DATA_LOCATION) and bytes(content) != b"\0":
            _refuse("it asks for numbers from another file")
        if field in _PARTS[kind]:
            _check(content, _PARTS[kind][field], depth + 1)


def _iterate_fields(message: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Number, wire type and content of each field, see protobuf.dev/programming-guides/encoding."""
    place = 0
    while place < len(message):
        key, place = _read_varint(message, place)
        start, wire = place, key & 7
        if wire == _VARINT:
            place = _read_varint(message, place)[1]
        elif wire == _BYTES:
            size, start = _read_varint(message, place)
            place = start + size
        elif wire in _FIXED:
            place += _FIXED[wire]
        else:
            _refuse("it is damaged")
        if place > len(message):
            _refuse("it is cut off")
        # Runtimes keep 32 bits of the number, whatever else it holds.
        yield (key & 0xFFFFFFFF) >> 3, wire, message[start:place]


def _read_varint(message: memoryview, place: int) -> tuple[int, int]:
    value, end = 0, place
    while end == place or message[end - 1] >= 0x80:
        if end >= min(len(message), place + _MOST_VARINT_BYTES):
            _refuse("it is damaged")
        value |= (message[end] & 0x7F) << (7 * (end - place))
        end += 1
    return value, end


def _refuse(reason: str) -> NoReturn:
    message = f"the ONNX file cannot be used ({reason}): get the package from a source you trust, or use runtime=torch."
    raise PackageError(message)
