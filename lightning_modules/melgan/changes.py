"""Changes of a waveform that can be optimised: its samples, or a filter."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_modules.layers.dsp.spectral import mel_filters
from lightning_modules.layers.single_precision import in_float32


class Change:
    """A differentiable change of a waveform with parameters; parameters of 0 change nothing.

    Args:
        learning_rate: of Adam.
    """

    def __init__(self, learning_rate: float) -> None:
        self.learning_rate = learning_rate

    def parameters(self, source: Tensor) -> Tensor:
        """Initial parameters for ``source`` ``(B, T)``: zeros of the shape that `apply` needs."""
        raise NotImplementedError

    def apply(self, source: Tensor, parameters: Tensor, sample_rate: int) -> Tensor:
        """Change ``source``: ``(B, T)`` → ``(B, T)``, differentiable by ``parameters``."""
        raise NotImplementedError


class Samples(Change):
    """Changes every sample by itself: any sound can be reached, but Adam's first steps are noise in rests.

    Args:
        learning_rate: relative to the root mean square of the batch's sources: quiet clips need small steps.
    """

    def __init__(self, learning_rate: float = 0.02) -> None:
        super().__init__(learning_rate)

    def parameters(self, source: Tensor) -> Tensor:
        """Zeros ``(B, T)``."""
        return torch.zeros_like(source)

    def apply(self, source: Tensor, parameters: Tensor, sample_rate: int) -> Tensor:
        """Add the parameters, times the root mean square of the sources."""
        return source + source.square().mean().sqrt() * parameters


class Filter(Change):
    """Filters with gains that are constant in time, so that notes, attacks and rests stay.

    Args:
        n_bands: number of triangular bands of equal width on Slaney's mel scale, from 0 Hz to Nyquist. Few
            bands change neighbouring partials together.
        n_fft: length of the Hann window in samples; the hop is a quarter of it.
        learning_rate: of the gains in nepers.
    """

    def __init__(self, n_bands: int = 20, n_fft: int = 1024, learning_rate: float = 0.05) -> None:
        super().__init__(learning_rate)
        self.n_bands = n_bands
        self.n_fft = n_fft

    def parameters(self, source: Tensor) -> Tensor:
        """Zeros ``(B, n_bands)``."""
        return source.new_zeros(len(source), self.n_bands)

    @in_float32
    def apply(self, source: Tensor, parameters: Tensor, sample_rate: int) -> Tensor:
        """Multiply each bin by the exponential of its bands' parameters, weighted by their triangles."""
        triangles = mel_filters(sample_rate, self.n_fft, self.n_bands).to(parameters)
        shares = triangles / triangles.sum(-1, keepdim=True).clamp(min=1e-9)
        gains = (parameters @ shares.T).exp()
        window = torch.hann_window(self.n_fft, dtype=source.dtype, device=source.device)
        hop = self.n_fft // 4
        spectrum = torch.stft(
            source, self.n_fft, hop, window=window, pad_mode="constant", return_complex=True
        )
        changed = spectrum * gains[..., None]
        return torch.istft(changed, self.n_fft, hop, window=window, length=source.shape[-1])
