"""One learned filter per target instrument."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ToneColour(nn.Module):
    """Filter audio with the impulse response learned for an instrument.

    Args:
        n_instruments: number of impulse responses.
        n_taps: their length in samples, odd.
    """

    def __init__(self, n_instruments: int, n_taps: int = 33) -> None:
        super().__init__()
        identity = F.pad(torch.ones(n_instruments, 1), (n_taps // 2, n_taps // 2))
        self.taps = nn.Parameter(identity)

    def forward(self, audio: Tensor, instrument: Tensor) -> Tensor:
        """Filter ``audio`` ``(B, T)`` with the filters of ``instrument`` ``(B,)``; returns ``(B, T)``."""
        taps = self.taps[instrument].unsqueeze(1)
        # Groups make the batch the channels, so that every example has its own filter.
        return F.conv1d(audio.unsqueeze(0), taps, padding="same", groups=len(audio))[0]
