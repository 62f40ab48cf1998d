"""Magnitude spectra, a loss of them, mel filters and fast convolution."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import l1_loss
from torchaudio.functional import melscale_fbanks

from lightning_modules.layers.single_precision import in_float32


@in_float32
def stft_magnitude(audio: Tensor, n_fft: int, hop: int) -> Tensor:
    """Magnitude of the short-time Fourier transform, Hann window, zero-padded at both ends.

    Zeros and not reflections are padded, so that audio shorter than a window is no special case.

    Args:
        audio: ``(B, T)``.
        n_fft: window and transform length in samples.
        hop: samples between frames.

    Returns:
        ``(B, n_fft // 2 + 1, T // hop + 1)``, not normalised: a full-scale sine peaks near ``n_fft / 4``.
    """
    window = torch.hann_window(n_fft, dtype=audio.dtype, device=audio.device)
    spectrum = torch.stft(
        audio, n_fft, hop, window=window, center=True, pad_mode="constant", return_complex=True
    )
    return spectrum.abs()


@in_float32
def mr_stft_loss(
    preds: Tensor, target: Tensor, fft_sizes: Sequence[int] = (2048, 1024, 512), floor: float = 1e-4
) -> Tensor:
    """Multi-resolution STFT loss: spectral convergence plus L1 of log magnitudes, mean over resolutions.

    Unlike the metric `mr_stft` it hears level: nothing is normalised first.
    Yamamoto et al., Parallel WaveGAN, arXiv 1910.11480, equations 3 to 6. Departures: windows are as
    long as the transforms and overlap by 75 %; the convergence is a ratio for each example, not for the
    batch, so that the loss of a batch is the mean over its parts whatever their number.

    Args:
        preds: ``(B, T)``.
        target: ``(B, T)``.
        fft_sizes: window lengths in samples.
        floor: added to magnitudes, of which a full-scale sine has 1: what is quieter counts as silence. With
            less than −80 dB the rests of rendered music, which nobody hears, are most of the loss.
    """
    distances = []
    for n_fft in fft_sizes:
        scaled = (stft_magnitude(audio, n_fft, n_fft // 4) / (n_fft / 4) for audio in (preds, target))
        a, b = (magnitude + floor for magnitude in scaled)
        convergence = (a - b).norm(dim=(1, 2)) / b.norm(dim=(1, 2))
        distances.append(convergence.mean() + l1_loss(a.log(), b.log()))
    return torch.stack(distances).mean()


@lru_cache
@torch.inference_mode(False)  # what is kept may meet gradients later
def mel_filters(sample_rate: int, n_fft: int, n_mels: int, mel_scale: str = "slaney") -> Tensor:
    """Weights ``(n_fft // 2 + 1, n_mels)`` of triangular bands of equal area in Hz, from 0 Hz to Nyquist.

    Args:
        sample_rate: in Hz.
        n_fft: length of the Fourier transform in samples.
        n_mels: number of bands.
        mel_scale: ``slaney`` or ``htk``.
    """
    return melscale_fbanks(
        n_fft // 2 + 1, 0.0, sample_rate / 2, n_mels, sample_rate, norm="slaney", mel_scale=mel_scale
    )


@in_float32
def fft_convolve(audio: Tensor, impulse_response: Tensor) -> Tensor:
    """Convolve causally by Fourier transforms, and cut the result to the length of ``audio``.

    Args:
        audio: ``(..., T)``.
        impulse_response: ``(..., K)``, broadcast against ``audio``.

    Returns:
        ``(..., T)``.
    """
    n_samples = audio.shape[-1]
    n_fft = n_samples + impulse_response.shape[-1] - 1
    product = torch.fft.rfft(audio, n_fft) * torch.fft.rfft(impulse_response, n_fft)
    return torch.fft.irfft(product, n_fft)[..., :n_samples]
