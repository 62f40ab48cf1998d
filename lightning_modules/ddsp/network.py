"""The DDSP decoder network: fundamental frequency and loudness in, raw synthesizer controls out.

::

    f0 ───────► MLP ──┬─────────────────────────────────┐
                      ├─► sequence decoder (injected) ──┼─► MLP ─► head ─► raw controls
    loudness ─► MLP ──┴─────────────────────────────────┘

Engel et al., DDSP, arXiv 2001.04643, appendix B.2, with the sizes of the source document.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from datamodules.features.frames import LOUDNESS_FLOOR_DB
from lightning_modules.ddsp.decoders import SequenceDecoder
from lightning_modules.ddsp.pitch_repair import hz_to_midi
from lightning_modules.layers.network_size import NetworkSizeError


class RawControls(NamedTuple):
    """The unbounded outputs of the network for each frame; `controls.physical_controls` gives them units."""

    amplitude: Tensor
    """``(B, N, 1)``"""
    harmonic_distribution: Tensor
    """``(B, N, K)`` one for each of ``K`` harmonics"""
    noise_magnitudes: Tensor
    """``(B, N, M)`` one for each of ``M`` noise bands"""


def mlp(input_size: int, width: int, n_layers: int) -> nn.Sequential:
    """Build ``n_layers`` of Dense, LayerNorm and LeakyReLU; without layers, the identity."""
    sizes = [input_size] + [width] * n_layers
    layers: list[nn.Module] = []
    for size in sizes[:-1]:
        layers += [nn.Linear(size, width), nn.LayerNorm(width), nn.LeakyReLU()]
    return nn.Sequential(*layers)


def scale_f0(f0_hz: Tensor) -> Tensor:
    """Scale f0 to MIDI note number / 127, so that audible pitches lie in [0, 1]; 440 Hz is 69 / 127."""
    return hz_to_midi(f0_hz.clamp(min=8.18)) / 127.0


def scale_loudness(loudness_db: Tensor) -> Tensor:
    """Scale loudness to dB / 80 + 1, so that −80 dB (silence) is 0 and 0 dB is 1."""
    return loudness_db / -LOUDNESS_FLOOR_DB + 1.0


class DDSPNetwork(nn.Module):
    """Maps f0 and loudness to raw controls; knows neither sample rate nor signal.

    Args:
        decoder: the sequence model; its ``input_size`` is twice ``hidden_size`` (2 without input MLPs).
        hidden_size: width of the MLPs.
        layers_per_mlp: Dense layers of each of the three MLPs; 0 leaves the MLPs out, which is Magenta's
            "tiny" model.
        n_harmonics: number of sinusoids of the additive synthesizer.
        n_noise_bands: number of magnitudes of the noise filter, from 0 Hz to Nyquist.
    """

    def __init__(
        self,
        decoder: SequenceDecoder,
        hidden_size: int = 256,
        layers_per_mlp: int = 2,
        n_harmonics: int = 60,
        n_noise_bands: int = 65,
    ) -> None:
        super().__init__()
        encoded_size = hidden_size if layers_per_mlp else 1
        if decoder.input_size != 2 * encoded_size:
            raise NetworkSizeError(
                f"network.decoder has input_size {decoder.input_size}, but the two input MLPs give "
                f"2 x {encoded_size}: set decoder.init_args.input_size to {2 * encoded_size}."
            )
        # Two MLPs, not one used twice: pitch and loudness share nothing but their range.
        self.f0_mlp = mlp(1, hidden_size, layers_per_mlp)
        self.loudness_mlp = mlp(1, hidden_size, layers_per_mlp)
        self.decoder = decoder
        joined_size = 2 * encoded_size + decoder.output_size
        self.output_mlp = mlp(joined_size, hidden_size, layers_per_mlp)
        self.sizes = [1, n_harmonics, n_noise_bands]
        self.head = nn.Linear(hidden_size if layers_per_mlp else joined_size, sum(self.sizes))

    def forward(self, f0_hz: Tensor, loudness_db: Tensor, state: Any = None) -> tuple[RawControls, Any]:
        """Decode a block of frames.

        Args:
            f0_hz: ``(B, N)`` fundamental frequency.
            loudness_db: ``(B, N)`` A-weighted loudness, floor −80.
            state: the decoder's state after the block before; ``None`` at the start of a signal.

        Returns:
            The raw controls of these frames and the decoder's state after them.
        """
        inputs = [
            self.f0_mlp(scale_f0(f0_hz).unsqueeze(-1)),
            self.loudness_mlp(scale_loudness(loudness_db).unsqueeze(-1)),
        ]
        decoded, state = self.decoder(torch.cat(inputs, dim=-1), state)
        outputs = self.head(self.output_mlp(torch.cat([*inputs, decoded], dim=-1)))
        return RawControls(*outputs.split(self.sizes, dim=-1)), state
