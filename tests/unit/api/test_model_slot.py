"""The exchange of the model, and what keeps it from happening."""

import asyncio
import contextlib
import shutil
from pathlib import Path

import pytest

from factories.packages import make_package
from phytoscope.api import model_slot
from phytoscope.api.model_slot import ModelSlot, _find_version
from phytoscope.schema.choices import Runtime
from phytoscope.schema.serve import ServeConfig

CONFIG = ServeConfig(runtime=Runtime.torch, reload_s=0.05, explain=False)


@pytest.fixture
def packages(tmp_path):
    """The package that is served, and another one."""
    for name in ("served", "newer"):
        make_package(tmp_path / name, name=f"the {name} one")
    return tmp_path / "served", tmp_path / "newer"


def serve(folder, work, config=CONFIG):
    """Runs `work(slot, refusals)` while the slot watches a package."""

    async def inside():
        refusals = []
        slot = ModelSlot(
            str(folder),
            config,
            1,
            on_change=lambda *_: None,
            on_refusal=lambda: refusals.append(slot.reload_error),
            observe=lambda *_: None,
        )
        await slot.load()
        watching = asyncio.create_task(slot.watch())
        try:
            async with asyncio.timeout(120):
                await work(slot, refusals)
            assert not watching.done()
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
            await slot.close()

    asyncio.run(inside())


async def until(is_so):
    while not is_so():
        await asyncio.sleep(0.01)


def test_parts_may_come_one_after_the_other(packages):
    """A copy whose description comes first is refused while it is not whole, and taken when it is."""
    served, newer = packages
    weights = newer / "model.safetensors"

    async def work(slot, refusals):
        (served / weights.name).write_bytes(weights.read_bytes()[:-100])
        shutil.copy(newer / "package.json", served)
        await until(lambda: refusals)
        assert slot.current.about["name"] == "the served one"
        shutil.copytree(newer, served, dirs_exist_ok=True)
        await until(lambda: slot.current.about["name"] == "the newer one")
        assert slot.reload_error is None

    serve(served, work)


def test_whatever_a_newer_package_does_the_older_one_goes_on(packages, monkeypatch):
    """A fault that nobody expects is counted and told, and the next look takes the package."""
    served, newer = packages

    async def work(slot, refusals):
        def fail(_):
            raise MemoryError

        with monkeypatch.context() as patch:
            patch.setattr(model_slot, "load_files", fail)
            shutil.copytree(newer, served, dirs_exist_ok=True)
            await until(lambda: refusals)
            assert refusals[0]
        slot.look_now()
        await until(lambda: slot.current.about["name"] == "the newer one")

    serve(served, work)


def test_package_that_is_away_for_a_moment_is_no_fault(packages):
    """In the middle of a replacement there is none; nothing is refused."""
    served, newer = packages

    async def work(slot, refusals):
        served.rename(served.with_name("away"))
        await asyncio.sleep(0.3)
        newer.rename(served)
        await until(lambda: slot.current.about["name"] == "the newer one")
        assert refusals == []

    serve(served, work)


@pytest.mark.parametrize(
    ("source", "folder", "version"),
    [
        ("models:/leaves/12", "leaves-12-store", "12"),
        ("models:/leaves@champion", "leaves-7-store", "7"),
        ("models:/leaves@champion", "package", None),
        ("models:/leaves@champion", "leaves-x-store", None),
        ("runs/leaves/package", "leaves-7-store", None),
    ],
)
def test_version_is_that_of_the_registry(source, folder, version):
    """As it was asked for, or as an alias was resolved; a folder has none."""
    assert _find_version(source, Path(folder)) == version
