"""`phytoscope doctor`: each fault is found and comes with a remedy; what is merely absent is no fault."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from packaging.requirements import Requirement
from typer.testing import CliRunner

from phytoscope import cli
from phytoscope.cli import doctor_command, doctor_libraries, doctor_machine, doctor_network
from phytoscope.cli.doctor_network import Answer
from phytoscope.cli.doctor_report import Check, Health

NETWORK = {
    "torch": "2.15.0",
    "threads": 2,
    "seconds": 0.1,
    "is_finite": True,
    "cuda_built": None,
    "gpus": [],
    "mps": False,
}
ENTRY = "import sys; sys.argv[0] = 'phytoscope'; from phytoscope.cli import main; main()"


def tell(what: str, **found: Any) -> str:
    return "\n" + json.dumps({"trial": what, **found}) + "\n"


@pytest.fixture
def trials(monkeypatch):
    """What the trials print, by name, in place of processes that load libraries; an exception's text where one ends."""
    printed = {
        "network": tell("network", **NETWORK),
        "vision": tell("vision", torchvision="0.30.0", is_right=True),
        "pictures": tell("pictures", is_right=True),
        "tables": tell("tables", is_right=True),
    }

    def run(whats: Sequence[str], _patience_s: float) -> tuple[str, str]:
        said = ""
        for what in whats:
            if not printed[what].startswith("\n"):
                return said, printed[what]
            said += printed[what]
        return said, ""

    monkeypatch.setattr(doctor_command, "_run_probe", run)
    return printed


def look(trials: Any) -> dict[str, Check]:
    assert trials
    return {check.name: check for check in doctor_command.look(None, 60.0)}


def assert_told(check: Check, health: Health, found: str, remedy: str) -> None:
    assert check.health is health, check
    assert found in check.found
    assert remedy in check.remedy


class TestWhole:
    """The command as a user calls it."""

    def test_this_installation(self) -> None:
        """Everything in earnest: real libraries in processes of their own, and every check by its name."""
        done = subprocess.run(
            [sys.executable, "-c", ENTRY, "doctor", "--offline", "--json", "--patience", "500"],
            check=False,
            capture_output=True,
            encoding="utf-8",
            timeout=550,
        )
        told = json.loads(done.stdout)
        found = {check["name"]: check for check in told["checks"]}
        assert list(found) == [
            "Python",
            "Libraries",
            "Extras",
            "Weights",
            "Cores",
            "Memory",
            "Disk",
            "Ports",
            "Text",
            "Network",
            "Clock",
            "GPU",
            "Trial",
        ]
        assert found["Trial"]["health"] == "ok", found["Trial"]
        loaded = found["Trial"]["facts"]["network"]["torch"]
        assert loaded.partition("+")[0] == found["Libraries"]["facts"]["torch"].partition("+")[0]
        assert told["ok"] is (done.returncode == 0)
        assert all(check["remedy"] for check in told["checks"] if check["health"] != "ok")
        assert set(found["Python"]) == {"name", "health", "found", "remedy", "facts"}

    def test_exit_code_tells_faults(self, trials, monkeypatch) -> None:
        """Code 0 when nothing stands in the way, notes included; 3 when something does, with its remedy below it."""
        checks = [Check("Disk", Health.note, "1 GiB [free]", "free some")]
        monkeypatch.setattr(doctor_command, "look", lambda *_: checks)
        fine = CliRunner().invoke(cli.app, ["doctor"])
        assert fine.exit_code == 0
        assert "note  Disk       1 GiB [free]\n" in fine.stdout
        assert "-> free some" in fine.stdout
        assert "Nothing stands in the way." in fine.stdout
        checks.append(Check("Trial", Health.fault, "torch does not start", "install it again"))
        ill = CliRunner().invoke(cli.app, ["doctor"])
        assert ill.exit_code == 3
        assert "To mend: Trial;" in ill.stdout
        told = CliRunner().invoke(cli.app, ["doctor", "--json"])
        assert told.exit_code == 3
        assert json.loads(told.stdout)["ok"] is False

    def test_nothing_optional_is_needed(self) -> None:
        """It starts without any library that the trials are about: each is loaded in a process of its own."""
        code = (
            "import sys\n"
            "from phytoscope.cli import doctor_command\n"
            "doctor_command._run_probe = lambda *_: ('', 'nothing was tried')\n"
            "doctor_command.look(None, 1.0)\n"
            "print(*sys.modules)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120)
        assert not set(done.stdout.split()) & {"torch", "numpy", "pandas", "cv2", "lightning", "timm", "hydra"}

    def test_each_check_brings_its_own_libraries(self) -> None:
        """A library that cannot be loaded breaks the line that needs it, and not the command."""
        code = (
            "import sys; sys.modules |= dict.fromkeys(['yaml', 'packaging', 'numpy', 'PIL', 'cv2', 'pandas']); "
            "from phytoscope.cli import doctor_command as d; "
            "print(*(d._look_safely(name, check).health for name, check in d._list_quick()))"
        )
        done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=120)
        assert len(done.stdout.split()) == 9, done.stderr
        assert done.stdout.split()[1:4] == ["fault", "fault", "fault"]

    def test_broken_check_hides_no_other(self, trials, monkeypatch) -> None:
        """A check that cannot be made is a fault of its own."""

        def fail() -> Check:
            message = "No module named 'packaging'"
            raise ImportError(message)

        monkeypatch.setattr(doctor_libraries, "check_libraries", fail)
        found = look(trials)
        assert_told(found["Libraries"], Health.fault, "No module named 'packaging'", "reinstall")
        assert found["Trial"].health is Health.ok


