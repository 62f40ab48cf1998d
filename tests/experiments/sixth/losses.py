"""What sixth is trained on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import l1_loss


@dataclass
class LossWeights:
    """Weight of every term, which is logged under the field's name; a term of weight 0 is only measured."""

    magnitude: float = 1.0
    waveform: float = 0.0


def magnitude(preds: Tensor, target: Tensor, n_fft: int = 256) -> Tensor:
    """Mean absolute difference of STFT magnitudes of audio ``(B, T)``."""
    window = torch.hann_window(n_fft, device=preds.device)
    a, b = (torch.stft(audio, n_fft, window=window, return_complex=True).abs() for audio in (preds, target))
    return l1_loss(a, b)


def waveform(preds: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of samples of audio ``(B, T)``."""
    return l1_loss(preds, target)
