"""The losses of Pix2Pix: adversarial + 100·L1 (arXiv 1611.07004, equation 4), and departures of ours.

Ours are the error of the phase, and that of the images of the audio itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass
class LossWeights:
    """Weight of each term of the generator; a term of weight 0 is only logged, under the same name."""

    mae: float = 100.0
    """`mean_absolute_error` of magnitude images, on the document's scale."""
    adversarial: float = 1.0
    """`AdversarialLoss.generator` of the discriminator's logits."""
    phase: float = 0.0
    """`phase_distance`; it has a gradient only where a network predicts the phase."""
    heard: float = 0.0
    """`mean_absolute_error` of the images of the output audio, and so of magnitude and phase together."""


def mean_absolute_error(preds: Tensor, target: Tensor) -> Tensor:
    """Average |preds − target| over images of equal shape; 0.1 is about 4.8 dB on the document's scale."""
    return (preds - target).abs().mean()


def phase_distance(preds: Tensor, target: Tensor) -> Tensor:
    """Average 1 − cos(difference of phases), weighted by the target's magnitudes; in [0, 2].

    A random phase costs 1. The weights are needed because the phase of a silent bin is noise.

    Args:
        preds: complex ``(B, F, N)`` of magnitude 1.
        target: complex ``(B, F, N)``.
    """
    loudness = target.abs()
    agreement = (preds * target.conj()).real
    return ((loudness - agreement).sum() / loudness.sum().clamp(min=1e-9)).clamp(min=0)