class TestTrials:
    """Libraries that do not start."""

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            ("raise ImportError('libcudnn.so.9: cannot open shared object file')", "libcudnn.so.9"),
            ("import os; os.abort()", "it crashed (SIGABRT)"),
            ("import time; time.sleep(60)", "no answer within 3 s"),
            ("raise SystemExit(7)", "it ended with code 7"),
        ],
        ids=["import", "crash", "hang", "exit"],
    )
    @pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
    def test_broken_torch_is_a_sentence(self, tmp_path, monkeypatch, body, reason) -> None:
        """It raises, crashes, hangs or ends the process: the command goes on and says what to do."""
        (tmp_path / "torch.py").write_text(body, encoding="utf-8")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        patience = 3.0 if "sleep" in body else 60.0
        found = doctor_command._try(["network", "vision"], patience)
        assert set(found) == {"network", "vision"}
        assert reason in found["network"]["broken"]
        fine = {"is_right": True}
        check = doctor_command._check_tries({**found, "pictures": fine, "tables": fine})
        remedy = "--patience" if "sleep" in body else "--force-reinstall torch torchvision"
        assert_told(check, Health.fault, reason, remedy)
        assert doctor_command._check_gpu(found["network"]).health is Health.note

    def test_torchvision_that_does_not_fit(self, trials) -> None:
        """What torch answered is known all the same."""
        trials["vision"] = "RuntimeError: operator torchvision::nms does not exist"
        found = look(trials)
        assert_told(found["Trial"], Health.fault, "torchvision::nms does not exist", "must be made for each other")
        assert "a tiny network" not in found["Trial"].found
        assert found["GPU"].health is Health.ok

    @pytest.mark.parametrize("what", ["network", "vision", "pictures", "tables"])
    def test_wrong_results_are_faults(self, trials, what) -> None:
        """A library that starts and computes nonsense is not fine."""
        wrong = {**NETWORK, "is_finite": False} if what == "network" else {"is_right": False}
        trials[what] = tell(what, **wrong)
        found = look(trials)
        words = doctor_command._TRIES[what]
        assert_told(found["Trial"], Health.fault, f"not so: {words}: the result is wrong", "pip install")

    @pytest.mark.parametrize(
        ("torch", "smi", "health", "found"),
        [
            ({"gpus": [{"name": "NVIDIA T4", "gib": 15.0}]}, "/bin/nvidia-smi", Health.ok, "NVIDIA T4 with 15 GiB"),
            ({"mps": True}, None, Health.ok, "MPS"),
            ({}, None, Health.ok, "none"),
            ({}, "/bin/nvidia-smi", Health.note, "this torch is made for processors only"),
            ({"cuda_built": "13.0"}, "/bin/nvidia-smi", Health.note, "torch cannot use it"),
        ],
    )
    def test_gpu(self, trials, monkeypatch, torch, smi, health, found) -> None:
        """One that torch can use, none, and one that it cannot use."""
        monkeypatch.setattr(shutil, "which", lambda _: smi)
        trials["network"] = tell("network", **{**NETWORK, **torch})
        assert_told(look(trials)["GPU"], health, found, "pytorch.org" if health is Health.note else "")


