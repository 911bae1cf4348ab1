"""`phytoscope inspect` on drawn data with planted problems: each is found, and clean data give no alarm."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from phytoscope.data.synthetic import draw_leaf_dataset, draw_rosette_dataset
from phytoscope.schema.audit import AuditReport
from phytoscope.schema.inspection_folder import InspectionFolder

FAST = ("--no-probes", "audit.label_noise=false", "data.workers=1")


def draw(path: Path, seed: int, *, brightness: float = 1.0, frame: tuple[int, int, int] | None = None) -> Path:
    """Writes a picture of soft coloured spots, different for every seed; `frame` colours its border."""
    rng = np.random.default_rng(seed)
    spots = Image.fromarray(rng.integers(0, 256, (7, 7, 3), dtype=np.uint8)).resize((72, 64), Image.Resampling.BICUBIC)
    pixels = np.clip(np.asarray(spots) * brightness + rng.normal(0, 6, (64, 72, 3)), 0, 255).astype(np.uint8)
    if frame is not None:
        border = np.ones((64, 72), dtype=bool)
        border[8:-8, 8:-8] = False
        pixels[border] = frame
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=92)
    return path


@pytest.fixture
def inspect(ask, tmp_path):
    """The command with everything it writes below the test's own folder; gives answer, report and folder."""

    def run(*words: object):
        folder = InspectionFolder(tmp_path / "inspection")
        answer = ask("inspect", *words, "--output", folder.root, f"paths.cache_dir={tmp_path / 'cache'}")
        assert "Traceback" not in answer.err
        report = AuditReport.from_dict(json.loads(folder.report.read_text(encoding="utf-8")))
        return answer, report, folder

    return run


def checks_of(report: AuditReport) -> dict[str, str]:
    """Check -> severity."""
    return {finding.check: finding.severity.value for finding in report.findings}


