"""Signal group: how far the output is from the paired target, spectrally.

Every function takes ``preds, target`` of shape ``(B, T)`` and the sample rate in Hz and gives ``(B,)``.
Both sides are scaled to unit RMS first, so none of these measures level.
"""

from __future__ import annotations

import torch
from torch import Tensor

from metrics.spectra import decibels, mel_power_spectrogram, power_spectrogram, rms_normalized

MR_STFT_RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))
"""FFT size, hop and window in samples (Yamamoto et al., arXiv 1910.11480, table 1)."""


def lsd_mel_db(preds: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """Log-spectral distance on 128 mel bands: ``mean_m √(mean_n (P[m,n] − T[m,n])²)``, P and T in dB.

    Unit dB, range [0, 80], lower is better. RMS over time within a band, then mean over bands, with the
    spectrogram of SS-VQ-VAE's evaluation (arXiv 2102.05749, section 4.2: librosa's defaults, 80 dB range).
    """
    level = (decibels(mel_power_spectrogram(rms_normalized(x), sample_rate)) for x in (preds, target))
    difference = next(level) - next(level)
    return difference.square().mean(-1).sqrt().mean(-1)


def mr_stft(preds: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """Multi-resolution STFT distance: mean over three resolutions of spectral convergence + log magnitude.

    ``‖|T|−|P|‖_F / ‖|T|‖_F + mean |ln|T| − ln|P||``. No unit, range [0, ∞), lower is better. Source:
    Yamamoto et al., arXiv 1910.11480, equations 3 to 6. The resolutions are in samples, as in the source,
    whatever the sample rate. Infinite convergence (silent target) is undefined: NaN.
    """
    preds, target = rms_normalized(preds), rms_normalized(target)
    terms = [_stft_distance(preds, target, *resolution) for resolution in MR_STFT_RESOLUTIONS]
    return torch.stack(terms).mean(0)


def _stft_distance(preds: Tensor, target: Tensor, n_fft: int, hop: int, window_length: int) -> Tensor:
    p, t = (_magnitude(x, n_fft, hop, window_length) for x in (preds, target))
    convergence = torch.linalg.matrix_norm(t - p) / torch.linalg.matrix_norm(t)
    log_magnitude = (t.log() - p.log()).abs().mean(dim=(-2, -1))
    audible = target.abs().amax(-1) > 0
    return torch.where(audible, convergence + log_magnitude, torch.nan)


def _magnitude(audio: Tensor, n_fft: int, hop: int, window_length: int) -> Tensor:
    window = torch.hann_window(window_length, device=audio.device, dtype=audio.dtype)
    spectrum = torch.stft(audio, n_fft, hop, window_length, window, pad_mode="constant", return_complex=True)
    return (spectrum.real.square() + spectrum.imag.square()).clamp_min(1e-8).sqrt()


__all__ = ["lsd_mel_db", "mr_stft", "power_spectrogram"]
