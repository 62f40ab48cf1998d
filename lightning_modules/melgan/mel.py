"""Log-mel spectrograms on the scale of a network's output, [−1, 1], all of which a tanh reaches."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import pad

from lightning_modules.layers.dsp.spectral import mel_filters, stft_magnitude
from lightning_modules.layers.single_precision import in_float32


class LogMel:
    """Transforms audio to mel frames in [−1, 1], and these back to mel magnitudes.

    Frame ``n`` looks at the ``hop`` samples that begin at ``n * hop`` and at as much on both sides as its
    window reaches; what is outside the audio is silence. Bands are triangular, on Slaney's mel scale and of
    equal area, as in MelGAN's code.

    Args:
        n_mels: bands from 0 Hz to Nyquist.
        n_fft: length of the Hann window in samples.
        hop: samples of a frame.
        floor: mel magnitude that becomes −1, as do all smaller ones.
    """

    def __init__(self, n_mels: int = 80, n_fft: int = 1024, hop: int = 256, floor: float = 1e-5) -> None:
        self.n_mels = n_mels
        self.n_fft = n_fft
        self.hop = hop
        self.floor = floor

    @in_float32
    def __call__(self, audio: Tensor, sample_rate: int) -> Tensor:
        """``(B, T)`` at ``sample_rate`` Hz → ``(B, M, N)`` with ``N = n_frames(T)``."""
        return self.normalised(self.magnitudes(audio, sample_rate), sample_rate)

    def n_frames(self, n_samples: int) -> int:
        """Number of frames that cover ``n_samples``, at least one."""
        return max(1, math.ceil(n_samples / self.hop))

    def magnitudes(self, audio: Tensor, sample_rate: int) -> Tensor:
        """Mel magnitudes ``(B, M, N)`` of ``(B, T)``, linear, from 0 to `ceiling`."""
        n_frames, half = self.n_frames(audio.shape[-1]), self.hop // 2
        # With half a hop of silence before it, frame n + 1 of the transform is centred in block n.
        padded = pad(audio, (half, n_frames * self.hop - audio.shape[-1] + half))
        spectrum = stft_magnitude(padded, self.n_fft, self.hop)[..., 1 : n_frames + 1]
        return mel_filters(sample_rate, self.n_fft, self.n_mels).to(spectrum).T @ spectrum

    def normalised(self, magnitudes: Tensor, sample_rate: int) -> Tensor:
        """Map magnitudes to [−1, 1], linearly in their logarithm: −1 at the floor, 1 at the ceiling."""
        span = math.log(self.ceiling(sample_rate) / self.floor)
        return 2 * (magnitudes.clamp(min=self.floor) / self.floor).log() / span - 1

    @in_float32
    def denormalised(self, frames: Tensor, sample_rate: int) -> Tensor:
        """Invert `normalised` above the floor."""
        span = math.log(self.ceiling(sample_rate) / self.floor)
        return self.floor * ((frames + 1) / 2 * span).exp()

    def ceiling(self, sample_rate: int) -> float:
        """The mel magnitude that no audio in [−1, 1] exceeds.

        By Cauchy and Schwarz a band is at most ‖w‖·‖X‖, w its weights and X a frame's bins. As w is 0 at DC
        and at Nyquist, Parseval bounds ‖X‖² of the rest by n_fft/2 times the energy of the window.
        """
        filters = mel_filters(sample_rate, self.n_fft, self.n_mels)
        window_energy = torch.hann_window(self.n_fft).square().sum()
        return float(filters.norm(dim=0).max() * (self.n_fft / 2 * window_energy).sqrt())
