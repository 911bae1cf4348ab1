"""The command line: help, versions, exit codes, and what it imports before it answers."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

import phytoscope
from factories.runs import run_command
from phytoscope import cli
from phytoscope.cli import terminal
from phytoscope.cli.compose import compose
from phytoscope.schema.config import SCHEMA_OF_GROUP

COMMANDS = [
    "inspect",
    "run",
    "prepare",
    "train",
    "evaluate",
    "export",
    "predict",
    "serve",
    "demo",
    "settings",
    "doctor",
    "adapters",
    "sweep",
    "cross-validate",
    "compare",
    "explain",
    "suggest",
    "register",
    "promote",
    "rollback",
    "models",
]
GROUPS = ["cache", "data", "drift", "find", "package", "pipeline", "records", "serve-keys", "track"]
HEAVY = [
    "torch",
    "torchvision",
    "timm",
    "lightning",
    "matplotlib",
    "seaborn",
    "pandas",
    "pyarrow",
    "numpy",
    "scipy",
    "sklearn",
    "PIL",
    "albumentations",
    "cv2",
    "hydra",
    "omegaconf",
    "loguru",
    "huggingface_hub",
    "ray",
    "dagster",
    "mlflow",
    "wandb",
    "fastapi",
    "sqlalchemy",
    "fsspec",
]


def loaded_after(code: str) -> set[str]:
    """Names of the modules that a fresh interpreter has loaded after some code."""
    script = f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\nprint('\\n' + ' '.join(sys.modules))"
    result = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60)
    return set(result.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("command", [*COMMANDS, *GROUPS])
def test_every_command_explains_itself(command) -> None:
    """`--help` of each command works and says more than its name."""
    result = CliRunner().invoke(cli.app, [command, "--help"])
    assert result.exit_code == 0
    assert len(result.output) > 200


def test_help_names_every_command() -> None:
    """The first help lists all commands."""
    result = CliRunner().invoke(cli.app, ["--help"])
    assert all(command in result.output for command in [*COMMANDS, *GROUPS])
    names = (command.callback.__name__.replace("_", "-") for command in cli.app.registered_commands)
    assert sorted(COMMANDS) == sorted(names)
    assert sorted(GROUPS) == sorted(group.name for group in cli.app.registered_groups)


def test_version() -> None:
    """`--version` prints name and version."""
    result = CliRunner().invoke(cli.app, ["--version"])
    assert result.output.strip() == f"phytoscope {phytoscope.__version__}"


def test_module_is_the_command() -> None:
    """`python -m phytoscope` is the same command."""
    result = run_command("--version")
    assert (result.returncode, result.stdout.strip()) == (0, f"phytoscope {phytoscope.__version__}")


def test_settings_lists_every_key() -> None:
    """Every key of every group, and every preset."""
    result = CliRunner().invoke(cli.app, ["settings"])
    assert result.exit_code == 0
    for group, schema in SCHEMA_OF_GROUP.items():
        for key in schema.__dataclass_fields__:
            assert f"{group}.{key}" in result.output
    assert "mobilenetv3_small" in result.output


def test_help_starts_fast() -> None:
    """Explaining itself needs none of the heavy libraries."""
    loaded = loaded_after("sys.argv = ['phytoscope', '--help']; from phytoscope.cli import main; main()")
    assert not loaded & set(HEAVY)


def test_importing_the_package_costs_nothing() -> None:
    """`import phytoscope` loads none of them, and little of the package itself."""
    loaded = loaded_after("import phytoscope")
    assert not loaded & {*HEAVY, "typer", "rich", "pydantic"}
    assert len([name for name in loaded if name.startswith("phytoscope")]) < 5


def test_help_stays_within_its_time() -> None:
    """Python's own clock of imports says less than a second for `phytoscope --help`, in the best of three."""
    code = "import sys; sys.argv = ['phytoscope', '--help']; from phytoscope.cli import main; main()"
    totals = []
    for _ in range(3):
        command = [sys.executable, "-X", "importtime", "-c", code]
        told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stderr
        lines = re.findall(r"^import time: +(\d+) \| +\d+ \|", told, flags=re.MULTILINE)
        totals.append(sum(map(int, lines)) / 1e6)
        if totals[-1] < 1.0:
            return
    # A machine that does much else tells nothing about imports; a library too much takes seconds everywhere.
    assert min(totals) < 3.0, totals


def test_wrong_setting_is_answered_before_torch_is_loaded() -> None:
    """A typo is told at once, not after seconds of imports."""
    words = ["phytoscope", "run", "data=folder", "trainer.max_epoch=3"]
    loaded = loaded_after(f"sys.argv = {words!r}; from phytoscope.cli import main; main()")
    assert not loaded & {"torch", "timm", "lightning", "matplotlib"}


