"""What Pix2Pix is trained on: adversarial + 100·L1 (arXiv 1611.07004, equation 4), phase, what is heard."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass
class LossWeights:
    """Weight of each term of the generator; 0 is measured only. The names are the log names."""

    mae: float = 100.0
    """`mean_absolute_error` of magnitude images, on the document's scale."""
    adversarial: float = 1.0
    """What the discriminator holds against the output."""
    phase: float = 0.0
    """`phase_distance`; it has a gradient where a network gives the phase."""
    heard: float = 0.0
    """`mean_absolute_error` of the images of the audio, and so of magnitude and phase together."""


def mean_absolute_error(preds: Tensor, target: Tensor) -> Tensor:
    """Mean of |preds − target| over images of equal shape; 0.1 is about 4.8 dB on the document's scale."""
    return (preds - target).abs().mean()


def phase_distance(preds: Tensor, target: Tensor) -> Tensor:
    """Mean of 1 − cos(difference of phases), each bin counting by the target's magnitude; in [0, 2].

    A guess costs 1. Weighted, because the phase of a bin in which nothing sounds is noise.

    Args:
        preds: complex ``(B, F, N)`` of magnitude 1.
        target: complex ``(B, F, N)``.
    """
    loudness = target.abs()
    agreement = (preds * target.conj()).real
    return ((loudness - agreement).sum() / loudness.sum().clamp(min=1e-9)).clamp(min=0)
