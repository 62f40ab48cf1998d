"""The trainable reverb after the synthesizers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lightning_modules.layers.dsp.spectral import fft_convolve


class TrainableReverb(nn.Module):
    """A convolution with a learned impulse response, to which the dry signal is added (DDSP, section 3.6).

    Args:
        n_taps: length of the impulse response in samples; the document's 48,000 are 3 s at 16 kHz.

    Attributes:
        wet: gain of the reverberation, in [0, 1]; a curriculum may raise it late. At 0 it costs nothing.
    """

    def __init__(self, n_taps: int = 48_000) -> None:
        super().__init__()
        self.impulse_response = nn.Parameter(1e-6 * torch.randn(n_taps))
        self.n_taps = n_taps
        self.wet = 1.0

    def forward(self, dry: Tensor) -> Tensor:
        """``(B, T)`` → ``(B, T)``."""
        if self.wet == 0.0:
            return dry
        # The first tap is the dry signal itself, which is added with gain 1: left free, it could cancel it.
        taps = torch.cat([self.impulse_response.new_zeros(1), self.impulse_response[1:]])
        return dry + self.wet * fft_convolve(dry, taps)