class TestLibraries:
    """Versions beside what is asked for."""

    @pytest.fixture
    def installed(self, monkeypatch):
        """Versions by name, and what each asks for; both may be changed."""
        versions = {"phytoscope": "0.1.0", "torch": "2.15.0", "torchvision": "0.30.0", "lightning": "2.6.6"}
        asked = {
            ("phytoscope", None): ["torch>=2.11", "torchvision>=0.26", "lightning>=2.5,!=2.6.2,!=2.6.3"],
            ("torchvision", None): ["torch==2.15.0", "numpy"],
            ("phytoscope", "fast"): ["openvino>=2025"],
            ("phytoscope", "export"): ["onnx>=1.17"],
            ("phytoscope", "serve"): ["fastapi>=0.115", "phytoscope[fast,export]"],
        }

        def read(name: str, extra: str | None) -> list[Requirement] | None:
            if name not in versions:
                return None
            return [Requirement(text) for text in asked.get((name, extra), [])]

        monkeypatch.setattr(doctor_libraries, "_find_version", versions.get)
        monkeypatch.setattr(doctor_libraries, "_read_requirements", read)
        return versions

    def test_all_fit(self, installed) -> None:
        """Versions that are asked for, by us and by each other, those for one kind of processor included."""
        installed["torch"] = "2.15.0+cpu"
        check = doctor_libraries.check_libraries()
        assert_told(check, Health.ok, "all 3 fit: torch 2.15.0+cpu", "")
        assert check.facts["lightning"] == "2.6.6"

    @pytest.mark.parametrize(
        ("name", "version", "found"),
        [
            ("torch", None, "torch is missing"),
            ("torch", "2.10.0", "torch 2.10.0 is installed, >=2.11 is asked for"),
            ("torch", "2.14.1", "torchvision 0.30.0 asks for torch==2.15.0, installed is 2.14.1"),
        ],
    )
    def test_what_does_not_fit(self, installed, name, version, found) -> None:
        """Missing, too old, or not made for each other."""
        installed[name] = version
        if version is None:
            del installed[name]
        assert_told(doctor_libraries.check_libraries(), Health.fault, found, "pip install")

    @pytest.mark.parametrize("version", ["2.6.2", "2.6.3"])
    def test_stolen_releases(self, installed, version) -> None:
        """The two malicious releases of lightning are named as what they are."""
        installed["lightning"] = version
        check = doctor_libraries.check_libraries()
        assert_told(check, Health.fault, f"lightning=={version} was made by thieves", "passwords")

    def test_folder_that_is_not_installed(self, installed) -> None:
        """Nothing is known of what it needs, which may be all right."""
        del installed["phytoscope"]
        assert_told(doctor_libraries.check_libraries(), Health.note, "is not installed", "pip install")

    def test_extras(self, installed) -> None:
        """An extra that consists of others lacks what they lack; none of it is a fault."""
        installed.update({"openvino": "2026.1", "fastapi": "0.120"})
        check = doctor_libraries.check_extras()
        assert_told(check, Health.ok, "installed: fast; not installed: export (ONNX files); serve (", "none of them")
        assert check.facts["serve"]["lacking"] == ["onnx>=1.17"]
        installed["onnx"] = "1.20"
        assert doctor_libraries.check_extras().found == "installed: export, fast, serve"

    def test_every_extra_says_what_it_gives(self) -> None:
        """Each extra of the project that is for users stands in the list."""
        from importlib import metadata

        extras = set(metadata.metadata("phytoscope").get_all("Provides-Extra") or [])
        assert set(doctor_libraries._GIVES) == extras - {"all", "dev", "docs", "notebooks", "bench"}

    def test_old_python(self, monkeypatch) -> None:
        """The version that is needed is named."""
        assert doctor_libraries.check_python().health is Health.ok
        monkeypatch.setattr(sys, "version_info", (3, 10, 4))
        assert_told(doctor_libraries.check_python(), Health.fault, "", "Python 3.11 or newer")


