"""The Tab key: commands, options and settings, in each shell's own protocol."""

import os
import shutil
import subprocess
import sys

import pytest

from phytoscope.cli.completion import complete_late_settings, complete_service, complete_settings
from phytoscope.configs import list_groups
from phytoscope.schema.config import SCHEMA_OF_GROUP

ENTRY = "import sys; sys.argv[:] = ['phytoscope']; from phytoscope.cli import main; main()"
HEAVY = {"torch", "pandas", "numpy", "matplotlib", "hydra", "sklearn", "PIL", "loguru"}


def ask(shell: str, line: str, **more: str) -> str:
    """What is answered when Tab is pressed behind a line."""
    names = {**os.environ, "_PHYTOSCOPE_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": line, **more}
    command = [sys.executable, "-c", ENTRY]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120, env=names).stdout


@pytest.mark.parametrize(
    ("word", "offered"),
    [
        ("data=", ["data=farmbot_biomass", "data=folder", "data=plantvillage", "data=table"]),
        ("data=pl", ["data=plantvillage"]),
        ("model=res", ["model=resnet18"]),
        ("mod", ["model.", "model="]),
        ("tra", ["track.", "track=", "trainer.", "trainer="]),
        ("see", ["seed="]),
        ("data.split.v", ["data.split.val=", "data.split.val=0.1"]),
        ("serve.po", ["serve.port=", "serve.port=8000"]),
        ("data.split.near_duplicates=", ["data.split.near_duplicates=false", "data.split.near_duplicates=true"]),
        ("trainer.mode=f", ["trainer.mode=features"]),
        ("data.root=lea", []),
        ("nonsense", []),
        ("nonsense.key", []),
        ("nonsense=", []),
    ],
)
def test_what_a_word_may_become(word, offered) -> None:
    """Groups, keys, presets, choices and truth values; nothing where any text may stand."""
    assert complete_settings(word) == offered


def test_everything_can_be_reached() -> None:
    """Each group, preset and key is offered for its own beginning."""
    first = complete_settings("")
    for group, presets in list_groups().items():
        assert f"{group}=" in first
        assert complete_settings(f"{group}=") == sorted(f"{group}={preset}" for preset in presets)
    for group, schema in SCHEMA_OF_GROUP.items():
        assert f"{group}." in first
        offered = complete_settings(f"{group}.")
        missing = {name for name in schema.__dataclass_fields__ if f"{group}.{name}=" not in offered}
        assert missing <= ({"split"} if group == "data" else set())


def test_service_has_its_own_settings_only() -> None:
    """`phytoscope serve` takes no settings of a training."""
    assert complete_service("") == ["serve.", "serve.port="]
    assert complete_service("serve.por") == ["serve.port=", "serve.port=8000"]
    assert complete_service("trainer.") == []


def test_folder_is_not_taken_for_a_setting() -> None:
    """Where a folder may stand, settings are offered only for what is plainly one."""
    assert complete_late_settings("") == []
    assert complete_late_settings("da") == []
    assert complete_late_settings("data=fo") == ["data=folder"]


def test_zsh_and_fish() -> None:
    """Both hand over the line and read whole words."""
    assert ask("zsh", "phytoscope run data=pl") == "_arguments '*: :((\"data=plantvillage\"))'\n"
    offered = ask("fish", "phytoscope train trainer.mode=", _TYPER_COMPLETE_FISH_ACTION="get-args").split()
    assert offered == ["trainer.mode=auto", "trainer.mode=features", "trainer.mode=plain", "trainer.mode=trunk"]
    assert ask("fish", "phytoscope doct", _TYPER_COMPLETE_FISH_ACTION="get-args").startswith("doctor")


@pytest.mark.skipif(shutil.which("bash") is None or os.name == "nt", reason="there is no bash")
def test_bash_itself(tmp_path) -> None:
    """The script that `--show-completion` prints, in a real bash, which cuts words at `=`."""
    program = tmp_path / "phytoscope"
    program.write_text(f"#!{sys.executable}\nfrom phytoscope.cli import main\nmain()\n", encoding="utf-8")
    program.chmod(0o755)
    script = (
        'eval "$(_PHYTOSCOPE_COMPLETE=source_bash phytoscope)"\n'
        'try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); '
        "_phytoscope_completion phytoscope; IFS=' '; echo \"${COMPREPLY[*]}\"; unset IFS; }\n"
        "try phytoscope regis\n"
        "try phytoscope run data =\n"
        "try phytoscope run data.kind=x model = res\n"
        "try phytoscope run trainer.pati\n"
        "try phytoscope run data.root = lea\n"
        "try phytoscope predict --runtime op\n"
    )
    bash = str(shutil.which("bash"))
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [bash, "--norc", "-c", script], check=True, capture_output=True, text=True, timeout=300, env=environment
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "register",
        "farmbot_biomass folder plantvillage table",
        "resnet18",
        "trainer.patience= trainer.patience=null",
        "",
        "openvino",
    ]


def test_nothing_heavy_is_loaded() -> None:
    """Whoever presses Tab does not want to wait."""
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr))\n"
        "sys.argv[:] = ['phytoscope']\n"
        "from phytoscope.cli import main\n"
        "main()\n"
    )
    names = {
        **os.environ,
        "_PHYTOSCOPE_COMPLETE": "complete_zsh",
        "_TYPER_COMPLETE_ARGS": "phytoscope run trainer.ma",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120, env=names
    )
    assert "trainer.max_epochs=" in done.stdout
    assert not set(done.stderr.split()) & HEAVY


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_it_can_be_installed(shell, tmp_path) -> None:
    """`--install-completion` writes a file of the shell's own into the home folder, and says where."""
    names = {
        **os.environ,
        "HOME": str(tmp_path),
        "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
    }
    code = "import sys; sys.argv[0] = 'phytoscope'; from phytoscope.cli import main; main()"
    command = [sys.executable, "-c", code, "--install-completion", shell]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120, env=names)
    assert f"{shell} completion installed in {tmp_path}" in done.stdout
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any("_PHYTOSCOPE_COMPLETE=complete_" + shell in path.read_text(encoding="utf-8") for path in written)
