import auraloss
import librosa
import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from metrics.functional import signal
from tests.metrics.conftest import RATE, Quartet, noise, tone

ALL = (
    signal.lsd_db,
    signal.lsd_mel_db,
    signal.mcd_db,
    signal.mcd_dtw_db,
    signal.mr_stft,
    signal.spectrogram_l1,
    signal.wasserstein_bins,
    signal.wasserstein_spectrum,
)


def unit_rms(audio: Tensor) -> np.ndarray:
    samples = audio.double().numpy()
    return samples / np.sqrt(np.mean(samples**2))


@pytest.mark.parametrize("metric", ALL)
def test_identity_is_zero_whatever_the_level(metric):
    audio = torch.cat([noise(seed=1), noise(seed=2)])
    assert metric(0.1 * audio, audio, RATE) == pytest.approx(np.zeros(2), abs=0.01)


@pytest.mark.parametrize("metric", ALL)
@pytest.mark.parametrize("rate", [16000, 24000, 44100])
def test_one_value_per_example_at_every_rate_and_each_its_own(metric, rate):
    preds, target = (
        torch.cat([noise(seed=1, rate=rate)] * 2),
        torch.cat([noise(seed=1, rate=rate), tone(440, rate=rate)]),
    )
    values = metric(preds, target, rate)
    assert values.shape == (2,)
    assert values[0] == pytest.approx(0, abs=0.01) and values[1] > 0.05


def test_lsd_mel_is_the_one_of_ss_vq_vae(quartet: Quartet):
    def level_db(audio: Tensor) -> np.ndarray:
        return librosa.power_to_db(librosa.feature.melspectrogram(y=unit_rms(audio), sr=RATE))

    preds, target = quartet.keyboard[0], quartet.violin[0]
    expected = np.mean(np.sqrt(np.mean((level_db(preds) - level_db(target)) ** 2, axis=1)))
    assert signal.lsd_mel_db(preds[None], target[None], RATE).item() == pytest.approx(expected, abs=0.01)


def test_lsd_agrees_with_librosas_spectrogram(quartet: Quartet):
    def level_db(audio: Tensor) -> np.ndarray:
        power = np.abs(librosa.stft(unit_rms(audio), n_fft=2048, hop_length=512)) ** 2
        return librosa.power_to_db(power, top_db=None)

    preds, target = quartet.keyboard[0], quartet.violin[0]
    expected = np.mean(np.sqrt(np.mean((level_db(preds) - level_db(target)) ** 2, axis=0)))
    assert signal.lsd_db(preds[None], target[None], RATE).item() == pytest.approx(expected, abs=0.02)


def test_mcd_agrees_with_librosas_cepstra(quartet: Quartet):
    def cepstra(audio: Tensor) -> np.ndarray:
        options = {"n_fft": 1024, "hop_length": 256, "n_mels": 80}
        # Orthonormal coefficients in dB over √80 are 10/ln 10 · √2 · those of the natural log amplitude.
        return librosa.feature.mfcc(y=unit_rms(audio), sr=RATE, n_mfcc=14, **options)[1:] / np.sqrt(80)

    preds, target = quartet.keyboard[0], quartet.violin[0]
    expected = np.linalg.norm(cepstra(preds) - cepstra(target), axis=0).mean()
    assert signal.mcd_db(preds[None], target[None], RATE).item() == pytest.approx(expected, rel=0.005)


def test_mcd_of_a_tilted_spectrum_is_the_rms_of_the_tilt_in_db():
    def coloured(depth_db: float) -> Tensor:
        spectrum = torch.fft.rfft(noise(8.0))
        mel = 2595 * torch.log10(1 + torch.linspace(0, RATE / 2, spectrum.shape[-1]) / 700)
        gain_db = depth_db * torch.cos(torch.pi * 2 * mel / mel[-1])
        return torch.fft.irfft(spectrum * 10 ** (gain_db / 20))

    # RMS of a cosine of amplitude 6 dB; HTK's mel scale is not quite Slaney's.
    assert signal.mcd_db(coloured(6.0), coloured(0.0), RATE).item() == pytest.approx(6 / 2**0.5, rel=0.1)