class TestMachine:
    """The computer as it is."""

    def test_cores(self, monkeypatch, tmp_path) -> None:
        """Threads that would wait for each other are told; a container's share is read."""
        monkeypatch.setattr(doctor_machine, "_GROUP", tmp_path)
        monkeypatch.setattr(doctor_machine, "count_cores", lambda: 8)
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        assert_told(doctor_machine.check_cores(), Health.ok, "8 of", "")
        monkeypatch.setenv("OMP_NUM_THREADS", "64")
        assert_told(doctor_machine.check_cores(), Health.note, "OMP_NUM_THREADS=64", "8 or less")
        monkeypatch.setenv("OMP_NUM_THREADS", "many")
        assert doctor_machine.check_cores().health is Health.note
        monkeypatch.delenv("OMP_NUM_THREADS")
        (tmp_path / "cpu.max").write_text("max 100000\n")
        assert doctor_machine.check_cores().health is Health.ok
        (tmp_path / "cpu.max").write_text("150000 100000\n")
        assert_told(doctor_machine.check_cores(), Health.note, "the time of 1.5", "OMP_NUM_THREADS=1")

    def test_memory(self, monkeypatch, tmp_path) -> None:
        """Of the machine, or of the container when it grants less."""
        monkeypatch.setattr(doctor_machine, "_GROUP", tmp_path)
        check = doctor_machine.check_memory()
        assert check.health in (Health.ok, Health.note)
        monkeypatch.setattr(doctor_machine, "_read_memory", lambda: (8.0, 7.0))
        assert_told(doctor_machine.check_memory(), Health.ok, "8.0 GiB, 7.0 GiB free", "")
        monkeypatch.setattr(doctor_machine, "_read_memory", lambda: (8.0, 1.0))
        assert_told(doctor_machine.check_memory(), Health.note, "1.0 GiB free", "trainer.batch_size")
        monkeypatch.setattr(doctor_machine, "_read_memory", lambda: (None, None))
        assert doctor_machine.check_memory().health is Health.ok

    @pytest.mark.skipif(not Path("/proc/meminfo").is_file(), reason="only Linux tells so")
    def test_memory_of_a_container(self, monkeypatch, tmp_path) -> None:
        """The limit counts, and what is used of it."""
        monkeypatch.setattr(doctor_machine, "_GROUP", tmp_path)
        (tmp_path / "memory.max").write_text(str(2**28))
        (tmp_path / "memory.current").write_text(str(2**27))
        assert doctor_machine._read_memory() == (0.25, 0.125)
        (tmp_path / "memory.max").write_text("max")
        assert doctor_machine._read_memory()[0] > 0.25

    def test_disks(self, monkeypatch, tmp_path) -> None:
        """Room, little room, none, and a place that cannot be written."""
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(doctor_machine, "_SHARED", tmp_path / "none")
        usage = shutil.disk_usage(tmp_path)
        for free_gib, health, remedy in (
            (50, Health.ok, ""),
            (2, Health.note, "cache prune"),
            (0.1, Health.fault, "free"),
        ):
            found = usage._replace(free=int(free_gib * 2**30))
            monkeypatch.setattr(shutil, "disk_usage", lambda _, found=found: found)
            assert_told(doctor_machine.check_disks(), health, "this folder", remedy)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2**36))

        def refuse(**_: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
        assert_told(doctor_machine.check_disks(), Health.fault, "(Permission denied)", "paths.run_dir=DIR")

        def find_none() -> str:
            raise FileNotFoundError(2, "No usable temporary directory found")

        monkeypatch.setattr(tempfile, "gettempdir", find_none)
        assert_told(doctor_machine.check_disks(), Health.fault, "temporary files: there is no folder", "TMPDIR")

    def test_little_shared_memory(self, monkeypatch, tmp_path) -> None:
        """Containers have 64 MB of it unless told otherwise, and processes that read images need more."""
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(doctor_machine, "_SHARED", tmp_path)
        usage = shutil.disk_usage(tmp_path)._replace(total=2**26, free=2**36)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
        assert_told(doctor_machine.check_disks(), Health.note, "--shm-size=1g", "")

    def test_ports(self, monkeypatch) -> None:
        """A port that somebody listens on is named, with how to choose another."""
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            port = listener.getsockname()[1]
            monkeypatch.setattr(doctor_machine, "_PORTS", {"phytoscope serve": (port, "serve.port=8080")})
            assert_told(
                doctor_machine.check_ports(), Health.note, f"{port} (phytoscope serve) is taken", "serve.port=8080"
            )
        assert doctor_machine.check_ports().health is Health.ok

    def test_clock(self, monkeypatch) -> None:
        """Beside a clock of the network, or beside the day on which phytoscope was installed."""
        assert doctor_machine.check_clock(None).health is Health.ok
        assert doctor_machine.check_clock(time.time() - 20).health is Health.ok
        assert_told(
            doctor_machine.check_clock(time.time() + 3600), Health.fault, "s behind the network's", "set the clock"
        )
        assert_told(doctor_machine.check_clock(time.time() - 3600), Health.fault, "s ahead of", "set the clock")
        monkeypatch.setattr(time, "time", lambda: 0.0)
        assert_told(
            doctor_machine.check_clock(None), Health.fault, "1970-01-01T00:00:00Z, which is before", "set the clock"
        )

    def test_text(self, monkeypatch) -> None:
        """An encoding that cannot write an umlaut everywhere is told."""
        monkeypatch.setattr(doctor_machine.locale, "getpreferredencoding", lambda _: "ANSI_X3.4-1968")
        assert_told(doctor_machine.check_text(), Health.note, "files: ANSI_X3.4-1968", "PYTHONUTF8=1")


class TestNetwork:
    """Who can be reached, and what is here already."""

    def test_no_network_is_no_fault(self) -> None:
        """Not asked and not reached are both fine, and the line says how to do without."""
        answers = [Answer("the package index", "https://x", "no route"), Answer("the weights' hub", "https://y", "")]
        for check in (doctor_network.check_network(None), doctor_network.check_network(answers)):
            assert_told(check, Health.ok, "model.weights=FILE", "")
        assert "not reached: the package index (no route)" in doctor_network.check_network(answers).found
        reached = [Answer("the package index", "https://x", ""), Answer("the weights' hub", "https://y", "")]
        assert doctor_network.check_network(reached).found == "the package index and the weights' hub answer"

    def test_who_does_not_answer_is_not_waited_for(self, monkeypatch) -> None:
        """A name that is looked up for ever costs no more than the time that was given."""
        answered = threading.Event()

        def hang(*_: object, **__: object) -> None:
            answered.wait(60)
            raise OSError

        monkeypatch.setattr(urllib.request, "urlopen", hang)
        began = time.monotonic()
        answers = doctor_network.ask_network(0.2)
        assert time.monotonic() - began < 10
        answered.set()
        assert [answer.reason for answer in answers] == ["no answer in time", "no answer in time"]

    def test_reasons_and_clock(self, monkeypatch) -> None:
        """Why it failed, what a refusal means, and what time it is there."""
        monkeypatch.setenv("HF_ENDPOINT", "ftp://x")
        monkeypatch.setenv("PIP_INDEX_URL", "https://index.example/simple")

        def refuse(request: urllib.request.Request, **_: object) -> None:
            headers = {"Date": "Mon, 23 Nov 2026 14:00:00 GMT"}
            raise urllib.error.HTTPError(request.full_url, 403, "Forbidden", headers, None)

        monkeypatch.setattr(urllib.request, "urlopen", refuse)
        index, hub = doctor_network.ask_network(5.0)
        assert (index.reason, index.clock, index.url) == ("", 1795442400, "https://index.example/simple")
        assert hub.reason == "'ftp://x' is no web address"

    @pytest.mark.parametrize(
        ("given", "shown"),
        [("https://ada:secret@index.example/simple", "https://index.example/simple"), ("https://[secret", "")],
    )
    def test_nobodys_password_is_shown(self, monkeypatch, given, shown) -> None:
        """What stands before the host in an address is left out of what is asked, said and told to programs."""
        monkeypatch.setenv("PIP_INDEX_URL", given)
        monkeypatch.setenv("HF_ENDPOINT", "ftp://ada:secret@hub.example")
        reply = SimpleNamespace(headers={})
        monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: contextlib.nullcontext(reply))

        answers = doctor_network.ask_network(5.0)

        assert [answer.url for answer in answers] == [shown, "ftp://hub.example"]
        assert "secret" not in str(doctor_network.check_network(answers))

    def test_weights(self, monkeypatch, tmp_path) -> None:
        """Those of the package and those in the hub's cache, whole ones only."""
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr(doctor_network, "_PACKAGE", "not_installed_anywhere")
        presets = doctor_command._PRESETS
        assert_told(doctor_network.check_weights(presets), Health.note, "no pre-trained weights", "phytoscope[weights]")
        for name in ("resnet18.a1_in1k", "vit_tiny_patch16_224.augreg"):
            (tmp_path / f"models--timm--{name}" / "snapshots" / "abc").mkdir(parents=True)
        (tmp_path / "models--timm--resnet18.a1_in1k" / "snapshots" / "abc" / "model.safetensors").touch()
        check = doctor_network.check_weights(presets)
        assert_told(check, Health.ok, "ready without a network: model=resnet18; fetched", "")
        assert "model=vit_tiny" in check.facts["missing"]
        monkeypatch.setattr(doctor_network, "_PACKAGE", "json")
        assert doctor_network.check_weights(presets).facts["ready"] == ["model=efficientnet_lite0", "model=resnet18"]
