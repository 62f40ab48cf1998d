import mir_eval
import numpy as np
import pytest
import torch
import torchmetrics.functional.audio as reference

from metrics.functional import waveform
from metrics.functional.level import loudness_l1_db
from tests.metrics.conftest import RATE, noise, tone


def test_si_sdr_agrees_with_torchmetrics():
    target = torch.cat([noise(seed=1), noise(seed=2)])
    preds = 0.5 * target + torch.cat([noise(amplitude=0.02, seed=3), noise(amplitude=0.2, seed=4)])
    expected = reference.scale_invariant_signal_distortion_ratio(preds, target)
    assert torch.allclose(waveform.si_sdr_db(preds, target, RATE), expected, atol=1e-3)


def test_snr_of_noise_20_db_below_is_20_db():
    assert waveform.snr_db(noise() + noise(amplitude=0.01, seed=1), noise(), RATE).item() == pytest.approx(
        20, abs=0.1
    )


def test_snr_agrees_with_torchmetrics_at_equal_rms():
    preds, target = noise(seed=1) + noise(seed=2), noise(seed=1)
    preds *= target.std(correction=0) / preds.std(correction=0)
    expected = reference.signal_noise_ratio(preds, target).item()
    assert waveform.snr_db(preds, target, RATE).item() == pytest.approx(expected, abs=0.05)


def test_sdr_agrees_with_bss_eval():
    target = noise(seed=1)
    echo = torch.nn.functional.pad(target, (100, 0))[:, : target.shape[-1]]
    preds = target + 0.5 * echo + noise(amplitude=0.02, seed=2)
    with pytest.warns(FutureWarning):
        expected = mir_eval.separation.bss_eval_sources(target.double().numpy(), preds.double().numpy())[0]
    assert waveform.sdr_db(preds, target, RATE).item() == pytest.approx(expected.item(), abs=0.1)


def test_sdr_of_a_batch_does_not_hang_and_leaves_the_threads_alone():
    n_threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        values = waveform.sdr_db(torch.cat([noise(seed=i) for i in range(3)]), torch.cat([noise()] * 3), RATE)
        assert values.shape == (3,) and values[0] > 60 > values[1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(n_threads)


def test_a_perfect_example_has_the_limit_and_silence_no_ratio():
    assert waveform.si_sdr_db(tone(440), tone(440), RATE).item() == 100
    for metric in (waveform.si_sdr_db, waveform.sdr_db):
        assert metric(torch.zeros_like(noise()), noise(), RATE).isnan()
        assert metric(noise(), torch.zeros_like(noise()), RATE).isnan()


def test_six_db_of_gain_are_six_db_of_loudness():
    assert loudness_l1_db(2 * noise(), noise(), RATE).item() == pytest.approx(20 * np.log10(2), abs=0.01)


def test_silence_is_as_far_from_a_tone_as_the_floor():
    # A 1 kHz sine of amplitude 1 has −3 dB, and the floor is at −80 dB.
    distance = loudness_l1_db(torch.zeros_like(tone(1000)), tone(1000, amplitude=1.0), RATE).item()
    assert distance == pytest.approx(77, abs=1)
