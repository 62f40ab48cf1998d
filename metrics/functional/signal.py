"""Signal group: how far the spectrum of the output is from that of the paired target.

Every function takes ``preds, target`` of shape ``(B, T)`` and the sample rate in Hz and gives ``(B,)``.
Both sides are scaled to unit RMS first, so none of these metrics measures level. Window lengths are times
except where the source fixes them in samples.
"""

from __future__ import annotations

import torch
from torch import Tensor

from metrics.functional.spectra import (
    cepstrum,
    decibels,
    mel_power_spectrogram,
    power_spectrogram,
    rms_normalized,
)

LSD_WINDOW_S, LSD_HOP_S = 0.128, 0.032
MCD_WINDOW_S, MCD_HOP_S = 0.064, 0.016
MCD_N_MELS = 80
MCD_ORDER = 13
MR_STFT_RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))
"""FFT size, hop and window in samples (Yamamoto et al., arXiv 1910.11480, table 1)."""


def lsd_db(preds: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """Log-spectral distance: ``mean_n √(mean_f (10·log10|P[f,n]|² − 10·log10|T[f,n]|²)²)``.

    Unit dB, range [0, ∞), lower is better. RMS over frequency within a frame, then mean over frames
    (Gray and Markel, IEEE TASSP 24(5), 1976, equation 2). Divided by 10 it is the figure of papers that
    leave the factor 10 out. Power is floored at −100 dB re unit RMS.
    """
    p, t = (_lsd_level(x, sample_rate) for x in (preds, target))
    return (p - t).square().mean(-2).sqrt().mean(-1)


def _lsd_level(audio: Tensor, sample_rate: int) -> Tensor:
    window, hop = round(LSD_WINDOW_S * sample_rate), round(LSD_HOP_S * sample_rate)
    return decibels(power_spectrogram(rms_normalized(audio), window, hop), dynamic_range_db=None)


def lsd_mel_db(preds: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """Log-spectral distance on 128 mel bands: ``mean_m √(mean_n (P[m,n] − T[m,n])²)``, P and T in dB.

    Unit dB, range [0, ∞), lower is better. RMS over time within a band, then mean over bands, with the
    spectrogram of SS-VQ-VAE's evaluation (arXiv 2102.05749, section 4.2: librosa's defaults at 16 kHz,
    80 dB below the loudest cell).
    """
    p, t = (decibels(mel_power_spectrogram(rms_normalized(x), sample_rate)) for x in (preds, target))
    return (p - t).square().mean(-1).sqrt().mean(-1)


def mcd_db(preds: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """Mel-cepstral distortion, frame by frame: ``mean_n (10/ln 10)·√(2·Σ_{k=1}^{13} (c_P − c_T)²)``.

    Unit dB, range [0, ∞), lower is better (Kubichek, IEEE PACRIM 1993). ``c`` are the cosine coefficients
    of the natural log amplitude over 80 mel bands, ``ln A(m) = c_0/2 + Σ c_k cos(πk(m+½)/80)``, which makes
    the result the RMS difference of the two smoothed envelopes in dB.
    """
    difference = mel_cepstrum_db(preds, sample_rate) - mel_cepstrum_db(target, sample_rate)
    return difference.norm(dim=-2).mean(-1)


def mcd_dtw_db(preds: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """`mcd_db` along the time warping that makes it smallest: the mean over the steps of the path.

    Unit dB, range [0, ∞), lower is better. Steps (1,1), (1,0), (0,1) of equal weight, the path of least
    total cost; timing errors are forgiven, so read it beside `mcd_db` and never alone.
    """
    return torch.stack([_warped_cost(p, t, sample_rate) for p, t in zip(preds, target, strict=True)])


def _warped_cost(preds: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    import librosa  # slow to import: only those who warp pay

    p, t = (mel_cepstrum_db(x[None], sample_rate)[0].T for x in (preds, target))
    # By differences: the usual matrix product leaves 1e-3 dB between a frame and itself.
    cost = torch.cdist(p, t, compute_mode="donot_use_mm_for_euclid_dist").cpu()
    path = torch.from_numpy(librosa.sequence.dtw(C=cost.double().numpy())[1].copy())
    return cost[path[:, 0], path[:, 1]].mean().to(preds)


def mel_cepstrum_db(audio: Tensor, sample_rate: int) -> Tensor:
    """Coefficients 1 to 13, scaled so that a Euclidean distance is an MCD in dB: ``(B, 13, N)``.

    An orthonormal DCT of the level ``L(m)`` in dB gives ``√(M/2)·20/ln 10·c_k``; over √M that is
    ``10/ln 10·√2·c_k``, the factor in the definition of MCD.
    """
    power = mel_power_spectrogram(rms_normalized(audio), sample_rate, MCD_N_MELS, MCD_WINDOW_S, MCD_HOP_S)
    return cepstrum(decibels(power), MCD_ORDER + 1)[:, 1:] / MCD_N_MELS**0.5


def mr_stft(preds: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """Multi-resolution STFT distance: mean over three resolutions of spectral convergence + log magnitude.

    ``‖|T|−|P|‖_F / ‖|T|‖_F + mean |ln|T| − ln|P||``. No unit, range [0, ∞), lower is better. Source:
    Yamamoto et al., arXiv 1910.11480, equations 3 to 6. The resolutions are in samples, as in the source,
    whatever the sample rate. NaN where the target is silent.
    """
    preds, target = rms_normalized(preds), rms_normalized(target)
    distances = [_stft_distance(preds, target, *resolution) for resolution in MR_STFT_RESOLUTIONS]
    audible = target.abs().amax(-1) > 0
    return torch.where(audible, torch.stack(distances).mean(0), torch.nan)


def _stft_distance(preds: Tensor, target: Tensor, n_fft: int, hop: int, window_length: int) -> Tensor:
    p, t = (_magnitude(x, n_fft, hop, window_length) for x in (preds, target))
    convergence = torch.linalg.matrix_norm(t - p) / torch.linalg.matrix_norm(t)
    return convergence + (t.log() - p.log()).abs().mean(dim=(-2, -1))


def _magnitude(audio: Tensor, n_fft: int, hop: int, window_length: int) -> Tensor:
    return power_spectrogram(audio, window_length, hop, n_fft).clamp_min(1e-8).sqrt()


def spectrogram_l1(preds: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """Mean absolute difference of magnitudes: ``mean_{f,n} | |P[f,n]| − |T[f,n]| |``.

    Unit: magnitudes of unit-RMS audio, a 64 ms periodic Hann window scaled to unit energy, so that white
    noise of unit RMS has magnitudes around 1. Range [0, ∞), lower is better.
    """
    p, t = (_unit_magnitudes(x, sample_rate) for x in (preds, target))
    return (p - t).abs().mean(dim=(-2, -1))


def wasserstein_bins(preds: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """Wasserstein-1 distance of the magnitudes that each bin takes over time, mean over bins.

    ``mean_f mean_i | sort_n|P[f,·]|_i − sort_n|T[f,·]|_i |``: how differently the bins are used, whatever
    the order in time (the source document's measure). Unit and scale as `spectrogram_l1`, which it never
    exceeds. Range [0, ∞), lower is better.
    """
    p, t = (_unit_magnitudes(x, sample_rate).sort(-1).values for x in (preds, target))
    return (p - t).abs().mean(dim=(-2, -1))


def wasserstein_spectrum(preds: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """Wasserstein-1 distance over frequency of the two time-averaged magnitude spectra, each of sum 1.

    ``Σ_f |CDF_P(f) − CDF_T(f)|·Δf``: by how many Hz the energy has to be moved on average. Unit Hz, range
    [0, Nyquist], lower is better. NaN where one side is silent: it has no distribution.
    """
    spectra = (_unit_magnitudes(x, sample_rate).mean(-1) for x in (preds, target))
    p, t = (s / s.sum(-1, keepdim=True) for s in spectra)
    bin_hz = sample_rate / 2 / (p.shape[-1] - 1)
    # The last difference of the cumulative sums is 0: both end at 1.
    return (p - t).cumsum(-1).abs()[..., :-1].sum(-1) * bin_hz


def _unit_magnitudes(audio: Tensor, sample_rate: int) -> Tensor:
    window_length = round(0.064 * sample_rate)
    power = power_spectrogram(rms_normalized(audio), window_length, window_length // 4)
    return (power / (3 / 8 * window_length)).sqrt()  # Σ of a squared Hann window is 3/8 of its length
