"""Every mistake of a user's gives a short message that names the remedy, and exit code 2; nothing is damaged."""

import json
import os
import resource
import shutil
import socket
import subprocess
from pathlib import Path

import huggingface_hub
import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import timm
import torch
from PIL import Image

from factories.runs import TINY, command, draw_mixed_folder, draw_mixed_table, run_command, run_tiny, run_words
from phytoscope.schema.run_folder import RunFolder

slow = pytest.mark.slow


@pytest.fixture(scope="module")
def folder_data(tmp_path_factory) -> list[str]:
    """Settings of two class folders."""
    return draw_mixed_folder(tmp_path_factory.mktemp("folder"))


@pytest.fixture(scope="module")
def table_data(tmp_path_factory) -> list[str]:
    """Settings of a table beside its images."""
    return draw_mixed_table(tmp_path_factory.mktemp("table"))


@pytest.fixture(scope="module")
def finished(folder_data, tmp_path_factory) -> RunFolder:
    """A finished run."""
    run, _ = run_tiny(run_words(folder_data, tmp_path_factory.mktemp("finished") / "run", "package.onnx=never"))
    return run


@pytest.fixture
def refuse(ask):
    """Asks the command line for something that must be refused in one short message."""

    def run(*words: object) -> str:
        answer = ask(*words)
        assert answer.code == 2, answer
        assert "Traceback" not in answer.err
        assert "bug" not in answer.err
        return answer.err

    return run


@pytest.fixture
def refuse_run(refuse, tmp_path):
    """Asks for a run that must be refused."""
    return lambda *words: refuse("run", *TINY, f"paths.run_dir={tmp_path / 'run'}", *words)


