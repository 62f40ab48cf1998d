"""Raw controls → audio: harmonics plus noise, through a room (DDSP, arXiv 2001.04643, section 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lightning_modules.ddsp.additive import harmonic_audio
from lightning_modules.ddsp.controls import Controls, physical_controls
from lightning_modules.ddsp.filtered_noise import noise_audio
from lightning_modules.ddsp.hop_grid import hop_samples
from lightning_modules.ddsp.network import RawControls
from lightning_modules.ddsp.reverb import TrainableReverb
from lightning_modules.layers.single_precision import in_float32


class Synthesizer(nn.Module):
    """An additive synthesizer plus filtered noise, through an optional room.

    Args:
        noise_bias: added to raw noise magnitudes; −10 makes an untrained network nearly noiseless.
        reverb: the room; ``None`` for dry recordings, such as direct electric guitar or a SoundFont.
    """

    def __init__(self, noise_bias: float = -10.0, reverb: TrainableReverb | None = None) -> None:
        super().__init__()
        self.noise_bias = noise_bias
        self.reverb = reverb

    @in_float32
    def forward(
        self,
        raw: RawControls,
        f0_hz: Tensor,
        gate: Tensor,
        sample_rate: int,
        noise: Tensor | None = None,
        initial_phase: Tensor | None = None,
    ) -> Tensor:
        """Synthesize ``N`` frames.

        Args:
            raw: outputs of the network, one frame for each hop.
            f0_hz: ``(B, N)``.
            gate: ``(B, N)`` gain of both synthesizers, in [0, 1].
            sample_rate: in Hz.
            noise: ``(1, N·H)`` white noise for all examples; ``None`` draws one for each example.
            initial_phase: ``(B,)`` phase of the fundamental at the first sample, in cycles; by default 0.

        Returns:
            ``(B, N·H)`` audio.
        """
        hop = hop_samples(sample_rate)
        controls = gated(physical_controls(raw, f0_hz, sample_rate, self.noise_bias), gate)
        dry, _ = harmonic_audio(controls, hop, sample_rate, initial_phase)
        if raw.noise_magnitudes.shape[-1]:
            noise = torch.rand_like(dry) * 2 - 1 if noise is None else noise.to(dry)
            dry = dry + noise_audio(controls.noise_magnitudes, hop, noise)
        return dry if self.reverb is None else self.reverb(dry)


def gated(controls: Controls, gate: Tensor) -> Controls:
    """Scale harmonics and noise by ``gate (B, N)``."""
    gate = gate.unsqueeze(-1)
    return controls._replace(
        amplitude=controls.amplitude * gate, noise_magnitudes=controls.noise_magnitudes * gate
    )
