"""Transforms of audio to complex spectra and back, and their normalisation.

The encoders see the complex short-time Fourier transform and above it the constant-Q transform of the same
frames, with real and imaginary parts as two channels. Each bin is normalised by the statistics of the
training split. The decoder predicts magnitudes of the Fourier transform on a scale of its own
(`Normalisation.level`). A magnitude of 1 is that of a full-scale sine, whatever the window. Shapes: ``B``
examples, ``F`` bins of the Fourier transform, ``K`` bins of both transforms, ``N`` frames.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from datamodules.features.spectrum_statistics import Statistics
from lightning_modules.layers.dsp.constant_q import constant_q
from lightning_modules.layers.dsp.stft import amplitude_istft, amplitude_stft
from lightning_modules.layers.single_precision import in_float32

FLOOR = 3e-3
"""Magnitude that counts as silence, relative to a bin's standard deviation: −50 dB."""
_RANGE = math.log(1 / FLOOR)
LOUDEST = 1.8
"""The largest level: 40 dB above a bin's standard deviation."""
SMALLEST_DEVIATION = 1e-2
"""The least that a bin is divided by, relative to the largest deviation of all bins: −40 dB.

Rendered music leaves some bins nearly empty. Divided by what little there is, the faintest noise of a
recording would be the loudest part of its spectrum.
"""


class Representation:
    """The Fourier and the constant-Q transform on the same frames.

    Args:
        n_fft: window and transform length of the Fourier transform in samples.
        hop: samples between frames.
        n_semitones: number of bins of the constant-Q transform, from C1 up.
    """

    def __init__(self, n_fft: int = 1024, hop: int = 256, n_semitones: int = 84) -> None:
        self.n_fft, self.hop, self.n_semitones = n_fft, hop, n_semitones

    @property
    def n_fourier_bins(self) -> int:
        """Bins of the Fourier transform, ``F``."""
        return self.n_fft // 2 + 1

    @property
    def n_bins(self) -> int:
        """Bins of both transforms, ``K``."""
        return self.n_fourier_bins + self.n_semitones

    @property
    def name(self) -> str:
        """A name of the settings, under which statistics are cached."""
        return f"stft{self.n_fft}_cqt{self.n_semitones}_hop{self.hop}"

    @property
    def context(self) -> int:
        """Samples that `analyse` needs on either side of what `synthesise` returns: half a window."""
        return self.n_fft // 2

    def n_samples(self, n_frames: int) -> int:
        """Samples that `synthesise` returns for ``n_frames`` frames."""
        return (n_frames - 1) * self.hop

    @in_float32
    def fourier(self, audio: Tensor) -> Tensor:
        """``(B, context + T + context)``, ``T`` a multiple of the hop → complex ``(B, F, T / hop + 1)``."""
        return amplitude_stft(audio, self.n_fft, self.hop)

    @in_float32
    def analyse(self, audio: Tensor, sample_rate: int) -> Tensor:
        """Transform the audio of `fourier` to both, complex ``(B, K, T / hop + 1)``."""
        fourier = self.fourier(audio)
        n_frames = fourier.shape[-1]
        semitones = constant_q(audio, sample_rate, self.hop, n_frames, self.context, self.n_semitones)
        return torch.cat([fourier, semitones], dim=1)

    def synthesise(self, fourier: Tensor) -> Tensor:
        """Complex ``(B, F, N)`` → ``(B, n_samples(N))``, the inverse of `analyse` but for the context."""
        return amplitude_istft(fourier, self.n_fft, self.hop)


def parts(spectra: Tensor) -> Tensor:
    """Complex ``(B, K, N)`` → real and imaginary parts ``(B, 2, K, N)``."""
    return torch.stack([spectra.real, spectra.imag], dim=1)


class Normalisation(nn.Module):
    """Normalisation of the real and imaginary part of every bin to mean 0 and deviation 1, and its inverse.

    The statistics are the same for all instruments: an instrument's own would take its timbre out of the
    input, and give its name away. They are in the checkpoint, so that a transfer needs no corpus.

    Args:
        n_bins: ``K``.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, n_bins: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(2, n_bins))
        self.register_buffer("std", torch.ones(2, n_bins))

    def adopt(self, statistics: Statistics) -> None:
        """Use the statistics of a corpus, each ``(2, K)``."""
        self.mean.copy_(statistics.mean)
        self.std.copy_(statistics.std.clamp(min=SMALLEST_DEVIATION * float(statistics.std.max())))

    def forward(self, spectra: Tensor) -> Tensor:
        """Complex ``(B, K, N)`` → normalised ``(B, 2, K, N)``."""
        return (parts(spectra) - self.mean[..., None]) / self.std[..., None]

    def inverse(self, normalised: Tensor) -> Tensor:
        """Normalised ``(B, 2, K, N)`` → complex ``(B, K, N)``."""
        real, imaginary = (normalised * self.std[..., None] + self.mean[..., None]).unbind(1)
        return torch.complex(real, imaginary)

    @in_float32
    def level(self, magnitude: Tensor) -> Tensor:
        """Magnitudes ``(B, F, N)`` → logarithmic levels: 0 for silence, 1 for a bin's standard deviation."""
        return 1 + torch.log(magnitude / self._deviation(magnitude) + FLOOR) / _RANGE

    @in_float32
    def magnitude(self, level: Tensor) -> Tensor:
        """Invert `level`; levels below that of silence become silence."""
        relative = torch.exp((level.clamp(0, LOUDEST) - 1) * _RANGE) - FLOOR
        return relative.clamp(min=0) * self._deviation(level)

    def _deviation(self, like: Tensor) -> Tensor:
        return self.std.square().sum(0).sqrt()[: like.shape[1], None]
