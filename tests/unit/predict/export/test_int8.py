"""How the library that makes 8 bits is called; what it makes is looked at with the real one by slow tests."""

import os
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from phytoscope.errors import PackageError
from phytoscope.predict.export.int8 import Control, NetworkInputs, quantize_controlled, quantize_plainly

SWITCH = "NNCF_CI"
SQUARES = np.random.default_rng(0).integers(0, 256, (19, 4, 4, 3), dtype=np.uint8)


class OwnError(Exception):
    """An error of the library's own."""


class Library:
    """Notes what it is asked for."""

    QuantizationPreset = SimpleNamespace(MIXED="mixed", PERFORMANCE="performance")
    DropType = SimpleNamespace(ABSOLUTE="absolute")
    errors = SimpleNamespace(OwnError=OwnError, number=1)

    def __init__(self):
        self.fault, self.asked, self.found = None, {}, None

    def set_log_level(self, _level):
        """Says whether reports to its makers are switched off while it starts."""
        self.is_silent = os.environ.get(SWITCH)

    @staticmethod
    def Dataset(items, transform):  # noqa: N802 (the library's name)
        """The inputs that it would compute with."""
        return [transform(item) for item in items]

    def quantize(self, model, inputs, **asked):
        """Pretends to."""
        self.asked = {"inputs": inputs, **asked}
        if self.fault is not None:
            raise self.fault
        return f"small {model}"

    def quantize_with_accuracy_control(self, model, inputs, batches, validate, **asked):
        """Asks once how good the network is."""
        self.asked = {"inputs": inputs, "batches": batches, **asked}
        places = np.array_split(np.arange(19), 2)
        self.found = validate(lambda given: [given[0].mean(axis=(1, 2))], places)
        return f"careful {model}"


@pytest.fixture
def library(monkeypatch):
    """In the place of the real one."""
    pytest.importorskip("openvino")
    library = Library()
    monkeypatch.setitem(sys.modules, "nncf", library)
    monkeypatch.delenv(SWITCH, raising=False)
    return library


@pytest.mark.parametrize("known", [None, "0"])
def test_it_reports_nothing_to_its_makers(library, monkeypatch, known):
    """The switch is set before it is imported, and is what it was before afterwards."""
    if known is not None:
        monkeypatch.setenv(SWITCH, known)
    seen = []

    def bring(_name):
        seen.append(os.environ.get(SWITCH))
        return library

    monkeypatch.setattr("phytoscope.predict.export.int8.require", bring)
    assert quantize_plainly("net", NetworkInputs(SQUARES)) == "small net"
    assert seen[:2] == [known, "1"]
    assert os.environ.get(SWITCH) == known


@pytest.mark.parametrize(("careful", "preset"), [(False, "performance"), (True, "mixed")])
def test_each_image_is_shown_alone(library, careful, preset):
    """With its covariates, where the network sees any."""
    covariates = np.arange(38, dtype=np.float32).reshape(19, 2)
    quantize_plainly("net", NetworkInputs(SQUARES, covariates), careful=careful)
    assert library.asked["preset"] == preset
    assert library.asked["fast_bias_correction"] is not careful
    assert library.asked["subset_size"] == len(library.asked["inputs"]) == 19
    squares, beside = library.asked["inputs"][7]
    np.testing.assert_array_equal(squares, SQUARES[7:8])
    np.testing.assert_array_equal(beside, covariates[7:8])


def test_accuracy_is_that_of_the_control_images(library):
    """Outputs and places of all of them, in 64 bits, however they are divided."""
    given = []

    def score(outputs, places):
        given.extend([outputs, places])
        return 0.5

    control = Control(NetworkInputs(SQUARES), score, 0.01)
    assert quantize_controlled("net", NetworkInputs(SQUARES[:3]), control) == "careful net"
    assert library.found == (0.5, None)
    assert (library.asked["max_drop"], library.asked["drop_type"], library.asked["subset_size"]) == (
        0.01,
        "absolute",
        3,
    )
    assert [len(batch[0]) for batch in library.asked["batches"]] == [10, 9]
    outputs, places = given
    np.testing.assert_allclose(outputs, SQUARES.mean(axis=(1, 2)))
    assert outputs.dtype == np.float64
    assert places.tolist() == list(range(19))


@pytest.mark.parametrize("fault", [OwnError("no such layer"), RuntimeError("no such layer")])
def test_network_that_cannot_be_brought_to_eight_bits_is_told(library, fault):
    """With what to do; the library's errors have no name in common."""
    library.fault = fault
    with pytest.raises(PackageError, match=r"cannot be brought to 8 bits \(.*no such layer\): set package\.int8=never"):
        quantize_plainly("net", NetworkInputs(SQUARES))
