"""Features are computed once, and a head fitted to them answers as one trained by epochs."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from factories.jobs import make_job, make_samples, with_trainer
from phytoscope.errors import DataValidationError, TrainingError
from phytoscope.models.adapters import adapt_network
from phytoscope.models.covariate_dropout import CovariateDropout
from phytoscope.models.network import PlantNetwork, read_backbone_input
from phytoscope.schema.choices import AdaptKind, AugmentPreset, ClassWeighting, RegressionLoss, Runtime, Sampling
from phytoscope.schema.train_config import AdaptConfig, TaskConfig
from phytoscope.train.features import extract_features, extraction, fit_features, start_head
from phytoscope.train.features.extraction import open_extraction
from phytoscope.train.features.fit import choose_views
from phytoscope.train.features.views import iterate_view
from phytoscope.train.plain import fit_batches

HEAD = AdaptConfig(kind=AdaptKind.head)


def answer(job, samples):
    with torch.inference_mode():
        images = torch.from_numpy(samples.pixels[samples.rows]).permute(0, 3, 1, 2)
        return job.network.eval()(images, torch.from_numpy(samples.covariates)).numpy()


@pytest.fixture
def counted(monkeypatch):
    """Number of images that went through a backbone."""
    seen = []
    original = extraction.FeatureExtraction._prepare

    def prepare(self, images):
        seen.append(images)
        return original(self, images)

    monkeypatch.setattr(extraction.FeatureExtraction, "_prepare", prepare)
    return seen


@pytest.mark.parametrize("classes", [True, False])
def test_equal_to_the_plain_way(tmp_path, classes):
    """A head trained by epochs to the end and a fitted one are right about as often, and about as near."""
    trainer = {"max_epochs": 60, "patience": 60, "learning_rate": 0.1, "weight_decay": 0.0}
    plain, _ = make_job(tmp_path / "plain", classes=classes, adapt=HEAD, n=64)
    fit_batches(with_trainer(plain, **trainer), num_workers=0)
    job, said = make_job(tmp_path / "features", classes=classes, adapt=HEAD, n=64)
    fit_features(job)
    assert "64 training images" in said[-1]
    test = make_samples(80, 9, classes=classes)
    ours, theirs = answer(job, test), answer(plain, test)
    if classes:
        right = [(outputs.argmax(axis=1) == test.target).mean() for outputs in (ours, theirs)]
        assert right[0] >= right[1] - 0.03
        assert right[0] > 0.85
    else:
        error = [float(np.sqrt(((outputs - test.target) ** 2).mean())) for outputs in (ours, theirs)]
        assert error[0] <= 1.1 * error[1]
        assert error[0] < 0.4


def test_second_training_computes_no_features(tmp_path, counted):
    """Another loss, another seed of the head, the same images: all features come from the cache."""
    job, _ = make_job(tmp_path, adapt=HEAD, augment=AugmentPreset.leaf)
    fit_features(with_trainer(job, views=2))
    assert counted == [26, 26, 26, 12]
    second, said = make_job(tmp_path, adapt=HEAD, augment=AugmentPreset.leaf, task=TaskConfig(label_smoothing=0.2))
    fit_features(with_trainer(second, views=2, learning_rate=0.5))
    assert len(counted) == 4
    assert "all features were in the cache" in said[-1]


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"augment": AugmentPreset.side_view}],
)
def test_other_views_are_other_features(tmp_path, counted, change):
    """Another seed or preset computes the augmented views anew, but not the images as they are."""
    for options in ({}, change):
        job, _ = make_job(tmp_path, adapt=HEAD, **{"augment": AugmentPreset.leaf, **options, "seed": 0})
        config = dataclasses.replace(job.config, seed=options.get("seed", 0))
        fit_features(with_trainer(dataclasses.replace(job, config=config), views=1))
    assert counted == [26, 26, 12, 26]


def test_other_weights_are_other_features(tmp_path, counted):
    """The features of one backbone are never taken for those of another."""
    for seed in (0, 1):
        fit_features(make_job(tmp_path, adapt=HEAD, seed=seed)[0])
    assert counted == [26, 12, 26, 12]


def test_adapters_that_change_nothing_yet_share_the_features(tmp_path, counted):
    """Before the first step low-rank updates are zero: the head start takes the features of the plain backbone."""
    fit_features(make_job(tmp_path, adapt=HEAD)[0])
    job, _ = make_job(tmp_path, adapt=AdaptConfig(kind=AdaptKind.lora, rank=2))
    start_head(job)
    assert len(counted) == 2


def test_backbone_stays_and_history_is_written(tmp_path):
    """Only the head changes; one row a strength, the kept one where the smoothed metric is smallest."""
    job, said = make_job(tmp_path, adapt=HEAD, classes=False)
    before = {name: value.clone() for name, value in job.network.backbone.state_dict().items()}
    fit_features(job)
    assert all(torch.equal(value, before[name]) for name, value in job.network.backbone.state_dict().items())
    history = pd.read_csv(job.history_path)
    assert history["epoch"].tolist() == list(range(len(history)))
    assert {"train/loss", "val/loss", "val/rmse", "val/smoothed", "strength"} <= set(history)
    best = history["strength"][history["val/smoothed"].idxmin()]
    assert f"a penalty of {best:.2g}" in said[-1]
    assert history["strength"].is_unique


def test_exported_answers_are_features_times_head(tmp_path):
    """What was fitted on the cache is what the whole network answers."""
    job, _ = make_job(tmp_path, adapt=HEAD)
    fit_features(job)
    features = extract_features(job.network, job.val, preprocess=job.preprocess, cache_dir=job.cache_dir)
    assert features.dtype == np.float32
    with torch.inference_mode():
        expected = job.network.answer(torch.from_numpy(features), None).numpy()
    assert np.abs(expected - answer(job, job.val)).max() < 0.02 * max(1.0, np.abs(expected).max())


def test_a_view_depends_on_the_content_alone(tmp_path):
    """The same image is changed in the same way wherever it stands, and otherwise in another view."""
    job, _ = make_job(tmp_path, adapt=HEAD, augment=AugmentPreset.leaf)
    options = {"augmentation": job.augmentation, "batch_size": 3}
    straight = np.concatenate(list(iterate_view(job.train, np.arange(6), view=1, **options)))
    turned = np.concatenate(list(iterate_view(job.train, np.arange(6)[::-1], view=1, **options)))
    other = np.concatenate(list(iterate_view(job.train, np.arange(6), view=2, **options)))
    in_processes = np.concatenate(list(iterate_view(job.train, np.arange(6), view=1, **options, num_workers=2)))
    assert np.array_equal(straight, turned[::-1])
    assert np.array_equal(straight, in_processes)
    assert not np.array_equal(straight, other)


def test_balanced_sampling_counts_rare_classes_more(tmp_path):
    """With few bright images among many dark ones, more of the bright ones are then found."""
    found = []
    for sampling in Sampling:
        task = TaskConfig(sampling=sampling, class_weighting=ClassWeighting.none)
        job, _ = make_job(tmp_path, adapt=HEAD, task=task, n=80)
        target = np.where(np.arange(80) % 8 == 0, job.train.target, 0)
        fit_features(dataclasses.replace(job, train=dataclasses.replace(job.train, target=target)))
        found.append(int((answer(job, job.train).argmax(axis=1) == 1).sum()))
    assert dict(zip(Sampling, found, strict=True))[Sampling.balanced] > found[0]


def test_few_images_get_a_strong_penalty(tmp_path):
    """Answers that have nothing to do with the images are best answered by nearly nothing."""
    job, _ = make_job(tmp_path, adapt=HEAD, classes=False)
    rng = np.random.default_rng(3)
    noise = [dataclasses.replace(part, target=rng.permutation(part.target)) for part in (job.train, job.val)]
    fit_features(dataclasses.replace(job, train=noise[0], val=noise[1]))
    history = pd.read_csv(job.history_path)
    assert history["strength"].max() > 1
    assert history["strength"][history["val/smoothed"].idxmin()] > 1


def test_head_start_leaves_no_history(tmp_path):
    """It is the beginning of a training by epochs, which writes its own."""
    job, _ = make_job(tmp_path, adapt=AdaptConfig(kind=AdaptKind.full), augment=AugmentPreset.leaf)
    start_head(job)
    assert not job.history_path.exists()
    assert job.network.head.weight.abs().max() > 0
    right = (answer(job, job.val).argmax(axis=1) == job.val.target).mean()
    assert right > 0.8


@pytest.mark.parametrize("loss", list(RegressionLoss)[:3])
def test_every_loss_of_standardised_numbers_is_fitted(tmp_path, loss):
    """Squared, Huber's, and a quantile that most answers then lie below."""
    task = TaskConfig(loss=loss, quantile=0.9)
    job, _ = make_job(tmp_path, adapt=HEAD, classes=False, task=task, n=60)
    fit_features(job)
    errors = (answer(job, job.train) - job.train.target)[:, 0]
    if loss is RegressionLoss.quantile:
        assert 0.8 <= (errors >= 0).mean() <= 1.0
    else:
        assert np.sqrt((errors**2).mean()) < 0.4


