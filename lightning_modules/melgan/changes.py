"""What of a waveform is optimised: its samples, or a filter that it goes through."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_modules.layers.dsp.spectral import mel_filters
from lightning_modules.layers.single_precision import in_float32


class Change:
    """A family of changes of a waveform, one for each value of some parameters; 0 is no change.

    Args:
        learning_rate: how far Adam moves a parameter in a step.
    """

    def __init__(self, learning_rate: float) -> None:
        self.learning_rate = learning_rate

    def parameters(self, source: Tensor) -> Tensor:
        """Zeros of the shape that `apply` wants for ``source`` ``(B, T)``."""
        raise NotImplementedError

    def apply(self, source: Tensor, parameters: Tensor, sample_rate: int) -> Tensor:
        """``source`` ``(B, T)``, changed, ``(B, T)``; differentiable by ``parameters``."""
        raise NotImplementedError


class Samples(Change):
    """Every sample by itself. Can become anything, but Adam's first steps are noise, and rests keep it.

    Args:
        learning_rate: relative to the root mean square of the batch's sources: quiet clips need small steps.
    """

    def __init__(self, learning_rate: float = 0.02) -> None:
        super().__init__(learning_rate)

    def parameters(self, source: Tensor) -> Tensor:
        """``(B, T)``."""
        return torch.zeros_like(source)

    def apply(self, source: Tensor, parameters: Tensor, sample_rate: int) -> Tensor:
        """The source and a multiple of the parameters."""
        return source + source.square().mean().sqrt() * parameters


class Filter(Change):
    """The gains of a filter's bands, which stand still: notes and rests stay, attacks too.

    Args:
        n_bands: triangles of equal width on Slaney's mel scale, from 0 Hz to Nyquist. With few the partials
            of a note are changed together.
        n_fft: length of the Hann window in samples; hops are a quarter of it.
        learning_rate: of the logarithms of the gains, in nepers.
    """

    def __init__(self, n_bands: int = 20, n_fft: int = 1024, learning_rate: float = 0.05) -> None:
        super().__init__(learning_rate)
        self.n_bands = n_bands
        self.n_fft = n_fft

    def parameters(self, source: Tensor) -> Tensor:
        """``(B, n_bands)``."""
        return source.new_zeros(len(source), self.n_bands)

    @in_float32
    def apply(self, source: Tensor, parameters: Tensor, sample_rate: int) -> Tensor:
        """The source, each bin times the exponential of what its bands say, weighted by their triangles."""
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
