"""The losses of MambaMuse besides those of its discriminators (`layers.adversarial`)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import l1_loss

from lightning_modules.layers.dsp.spectral import mel_filters, stft_magnitude
from lightning_modules.layers.single_precision import in_float32


@dataclass
class LossWeights:
    """Weight of each term of the generator; a term of weight 0 is only logged, under the same name."""

    mel: float = 45.0
    """`mel_distance` to the target."""
    stft: float = 10.0
    """`layers.dsp.spectral.mr_stft_loss` to the target."""
    adversarial: float = 1.0
    """`AdversarialLoss.generator` of the discriminators' logits."""


@in_float32
def mel_distance(
    preds: Tensor,
    target: Tensor,
    sample_rate: int,
    n_mels: int = 80,
    n_fft: int = 1024,
    hop: int = 256,
    floor: float = 1e-4,
) -> Tensor:
    """L1 distance of log-mel magnitudes; 1 is a factor of e, 8.7 dB (HiFi-GAN, arXiv 2010.05646, equation 3).

    Args:
        preds: ``(B, T)``.
        target: ``(B, T)``.
        sample_rate: in Hz.
        n_mels: bands.
        n_fft: window length in samples.
        hop: samples between frames.
        floor: added to magnitudes, of which a full-scale sine in the middle of a band has 1: what is quieter
            counts as silence.
    """
    bands = mel_filters(sample_rate, n_fft, n_mels).T.to(preds)
    bands = bands / bands.amax(1, keepdim=True)
    of_preds, of_target = (
        (bands @ stft_magnitude(audio, n_fft, hop) / (n_fft / 4) + floor).log() for audio in (preds, target)
    )
    return l1_loss(of_preds, of_target)
