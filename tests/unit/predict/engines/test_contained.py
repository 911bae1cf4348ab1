"""The ONNX file of a package cannot make a runtime read other files of the machine."""

from pathlib import Path

import pytest

from factories.packages import change_part, make_package
from phytoscope.errors import ConfigError, PackageError
from phytoscope.predict.engines.build import INT8_GRAPH, INT8_WEIGHTS
from phytoscope.predict.engines.choose import choose_engine
from phytoscope.predict.engines.contained import check_contained
from phytoscope.predict.package import load_package
from phytoscope.predict.package_files import ONNX_NAME, open_files
from phytoscope.schema.choices import Precision, Runtime

PLACES = ("initializer", "constant", "several", "sub-graph", "sparse", "sparse constant", "function", "default")


def build_model(place: str, outside: bool = True) -> bytes:
    """A graph with one tensor somewhere in it, whose numbers lie in another file or in the graph."""
    onnx = pytest.importorskip("onnx")
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[1])
    if outside:
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="/etc/hostname")
    else:
        tensor.raw_data = bytes(4)
    attribute = onnx.AttributeProto(name="value")
    graph, functions = onnx.GraphProto(name="g"), []
    if place == "initializer":
        graph.initializer.append(tensor)
    elif place == "sparse":
        graph.sparse_initializer.add().values.CopyFrom(tensor)
    elif place == "constant":
        attribute.t.CopyFrom(tensor)
    elif place == "several":
        attribute.tensors.append(tensor)
    elif place == "sparse constant":
        attribute.sparse_tensor.indices.CopyFrom(tensor)
    elif place == "sub-graph":
        attribute.g.node.add().attribute.add().graphs.add().initializer.append(tensor)
    else:
        default = onnx.AttributeProto(name="value", t=tensor)
        node = onnx.NodeProto(op_type="Constant", attribute=[default])
        functions = [onnx.FunctionProto(name="f", **({"node": [node]} if place == "function" else {}))]
        functions[0].attribute_proto.extend([default] if place == "default" else [])
    graph.node.add(op_type="Constant", output=["outputs"]).attribute.append(attribute)
    return onnx.ModelProto(ir_version=9, graph=graph, functions=functions).SerializeToString()


@pytest.mark.parametrize("place", PLACES)
def test_numbers_in_other_files_are_refused(place) -> None:
    """Wherever in the graph they are asked for; the same graph with its own numbers is taken."""
    check_contained(build_model(place, outside=False))
    with pytest.raises(PackageError, match="asks for numbers from another file"):
        check_contained(build_model(place))


def test_number_of_a_field_is_read_as_runtimes_read_it() -> None:
    """A number of more than 32 bits is cut to 32 by them, and so cannot hide a part."""
    graph = build_model("initializer")
    start = graph.index(b"\x3a")
    hidden = graph[:start] + bytes([0xBA, 0x80, 0x80, 0x80, 0x10]) + graph[start + 1 :]
    with pytest.raises(PackageError, match="asks for numbers from another file"):
        check_contained(hidden)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x3a\x05abc", "cut off"),
        (b"\x3d\x01", "cut off"),
        (b"\x3a", "damaged"),
        (b"\x3b\x01", "damaged"),
        (b"\xff" * 20, "damaged"),
        (b"\x0a\x02ab", "another kind of file"),
    ],
)
def test_what_is_no_graph_is_refused(content, words) -> None:
    """Damage and other formats have a reason in words."""
    with pytest.raises(PackageError, match=words):
        check_contained(content)


def test_graph_in_a_graph_without_end() -> None:
    """A graph in an attribute of a node, again and again, is refused, and is no crash."""
    content = b""
    for key in (*(0x32, 0x2A, 0x0A) * 60, 0x3A):
        size = len(content)
        content = bytes([key, size & 0x7F | 0x80, size >> 7]) + content
    with pytest.raises(PackageError, match="nested too deeply"):
        check_contained(content)


@pytest.fixture
def package(tmp_path) -> Path:
    """A package without an ONNX file."""
    make_package(tmp_path / "package")
    return tmp_path / "package"


@pytest.mark.parametrize("runtime", [Runtime.onnxruntime, Runtime.openvino])
def test_package_whose_file_reads_others(package, runtime) -> None:
    """No runtime gets to see such a file."""
    change_part(package, ONNX_NAME, build_model("initializer"))
    with pytest.raises(ConfigError, match="asks for numbers from another file"):
        choose_engine(load_package(package), open_files(package), runtime)


@pytest.mark.parametrize("content", [build_model, lambda _: b"<net", lambda _: b"x"])
def test_eight_bits_that_are_no_network(package, content) -> None:
    """An ONNX file in place of OpenVINO's own form, and damage, are refused in words."""
    pytest.importorskip("openvino")
    change_part(package, INT8_GRAPH, content("initializer"))
    change_part(package, INT8_WEIGHTS, b"1234")
    with pytest.raises(PackageError, match="cannot run the network in 8 bits"):
        choose_engine(load_package(package), open_files(package), Runtime.auto, Precision.int8)
