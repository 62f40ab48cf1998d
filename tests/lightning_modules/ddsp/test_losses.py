"""Spectral loss: numbers that can be done in the head, and a gradient from every term."""

import math

import pytest
import torch

from lightning_modules.ddsp.articulation import ArticulationTerms
from lightning_modules.ddsp.losses import LossWeights, SpectralLoss, SpectralTerms
from lightning_modules.layers.loss_weights import weighted_sum


def tone(hz=440.0, gain=0.3, n=8000):
    return gain * torch.sin(2 * math.pi * hz * torch.arange(n) / 16_000).unsqueeze(0)


def test_equal_signals_cost_nothing():
    assert all(term == 0 for term in SpectralLoss()(tone(), tone()))


def test_half_the_gain_costs_ln_2_a_scale():
    noise = torch.rand(1, 16_000, generator=torch.Generator().manual_seed(0)) - 0.5
    terms = SpectralLoss(log_floor=1e-9)(noise / 2, noise)
    assert terms.spectral_log_magnitude.item() == pytest.approx(6 * math.log(2), rel=1e-3)


def test_the_phase_costs_nothing():
    terms = SpectralLoss()(-tone(), tone())
    assert terms.spectral_magnitude.item() == pytest.approx(0.0, abs=1e-6)


def test_the_document_has_six_scales():
    assert SpectralLoss().fft_sizes == [64, 128, 256, 512, 1024, 2048]


@pytest.mark.parametrize("name", SpectralTerms._fields)
def test_every_term_sends_a_gradient(name):
    preds = tone(gain=0.2).requires_grad_()
    getattr(SpectralLoss()(preds, tone(445.0)), name).backward()
    assert preds.grad.abs().sum() > 0
    assert preds.grad.isfinite().all()


def test_silence_has_a_finite_gradient():
    preds = torch.zeros(1, 4000, requires_grad=True)
    sum(SpectralLoss()(preds, torch.zeros(1, 4000))).backward()
    assert preds.grad.isfinite().all()


def test_audio_shorter_than_a_window_is_compared():
    assert SpectralLoss()(tone(n=100), tone(n=100, gain=0.1)).spectral_magnitude > 0


def test_every_weight_names_a_term_and_is_applied_once():
    terms = SpectralTerms(torch.tensor(3.0), torch.tensor(5.0))._asdict()
    assert list(vars(LossWeights())) == [*SpectralTerms._fields, *ArticulationTerms._fields]
    assert weighted_sum(terms, LossWeights(2.0, 0.5)).item() == 8.5
    assert weighted_sum(terms, LossWeights(0.0, 1.0)).item() == 5.0


def test_scales_fade_in_from_coarse_to_fine():
    loss, preds, target = SpectralLoss([64, 256, 1024]), tone(), tone(450.0)
    at = {}
    for n_scales in (1.0, 1.5, 2.0, 3.0):
        loss.n_scales = n_scales
        at[n_scales] = loss(preds, target).spectral_magnitude.item()
    only_coarsest = SpectralLoss([64])(preds, target).spectral_magnitude.item()
    assert at[1.0] == pytest.approx(only_coarsest)
    assert at[1.5] == pytest.approx((at[1.0] + at[2.0]) / 2, rel=1e-5)
    assert at[3.0] > at[2.0]
