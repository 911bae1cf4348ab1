"""Answers for further sets by a small model that nobody trained."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from factories.images import write_image
from factories.trust import make_trust
from phytoscope.configs import compose_config
from phytoscope.errors import ArtifactError, ConfigError
from phytoscope.models.covariates import Covariate, CovariateEncoder
from phytoscope.models.meaning import Meaning, TargetMeaning
from phytoscope.models.network import PlantNetwork, read_backbone_input
from phytoscope.models.target import TargetScale
from phytoscope.predict.description import describe_meaning
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.artifact import hash_file
from phytoscope.schema.choices import ResizeMode, TargetTransform
from phytoscope.schema.external import ExternalReport
from phytoscope.schema.package import ModelDescription
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import Task
from phytoscope.schema.train_config import ModelConfig
from phytoscope.steps.context import RunContext
from phytoscope.steps.external import hash_external, score_external
from phytoscope.steps.prepared import PreparedData
from phytoscope.transforms.preprocess import Preprocess
from phytoscope.trust.fit import TrustWishes

NAMES = ("healthy", "rust", "scab")
ENCODER = CovariateEncoder((Covariate("age_days", mean=10.0, std=4.0),))
SCALE = TargetScale(TargetTransform.none, 1.0, 1.0, 1.0)


def make_predictor(meaning: Meaning, **limits) -> Predictor:
    """A model whose answers differ from image to image, and that judges them."""
    spec = read_backbone_input(ModelConfig(backbone="test_resnet", input_size_px=32))
    torch.manual_seed(0)
    network = PlantNetwork("test_resnet", meaning.outputs, 0.0, spec, meaning.covariate_dim)
    torch.nn.init.normal_(network.head.weight, std=0.5)
    description = ModelDescription(
        name="demo",
        model_id="0123456789abcdef",
        backbone="test_resnet",
        preprocess=Preprocess(32, ResizeMode.squash, spec.interpolation, spec.mean, spec.std, spec.crop_pct).to_dict(),
        weights_origin="random",
        data_hash="d",
        split_hash="s",
        **describe_meaning(meaning),
    )
    trust = make_trust(description.task, targets=meaning.outputs, **limits)
    return Predictor(description, network.state_dict(), trust=trust)


def make_prepared(seen=(), split="train", unit="") -> PreparedData:
    """Data that hold some of the images of a further set."""
    rows = pd.DataFrame({"sha256": [hash_file(path) for path in seen], "split": split}, dtype=object)
    return PreparedData(rows, pd.DataFrame(), "d", "s", unit)


def score(tmp_path, predictor, words, prepared=None, said=None) -> list[ExternalReport]:
    """Reports of the further sets that the words name."""
    data = ["data=folder", "data.root=leaves"]
    if predictor.description.task is Task.regression:
        data = ["data=table", "data.table=t.csv", "data.images=i", "data.target=weight", "data.group_by=[plant]"]
    config = compose_config([*data, "evaluate.bootstrap=50", "evaluate.batch_size=3", *words])
    said = said if said is not None else []
    context = RunContext(config, RunFolder(tmp_path / "run"), say=said.append)
    wishes = TrustWishes(tolerance=config.evaluate.tolerance)
    return score_external(context, prepared or make_prepared(), predictor, wishes)


@pytest.fixture
def orchard(tmp_path):
    """Two of three classes, a foreign one, and a broken file."""
    for number in range(5):
        write_image(tmp_path / "orchard" / "RUST" / f"{number}.png", seed=number)
        write_image(tmp_path / "orchard" / "apple scab" / f"{number}.png", seed=10 + number)
    for number in range(3):
        write_image(tmp_path / "orchard" / "mildew" / f"{number}.png", seed=20 + number)
    (tmp_path / "orchard" / "RUST" / "broken.png").write_bytes(b"x")
    return tmp_path / "orchard"


def test_labelled_set(tmp_path, orchard) -> None:
    """Every number is that of the single answers; what the model cannot know is counted apart."""
    predictor = make_predictor(Meaning(class_names=NAMES))
    words = [f"evaluate.external=[orchard={orchard}]", "evaluate.class_map=[apple scab=scab]"]
    (report,) = score(tmp_path, predictor, words)
    assert (report.n, report.n_labelled, report.n_groups, report.n_unreadable) == (13, 10, 10, 1)
    assert report.class_map == {"RUST": "rust", "apple scab": "scab"}
    assert report.foreign == {"mildew": 3}
    probs, true = [], []
    for folder, name in (("RUST", 1), ("apple scab", 2)):
        for number in range(5):
            answer = predictor.predict(orchard / folder / f"{number}.png")
            probs.append(list(answer.probabilities.values()))
            true.append(name)
    probs, true = np.array(probs), np.array(true)
    assert report.metric("accuracy").value == pytest.approx(np.mean(probs.argmax(axis=1) == true))
    assert report.metric("accuracy", restricted=True).value == pytest.approx(
        np.mean(probs[:, 1:].argmax(axis=1) + 1 == true)
    )
    recalls = [np.mean(probs[true == place].argmax(axis=1) == place) for place in (1, 2)]
    assert [(row.name, row.n) for row in report.classes] == [("rust", 5), ("scab", 5)]
    assert [row.recall for row in report.classes] == pytest.approx(recalls)
    assert report.metric("accuracy").low is not None
    assert report.trust.verdicts.n == 13
    assert report.trust.verdicts.shares["accept"] == 1
    assert report.foreign_verdicts == {"accept": 1, "review": 0, "reject": 0}
    assert report.examples[0].right is False
    assert report.examples[0].verdict == "accept"
    assert ExternalReport.from_dict(json.loads(json.dumps(report.to_dict(), allow_nan=False))) == report
    table = pd.read_parquet(tmp_path / "run" / "external" / "orchard.parquet")
    assert table["label"].fillna("-").value_counts().to_dict() == {"rust": 5, "scab": 5, "-": 3}
    assert set(table["given_label"]) == {"RUST", "apple scab", "mildew"}
    assert {"verdict", "reasons", "set", "novelty", "photo/brightness"} <= set(table)


def test_set_without_truth(tmp_path) -> None:
    """Loose images, and folders that are no classes: verdicts alone."""
    for number in range(4):
        write_image(tmp_path / "photos" / "images" / f"{number}.png", seed=number, height=8 + 8 * (number % 2))
    write_image(tmp_path / "photos" / "loose.png", seed=9, height=16)
    predictor = make_predictor(Meaning(class_names=NAMES), smallest_px=10.0)
    words = [f"evaluate.external=[loose={tmp_path / 'photos' / 'images'},folders={tmp_path / 'photos'}]"]
    loose, folders = score(tmp_path, predictor, words)
    assert (loose.n, loose.n_labelled, loose.metrics, loose.remarks) == (4, 0, [], [])
    assert loose.trust.verdicts.shares == {"accept": 0.5, "review": 0.5, "reject": 0.0}
    assert loose.trust.verdicts.reasons["too_small"] == 0.5
    assert (folders.n, folders.n_labelled, folders.n_unreadable) == (5, 0, 0)
    assert folders.foreign == {"images": 4}
    assert any("only verdicts are counted" in remark for remark in folders.remarks)


def test_images_of_training_do_not_count(tmp_path, orchard) -> None:
    """What the model has learned from proves nothing; test images of the run may stand in a further set."""
    predictor = make_predictor(Meaning(class_names=NAMES))
    words = [f"evaluate.external=[orchard={orchard}]"]
    seen = sorted((orchard / "RUST").glob("[0-9].png"))
    (report,) = score(tmp_path, predictor, words, make_prepared(seen[:2]))
    assert (report.n, report.n_unreadable) == (11, 1)
    assert any(remark.startswith("2 of its images are among those that the model learned") for remark in report.remarks)
    (report,) = score(tmp_path, predictor, words, make_prepared(seen, split="test"))
    assert report.n == 13


def test_nothing_left(tmp_path, orchard) -> None:
    """A set of training images alone has no numbers, and says why."""
    predictor = make_predictor(Meaning(class_names=NAMES))
    seen = sorted(orchard.rglob("[0-9].png"))
    (report,) = score(tmp_path, predictor, [f"evaluate.external=[orchard={orchard}]"], make_prepared(seen))
    assert (report.n, report.metrics, report.trust) == (0, [], None)
    assert any("nothing is left to measure" in remark for remark in report.remarks)


@pytest.fixture
def pots(tmp_path):
    """Weights, a further target and a covariate beside photographs; one weight is missing."""
    lines = ["filename,plant,weight,leaves,age_days"]
    for number in range(6):
        write_image(tmp_path / "pots" / f"{number}.png", seed=number)
        lines.append(f"{number}.png,{number // 2},{number if number else ''},{number + 1},{'' if number == 2 else 3}")
    (tmp_path / "pots" / "table.csv").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path / "pots" / "table.csv"


def test_numbers(tmp_path, pots) -> None:
    """Every target by its own truth, with what is known beside the images; groups are plants."""
    targets = (TargetMeaning("weight", "g", SCALE), TargetMeaning("leaves", "", SCALE))
    predictor = make_predictor(Meaning(targets=targets, covariates=ENCODER), half_width=1.0, widest=1.5)
    (report,) = score(tmp_path, predictor, [f"evaluate.external=[pots={pots}]"], make_prepared(unit="g"))
    answers = [
        predictor.predict(pots.with_name(f"{number}.png"), covariates={} if number == 2 else {"age_days": 3})
        for number in range(6)
    ]
    values = np.array([[answer.value, dict(answer.values)["leaves"]] for answer in answers])
    assert (report.n, report.n_labelled, report.n_groups) == (6, 5, 3)
    assert report.metric("mae").value == pytest.approx(np.abs(values[1:, 0] - np.arange(1, 6)).mean(), rel=1e-5)
    assert report.metric("mae").unit == "g"
    leaves = next(metric for metric in report.more_targets["leaves"] if metric.name == "mae")
    assert leaves.value == pytest.approx(np.abs(values[:, 1] - np.arange(1, 7)).mean(), rel=1e-5)
    assert report.trust.verdicts.shares["review"] == 1, "intervals are 2 wide, 1.5 are accepted"
    assert report.examples[0].truth.endswith(" g")
    table = pd.read_parquet(tmp_path / "run" / "external" / "pots.parquet")
    assert {"lower", "upper", "lower/leaves", "target/leaves"} <= set(table)


def test_another_unit_is_refused(tmp_path, pots) -> None:
    """The unit of a column's name is compared with the model's."""
    pots.write_text(pots.read_text().replace("weight", "weight (kg)"), encoding="utf-8")
    predictor = make_predictor(Meaning(targets=(TargetMeaning("weight", "g", SCALE),)))
    with pytest.raises(ConfigError, match=r"pots: its numbers are in 'kg', those of the model in 'g'"):
        score(tmp_path, predictor, [f"evaluate.external=[pots={pots}]"], make_prepared(unit="g"))


def test_no_set_leaves_no_table(tmp_path, orchard) -> None:
    """Tables of an earlier evaluation do not stay behind."""
    predictor = make_predictor(Meaning(class_names=NAMES))
    score(tmp_path, predictor, [f"evaluate.external=[a={orchard},b={orchard}]"])
    assert {path.name for path in (tmp_path / "run" / "external").iterdir()} == {"a.parquet", "b.parquet"}
    score(tmp_path, predictor, [f"evaluate.external=[b={orchard}]"])
    assert {path.name for path in (tmp_path / "run" / "external").iterdir()} == {"b.parquet"}
    assert score(tmp_path, predictor, []) == []
    assert not (tmp_path / "run" / "external").exists()


def test_unjudged_model_is_refused(tmp_path, orchard) -> None:
    """Without trust there are no verdicts to count."""
    predictor = make_predictor(Meaning(class_names=NAMES))
    predictor.trust = None
    with pytest.raises(ArtifactError, match="evaluate the run first"):
        score(tmp_path, predictor, [f"evaluate.external=[a={orchard}]"])


def test_hash_follows_the_content(orchard) -> None:
    """A changed, renamed or further image makes the evaluation be done again; nothing else does."""
    config = compose_config(["data=folder", "data.root=leaves", f"evaluate.external=[a={orchard}]"])
    first = hash_external(config)
    assert hash_external(config) == first
    write_image(orchard / "RUST" / "0.png", seed=99, height=20)
    second = hash_external(config)
    assert second != first
    (orchard / "RUST" / "0.png").rename(orchard / "mildew" / "0x.png")
    assert hash_external(config) not in (first, second)
