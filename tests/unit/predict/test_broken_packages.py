"""A package that is damaged, or was made to do harm, is refused with an error about it, whatever is wrong with it."""

import contextlib
import io
import json
import pickle
import pickletools
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factories.broken_packages import break_parts, read_parts, sign_parts, zip_parts
from factories.packages import change_description, change_part, make_package
from phytoscope.errors import PackageError
from phytoscope.predict.package import load_files, load_package, verify_package
from phytoscope.predict.package_files import open_files
from phytoscope.predict.package_golden import compare_golden


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> list[dict[str, bytes]]:
    """The parts of a package for classes and of one for numbers."""
    root = tmp_path_factory.mktemp("made")
    for meaning in ("classes", "several"):
        make_package(root / meaning, meaning)
    return [read_parts(root / meaning) for meaning in ("classes", "several")]


@pytest.fixture
def package(tmp_path) -> Path:
    """A package that a test may change."""
    make_package(tmp_path / "package", "classes")
    return tmp_path / "package"


@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_changed_package(made, tmp_path_factory, data) -> None:
    """Truncated, flipped, exchanged and retyped parts, signed again: it answers, or says that it is damaged."""
    numbers = data.draw(st.randoms(use_true_random=False))
    parts = break_parts(made[numbers.randrange(len(made))], numbers.randrange)
    place = tmp_path_factory.getbasetemp() / "changed.phyto"
    place.write_bytes(zip_parts(parts))
    with contextlib.suppress(PackageError):
        files = open_files(place)
        assert compare_golden(load_files(files), files)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_changed_archive(made, tmp_path_factory, data) -> None:
    """Flipped and cut bytes of the archive itself, its directory above all."""
    small = {name: content for name, content in made[0].items() if len(content) < 5000}
    whole = bytearray(zip_parts(small, data.draw(st.sampled_from((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))))
    start = whole.index(b"PK\1\2")
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(start, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, 3))
    place = tmp_path_factory.getbasetemp() / "changed.phyto"
    place.write_bytes(whole[: len(whole) - cut])
    with pytest.raises(PackageError):
        load_package(place)


def test_no_part_is_a_pickle(made) -> None:
    """Nothing in a package is a program: no part can be read by the unpickler, and none holds what torch pickles."""
    for parts in made:
        for name, content in parts.items():
            assert not content.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")), name
            assert b"torch._utils" not in content, name
            with pytest.raises(Exception, match=r".*"):
                pickletools.dis(content, out=io.StringIO())


def test_loading_never_unpickles(package, monkeypatch) -> None:
    """Neither the unpickler nor what torch and numpy build on it is called, in whatever form the package comes."""

    def refuse(*_: object, **__: object) -> None:
        message = "something was unpickled"
        raise AssertionError(message)

    for module, name in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (np, "load")):
        monkeypatch.setattr(module, name, refuse)
    monkeypatch.setattr(sys.modules["torch"], "load", refuse)
    assert verify_package(package) == 0
    (package.parent / "one.phyto").write_bytes(zip_parts(read_parts(package)))
    assert verify_package(package.parent / "one.phyto") == 0


def test_pickle_in_place_of_the_weights(package) -> None:
    """A checkpoint of torch that calls itself safetensors is refused, and nothing in it runs."""
    trap = package.parent / "ran"
    content = b"cos\nsystem\n(S'touch " + str(trap).encode() + b"'\ntR."
    for name in ("model.safetensors", "novelty.safetensors", "golden.json", "trust.json"):
        change_part(package, name, content)
        with pytest.raises(PackageError):
            verify_package(package)
    assert not trap.exists()


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda model: model.update(backbone="vit_giant_patch14_224"), r"has 1,0\d\d,\d{3},\d{3} weights, but 3\d\d,"),
        (lambda model: model.update(class_names=[f"c{n}" for n in range(100_000)]), "weights, but"),
        (lambda model: model["preprocess"].update(size_px=100_000), "size_px is 100000, allowed are 4096"),
        (lambda model: model["preprocess"].update(resize="crop", crop_pct=0.001), "crop_pct or scale would enlarge"),
        (lambda model: model["preprocess"].update(crop_pct=float("nan")), "crop_pct or scale would enlarge"),
        (lambda model: model["preprocess"].update(resize="fixed_scale", scale=1e4), "crop_pct or scale would enlarge"),
        (lambda model: model.update(views=9), "views is 9, allowed are 1 to 8"),
        (lambda model: model.update(views=True), "views is True, allowed are 1 to 8"),
        (lambda model: model.update(members=[{}] * 101), "there are 101 members, allowed are 100"),
        (lambda model: model.update(backbone="hf-hub:timm/resnet18.a1_in1k"), "timm knows no such model"),
        (lambda model: model.update(backbone="local-dir:/tmp"), "timm knows no such model"),
        (lambda model: model.update(class_names=["a", "a", "b"]), "two outputs have the same name"),
        (lambda model: model.update(class_names=[]), "there are no class_names"),
        (lambda model: model.update(class_names="abc"), "class_names is no list of texts"),
        (lambda model: model.update(unit=3, licence=None), "unit is no text; licence is no text"),
        (lambda model: model.update(metrics={"a": "b"}), "metrics hold something else than numbers"),
        (lambda model: model.update(metrics=[]), "metrics is no table"),
        (lambda model: model.update(covariates=[]), "covariates is no table"),
    ],
)
def test_description_that_would_do_harm(package, edit, words) -> None:
    """The largest network there is, one from the network, or values of another kind: refused before memory is taken."""
    change_description(package, lambda content: edit(content["model"]))
    with pytest.raises(PackageError, match=words):
        load_package(package)


def test_deeply_nested_tables(package) -> None:
    """A table in a table ten thousand times is damage, not a crash of the reader."""
    deep = b"[" * 100_000 + b"]" * 100_000
    for name in ("golden.json", "trust.json"):
        original = (package / name).read_bytes()
        change_part(package, name, deep)
        with pytest.raises(PackageError, match=r"damaged|cannot be used"):
            verify_package(package)
        change_part(package, name, original)
    description = (package / "package.json").read_bytes()
    for content in (
        deep,
        description.replace(b'"variants": {}', b'"variants": {"x": ' + deep[:1800] + b"1" + deep[-1800:] + b"}"),
    ):
        (package / "package.json").write_bytes(content)
        with pytest.raises(PackageError, match=r"damaged|not what it was"):
            load_package(package)


def test_too_many_golden_images(package) -> None:
    """A list without end would keep the machine busy for hours."""
    rows = json.loads((package / "golden.json").read_text())
    change_part(package, "golden.json", json.dumps(rows * 501).encode())
    with pytest.raises(PackageError, match="it lists 1002 images, allowed are 1000"):
        verify_package(package)


def test_huge_description(package) -> None:
    """What says more than any model needs is not even parsed."""
    (package / "package.json").write_bytes(b'{"format": 2, "x": "' + b"x" * (17 << 20) + b'"}')
    with pytest.raises(PackageError, match=r"package\.json has more than 16 MB"):
        load_package(package)


def test_signing_again_is_what_an_attacker_does(made) -> None:
    """The changed packages pass the check of their hashes, so that what lies behind it is tested."""
    parts = dict(made[0])
    parts["MODEL_CARD.md"] = b"other words"
    before = parts["package.json"]
    sign_parts(parts)
    assert parts["package.json"] != before
