"""Audio as images and back: the source document's magnitude scale, and the bins its network sees.

A magnitude of 1 is that of a full-scale sine, whatever the window. On the document's scale it becomes

    v = 2·log(1 + m / a) / log(1 + 1 / a) − 1,    a = 2⁻¹⁶, the step of 16-bit audio (−96 dB)

which is −1 for silence and 1 for a full-scale sine, so that a tanh reaches every value. A step of 0.1 is
about 4.8 dB where m is far above a. Shapes: ``B`` examples, ``F`` bins of the transform, ``K`` bins of an
image, ``N`` frames.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lightning_modules.layers.dsp.stft import amplitude_istft, amplitude_stft
from lightning_modules.layers.single_precision import in_float32

AMIN = 2.0**-16
"""The step of 16-bit audio, the smallest magnitude that the scale tells from silence."""
_RANGE = math.log1p(1 / AMIN)


def to_scale(magnitude: Tensor) -> Tensor:
    """Map magnitudes ≥ 0 to the document's scale; 0 becomes −1, 1 becomes 1."""
    return 2 * torch.log1p(magnitude / AMIN) / _RANGE - 1


def from_scale(value: Tensor) -> Tensor:
    """Invert `to_scale`; values below −1 become 0."""
    return AMIN * torch.expm1((value.clamp(min=-1.0) + 1) / 2 * _RANGE)


class HighBand:
    """The magnitudes above the bins that the network sees: silence, as in the document."""

    def __call__(self, kept: Tensor, source: Tensor) -> Tensor:
        """Extend predicted magnitudes to all bins.

        Args:
            kept: ``(B, K, N)`` predicted magnitudes.
            source: ``(B, F, N)`` magnitudes of the source.

        Returns:
            ``(B, F, N)``.
        """
        return torch.cat([kept, self.above(kept, source)], dim=1)

    def above(self, kept: Tensor, source: Tensor) -> Tensor:
        """Magnitudes ``(B, F − K, N)`` of the bins above; the arguments are those of `__call__`."""
        return torch.zeros_like(source[:, kept.shape[1] :])


class SourceHighBand(HighBand):
    """The source's own high frequencies."""

    def above(self, kept: Tensor, source: Tensor) -> Tensor:
        """See `HighBand.above`."""
        return source[:, kept.shape[1] :]


class PredictedHighBand(HighBand):
    """The source's high frequencies, in each frame as much louder or softer as the octave below became.

    Spectral envelopes are smooth, so the gain that the network gave its highest octave is the best guess.

    Args:
        max_gain_db: upper limit of that gain.
    """

    def __init__(self, max_gain_db: float = 20.0) -> None:
        self.max_gain = 10 ** (max_gain_db / 20)

    def above(self, kept: Tensor, source: Tensor) -> Tensor:
        """See `HighBand.above`."""
        n_kept = kept.shape[1]
        octave = slice(n_kept // 2, n_kept)
        before, after = (x[:, octave].square().mean(1, keepdim=True).sqrt() for x in (source, kept))
        return source[:, n_kept:] * (after / before.clamp(min=AMIN)).clamp(max=self.max_gain)


class Spectrogram:
    """Short-time Fourier transform with a Hann window, its inverse, and images of it.

    Args:
        n_fft: window and transform length in samples.
        hop: samples between frames; divides half of ``n_fft``.
        n_bins: number of bins of an image, from 0 Hz up; the document's 256 of 513 at 44.1 kHz end at 11 kHz.
        high_band: the magnitudes above them.
    """

    def __init__(
        self, n_fft: int = 1024, hop: int = 512, n_bins: int = 256, high_band: HighBand | None = None
    ) -> None:
        self.n_fft, self.hop, self.n_bins = n_fft, hop, n_bins
        self.high_band = high_band or SourceHighBand()

    @property
    def context(self) -> int:
        """Samples that `analyse` needs on either side of what `synthesise` returns: half a window."""
        return self.n_fft // 2

    @property
    def n_edge_frames(self) -> int:
        """Frames at either end of an image whose windows reach beyond what `synthesise` returns."""
        return self.context // self.hop

    def n_samples(self, n_frames: int) -> int:
        """Samples that `synthesise` returns for ``n_frames`` frames."""
        return (n_frames - 1) * self.hop

    def analyse(self, audio: Tensor) -> Tensor:
        """``(B, context + T + context)``, ``T`` a multiple of the hop → complex ``(B, F, T / hop + 1)``."""
        return amplitude_stft(audio, self.n_fft, self.hop)

    def synthesise(self, spectrum: Tensor) -> Tensor:
        """Complex ``(B, F, N)`` → ``(B, n_samples(N))``, the inverse of `analyse` but for the context."""
        return amplitude_istft(spectrum, self.n_fft, self.hop)

    @in_float32
    def image(self, spectrum: Tensor) -> Tensor:
        """Complex ``(B, F, N)`` → ``(B, 1, K, N)`` on the document's scale."""
        return to_scale(spectrum[:, : self.n_bins].abs()).unsqueeze(1)

    @in_float32
    def magnitude(self, image: Tensor, source: Tensor) -> Tensor:
        """Predicted image ``(B, 1, K, N)`` and complex source ``(B, F, N)`` → magnitudes ``(B, F, N)``."""
        return self.high_band(from_scale(image.squeeze(1)), source.abs())