def test_covariates_are_learned_and_may_be_missing(tmp_path):
    """A number that says the answer is used; without it the answer comes from the image."""
    job, _ = make_job(tmp_path, adapt=HEAD, classes=False, n=200)
    torch.manual_seed(0)
    network = PlantNetwork("test_resnet", 1, 0.0, read_backbone_input(job.config.model), covariate_dim=2)
    network.covariate_dropout = CovariateDropout((2,), share=0.3)

    def known(samples):
        return np.concatenate([samples.target, np.zeros((len(samples), 1))], axis=1).astype(np.float32)

    job = dataclasses.replace(
        job,
        network=network,
        adaptation=adapt_network(network, HEAD),
        train=dataclasses.replace(job.train, covariates=known(job.train)),
        val=dataclasses.replace(job.val, covariates=known(job.val)),
    )
    fit_features(job)
    test = make_samples(50, 5, classes=False)
    with_it = answer(job, dataclasses.replace(test, covariates=known(test))) - test.target
    missing = np.tile(np.array([[0.0, 1.0]], dtype=np.float32), (50, 1))
    without = answer(job, dataclasses.replace(test, covariates=missing)) - test.target
    assert np.abs(with_it).mean() < 0.1
    assert np.abs(without).mean() < 0.8


@pytest.mark.parametrize(
    ("preset", "views", "images", "expected"),
    [
        (AugmentPreset.none, 5, 26, 0),
        (AugmentPreset.leaf, 3, 26, 3),
        (AugmentPreset.leaf, 0, 26, 0),
        (AugmentPreset.leaf, None, 26, 8),
    ],
)
def test_number_of_views(tmp_path, preset, views, images, expected):
    """What is asked for; without augmentation there is nothing to view; else more for few images."""
    job, _ = make_job(tmp_path, adapt=HEAD, augment=preset, n=images)
    assert choose_views(with_trainer(job, views=views)) == expected


