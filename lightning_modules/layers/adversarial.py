"""Adversarial losses: what a discriminator and a generator want of the discriminator's logits.

A discriminator may look at several scales; it gives one tensor of logits for each, of any shape, high where
it takes its input for real. Every loss is the mean over a scale's logits, summed over the scales.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import l1_loss, softplus

Logits = Sequence[Tensor]
"""One tensor for each scale."""


class AdversarialLoss:
    """How logits become losses. A subclass says what each player wants of the logits of one scale."""

    def discriminator(self, real: Logits, fake: Logits) -> Tensor:
        """Scalar; small where logits of ``real`` are high and those of ``fake`` low. Detach the fakes."""
        return _summed(self.for_real(r) + self.for_fake(f) for r, f in zip(real, fake, strict=True))

    def generator(self, fake: Logits) -> Tensor:
        """Scalar; small where the discriminator takes ``fake`` for real."""
        return _summed(self.for_generator(logits) for logits in fake)

    def for_real(self, logits: Tensor) -> Tensor:
        """What real input costs the discriminator."""
        raise NotImplementedError

    def for_fake(self, logits: Tensor) -> Tensor:
        """What generated input costs the discriminator."""
        raise NotImplementedError

    def for_generator(self, logits: Tensor) -> Tensor:
        """What generated input costs the generator; by default what it would cost as real input."""
        return self.for_real(logits)


class CrossEntropyLoss(AdversarialLoss):
    """Binary cross-entropy with logits; the generator's is the non-saturating one.

    Goodfellow et al., arXiv 1406.2661, section 3. Without any knowledge (logits 0) the discriminator's is
    2·ln 2 and the generator's ln 2.
    """

    def for_real(self, logits: Tensor) -> Tensor:
        """−ln sigmoid(logits)."""
        return softplus(-logits).mean()

    def for_fake(self, logits: Tensor) -> Tensor:
        """−ln(1 − sigmoid(logits))."""
        return softplus(logits).mean()


class LeastSquaresLoss(AdversarialLoss):
    """Squared distance to 1 for real and 0 for generated input (Mao et al., arXiv 1611.04076, equation 9)."""

    def for_real(self, logits: Tensor) -> Tensor:
        """(logits − 1)²."""
        return (logits - 1).square().mean()

    def for_fake(self, logits: Tensor) -> Tensor:
        """logits²."""
        return logits.square().mean()


class HingeLoss(AdversarialLoss):
    """Logits beyond ±1 are right enough for the discriminator (Lim and Ye, arXiv 1705.02894).

    The form of MelGAN, arXiv 1910.06711, equations 1 and 2.
    """

    def for_real(self, logits: Tensor) -> Tensor:
        """max(0, 1 − logits)."""
        return torch.relu(1 - logits).mean()

    def for_fake(self, logits: Tensor) -> Tensor:
        """max(0, 1 + logits)."""
        return torch.relu(1 + logits).mean()

    def for_generator(self, logits: Tensor) -> Tensor:
        """−logits: unlike the discriminator, the generator is never content."""
        return -logits.mean()


def feature_matching(real: Sequence[Sequence[Tensor]], fake: Sequence[Sequence[Tensor]]) -> Tensor:
    """Mean absolute difference of the discriminator's inner features, summed over layers and scales.

    MelGAN, arXiv 1910.06711, equation 3. The real side gets no gradient.

    Args:
        real: for each scale the features of each layer, for real input.
        fake: the same for generated input.
    """
    pairs = (pair for layers in zip(real, fake, strict=True) for pair in zip(*layers, strict=True))
    return _summed(l1_loss(f, r.detach()) for r, f in pairs)


def _summed(parts: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(parts)).sum()
