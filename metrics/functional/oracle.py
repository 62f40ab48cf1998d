"""The oracle: the target's magnitudes with the source's phase, the best that predicted magnitudes can do."""

from __future__ import annotations

import torch
from torch import Tensor

from metrics.functional.spectra import stft

WINDOW_S, HOP_S = 0.064, 0.016


def with_phase_of(source: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """Resynthesise ``target`` ``(B, T)`` from its STFT magnitudes and the phases of ``source`` ``(B, T)``.

    Systems that predict a magnitude and keep the input's phase cannot do better than this. Gives ``(B, T)``.
    """
    window_length, hop_length = round(WINDOW_S * sample_rate), round(HOP_S * sample_rate)
    phase, magnitude = (stft(x, window_length, hop_length) for x in (source, target))
    spectrum = torch.polar(magnitude.abs(), phase.angle())
    window = torch.hann_window(window_length, device=target.device, dtype=target.dtype)
    return torch.istft(spectrum, window_length, hop_length, window=window, length=target.shape[-1])
