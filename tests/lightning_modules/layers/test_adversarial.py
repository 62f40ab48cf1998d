"""Adversarial losses: numbers that can be done in the head, and who wants which logits."""

import math

import pytest
import torch

from lightning_modules.layers.adversarial import (
    CrossEntropyLoss,
    HingeLoss,
    LeastSquaresLoss,
    feature_matching,
)

LOSSES = [CrossEntropyLoss(), HingeLoss(), LeastSquaresLoss()]


def at(value, *shape):
    return [torch.full(shape or (2, 1, 4), float(value))]


def test_without_knowledge_cross_entropy_is_ln_2_a_player():
    assert CrossEntropyLoss().discriminator(at(0), at(0)).item() == pytest.approx(2 * math.log(2))
    assert CrossEntropyLoss().generator(at(0)).item() == pytest.approx(math.log(2))


def test_cross_entropy_is_that_of_torch():
    real, fake = torch.randn(3, 7), torch.randn(3, 7)
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    expected = bce(real, torch.ones(3, 7)) + bce(fake, torch.zeros(3, 7))
    torch.testing.assert_close(CrossEntropyLoss().discriminator([real], [fake]), expected)


def test_cross_entropy_of_a_sure_discriminator_is_finite():
    assert CrossEntropyLoss().discriminator(at(-500), at(500)).item() == pytest.approx(1000.0)


def test_hinge_asks_no_more_than_one_of_the_discriminator_and_everything_of_the_generator():
    hinge = HingeLoss()
    assert hinge.discriminator(at(1.5), at(-3)).item() == 0
    assert hinge.discriminator(at(0.25), at(0.5)).item() == pytest.approx(0.75 + 1.5)
    assert hinge.generator(at(5)).item() == -5


def test_least_squares_wants_one_and_zero():
    squares = LeastSquaresLoss()
    assert squares.discriminator(at(1), at(0)).item() == 0
    assert squares.discriminator(at(0), at(3)).item() == pytest.approx(1 + 9)
    assert squares.generator(at(3)).item() == pytest.approx(4)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_the_players_pull_the_fake_logits_apart(loss):
    def slope_at_half(of):
        logits = torch.full((2, 3), 0.5, requires_grad=True)
        of([logits]).backward()
        return logits.grad.sign().unique().tolist()

    assert slope_at_half(lambda fake: loss.discriminator(at(0, 2, 3), fake)) == [1.0]
    assert slope_at_half(lambda real: loss.discriminator(real, at(0, 2, 3))) == [-1.0]
    assert slope_at_half(loss.generator) == [-1.0]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_scales_are_summed_whatever_their_size(loss):
    two = [torch.full((1, 2), 0.3), torch.full((1, 50), 0.3)]
    one = loss.discriminator(two[:1], two[:1])
    torch.testing.assert_close(loss.discriminator(two, two), 2 * one)


def test_feature_matching_is_the_mean_difference_of_each_layer_summed():
    real = [[torch.zeros(1, 4), torch.zeros(1, 100)], [torch.zeros(1, 2)]]
    fake = [[torch.ones(1, 4), torch.full((1, 100), 2.0)], [torch.full((1, 2), -4.0)]]
    assert feature_matching(real, fake).item() == pytest.approx(1 + 2 + 4)
    assert feature_matching(real, real).item() == 0


def test_feature_matching_moves_the_fakes_only():
    real, fake = torch.zeros(1, 4, requires_grad=True), torch.ones(1, 4, requires_grad=True)
    feature_matching([[real]], [[fake]]).backward()
    assert real.grad is None
    assert fake.grad.abs().sum() > 0