def test_time_warping_forgives_a_delay_and_nothing_else(quartet: Quartet):
    target = quartet.violin[:1]
    late = torch.nn.functional.pad(target, (RATE // 2, 0))[:, : target.shape[-1]]
    assert signal.mcd_dtw_db(late, target, RATE) < 0.5 * signal.mcd_db(late, target, RATE)
    assert signal.mcd_dtw_db(quartet.keyboard[:1], target, RATE) > 0.8 * signal.mcd_db(
        quartet.keyboard[:1], target, RATE
    )


def test_mr_stft_agrees_with_auraloss(quartet: Quartet):
    preds, target = (
        torch.from_numpy(unit_rms(x[0])).float()[None, None] for x in (quartet.keyboard, quartet.violin)
    )
    ours = signal.mr_stft(preds[0], target[0], RATE).item()
    # auraloss pads by reflection, we with silence: the frames at the ends differ.
    assert ours == pytest.approx(auraloss.freq.MultiResolutionSTFTLoss()(preds, target).item(), rel=0.005)


def test_wasserstein_spectrum_agrees_with_scipy(quartet: Quartet):
    preds, target = quartet.keyboard[0], quartet.violin[0]
    spectra = [np.abs(librosa.stft(unit_rms(x), n_fft=1024, hop_length=256)).mean(1) for x in (preds, target)]
    frequency_hz = librosa.fft_frequencies(sr=RATE, n_fft=1024)
    expected = scipy.stats.wasserstein_distance(frequency_hz, frequency_hz, *spectra)
    assert signal.wasserstein_spectrum(preds[None], target[None], RATE).item() == pytest.approx(
        expected, rel=1e-3
    )


def test_moving_a_tone_by_500_hz_moves_its_spectrum_by_500_hz():
    distance_hz = signal.wasserstein_spectrum(tone(1500), tone(1000), RATE).item()
    assert distance_hz == pytest.approx(500, rel=0.03)


def test_wasserstein_bins_agrees_with_scipy(quartet: Quartet):
    preds, target = quartet.keyboard[0], quartet.violin[0]
    p, t = (
        np.abs(librosa.stft(unit_rms(x), n_fft=1024, hop_length=256)) / np.sqrt(3 / 8 * 1024)
        for x in (preds, target)
    )
    expected = np.mean([scipy.stats.wasserstein_distance(a, b) for a, b in zip(p, t, strict=True)])
    assert signal.wasserstein_bins(preds[None], target[None], RATE).item() == pytest.approx(
        expected, rel=1e-3
    )


def test_wasserstein_bins_does_not_see_the_order_in_time_and_spectrogram_l1_does():
    audio = torch.cat([tone(440, 1.0), tone(880, 1.0)], dim=-1)
    assert signal.wasserstein_bins(audio.flip(-1), audio, RATE) < 0.1 * signal.spectrogram_l1(
        audio.flip(-1), audio, RATE
    )


def test_a_silent_output_is_far_and_a_silent_target_has_no_convergence():
    silence = torch.zeros_like(noise())
    assert signal.lsd_mel_db(silence, noise(), RATE) > 60
    assert signal.mr_stft(silence, noise(), RATE) > 5
    assert signal.mr_stft(noise(), silence, RATE).isnan()
    assert signal.wasserstein_spectrum(silence, noise(), RATE).isnan()


def test_the_published_table_has_the_right_kind_of_values(quartet: Quartet):
    """Public tables: a copy of the piano to violin has 14.8 dB on mel bands, 2.26 (tens of dB) textbook."""
    target = quartet.violin
    assert signal.lsd_mel_db(quartet.keyboard, target, RATE).mean() == pytest.approx(14.8, abs=3)
    assert signal.lsd_db(quartet.keyboard, target, RATE).mean() == pytest.approx(22.6, abs=3)
    assert signal.mr_stft(quartet.keyboard, target, RATE).mean() == pytest.approx(2.88, abs=0.6)


def test_mcd_of_identical_signals_is_exactly_zero(quartet: Quartet):
    assert signal.mcd_db(quartet.violin, quartet.violin, RATE).abs().max() == 0
    assert signal.mcd_dtw_db(quartet.violin, quartet.violin, RATE).abs().max() == 0