def image(path: Path, value: int = 100) -> Path:
    """Writes a small picture of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((20, 30, 3), value, dtype=np.uint8)).save(path)
    return path


class TestData:
    """The data are not what is needed."""

    def test_nothing_named(self, refuse) -> None:
        """A run without data shows how to name them."""
        assert "data=folder data.root=DIR" in refuse("run")

    def test_no_root(self, refuse_run) -> None:
        """A layout without its folder."""
        assert "add data.root=PATH" in refuse_run("data=folder")

    def test_wrong_path(self, refuse_run, tmp_path) -> None:
        """A folder that does not exist; the nearest name is offered."""
        (tmp_path / "leaves").mkdir()
        message = refuse_run("data=folder", f"data.root={tmp_path / 'leafs'}")
        assert "there is no folder" in message
        assert "'leaves'" in message

    def test_empty_folder(self, refuse_run, tmp_path) -> None:
        """A folder without anything."""
        (tmp_path / "leaves").mkdir()
        assert "is empty; expected one sub-folder per class" in refuse_run(
            "data=folder", f"data.root={tmp_path / 'leaves'}"
        )

    def test_empty_class_folders(self, refuse_run, tmp_path) -> None:
        """Class folders without images."""
        for name in ("a", "b"):
            (tmp_path / "leaves" / name).mkdir(parents=True)
        assert "the class folder holds no image" in refuse_run("data=folder", f"data.root={tmp_path / 'leaves'}")

    def test_one_class_only(self, refuse_run, tmp_path) -> None:
        """One class cannot be told from another."""
        for number in range(4):
            image(tmp_path / "leaves" / "healthy" / f"{number}.png", number)
        assert "only one class with usable images ('healthy')" in refuse_run(
            "data=folder", f"data.root={tmp_path / 'leaves'}"
        )

    def test_unknown_extension(self, refuse_run, tmp_path) -> None:
        """Files that are no images are listed with their reason."""
        for name in ("a", "b"):
            (tmp_path / "leaves" / name).mkdir(parents=True)
            (tmp_path / "leaves" / name / "photo.heic").write_bytes(b"something")
        assert "2 x unknown image extension '.heic'" in refuse_run("data=folder", f"data.root={tmp_path / 'leaves'}")
        rejected = pd.read_csv(tmp_path / "run" / "rejected.csv")
        assert rejected["path"].tolist() == ["a/photo.heic", "b/photo.heic"]

    @pytest.mark.parametrize("name", ["weigth", "group"])
    def test_missing_column(self, refuse_run, table_data, name) -> None:
        """A column that the table does not have; the nearest is offered."""
        words = ["data.target=weigth"] if name == "weigth" else ["data.group_by=[plnt]"]
        message = refuse_run(*table_data, *words)
        assert "the table has no column" in message
        assert ("'weight'" if name == "weigth" else "'plant'") in message

    def test_no_label_at_all(self, refuse_run, table_data) -> None:
        """Neither a number nor a class is named."""
        message = refuse_run(*table_data, "data.target=null")
        assert "data.target=COLUMN" in message
        assert "Columns: filename, plant, weight" in message

    def test_empty_target_column(self, refuse_run, table_data, tmp_path) -> None:
        """A column of the target without a single value."""
        table = pd.read_csv(table_data[1].partition("=")[2]).assign(weight="")
        table.to_csv(tmp_path / "empty.csv", index=False)
        message = refuse_run(*table_data, f"data.table={tmp_path / 'empty.csv'}")
        assert "none of the 36 images can be used: 36 x the target is missing" in message

    def test_target_is_text(self, refuse_run, table_data, tmp_path) -> None:
        """Classes where numbers were announced; the remedy stands in the list of rejected rows."""
        table = pd.read_csv(table_data[1].partition("=")[2]).assign(weight="heavy")
        table.to_csv(tmp_path / "text.csv", index=False)
        assert "36 x the target is text" in refuse_run(*table_data, f"data.table={tmp_path / 'text.csv'}")
        assert "use data.label" in pd.read_csv(tmp_path / "run" / "rejected.csv")["remedy"].iloc[0]

    def test_all_images_missing(self, refuse_run, table_data, tmp_path) -> None:
        """A table whose images are elsewhere: each row is listed with its line."""
        (tmp_path / "elsewhere").mkdir()
        message = refuse_run(*table_data, f"data.images={tmp_path / 'elsewhere'}")
        assert "36 x the file does not exist" in message
        rejected = pd.read_csv(tmp_path / "run" / "rejected.csv")
        assert rejected["source_row"].tolist() == list(range(2, 38))

    def test_table_is_no_table(self, refuse_run, table_data, tmp_path) -> None:
        """A picture where a table was announced."""
        message = refuse_run(*table_data, f"data.table={image(tmp_path / 'a.png')}")
        assert ".csv" in message


class TestSettings:
    """The settings are not what is needed."""

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            (["trainer.max_epoch=3"], "did you mean 'trainer.max_epochs'"),
            (["modle=resnet18"], "did you mean 'model'"),
            (["model=resnet81"], "did you mean 'resnet18'"),
            (["model.backbone=resnet81"], "timm knows no such model; did you mean"),
            (["trainer.max_epochs=0"], "trainer.max_epochs=0"),
            (["trainer.max_epochs=many"], "trainer.max_epochs"),
            (["data.split.val=0.9"], "data.split"),
            (["seed=-1"], "seed=-1"),
            (["model.weights=pypy"], "did you mean 'pypi'"),
            (["model.weights=nowhere.safetensors"], "there is no file"),
            (["just-a-word"], "key=value"),
        ],
    )
    def test_wrong_setting(self, refuse_run, folder_data, words, expected) -> None:
        """An unknown key, preset, backbone or source of weights, or a value out of range: with what would work."""
        assert expected in refuse_run(*folder_data, *words)

    def test_unknown_command(self, refuse) -> None:
        """A command that does not exist."""
        assert "No such command" in refuse("rum")

    def test_predict_without_output(self, refuse) -> None:
        """A needed option is missing."""
        assert "--output" in refuse("predict", "package", "photos")


class TestWeights:
    """The pre-trained weights cannot be had."""

    def test_of_another_backbone(self, refuse_run, folder_data, tmp_path) -> None:
        """A file that was made for another network."""
        state = timm.create_model("test_resnet").state_dict()
        safetensors.torch.save_file(state, tmp_path / "w.safetensors")
        message = refuse_run(*folder_data, f"model.weights={tmp_path / 'w.safetensors'}")
        assert "do not fit the backbone 'test_efficientnet'" in message

    def test_with_code_inside(self, refuse_run, folder_data, tmp_path) -> None:
        """A pickle that would run code."""
        torch.save({"a": Path("x")}, tmp_path / "w.pth")
        assert "can run code" in refuse_run(*folder_data, f"model.weights={tmp_path / 'w.pth'}")

    def test_without_network(self, refuse_run, folder_data, tmp_path, monkeypatch) -> None:
        """No hub, no cache: one error with the remedies; the prepared data are kept."""
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        message = refuse_run(*folder_data, "model.weights=auto")
        assert "What you can do: (1) connect to the internet" in message
        assert (tmp_path / "run" / "steps" / "prepare.json").exists()

    @slow
    def test_with_a_silent_hub(self, folder_data, tmp_path) -> None:
        """A hub that never answers: the whole command is over within the time for starting plus ten seconds."""
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(16)
            endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
            words = run_words(folder_data, tmp_path / "run", "model.weights=auto")
            result = run_command("run", *words, env={"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path)}, timeout=60)
        assert result.returncode == 2, result.stderr
        assert "no answer from 127.0.0.1 within 5 s" in result.stderr


class TestPlaces:
    """There is no room, or no permission, to write."""

    def test_unwritable_place(self, refuse, folder_data) -> None:
        """A folder in which nobody can write."""
        message = refuse("prepare", *folder_data, *TINY, "paths.run_dir=/proc/phytoscope/run")
        assert "cannot write '/proc/phytoscope/run'" in message

    @pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
    def test_read_only_place(self, refuse, folder_data, tmp_path) -> None:
        """A folder that is read-only for the user."""
        tmp_path.chmod(0o500)
        message = refuse("prepare", *folder_data, *TINY, f"paths.run_dir={tmp_path / 'run'}")
        assert "read-only for you" in message

    def test_run_folder_is_a_file(self, refuse, folder_data, tmp_path) -> None:
        """A file stands where the folder should be; it stays as it was."""
        (tmp_path / "run").write_text("mine")
        assert "cannot write" in refuse("prepare", *folder_data, *TINY, f"paths.run_dir={tmp_path / 'run'}")
        assert (tmp_path / "run").read_text() == "mine"

    @pytest.mark.parametrize("name", ["package", "figures", "checkpoints"])
    def test_foreign_folder_is_left_alone(self, refuse_run, folder_data, tmp_path, name) -> None:
        """A folder with files of the user's own, under names that a run uses, is refused and not touched."""
        mine = tmp_path / "run" / name / "mine.txt"
        mine.parent.mkdir(parents=True)
        mine.write_text("years of work")
        message = refuse_run(*folder_data)
        assert "is not the folder of a run and not empty" in message
        assert [path for path in (tmp_path / "run").rglob("*") if path.is_file()] == [mine]

    @pytest.mark.parametrize("content", ["lr: 0.1\n", "- a\n- b\n", "{{{", "\xff"])
    def test_foreign_settings_are_left_alone(self, refuse_run, folder_data, tmp_path, content) -> None:
        """A `config.yaml` of another program is neither read as ours nor replaced."""
        mine = tmp_path / "run" / "config.yaml"
        mine.parent.mkdir()
        mine.write_text(content, encoding="latin-1")
        assert "is not the settings of a run" in refuse_run(*folder_data)
        assert mine.read_text(encoding="latin-1") == content

    @slow
    @pytest.mark.parametrize("limit", [4_000, 100_000, 300_000])
    def test_full_disk(self, folder_data, tmp_path, limit) -> None:
        """When nothing more can be written the run ends with a message, and continues when there is room again."""
        words = run_words(folder_data, tmp_path / "run", "package.onnx=never")

        def limit_files() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        # Measuring the coverage of this process would write a file of its own into the full disk.
        unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_PROCESS")}
        result = subprocess.run(
            command("run", *words),
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
            preexec_fn=limit_files,
            env=unmeasured,
        )
        assert result.returncode == 2, result.stderr
        assert "cannot write" in result.stderr
        assert "Traceback" not in result.stderr
        run, _ = run_tiny(words)
        assert run.report_page.exists()


