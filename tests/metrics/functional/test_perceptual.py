import numpy as np
import pytest
import soxr
import torch
from pesq import pesq as package_pesq
from visqol import VisqolApi

from metrics.functional.perceptual import pesq, visqol
from tests.metrics.conftest import RATE, Quartet, noise


def test_pesq_is_that_of_the_package(quartet: Quartet):
    preds, target = quartet.keyboard[:2], quartet.violin[:2]
    expected = [package_pesq(RATE, t.numpy(), p.numpy(), "wb") for p, t in zip(preds, target, strict=True)]
    assert pesq(preds, target, RATE).numpy() == pytest.approx(np.array(expected), abs=0.01)


def test_pesq_of_a_higher_rate_is_that_of_16_khz(quartet: Quartet):
    preds, target = quartet.keyboard[:1], quartet.violin[:1]
    at_48_khz = [torch.from_numpy(soxr.resample(x[0].numpy(), RATE, 48000))[None] for x in (preds, target)]
    assert pesq(*at_48_khz, 48000).item() == pytest.approx(pesq(preds, target, RATE).item(), abs=0.05)


def test_visqol_is_that_of_the_package_and_hears_noise(quartet: Quartet):
    target = quartet.violin[:1]
    noisy = target + target.std() * 0.1 * noise(4.0, amplitude=1.0)
    model = VisqolApi()
    model.create(mode="audio")
    at_48_khz = [soxr.resample(x[0].double().numpy(), RATE, 48000) for x in (target, noisy)]
    expected = model.measure_from_arrays(*at_48_khz, 48000).moslqo
    assert visqol(noisy, target, RATE).item() == pytest.approx(expected, abs=1e-3)
    assert visqol(target, target, RATE).item() > 4.6 > expected


@pytest.mark.parametrize("metric", [pesq, visqol])
def test_silence_and_too_short_have_no_rating(metric):
    silence = torch.zeros_like(noise())
    assert metric(silence, noise(), RATE).isnan() and metric(noise(), silence, RATE).isnan()
    assert metric(noise(0.05), noise(0.05, seed=1), RATE).isnan()


@pytest.mark.parametrize(
    ("n_bursts", "burst_s", "pause_s"), [(60, 0.25, 0.25), (60, 0.3, 0.21), (40, 0.5, 1.0)]
)
def test_pesq_of_many_utterances_is_a_value_and_no_crash(n_bursts: int, burst_s: float, pause_s: float):
    burst = torch.cat([noise(burst_s), torch.zeros(1, round(pause_s * RATE))], dim=1)
    target = burst.repeat(1, n_bursts)
    hiss = noise(n_bursts * 1.5, seed=1)[:, : target.shape[1]]
    nearly_clean, noisy = (pesq(target + level * hiss, target, RATE).item() for level in (1e-5, 0.1))
    assert 4 < nearly_clean <= 4.65 and 1 < noisy < 3
