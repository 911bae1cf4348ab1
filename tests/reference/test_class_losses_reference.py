"""Losses and weights of classes against torch and against the formulas of the papers."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional

from phytoscope.models.losses.classification import (
    ClassificationLoss,
    balance_classes,
    weigh_by_effective_number,
    weigh_classes,
)
from phytoscope.schema.choices import ClassWeighting
from phytoscope.schema.train_config import TaskConfig

COUNTS = torch.tensor([900, 80, 20])
PLAIN = TaskConfig(label_smoothing=0.0, class_weighting=ClassWeighting.none)


@pytest.fixture
def drawn():
    """Logits of 40 images, shape (40, 3), and their classes, shape (40,)."""
    generator = torch.Generator().manual_seed(0)
    return 3 * torch.randn(40, 3, generator=generator), torch.randint(0, 3, (40,), generator=generator)


def make(**settings) -> ClassificationLoss:
    """A loss with the settings that differ from the plain one."""
    return ClassificationLoss(dataclasses.replace(PLAIN, **settings), COUNTS)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighting", ClassWeighting)
def test_cross_entropy_is_torch_s(drawn, weighting, smoothing) -> None:
    """With every weighting and smoothing, of class indices."""
    logits, target = drawn
    expected = functional.cross_entropy(logits, target, weigh_classes(COUNTS, weighting), label_smoothing=smoothing)
    found = make(class_weighting=weighting, label_smoothing=smoothing)(logits, target)
    torch.testing.assert_close(found, expected)


def test_mixed_answers_count_by_their_share(drawn) -> None:
    """Without weights the loss of a mixed answer is the mixed loss of both, as mixup defines it."""
    logits, target = drawn
    other = target.roll(1)
    mixed = 0.3 * functional.one_hot(target, 3) + 0.7 * functional.one_hot(other, 3)
    expected = 0.3 * functional.cross_entropy(logits, target) + 0.7 * functional.cross_entropy(logits, other)
    torch.testing.assert_close(make()(logits, mixed), expected)
    torch.testing.assert_close(make()(logits, mixed), functional.cross_entropy(logits, mixed))


def test_probabilities_of_one_are_class_indices(drawn) -> None:
    """The same loss with weights, smoothing and focus, however the answer is written."""
    logits, target = drawn
    loss = make(class_weighting=ClassWeighting.balanced, label_smoothing=0.1, focal_gamma=2.0)
    torch.testing.assert_close(loss(logits, functional.one_hot(target, 3).float()), loss(logits, target))


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_loss(drawn, gamma) -> None:
    """-(1 - p)^gamma log p of the true class (Lin 2017)."""
    logits, target = drawn
    p = logits.double().softmax(dim=1)[torch.arange(40), target]
    expected = (-((1 - p) ** gamma) * p.log()).mean().float()
    torch.testing.assert_close(make(focal_gamma=gamma)(logits, target), expected)


@pytest.mark.parametrize("tau", [0.5, 1.0])
def test_logit_adjustment(drawn, tau) -> None:
    """Cross-entropy of logits + tau log(frequency) while training (Menon 2021), of the logits themselves after."""
    logits, target = drawn
    loss = make(logit_adjustment=tau)
    expected = functional.cross_entropy(logits + tau * (COUNTS / COUNTS.sum()).log(), target)
    torch.testing.assert_close(loss(logits, target), expected)
    loss.eval()
    torch.testing.assert_close(loss(logits, target), functional.cross_entropy(logits, target))


def test_adjusted_loss_is_least_where_the_answer_is_balanced() -> None:
    """Of images that tell nothing, the adjusted loss learns even chances where the plain one learns the frequencies."""
    target = torch.repeat_interleave(torch.arange(3), COUNTS)
    learned = {}
    for tau in (0.0, 1.0):
        loss = make(logit_adjustment=tau)
        logits = torch.zeros(3, requires_grad=True)
        optimizer = torch.optim.LBFGS([logits], max_iter=100)

        def closure(loss=loss, logits=logits, optimizer=optimizer):
            optimizer.zero_grad()
            value = loss(logits.expand(len(target), 3), target)
            value.backward()
            return value

        optimizer.step(closure)
        learned[tau] = logits.detach().softmax(dim=0)
    torch.testing.assert_close(learned[0.0], COUNTS / COUNTS.sum(), atol=1e-3, rtol=0)
    torch.testing.assert_close(learned[1.0], torch.full((3,), 1 / 3), atol=1e-3, rtol=0)


def test_effective_number_of_images() -> None:
    """(1 - beta) / (1 - beta^n), scaled to the number of classes (Cui 2019)."""
    beta = 0.999
    raw = np.array([(1 - beta) / (1 - beta**n) for n in (900, 80, 20)])
    np.testing.assert_allclose(weigh_by_effective_number(COUNTS).numpy(), raw * 3 / raw.sum(), rtol=1e-6)


def test_effective_number_is_milder_than_the_inverse_frequency() -> None:
    """The more so the more images there are; with beta near 1 they are the same."""
    milder, harder = weigh_by_effective_number(COUNTS), balance_classes(COUNTS)
    assert 1 < milder[2] / milder[0] < harder[2] / harder[0]
    near_one = weigh_by_effective_number(COUNTS, beta=1 - 1e-7)
    torch.testing.assert_close(near_one / near_one.sum(), harder / harder.sum(), rtol=1e-3, atol=0)


class TestBalanceClasses:
    """Weights that let every class count the same."""

    def test_formula(self) -> None:
        """Images / (classes x images of the class)."""
        torch.testing.assert_close(balance_classes(torch.tensor([3, 1])), torch.tensor([4 / 6, 4 / 2]))

    def test_mean_over_images_is_one(self) -> None:
        """The loss keeps its size."""
        target = torch.from_numpy(np.random.default_rng(0).integers(0, 5, 100))
        weights = balance_classes(torch.bincount(target, minlength=5))
        assert weights[target].mean().item() == pytest.approx(1)


@pytest.mark.parametrize("weighting", ClassWeighting)
def test_class_without_images(weighting) -> None:
    """It gets weight 0, does not count as a class, and makes no loss infinite."""
    counts = torch.tensor([1, 0, 3, 0])
    weights = weigh_classes(counts, weighting)
    assert (weights > 0).tolist() == [True, False, True, False]
    torch.testing.assert_close(
        weights[[0, 2]] / weights[0],
        weigh_classes(counts[[0, 2]], weighting) / weigh_classes(counts[[0, 2]], weighting)[0],
    )
    loss = ClassificationLoss(TaskConfig(class_weighting=weighting, logit_adjustment=1.0), counts)
    assert torch.isfinite(loss(torch.zeros(2, 4), torch.tensor([0, 2])))
