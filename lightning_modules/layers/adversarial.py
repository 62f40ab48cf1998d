"""Adversarial losses of a discriminator and a generator, both functions of the discriminator's logits.

A discriminator of several scales returns one tensor of logits for each, of any shape. Logits are high where
the discriminator judges its input to be real. Every loss is the mean over the logits of a scale, summed over
scales.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import l1_loss, softplus

Logits = Sequence[Tensor]
"""One tensor of logits for each scale."""


class AdversarialLoss:
    """The losses of both players; subclasses define the three terms for the logits of one scale."""

    def discriminator(self, real: Logits, fake: Logits) -> Tensor:
        """Loss of the discriminator, a scalar; logits of ``fake`` are those of detached audio or images."""
        return _summed(self.for_real(r) + self.for_fake(f) for r, f in zip(real, fake, strict=True))

    def generator(self, fake: Logits) -> Tensor:
        """Loss of the generator, a scalar."""
        return _summed(self.for_generator(logits) for logits in fake)

    def for_real(self, logits: Tensor) -> Tensor:
        """The discriminator's loss for real input."""
        raise NotImplementedError

    def for_fake(self, logits: Tensor) -> Tensor:
        """The discriminator's loss for generated input."""
        raise NotImplementedError

    def for_generator(self, logits: Tensor) -> Tensor:
        """The generator's loss for generated input; by default the discriminator's loss if it were real."""
        return self.for_real(logits)


class CrossEntropyLoss(AdversarialLoss):
    """Binary cross-entropy of logits, with the non-saturating loss of the generator.

    Goodfellow et al., arXiv 1406.2661, section 3. For logits of 0 the discriminator's loss is 2·ln 2 and the
    generator's ln 2.
    """

    def for_real(self, logits: Tensor) -> Tensor:
        """Average −ln sigmoid(logits)."""
        return softplus(-logits).mean()

    def for_fake(self, logits: Tensor) -> Tensor:
        """Average −ln(1 − sigmoid(logits))."""
        return softplus(logits).mean()


class LeastSquaresLoss(AdversarialLoss):
    """Squared distance of logits to 1 for real and 0 for generated input (LSGAN, arXiv 1611.04076, eq. 9)."""

    def for_real(self, logits: Tensor) -> Tensor:
        """Average (logits − 1)²."""
        return (logits - 1).square().mean()

    def for_fake(self, logits: Tensor) -> Tensor:
        """Average logits²."""
        return logits.square().mean()


class HingeLoss(AdversarialLoss):
    """Hinge loss: logits beyond ±1 on the right side cost the discriminator nothing.

    Lim and Ye, Geometric GAN, arXiv 1705.02894, in the form of MelGAN, arXiv 1910.06711, equations 1 and 2.
    """

    def for_real(self, logits: Tensor) -> Tensor:
        """Average max(0, 1 − logits)."""
        return torch.relu(1 - logits).mean()

    def for_fake(self, logits: Tensor) -> Tensor:
        """Average max(0, 1 + logits)."""
        return torch.relu(1 + logits).mean()

    def for_generator(self, logits: Tensor) -> Tensor:
        """Average −logits, which unlike the discriminator's loss has no minimum."""
        return -logits.mean()


def feature_matching(real: Sequence[Sequence[Tensor]], fake: Sequence[Sequence[Tensor]]) -> Tensor:
    """Mean absolute difference of the discriminator's features, summed over layers and scales.

    MelGAN, arXiv 1910.06711, equation 3. The features of real input get no gradient.

    Args:
        real: for each scale the features of each layer for real input.
        fake: for each scale the features of each layer for generated input.
    """
    pairs = (pair for layers in zip(real, fake, strict=True) for pair in zip(*layers, strict=True))
    return _summed(l1_loss(f, r.detach()) for r, f in pairs)


def _summed(parts: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(parts)).sum()