def test_predicting_needs_no_trainer() -> None:
    """What answers for photographs imports neither the trainer nor the figures nor the trackers."""
    words = ["phytoscope", "predict", "no_package", "leaf.jpg", "--output", "answers.csv"]
    loaded = loaded_after(f"sys.argv = {words!r}; from phytoscope.cli import main; main()")
    assert "torch" in loaded
    # timm imports wandb itself wherever that is installed.
    assert not loaded & {
        "lightning",
        "matplotlib",
        "seaborn",
        "sklearn",
        "albumentations",
        "mlflow",
        "dagster",
    }


class TestProgress:
    """The bar, and the lines in its place where there is no terminal."""

    def test_log_files_stay_short(self, monkeypatch, capsys) -> None:
        """Without a terminal: one line at the start, and one whenever nothing was said for a while."""
        clock = iter(range(0, 1000, 7))
        monkeypatch.setattr(terminal.time, "monotonic", lambda: float(next(clock)))
        progress = terminal.TerminalProgress()
        progress.start("Training", 100)
        for _ in range(7):
            progress.advance(1, "epoch 1/3, val/r2 0.5")
        progress.finish()
        lines = capsys.readouterr().err.splitlines()
        assert lines[0] == "Training ..."
        assert 1 < len(lines) < 5
        assert lines[1].strip().startswith("Training: ")
        assert re.search(r"/100 epoch 1/3, val/r2 0\.5, \d+ min left$", lines[1])

    def test_time_left_does_not_count_what_was_done_before(self, monkeypatch, capsys) -> None:
        """A resumed training reports its earlier batches at once; the time left is that of the new ones."""
        now = [0.0]
        monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
        progress = terminal.TerminalProgress()
        progress.start("Training", 110)
        progress.advance(50)
        for _ in range(21):
            now[0] += 1.0
            progress.advance(1)
        progress.finish()
        assert capsys.readouterr().err.splitlines()[1] == "  Training: 71/110, 39 s left"

    def test_bar_on_a_terminal(self, monkeypatch, tmp_path) -> None:
        """On a terminal there is a bar with the note; it is gone at the end."""
        with (tmp_path / "screen").open("w+", encoding="utf-8") as screen:
            monkeypatch.setattr(terminal, "err", Console(file=screen, force_terminal=True, width=160))
            progress = terminal.TerminalProgress()
            progress.start("Predicting", 3)
            progress.advance(2, "nearly [there]")
            progress.finish()
            progress.finish()
            screen.seek(0)
            shown = screen.read()
        assert "Predicting" in shown
        assert "2/3" in shown
        assert "nearly [there]" in shown


class TestComposeFromRunFolder:
    """Settings that were given once need not be given again for the same run folder."""

    def write(self, folder: Path, overrides: list[str]) -> str:
        """A run folder with the settings it was made with."""
        (folder / "config.yaml").write_text(f"overrides: {overrides}\n", encoding="utf-8")
        return f"paths.run_dir={folder}"

    def test_earlier_settings_are_taken(self, tmp_path) -> None:
        """`phytoscope evaluate paths.run_dir=DIR` knows the data and the rest."""
        word = self.write(tmp_path, ["data=folder", "data.root=x", "trainer.max_epochs=3"])
        config = compose([word])
        assert (config.data.root, config.trainer.max_epochs) == ("x", 3)

    def test_new_settings_win(self, tmp_path) -> None:
        """What is given now replaces what was given then, 0 included."""
        word = self.write(tmp_path, ["data=folder", "data.root=x", "seed=3"])
        assert compose([word, "seed=0"]).seed == 0

    def test_paths_are_kept_absolute(self, tmp_path, monkeypatch) -> None:
        """A run can be continued from another place."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "w.pth").touch()
        config = compose(["data=folder", "data.root=leaves", "model.weights=w.pth", "paths.run_dir=run"])
        assert config.data.root == str(tmp_path / "leaves")
        assert config.model.weights == str(tmp_path / "w.pth")
        assert config.paths.run_dir == str(tmp_path / "run")

    def test_further_sets_are_kept_absolute(self, tmp_path, monkeypatch) -> None:
        """Each place of `evaluate.external`, also in the words that are written beside the run."""
        monkeypatch.chdir(tmp_path)
        words = ["data=folder", "data.root=x", "evaluate.external=[orchard=my photos,phone=/abs/p.csv]"]
        config = compose(words)
        expected = [f"orchard={tmp_path / 'my photos'}", "phone=/abs/p.csv"]
        assert config.evaluate.external == expected
        monkeypatch.chdir("/")
        assert compose(config.overrides).evaluate.external == expected
