"""Multi-scale spectral loss (DDSP, arXiv 2001.04643, equation 9 and section 4.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import l1_loss

from lightning_modules.layers.dsp.spectral import stft_magnitude


@dataclass
class LossWeights:
    """Weight of each term; a term of weight 0 is only logged, under the same name."""

    spectral_magnitude: float = 1.0
    """Mean absolute difference of magnitudes, summed over the scales."""
    spectral_log_magnitude: float = 1.0
    """Mean absolute difference of log magnitudes, summed over the scales."""
    articulation_pitch: float = 1.0
    """Negative log-likelihood of the right pitch, in nats a frame; only for an articulation and pairs."""
    articulation_loudness: float = 0.1
    """Mean absolute error of the loudness played, in dB; only for an articulation and pairs."""


class SpectralTerms(NamedTuple):
    """The unweighted terms of `SpectralLoss`, scalars with the names of `LossWeights`."""

    spectral_magnitude: Tensor
    spectral_log_magnitude: Tensor


class SpectralLoss:
    """The differences of magnitude spectrograms at several resolutions.

    Args:
        fft_sizes: window lengths in samples, any order; frames overlap by 75 %.
        log_floor: added to magnitudes before the logarithm. What is quieter than this counts as silence,
            and the gradient of the logarithm is at most its inverse.

    Attributes:
        n_scales: how many of ``fft_sizes`` count, from the shortest window, which sees the envelope and no
            partials, to the longest, which sees every partial; a fraction fades the last one in. All
            of them unless a curriculum sets it.
    """

    def __init__(
        self, fft_sizes: Sequence[int] = (2048, 1024, 512, 256, 128, 64), log_floor: float = 1e-5
    ) -> None:
        self.fft_sizes = sorted(fft_sizes)
        self.log_floor = log_floor
        self.n_scales = float(len(self.fft_sizes))

    def __call__(self, preds: Tensor, target: Tensor) -> SpectralTerms:
        """Compare ``(B, T)`` with ``(B, T)``."""
        linear, logarithmic = preds.new_zeros(()), preds.new_zeros(())
        for i, n_fft in enumerate(self.fft_sizes):
            share = min(max(self.n_scales - i, 0.0), 1.0)
            if share == 0.0:
                break
            terms = self._at_scale(preds, target, n_fft)
            linear = linear + share * terms.spectral_magnitude
            logarithmic = logarithmic + share * terms.spectral_log_magnitude
        return SpectralTerms(linear, logarithmic)

    def _at_scale(self, preds: Tensor, target: Tensor, n_fft: int) -> SpectralTerms:
        a, b = (stft_magnitude(audio, n_fft, n_fft // 4) for audio in (preds, target))
        log_a, log_b = ((magnitude + self.log_floor).log() for magnitude in (a, b))
        return SpectralTerms(l1_loss(a, b), l1_loss(log_a, log_b))
