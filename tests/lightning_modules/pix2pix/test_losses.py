"""Losses: numbers that can be done in the head."""

import math

import pytest
import torch

from lightning_modules.layers.loss_weights import weighted_sum
from lightning_modules.pix2pix.losses import LossWeights, mean_absolute_error, phase_distance


def test_the_mean_absolute_error_is_that():
    assert mean_absolute_error(torch.tensor([1.0, -1.0]), torch.tensor([0.5, 1.0])).item() == 1.25


@pytest.mark.parametrize(("angle", "distance"), [(0, 0), (math.pi / 3, 0.5), (math.pi / 2, 1), (math.pi, 2)])
def test_the_phase_distance_of_an_angle(angle, distance):
    target = 3 * torch.exp(1j * torch.rand(1, 4, 5))
    preds = target / 3 * torch.exp(torch.tensor(1j * angle))
    assert phase_distance(preds, target).item() == pytest.approx(distance, abs=1e-6)


def test_loud_bins_count_more_and_empty_ones_not_at_all():
    target = torch.tensor([[[3.0, 1.0, 0.0]]], dtype=torch.complex64)
    preds = torch.tensor([[[1.0, -1.0, -1.0]]], dtype=torch.complex64)
    assert phase_distance(preds, target).item() == pytest.approx((3 * 0 + 1 * 2) / 4)
    assert phase_distance(preds, torch.zeros_like(target)).item() == 0


def test_every_weight_names_a_term_and_is_applied_once():
    names = ("mae", "adversarial", "phase", "heard")
    terms = dict(zip(names, torch.tensor([2.0, 3.0, 5.0, 7.0]), strict=True))
    assert set(vars(LossWeights())) == set(terms)
    assert weighted_sum(terms, LossWeights(10.0, 0.5, 1.0, 2.0)).item() == 20 + 1.5 + 5 + 14
    assert weighted_sum(terms, LossWeights()).item() == 200 + 3