class TestSteps:
    """A step is asked for whose turn it is not."""

    @pytest.mark.parametrize("step", ["evaluate", "package"])
    def test_too_early(self, refuse, folder_data, tmp_path, step) -> None:
        """A step without the one before it names the one that is missing."""
        message = refuse(step, *run_words(folder_data, tmp_path / "run"))
        assert "the step 'prepare' is not finished" in message

    @pytest.mark.parametrize("step", ["run", "train", "package"])
    def test_nowhere(self, refuse, tmp_path, step) -> None:
        """A folder without a run, and no data to start one on."""
        assert "there is no run in" in refuse(step, f"paths.run_dir={tmp_path / 'nothing'}")

    def test_with_other_settings(self, refuse, finished, folder_data, tmp_path) -> None:
        """A model is not evaluated under settings that it was not trained with."""
        shutil.copytree(finished.root, tmp_path / "run")
        message = refuse("evaluate", *run_words(folder_data, tmp_path / "run", "trainer.learning_rate=0.1"))
        assert "was trained with other data or settings" in message


class TestPredict:
    """Prediction is asked for something that cannot be done."""

    @pytest.fixture
    def refuse_predict(self, refuse, finished, tmp_path):
        """Asks for predictions that must be refused, and makes sure that nothing was written."""

        def run(*words: object, package: Path = finished.package, output: str = "answers.csv") -> str:
            message = refuse("predict", package, *words, "--output", tmp_path / output)
            assert not (tmp_path / output).exists()
            return message

        return run

    def test_missing_path(self, refuse_predict, tmp_path) -> None:
        """An image that does not exist; the nearest name is offered."""
        image(tmp_path / "leaf.png")
        message = refuse_predict(tmp_path / "laef.png")
        assert "there is no file or folder" in message
        assert "'leaf.png'" in message

    def test_empty_folder(self, refuse_predict, tmp_path) -> None:
        """A folder without images."""
        (tmp_path / "photos").mkdir()
        assert "no image found in" in refuse_predict(tmp_path / "photos")

    @pytest.mark.parametrize("content", ["name,plant\na.png,3\n", "", "\n\n"])
    def test_list_without_paths(self, refuse_predict, tmp_path, content) -> None:
        """A table without a column of paths."""
        (tmp_path / "list.csv").write_text(content)
        assert "has no column of paths: expected a header with one of path" in refuse_predict(tmp_path / "list.csv")

    def test_list_without_rows(self, refuse_predict, tmp_path) -> None:
        """A table with a header only."""
        (tmp_path / "list.csv").write_text("path\n")
        assert "no image found in" in refuse_predict(tmp_path / "list.csv")

    @pytest.mark.parametrize("name", ["answers.xlsx", "answers", "answers.cvs"])
    def test_unknown_output(self, refuse_predict, tmp_path, name) -> None:
        """A format that cannot be written."""
        assert ".csv" in refuse_predict(image(tmp_path / "leaf.png"), output=name)

    def test_existing_output(self, refuse, finished, tmp_path) -> None:
        """A table that exists is not replaced unasked."""
        output = tmp_path / "answers.csv"
        output.write_text("mine")
        message = refuse("predict", finished.package, image(tmp_path / "leaf.png"), "--output", output)
        assert "add --overwrite" in message
        assert output.read_text() == "mine"

    def test_existing_output_is_replaced_on_request(self, ask, finished, tmp_path) -> None:
        """With --overwrite it is."""
        output = tmp_path / "answers.csv"
        output.write_text("mine")
        answer = ask("predict", finished.package, image(tmp_path / "leaf.png"), "--output", output, "--overwrite")
        assert answer.code == 0
        assert output.read_text().startswith("path,prediction,probability,set,verdict,reasons,novelty,error")

    def test_unwritable_output(self, refuse, finished, tmp_path) -> None:
        """A place in which nobody can write."""
        message = refuse("predict", finished.package, image(tmp_path / "a.png"), "--output", "/proc/phytoscope/a.csv")
        assert "cannot write '/proc/phytoscope/a.csv'" in message

    def test_no_package(self, refuse_predict, finished, tmp_path) -> None:
        """The folder of the run instead of the package in it."""
        message = refuse_predict(image(tmp_path / "leaf.png"), package=finished.root)
        assert f"Did you mean '{finished.package}'" in message

    @pytest.mark.parametrize("package", ["missing", "leaf.png"])
    def test_package_is_none(self, refuse_predict, tmp_path, package) -> None:
        """Neither a missing folder nor a file is a package."""
        message = refuse_predict(image(tmp_path / "leaf.png"), package=tmp_path / package)
        words = "there is no package" if package == "missing" else "is not a model package"
        assert words in message

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("model.safetensors", "is damaged: 'model.safetensors' is not what it was"),
            ("golden.json", "is damaged"),
            ("MODEL_CARD.md", "is damaged"),
            ("package.json", "is damaged"),
        ],
    )
    def test_broken_package(self, refuse_predict, finished, tmp_path, name, expected) -> None:
        """A truncated part is noticed before anything is answered."""
        shutil.copytree(finished.package, tmp_path / "package")
        content = (tmp_path / "package" / name).read_bytes()
        (tmp_path / "package" / name).write_bytes(content[: len(content) // 2])
        message = refuse_predict(image(tmp_path / "leaf.png"), package=tmp_path / "package")
        assert expected in " ".join(message.split())

    def test_package_of_the_future(self, refuse_predict, finished, tmp_path) -> None:
        """A format that this version does not know."""
        shutil.copytree(finished.package, tmp_path / "package")
        description = tmp_path / "package" / "package.json"
        description.write_text(json.dumps({**json.loads(description.read_text()), "format": 99}))
        message = refuse_predict(image(tmp_path / "leaf.png"), package=tmp_path / "package")
        assert "has format 99, made by a newer phytoscope" in message

    def test_broken_images_are_rows(self, ask, finished, tmp_path) -> None:
        """What cannot be read is a row with an error beside the answers, and the command succeeds."""
        photos = tmp_path / "photos"
        image(photos / "a.png")
        (photos / "b.jpg").write_bytes(b"")
        (photos / "c.jpg").write_bytes(image(photos / "c.png").read_bytes()[:60])
        answer = ask("predict", finished.package, photos, tmp_path / "a.txt", "--output", tmp_path / "answers.csv")
        assert answer.code == 2
        (tmp_path / "list.txt").write_text("nowhere.png\n")
        answer = ask("predict", finished.package, photos, tmp_path / "list.txt", "-o", tmp_path / "answers.csv")
        assert answer.code == 0, answer.err
        assert "2 answered, 3 with an error" in answer.out
        table = pd.read_csv(tmp_path / "answers.csv")
        assert table["error"].isna().tolist() == [True, False, False, True, False]
        assert table["prediction"].notna().tolist() == [True, False, False, True, False]