class TestPlantedInFolder:
    """Class folders with a problem of every kind."""

    @pytest.fixture
    def leaves(self, tmp_path) -> Path:
        """Two classes whose frames differ; copies, a dark picture and a broken file among them."""
        root = tmp_path / "leaves"
        for number in range(24):
            draw(root / "rust" / f"p{number}.png", number, frame=(250, 60, 60))
            draw(root / "healthy" / f"q{number}.png", 100 + number, frame=(60, 60, 250))
        draw(root / "rust" / "dark.png", 900, brightness=0.1)
        (root / "rust" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
        (root / "rust" / "twice.png").write_bytes((root / "rust" / "p3.png").read_bytes())
        Image.open(root / "healthy" / "q5.png").convert("RGB").save(root / "rust" / "again.jpg", quality=80)
        return root

    def test_everything_is_found(self, inspect, leaves) -> None:
        """Broken file, copies, contradicting labels, dark picture, and the frames that tell the class."""
        answer, report, folder = inspect(leaves, "data.workers=1", "audit.label_noise=false", "--fail-on", "warning")
        found = checks_of(report)
        assert {"duplicates/exact", "duplicates/near", "duplicates/conflicting", "quality/dark"} <= set(found)
        assert any(check.startswith("rejected/") for check in found)
        assert found["shortcut/border_pixels"] in ("error", "warning")
        assert answer.code == 3
        assert str(folder.page) in answer.out
        assert "BORDER" in answer.out.upper()
        conflicting = pd.read_csv(folder.duplicates).query("conflicting")
        assert sorted(conflicting["sample_id"]) == ["healthy/q5.png", "rust/again.jpg"]
        assert pd.read_csv(folder.rejected)["path"].tolist() == ["rust/broken.jpg"]
        assert len(pd.read_parquet(folder.manifest)) == 51
        assert "<html" in folder.page.read_text(encoding="utf-8")

    def test_second_time_reads_no_picture(self, inspect, leaves) -> None:
        """What is known of each image is kept; the same data give the same report, however long it takes."""
        first, before, _ = inspect(leaves, *FAST, "--fail-on", "never")
        second, after, _ = inspect(leaves, *FAST, "--fail-on", "never")
        assert (first.code, second.code) == (0, 0)
        assert "Looking at images" in first.err
        assert "Looking at images" not in second.err
        assert {**before.to_dict(), "seconds": {}} == {**after.to_dict(), "seconds": {}}

    def test_interrupted(self, ask, leaves, tmp_path, monkeypatch) -> None:
        """After Ctrl-C the user hears what is kept, and no half report stands there."""

        def stop(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("phytoscope.steps.inspect.inspect_data", stop)
        answer = ask("inspect", leaves, *FAST, f"paths.runs_dir={tmp_path / 'runs'}")
        assert answer.code == 130
        assert "need not be looked at again" in answer.err
        assert not list(tmp_path.rglob("inspect.*"))

    @pytest.mark.parametrize(("leak", "code"), [(True, 3), (False, 0)])
    def test_split_made_elsewhere(self, inspect, leaves, tmp_path, leak, code) -> None:
        """A picture and its re-compressed copy on both sides are an error; kept together they are not."""
        names = sorted(
            path.relative_to(leaves).as_posix() for path in leaves.rglob("*.*g") if "broken" not in path.name
        )
        table = pd.DataFrame({"image": names, "split": "train"})
        table.loc[table["image"] == "rust/again.jpg", "split"] = "test"
        table.loc[table["image"].isin(["healthy/q5.png"]), "split"] = "train" if leak else "test"
        table.to_csv(tmp_path / "split.csv", index=False)
        answer, report, _ = inspect(leaves, *FAST, "--split", tmp_path / "split.csv")
        assert answer.code == code
        assert bool(report.leakage) == leak
        assert report.leakage is not None
        assert ("split/leaks" in checks_of(report)) == leak

    def test_split_hidden_by_contradicting_answers(self, inspect, leaves, tmp_path) -> None:
        """The same file in train and in test with two answers is rejected, and is a leak of the split."""
        (leaves / "healthy" / "same.png").write_bytes((leaves / "rust" / "p7.png").read_bytes())
        names = sorted(path.relative_to(leaves).as_posix() for path in leaves.rglob("*.png"))
        sides = [
            "test" if name in ("healthy/same.png", "rust/gone.png") else "train" for name in [*names, "rust/gone.png"]
        ]
        pd.DataFrame({"image": [*names, "rust/gone.png"], "split": sides}).to_csv(tmp_path / "split.csv", index=False)
        answer, report, folder = inspect(leaves, *FAST, "--split", tmp_path / "split.csv")
        assert answer.code == 3
        assert any("rust/p7.png" in leak and "healthy/same.png" in leak for leak in report.leakage or [])
        assert report.coverage is not None
        assert (report.coverage.images, report.coverage.named, report.coverage.unknown) == (50, 49, 1)
        assert checks_of(report)["split/incomplete"] == "warning"
        assert "names 49 of 50 images and 1 that are not in the data; leaks found: 1" in answer.out.replace("\n", " ")
        assert "It names 49 of the 50 images" in folder.page.read_text(encoding="utf-8")

    def test_other_data_in_the_folder(self, inspect, ask, leaves, tmp_path) -> None:
        """An inspection of other data is not replaced; one of the same data is."""
        inspect(leaves, *FAST)
        draw(tmp_path / "others" / "rust" / "a.png", 1)
        answer = ask("inspect", tmp_path / "others", *FAST, "--output", tmp_path / "inspection")
        assert answer.code == 2
        assert "holds an inspection of other data (data.root" in answer.err
        assert inspect(leaves, *FAST)[0].code == 0

    @pytest.mark.parametrize(("fail_on", "code"), [("error", 0), ("warning", 3), ("note", 3), ("never", 0)], ids=str)
    def test_exit_code(self, inspect, leaves, fail_on, code) -> None:
        """The worst finding is a warning: the command fails from that severity on."""
        answer, report, _ = inspect(leaves, *FAST, "--fail-on", fail_on)
        assert report.worst == "warning"
        assert answer.code == code

    def test_group_on_both_sides(self, inspect, leaves, tmp_path) -> None:
        """A split from elsewhere that tears a declared group apart is an error, and names the group."""
        names = [path.relative_to(leaves).as_posix() for path in leaves.rglob("*.png")]
        sides = ["test" if name == "rust/p11.png" else "train" for name in names]
        pd.DataFrame({"image": names, "split": sides}).to_csv(tmp_path / "split.csv", index=False)
        pattern = r"data.group_pattern=([pq]\d)\d*"
        answer, report, folder = inspect(leaves, *FAST, pattern, "--split", tmp_path / "split.csv")
        assert answer.code == 3
        assert checks_of(report)["split/leaks"] == "error"
        assert any("p1" in leak for leak in report.leakage or [])
        assert "The split that was given leaks" in folder.page.read_text(encoding="utf-8")

    def test_near_copies_switched_off(self, inspect, leaves) -> None:
        """What was not looked for is not said to be absent."""
        _, report, folder = inspect(leaves, *FAST, "data.split.near_duplicates=false")
        assert "data.split.near_duplicates=false" in report.skipped["near duplicates"]
        page = folder.page.read_text(encoding="utf-8")
        assert "Near duplicates were not looked for." in page
        assert "No near duplicates" not in page
        assert all(row.column != "group (plant, leaf)" for row in report.missing)

    def test_interrupted_in_the_middle_of_the_probes(self, ask, leaves, tmp_path, monkeypatch) -> None:
        """Ctrl-C late in the work leaves no half report; what is known of the images serves the next time."""

        def stop(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("phytoscope.audit.inspect.measure_optimism", stop)
        words = (leaves, "data.workers=1", f"paths.runs_dir={tmp_path / 'runs'}", f"paths.cache_dir={tmp_path / 'c'}")
        answer = ask("inspect", *words)
        assert answer.code == 130
        assert not list(tmp_path.rglob("inspect.*"))
        monkeypatch.undo()
        assert "Looking at images" not in ask("inspect", *words).err


class TestPlantedInTable:
    """A table with a problem of every kind."""

    @pytest.fixture
    def table(self, tmp_path) -> Path:
        """Sixty photographs of thirty plants with skewed weights, beside columns that tell them."""
        rng = np.random.default_rng(0)
        rows = []
        for number in range(60):
            draw(tmp_path / "photos" / f"{number}.png", number)
            shoot, root = float(rng.lognormal(0, 1.2)), float(rng.lognormal(0, 0.5))
            rows.append((f"{number}.png", number // 2, shoot + root, shoot, root, number % 4 * 7 + 7, "control", "r1"))
        header = ["filename", "plant_id", "weight", "shoot", "root", "age_days", "condition", "robot"]
        table = pd.DataFrame(rows, columns=header)
        table.loc[3, "weight"] = np.nan
        table.loc[5, "filename"] = "gone.png"
        table.loc[10:40, "age_days"] = np.nan
        table.to_csv(tmp_path / "weights.csv", index=False)
        return tmp_path / "weights.csv"

    def test_everything_is_found(self, inspect, table) -> None:
        """Unused plant column, absent image, missing answer, derived column, skewness, missingness, constants."""
        answer, report, folder = inspect(table, "--images", table.parent / "photos", "--target", "weight", *FAST)
        assert answer.code == 0
        assert {
            "groups/not_used",
            "rejected/file_does_not_exist",
            "data/unlabelled",
            "correlation/tells_the_answer",
            "target/skewed",
            "missing/columns",
            "eda/constant_columns",
        } <= set(checks_of(report))
        assert report.counts | {"warnings": 0} == {
            "rows": 60,
            "images": 58,
            "rejected": 1,
            "unlabelled": 1,
            "groups": 58,
            "warnings": 0,
        }
        assert report.correlations[0].column == "age_days"
        assert {part.column for part in report.breakdowns} >= {"age_days"}
        assert len(pd.read_parquet(folder.unlabelled)) == 1

    def test_split_column_of_rows_that_are_left_out(self, inspect, table) -> None:
        """A picture listed twice with two weights, once for training and once for the test, is a leak."""
        rows = pd.read_csv(table).assign(part="train")
        rows.loc[:9, "part"] = "test"
        again = rows.iloc[[20]].assign(weight=99.0, part="test")
        pd.concat([rows, again]).to_csv(table, index=False)
        answer, report, _ = inspect(table, "--target", "weight", "data.split.column=part", *FAST)
        assert answer.code == 3
        assert report.leakage == ["'20.png' stands in test and in train at once"]
        assert report.coverage is not None
        assert (report.coverage.named, report.coverage.unknown) == (report.coverage.images, 0)

    def test_split_of_a_run_on_fewer_images(self, inspect, table, tmp_path) -> None:
        """The split of an old run speaks of a part of the data only, and of images that are gone."""
        (tmp_path / "run").mkdir()
        names = [f"{number}.png" for number in range(100, 140)] + [f"{number}.png" for number in range(40)]
        pd.DataFrame({"sample_id": names, "split": "train"}).to_parquet(tmp_path / "run" / "split.parquet")
        _, report, _ = inspect(table, "--target", "weight", f"paths.run_dir={tmp_path / 'run'}", *FAST)
        assert report.leakage == []
        assert report.coverage is not None
        assert (report.coverage.images, report.coverage.named, report.coverage.unknown) == (58, 38, 41)

    def test_plants_named(self, inspect, table) -> None:
        """With the plant's column there are thirty groups and nothing to say about them."""
        _, report, _ = inspect(table, "--target", "weight", "--group-by", "plant_id", *FAST)
        assert report.counts["groups"] == 30
        assert not any(check.startswith("groups/") for check in checks_of(report))

    def test_no_picture_at_all(self, inspect, table, tmp_path) -> None:
        """A table whose images are elsewhere is still described."""
        (tmp_path / "empty").mkdir()
        answer, report, _ = inspect(table, "--images", tmp_path / "empty", "--target", "weight", *FAST)
        assert answer.code == 3
        assert checks_of(report)["data/no_images"] == "error"
        assert report.target is not None
        assert "quality" in report.skipped


class TestNothingToLearn:
    """Where training would be impossible, the inspection says why and goes on."""

    def test_one_class(self, inspect, tmp_path) -> None:
        """Three pictures of one class."""
        for number in range(3):
            draw(tmp_path / "leaves" / "rust" / f"{number}.png", number)
        answer, report, folder = inspect(tmp_path / "leaves", "data.workers=1")
        assert answer.code == 3
        assert checks_of(report)["labels/one_class"] == "error"
        assert "shortcut probes" in report.skipped
        assert folder.page.is_file()

    @pytest.mark.parametrize("values", [["", "", "", ""], ["2", "2", "2", "2"]], ids=["unlabelled", "constant"])
    def test_table_without_answers(self, inspect, tmp_path, values) -> None:
        """No answer at all, and the same answer everywhere."""
        for number in range(4):
            draw(tmp_path / "photos" / f"{number}.png", number)
        lines = [f"{number}.png,{value}" for number, value in enumerate(values)]
        (tmp_path / "t.csv").write_text("\n".join(["filename,weight", *lines]), encoding="utf-8")
        answer, report, _ = inspect(tmp_path / "t.csv", "--target", "weight", "data.workers=1")
        assert answer.code == 3
        assert checks_of(report).keys() & {"data/no_images", "target/constant"}

    def test_only_broken_files(self, inspect, tmp_path) -> None:
        """Every file has its reason."""
        for number in range(5):
            (tmp_path / "leaves" / "rust").mkdir(parents=True, exist_ok=True)
            (tmp_path / "leaves" / "rust" / f"{number}.jpg").write_bytes(b"x" * number)
        answer, report, folder = inspect(tmp_path / "leaves", "data.workers=1")
        assert answer.code == 3
        assert (report.counts["images"], report.counts["rejected"]) == (0, 5)
        assert len(pd.read_csv(folder.rejected)) == 5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["inspect"], "name what to inspect"),
        (["inspect", "{root}/nowhere"], "there is no folder"),
        (["inspect", "{root}/nowhere.csv", "--target", "weight"], "there is no file"),
        (["inspect", "{root}/leaves", "--split", "{root}/nowhere.csv"], "--split: there is no file"),
        (["inspect", "{root}/leaves", "--output", "{root}/leaves/out"], "lies inside the data"),
        (["inspect", "{root}/leaves", "audit.max_image=3"], "did you mean 'audit.max_images'"),
        (["inspect", "{root}/leaves", "--output", "{root}/foreign"], "is not the folder of an inspection"),
    ],
)
def test_mistakes_of_the_user(ask, tmp_path, words, said) -> None:
    """Exit code 2 and one short message; nothing is written."""
    draw(tmp_path / "leaves" / "rust" / "a.png", 0)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "rejected.csv").touch()
    answer = ask(*[word.format(root=tmp_path) for word in words], f"paths.runs_dir={tmp_path / 'runs'}")
    assert answer.code == 2
    assert said in answer.err.replace("\n", " ")
    assert not list(tmp_path.rglob("inspect.json"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["leaves", "rosettes"])
def test_no_false_alarm_on_drawn_plants(inspect, tmp_path, kind) -> None:
    """On drawn data, whose class or weight nothing but the plant tells, there is neither error nor untrue warning."""
    if kind == "leaves":
        draw_leaf_dataset(tmp_path / kind, leaves_per_class=24, size_px=128)
    else:
        draw_rosette_dataset(tmp_path / kind, plants=120, size_px=256)
    answer, report, _ = inspect(tmp_path / kind, "data.workers=1")
    # The broken files, the copy and the formula are drawn on purpose.
    found = {finding.check for finding in report.findings if finding.severity != "note"}
    assert {check for check in found if not check.startswith("rejected/")} <= {
        "duplicates/exact",
        "correlation/tells_the_answer",
    }
    assert {probe.severity for probe in report.probes} == {"note"}
    assert answer.code == 0
