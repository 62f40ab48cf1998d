"""The short-time Fourier transform in amplitudes, and its inverse.

Both use a Hann window and do not pad: audio brings half a window of context on either side of what the
inverse gives back, so that frames at either end see what really lies beyond, and not the click of a cut.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_modules.layers.single_precision import in_float32


@in_float32
def amplitude_stft(audio: Tensor, n_fft: int, hop: int) -> Tensor:
    """Transform audio with its context; a full-scale sine has magnitude 1 in its bin.

    Args:
        audio: ``(B, n_fft // 2 + T + n_fft // 2)``, ``T`` a multiple of the hop.
        n_fft: window and transform length in samples.
        hop: samples between frames; divides half of ``n_fft``.

    Returns:
        Complex ``(B, n_fft // 2 + 1, T / hop + 1)``.
    """
    window = _window(n_fft, audio)
    spectrum = torch.stft(audio, n_fft, hop, window=window, center=False, return_complex=True)
    return spectrum * (2 / window.sum())


@in_float32
def amplitude_istft(spectrum: Tensor, n_fft: int, hop: int) -> Tensor:
    """Invert `amplitude_stft` but for the context: ``(B, n_fft // 2 + 1, N)`` → ``(B, (N − 1) · hop)``."""
    window = _window(n_fft, spectrum.real)
    return torch.istft(spectrum * (window.sum() / 2), n_fft, hop, window=window)


def _window(n_fft: int, like: Tensor) -> Tensor:
    return torch.hann_window(n_fft, dtype=like.dtype, device=like.device)
