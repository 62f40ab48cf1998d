"""Spectral transforms that more than one architecture uses."""

from __future__ import annotations

import torch
from torch import Tensor


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


def fft_convolve(audio: Tensor, impulse_response: Tensor) -> Tensor:
    """Causal linear convolution, cut to the length of ``audio``.

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
