"""Losses with numbers that can be done by hand."""

import math

import pytest
import torch

from lightning_modules.layers.dsp.spectral import mr_stft
from lightning_modules.layers.loss_weights import weighted_sum
from lightning_modules.melgan.losses import (
    LossWeights,
    feature_distance,
    margin,
    travel,
)
from tests.lightning_modules.melgan.conftest import tone

# Two chunks of one clip, embedded in a plane: the difference vector is (3, 4), of length 5.
CHUNKS = torch.tensor([[[1.0, 1.0], [4.0, 5.0]]])


def test_travel_of_an_unchanged_or_moved_clip_is_minus_one():
    assert travel(CHUNKS, CHUNKS).item() == pytest.approx(-1)
    assert travel(CHUNKS, CHUNKS + torch.tensor([10.0, -7.0])).item() == pytest.approx(-1)


def test_travel_of_a_difference_that_was_doubled():
    # (6, 8) − (3, 4) = (3, 4): mean square (9 + 16) / 2; the direction is the same.
    assert travel(CHUNKS, 2 * CHUNKS).item() == pytest.approx(12.5 - 1)


def test_travel_of_a_difference_that_was_turned():
    # (−4, 3) − (3, 4) = (−7, −1): mean square (49 + 1) / 2; at a right angle the cosine is 0.
    turned = torch.tensor([[[0.0, 0.0], [-4.0, 3.0]]])
    assert travel(CHUNKS, turned).item() == pytest.approx(25)


def test_travel_looks_at_all_pairs_of_chunks():
    three = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [1.0, 2.0]]])
    moved = three.clone()
    moved[0, 2] = torch.tensor([1.0, 4.0])
    # Differences before: (1,0), (1,2), (0,2); after: (1,0), (1,4), (0,4): squares 0, 2, 2.
    cosines = 1 + 9 / math.sqrt(5 * 17) + 1
    assert travel(three, moved).item() == pytest.approx((4 - cosines) / 3)


def test_margin_is_the_missing_distance_squared():
    assert margin(CHUNKS, distance=6.0).item() == pytest.approx(1)
    assert margin(CHUNKS, distance=5.0).item() == pytest.approx(0, abs=1e-6)


def test_margin_of_equal_embeddings_has_a_finite_gradient():
    equal = torch.ones(1, 3, 4, requires_grad=True)
    loss = margin(equal)
    loss.backward()
    assert loss.item() == pytest.approx(4) and equal.grad.isfinite().all()


def test_mr_stft_orders_what_is_nearer():
    audio = tone(440.0, 16_000)
    assert mr_stft(audio, audio).item() == 0
    assert mr_stft(tone(466.0, 16_000), audio) > mr_stft(0.9 * audio, audio) > 0


def test_mr_stft_of_half_the_level_is_a_half_and_the_logarithm_of_two():
    noise = torch.randn(1, 16_000, generator=torch.Generator().manual_seed(0))  # loud at every frequency
    assert mr_stft(0.5 * noise, noise).item() == pytest.approx(0.5 + math.log(2), rel=0.01)


def test_mr_stft_of_a_batch_is_the_mean_over_its_examples():
    a, b = torch.cat([tone(300.0), tone(500.0, gain=0.05)]), torch.cat([tone(310.0), tone(470.0)])
    each = torch.stack([mr_stft(a[i : i + 1], b[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(mr_stft(a, b), each.mean())


def test_feature_distance_is_relative_to_the_target():
    target = [torch.full((1, 2, 3), 2.0), torch.full((1, 5), 100.0)]
    preds = [torch.full((1, 2, 3), 3.0), torch.full((1, 5), 100.0)]
    assert feature_distance(preds, target).item() == pytest.approx((0.25 + 0) / 2)


def test_weights_are_applied_by_name_and_what_weighs_nothing_is_left_out():
    terms = {
        "adversarial": torch.tensor(2.0),
        "feature_matching": torch.tensor(3.0),
        "stft": torch.tensor(math.inf),
    }
    assert weighted_sum(terms, LossWeights(5.0, 10.0, 0.0)).item() == 40
