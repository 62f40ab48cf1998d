"""The target's magnitudes with the source's phase: what a perfect magnitude predictor would reach."""

from __future__ import annotations

import torch
from torch import Tensor

WINDOW_S, HOP_S = 0.064, 0.016


def with_phase_of(source: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """Resynthesise ``target`` ``(B, T)`` from its STFT magnitudes and the phases of ``source`` ``(B, T)``.

    Systems that predict a magnitude and keep the input's phase cannot do better than this. Gives ``(B, T)``.
    """
    window_length, hop_length = round(WINDOW_S * sample_rate), round(HOP_S * sample_rate)
    window = torch.hann_window(window_length, device=target.device, dtype=target.dtype)
    phase, magnitude = (
        torch.stft(x, window_length, hop_length, window=window, pad_mode="constant", return_complex=True)
        for x in (source, target)
    )
    spectrum = torch.polar(magnitude.abs(), phase.angle())
    return torch.istft(spectrum, window_length, hop_length, window=window, length=target.shape[-1])