def test_few_batches_are_few_images(tmp_path, counted):
    """The limit for trying things out holds here, too."""
    job, _ = make_job(tmp_path, adapt=HEAD)
    fit_features(with_trainer(job, limit_batches=2))
    assert counted == [16, 12]


def test_images_without_hashes_are_refused(tmp_path):
    """There would be no name to keep the features under."""
    job, _ = make_job(tmp_path, adapt=HEAD)
    with pytest.raises(DataValidationError, match="0 file hashes"):
        fit_features(dataclasses.replace(job, train=dataclasses.replace(job.train, sha256=())))


def test_features_that_are_not_finite_are_refused(tmp_path):
    """A damaged weight is said before anything is learned from it."""
    job, _ = make_job(tmp_path, adapt=HEAD)
    with torch.no_grad():
        next(job.network.backbone.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingError, match="not finite numbers"):
        fit_features(job)


def test_openvino_gives_the_features_of_torch(tmp_path):
    """The runtime changes the speed and not the numbers, to about what half precision rounds away."""
    pytest.importorskip("openvino")
    found = []
    for runtime in (Runtime.torch, Runtime.openvino):
        job, _ = make_job(tmp_path / runtime.value, adapt=HEAD, backbone="test_efficientnet")
        extraction = open_extraction(with_trainer(job, runtime=runtime))
        found.append(extraction.read_view(job.train).astype(np.float32))
        assert extraction.computed_by is runtime
        assert extraction.images == len(job.train)
    assert np.abs(found[0] - found[1]).max() <= 2e-3 * np.abs(found[0]).max()
