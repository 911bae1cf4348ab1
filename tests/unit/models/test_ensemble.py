"""Networks that answer together: every member on its own scale, with its own classes and its own covariates."""

import numpy as np
import pandas as pd
import pytest
import torch

from phytoscope.models.covariates import fit_covariates
from phytoscope.models.ensemble import EnsembleMeaning, NetworkEnsemble, align_classes, join_meanings, join_states
from phytoscope.models.meaning import Meaning, TargetMeaning
from phytoscope.models.network import build_network
from phytoscope.models.target import fit_target_scale
from phytoscope.schema.choices import TargetTransform
from phytoscope.schema.train_config import ModelConfig

SIZE_PX = 32
TABLE = pd.DataFrame({"age_days": [7.0, 14.0, 21.0, None], "condition": ["wet", "dry", "wet", "dry"]})


def make_networks(*outputs: int, covariate_dims: tuple[int, ...] = (0, 0, 0)):
    """Tiny networks with random weights, heads included."""
    networks = []
    for seed, (count, dim) in enumerate(zip(outputs, covariate_dims, strict=False)):
        torch.manual_seed(seed)
        config = ModelConfig(backbone="test_resnet", weights="random", input_size_px=SIZE_PX, dropout=0.0)
        network, _ = build_network(config, count, dim)
        torch.nn.init.normal_(network.head.weight)
        networks.append(network.eval())
    return networks


def draw_images(count: int = 4) -> torch.Tensor:
    """Random squares."""
    return torch.randint(0, 256, (count, 3, SIZE_PX, SIZE_PX), dtype=torch.uint8)


def answer_alone(meaning: Meaning, network, images, covariates=None) -> np.ndarray:
    """What one member answers."""
    with torch.inference_mode():
        return meaning.answer(network(images, covariates).double().numpy())


def answer_together(meaning: EnsembleMeaning, networks, images, covariates=None) -> np.ndarray:
    """What the ensemble answers."""
    with torch.inference_mode():
        return meaning.answer(NetworkEnsemble(networks).eval()(images, covariates).double().numpy())


def test_probabilities_are_averaged():
    """The answer is the mean of the members' probabilities and sums to 1."""
    networks, meaning, images = make_networks(3, 3), Meaning(class_names=("a", "b", "c")), draw_images()
    probs = answer_together(join_meanings([meaning, meaning]), networks, images)
    expected = np.mean([answer_alone(meaning, network, images) for network in networks], axis=0)
    np.testing.assert_allclose(probs, expected, atol=1e-6)
    np.testing.assert_allclose(probs.sum(axis=1), 1.0)


def test_class_that_a_member_never_saw():
    """Members with other classes are lined up by name; the unknown class gets nothing from them."""
    images, members = draw_images(), [Meaning(class_names=("b", "c")), Meaning(class_names=("a", "c"))]
    networks, joined = make_networks(2, 2), join_meanings(members)
    assert joined.class_names == ("a", "b", "c")
    probs = answer_together(joined, networks, images)
    first, second = (answer_alone(member, net, images) for member, net in zip(members, networks, strict=True))
    np.testing.assert_allclose(
        probs, np.stack([second[:, 0], first[:, 0], first[:, 1] + second[:, 1]], 1) / 2, atol=1e-6
    )


def test_values_are_averaged_in_the_users_unit():
    """Members that learned on different scales are brought back first."""
    rng = np.random.default_rng(0)
    scales = [
        fit_target_scale(rng.lognormal(1, 1, 50), TargetTransform.log1p),
        fit_target_scale(rng.normal(5, 2, 50), TargetTransform.none),
    ]
    members = [Meaning(targets=(TargetMeaning("weight", "g", scale),)) for scale in scales]
    networks, images = make_networks(1, 1), draw_images()
    values = answer_together(join_meanings(members), networks, images)
    expected = [answer_alone(member, net, images) for member, net in zip(members, networks, strict=True)]
    np.testing.assert_allclose(values, np.mean(expected, axis=0), rtol=1e-5)


def test_each_member_reads_the_covariates_in_its_own_way():
    """One table is encoded once for each member, with what that member was fitted on."""
    encoders = [fit_covariates(TABLE[:3], ["age_days", "condition"]), fit_covariates(TABLE[1:], ["age_days"])]
    members = [Meaning(class_names=("a", "b"), covariates=encoder) for encoder in encoders]
    joined = join_meanings(members)
    dims = tuple(encoder.dim for encoder in encoders)
    assert joined.covariate_dim == sum(dims)
    networks, images = make_networks(2, 2, covariate_dims=dims), draw_images()
    encoded = joined.covariates.encode(TABLE)
    probs = answer_together(joined, networks, images, torch.from_numpy(encoded))
    expected = [
        answer_alone(member, net, images, torch.from_numpy(member.covariates.encode(TABLE)))
        for member, net in zip(members, networks, strict=True)
    ]
    np.testing.assert_allclose(probs, np.mean(expected, axis=0), atol=1e-6)


def test_states_are_joined():
    """The parameters of the members fill an ensemble built anew."""
    networks, images = make_networks(2, 3), draw_images()
    state = join_states([network.state_dict() for network in networks])
    fresh = NetworkEnsemble([network.eval() for network in make_networks(2, 3)]).eval()
    for parameter in fresh.parameters():
        torch.nn.init.zeros_(parameter)
    fresh.load_state_dict(state)
    with torch.inference_mode():
        torch.testing.assert_close(fresh(images), NetworkEnsemble(networks).eval()(images))


def test_align_classes():
    """Known columns go to their names, the others are 0."""
    aligned = align_classes(np.array([[0.3, 0.7]]), ("c", "a"), ("a", "b", "c"))
    assert aligned.tolist() == [[0.7, 0.0, 0.3]]


def test_outputs_are_counted_over_members():
    """The ensemble has the outputs of all members, whatever their classes."""
    members = [Meaning(class_names=("b", "c")), Meaning(class_names=("a", "b", "c"))]
    assert join_meanings(members).outputs == 5


@pytest.mark.parametrize("sums_first", [True, False])
def test_members_may_stand_in_any_order(sums_first):
    """The mean does not depend on the order of the members."""
    members = [Meaning(class_names=("b", "c")), Meaning(class_names=("a", "c"))]
    networks, images = make_networks(2, 2), draw_images()
    order = [0, 1] if sums_first else [1, 0]
    probs = answer_together(
        join_meanings([members[place] for place in order]), [networks[place] for place in order], images
    )
    np.testing.assert_allclose(probs, answer_together(join_meanings(members), networks, images), atol=1e-6)
