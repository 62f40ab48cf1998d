"""What the filters are trained on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class LossWeights:
    """Weight of every term; the field names are the log names, 0 is measured only."""

    magnitude: float = 1.0
    waveform: float = 0.0


def magnitude(preds: Tensor, target: Tensor, n_fft: int = 256) -> Tensor:
    """Mean absolute difference of STFT magnitudes of audio ``(B, T)``."""
    window = torch.hann_window(n_fft, device=preds.device)
    spectra = [
        torch.stft(audio, n_fft, window=window, return_complex=True).abs() for audio in (preds, target)
    ]
    return (spectra[0] - spectra[1]).abs().mean()


def waveform(preds: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of samples of audio ``(B, T)``."""
    return (preds - target).abs().mean()
