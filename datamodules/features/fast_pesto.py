"""PESTO, five times as quick on a CPU, with the same weights and values.

Nine tenths of its time go into two 40 × 40 convolutions of 39 taps and one Toeplitz layer. The
convolutions are computed by FFT, the layer as a matrix product; both equal the originals up to rounding
(tests/datamodules/features/test_fast_pesto.py).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from scipy.fft import next_fast_len
from torch import Tensor, nn


class FourierConv1d(nn.Module):
    """A centred convolution with zero padding, ``(B, C, T)`` to ``(B, D, T)``, for one length.

    Args:
        convolution: layer to replace, with an odd kernel, stride 1 and a padding of half the kernel.
        length: the length, ``T``.
    """

    spectrum: Tensor
    bias: Tensor

    def __init__(self, convolution: nn.Conv1d, length: int) -> None:
        super().__init__()
        taps = convolution.kernel_size[0]
        assert convolution.bias is not None
        self.margin, self.length = taps // 2, length
        # A circular convolution wraps the last taps − 1 values of the full result around. As half a kernel is
        # cut off at either end of it, half of these values may overlap.
        self.n_fft = next_fast_len(length + self.margin, real=True)
        spectrum = torch.fft.rfft(convolution.weight.detach().flip(-1), self.n_fft)  # (D, C, F)
        self.register_buffer("spectrum", spectrum.permute(2, 1, 0).contiguous())
        self.register_buffer("bias", convolution.bias.detach()[:, None])

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``(B, C, T)`` to ``(B, D, T)``."""
        per_frequency = torch.bmm(torch.fft.rfft(x, self.n_fft).permute(2, 0, 1), self.spectrum)
        full = torch.fft.irfft(per_frequency.permute(1, 2, 0), self.n_fft)
        return full[..., self.margin : self.margin + self.length] + self.bias


class ToeplitzMatrix(nn.Module):
    """A Toeplitz layer, ``(B, n_in)`` to ``(B, n_out)``, as one matrix product.

    Args:
        convolution: layer to replace: a convolution with a kernel of ``n_in + n_out − 1`` taps.
        n_in: number of inputs.
    """

    matrix: Tensor

    def __init__(self, convolution: nn.Conv1d, n_in: int) -> None:
        super().__init__()
        kernel = convolution.weight.detach()[0, 0]
        n_out = len(kernel) - n_in + 1
        rows = [kernel[n_out - 1 - j : n_out - 1 - j + n_in] for j in range(n_out)]
        self.register_buffer("matrix", torch.stack(rows, dim=1))

    def forward(self, x: Tensor) -> Tensor:
        """Multiply ``(B, n_in)`` to ``(B, n_out)``."""
        return x @ self.matrix


@cache
def load_pesto(step_ms: float, sample_rate: int) -> Any:
    """Load PESTO's network in evaluation mode, once in a process."""
    from pesto.loader import load_model

    model = load_model("mir-1k_g7", step_ms, sampling_rate=sample_rate)
    encoder = model.encoder
    bins = encoder.hparams["n_bins_in"]
    for layer in encoder.prefilt_layers:
        layer[0] = FourierConv1d(layer[0], bins)
    encoder.fc = ToeplitzMatrix(encoder.fc, bins * encoder.hparams["n_chan_layers"][-1])
    return model.eval().requires_grad_(False)
