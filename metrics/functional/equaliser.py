"""The equaliser: a fixed filter that gives a recording the long-term spectrum of another one.

It learns nothing and knows no notes, so what a system is worth begins above it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchaudio.functional import fftconvolve, melscale_fbanks

from metrics.functional.spectra import POWER_FLOOR, mel_power_spectrogram, rms_normalized

N_BANDS = 40
MOST_DB = 40.0
"""Largest gain or attenuation of a band against the mean of all."""
WINDOW_S = 0.064


def equalised(source: Tensor, reference: Tensor, sample_rate: int) -> Tensor:
    """Filter ``source`` ``(B, T)`` so that its mean spectrum is that of ``reference`` ``(B, R)``: ``(B, T)``.

    The mean power in 40 mel bands is compared, each recording at unit RMS. The filter has linear phase, its
    delay is taken out, and the output has the RMS of the source. Silence gives silence; a silent reference
    changes nothing.
    """
    wanted, given = (_band_levels_db(audio, sample_rate) for audio in (reference, source))
    gain_db = wanted - given
    gain_db = (gain_db - gain_db.mean(-1, keepdim=True)).clamp(-MOST_DB, MOST_DB)
    audible = source.square().sum(-1, keepdim=True) * reference.square().sum(-1, keepdim=True) > 0
    filtered = fftconvolve(source, _impulse_response(gain_db * audible, sample_rate), mode="same")
    rms = source.square().mean(-1, keepdim=True).sqrt()
    return rms_normalized(filtered) * rms


def _band_levels_db(audio: Tensor, sample_rate: int) -> Tensor:
    power = mel_power_spectrogram(rms_normalized(audio), sample_rate, N_BANDS, WINDOW_S, WINDOW_S / 2)
    return 10.0 * power.mean(-1).clamp_min(POWER_FLOOR).log10()


def _impulse_response(gain_db: Tensor, sample_rate: int) -> Tensor:
    """A linear-phase filter with these gains ``(B, M)`` at the centres of the bands: ``(B, K)``, K odd."""
    n_fft = 2 * (round(WINDOW_S * sample_rate) // 2)
    bins_db = gain_db @ _interpolation(n_fft // 2 + 1, sample_rate).to(gain_db)
    response = torch.fft.irfft(10.0 ** (bins_db / 20)).roll(n_fft // 2, -1)
    window = torch.hann_window(n_fft + 1, periodic=False).to(gain_db)
    return torch.cat([response, response[:, :1]], -1) * window


def _interpolation(n_bins: int, sample_rate: int) -> Tensor:
    """Weights ``(M, F)`` of the bands in each bin: triangles, which are straight lines between centres."""
    triangles = melscale_fbanks(n_bins, 0.0, sample_rate / 2, N_BANDS, sample_rate, mel_scale="slaney").T
    triangles[:, 0], triangles[:, -1] = triangles[:, 1], triangles[:, -2]  # where no triangle reaches
    return triangles / triangles.sum(0)
