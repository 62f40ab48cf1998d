"""Losses: numbers that can be done in the head, and what they say of embeddings that are known."""

import math

import pytest
import torch

from lightning_modules.disentangled.losses import (
    hsic,
    info_nce,
    instrument_confusion,
    instrument_cross_entropy,
    margin,
    perceptual_distance,
    spectral_convergence,
    spectral_difference,
    temporal_difference,
)

TWO = torch.tensor([0, 0, 1, 1])
ALL = torch.tensor([True, True])


def test_temporal_differentiates_frames_and_spectral_frequency():
    flat = torch.zeros(1, 4, 6)
    onset = flat.clone()
    onset[..., 3:] = 2.0  # one step of 2 among five changes of every bin
    assert temporal_difference(onset, flat).item() == pytest.approx(2 / 5)
    assert spectral_difference(onset, flat).item() == 0
    edge = flat.clone()
    edge[:, 2:] = 3.0
    assert spectral_difference(edge, flat).item() == pytest.approx(3 / 3)
    assert temporal_difference(edge, flat).item() == 0


def test_convergence_is_a_ratio_of_each_example():
    target = torch.tensor([1.0, 100.0])[:, None, None].expand(2, 3, 4)
    assert spectral_convergence(1.5 * target, target).item() == pytest.approx(0.5)
    assert spectral_convergence(0 * target, target).item() == pytest.approx(1.0)
    assert spectral_convergence(target, target).item() < 1e-5
    assert spectral_convergence(target * 0, target * 0).item() < 1e-2  # silence is no division by zero


def test_the_perceptual_distance_of_20_db_is_one():
    filters, target = torch.eye(3), torch.full((1, 3, 2), 0.5)
    assert perceptual_distance(0.1 * target, target, filters).item() == pytest.approx(1.0, abs=1e-2)


# ------------------------------------------------------------------------------------------- embeddings


def test_hsic_is_one_of_equals_and_near_zero_of_independents():
    torch.manual_seed(0)
    x = torch.randn(400, 3)
    assert hsic(x, x).item() == pytest.approx(1.0, abs=1e-5)
    assert hsic(x, torch.randn(400, 3)).item() < 0.05
    assert hsic(x, x.square()).item() > 0.05 + hsic(x, torch.randn(400, 3)).item()  # no linear dependence


def test_hsic_is_the_trace_of_centred_kernels():
    torch.manual_seed(0)
    x, y = torch.randn(7, 2, dtype=torch.double), torch.randn(7, 4, dtype=torch.double)

    def kernel(z):
        distances = torch.cdist(z, z).square()
        pairs = [distances[i, j] for i in range(7) for j in range(7) if i != j]
        return torch.exp(-distances / (2 * torch.stack(pairs).median()))

    centring = torch.eye(7, dtype=torch.double) - 1 / 7
    a, b = (centring @ kernel(z) @ centring for z in (x, y))
    expected = torch.trace(a @ b) / (torch.trace(a @ a) * torch.trace(b @ b)).sqrt()
    assert hsic(x, y).item() == pytest.approx(expected.item())


def test_hsic_knows_no_scale_and_equal_recordings_are_no_error():
    torch.manual_seed(0)
    x, y = torch.randn(20, 3), torch.randn(20, 3)
    assert hsic(100 * x, 0.01 * y).item() == pytest.approx(hsic(x, y).item(), rel=1e-4)
    assert hsic(torch.ones(4, 3), y[:4]).item() == pytest.approx(0, abs=1e-6)
    assert hsic(x[:1], y[:1]).item() == 0


def test_info_nce_of_equal_styles_is_a_guess_and_of_apart_ones_is_zero():
    assert info_nce(torch.ones(4, 8), TWO).item() == pytest.approx(math.log(3))
    apart = torch.eye(2)[TWO]
    assert info_nce(apart, TWO).item() == pytest.approx(math.log(1 + 2 * math.exp(-10)), rel=1e-2)
    assert info_nce(apart, torch.tensor([0, 1, 0, 1])).item() > 5


def test_info_nce_without_any_pair_is_zero():
    styles = torch.randn(3, 4, requires_grad=True)
    loss = info_nce(styles, torch.tensor([0, 1, 2]))
    loss.backward()
    assert loss.item() == 0 and styles.grad.isfinite().all()


def test_margin_of_one_place_is_its_square_and_of_opposite_ones_zero():
    assert margin(torch.ones(4, 9), TWO).item() == pytest.approx(4.0, abs=1e-4)
    opposite = torch.where(TWO[:, None] == 0, 1.0, -1.0).expand(4, 9)
    assert margin(opposite, TWO).item() == pytest.approx(0.0, abs=1e-6)


def test_one_class_costs_nothing_and_does_not_crash():
    styles, one = torch.randn(4, 6, requires_grad=True), torch.zeros(4, dtype=torch.long)
    loss = (
        margin(styles, one)
        + info_nce(styles, one)
        + instrument_confusion(styles[:, :2], torch.tensor([True, False]))
    )
    loss.backward()
    assert styles.grad.isfinite().all()
    assert margin(styles, one).item() == 0
    assert instrument_confusion(styles[:, :2], torch.tensor([True, False])).item() == 0


def test_naming_at_chance_is_the_log_of_the_instruments_that_are_there():
    assert instrument_cross_entropy(torch.zeros(4, 2), TWO, ALL).item() == pytest.approx(math.log(2))
    with_absent = instrument_cross_entropy(torch.zeros(4, 8), TWO, torch.arange(8) < 2)
    assert with_absent.item() == pytest.approx(math.log(2))


def test_confusion_is_least_for_a_guess_and_knows_no_right_answer():
    assert instrument_confusion(torch.full((4, 2), 3.0), ALL).item() == pytest.approx(0, abs=1e-6)
    sure = torch.tensor([[4.0, -4.0]]).expand(4, 2)
    assert instrument_confusion(sure, ALL).item() == pytest.approx(instrument_confusion(-sure, ALL).item())
    assert instrument_confusion(sure, ALL).item() > 3
    with_absent = torch.cat([torch.zeros(4, 2), sure], dim=1)
    assert instrument_confusion(with_absent, torch.arange(4) < 2).item() == pytest.approx(0, abs=1e-6)
