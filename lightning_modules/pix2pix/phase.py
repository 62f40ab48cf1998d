"""Estimators of the phase of a predicted magnitude, which can be exchanged for one another.

Every estimator starts from the source's phase, which already advances at the right frequencies, because the
notes are the same. A network learns by how much to rotate it in each bin. Shapes: ``B`` examples, ``F`` bins
of the transform, ``K`` bins of an image, ``N`` frames.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from lightning_modules.layers.single_precision import in_float32
from lightning_modules.pix2pix.network import UNet
from lightning_modules.pix2pix.spectrogram import Spectrogram

QUIET = 1e-12
"""Magnitude below which a spectrum has no direction, as its gradient would have no bound."""


def direction(spectrum: Tensor) -> Tensor:
    """Divide a spectrum by its magnitudes; where it is 0 it stays 0."""
    return spectrum / spectrum.abs().clamp(min=QUIET)


@in_float32
def rotated(source: Tensor, rotation: Tensor) -> Tensor:
    """Rotate the source's phase by what a network predicts.

    Args:
        source: complex ``(B, F, N)``.
        rotation: ``(B, 2, K, N)`` real and imaginary part of a number whose sum with 1 has the angle.

    Returns:
        Complex ``(B, F, N)`` of magnitude 1.
    """
    # Adding 1 makes an untrained network's output, near 0, the identity.
    factor = direction(torch.complex(rotation[:, 0] + 1, rotation[:, 1]))
    above = torch.ones_like(source[:, factor.shape[1] :])
    return direction(source) * torch.cat([factor, above], dim=1)


def phase_images(spectrum: Tensor, n_bins: int) -> Tensor:
    """Cosine and sine of the phase advance from frame to frame: ``(B, 2, K, N)``, 0 in empty bins.

    The advance says where inside its bin a partial lies and does not depend on when the piece began, which
    the phase itself does.
    """
    phase = direction(spectrum[:, :n_bins])
    advance = phase * torch.roll(phase, 1, dims=-1).conj()
    return torch.stack([advance.real, advance.imag], dim=1)


class PhaseEstimator(nn.Module):
    """Estimates the phase of a predicted magnitude; subclasses define `directions`."""

    n_channels = 0
    """Images that the estimator adds to the input of the generator, and to its output."""

    def images(self, source: Tensor, n_bins: int) -> list[Tensor]:
        """Inputs of the generator besides magnitudes: images ``(B, n_channels, K, N)``, or none."""
        return []

    def directions(self, source: Tensor, images: Tensor, raw: Tensor) -> Tensor:
        """Estimate the phase, complex ``(B, F, N)`` of magnitude 1.

        Args:
            source: complex ``(B, F, N)``.
            images: ``(B, 2, K, N)`` magnitudes of prediction and source on the document's scale.
            raw: ``(B, n_channels, K, N)`` outputs of the generator besides the magnitude.
        """
        raise NotImplementedError

    def forward(self, magnitude: Tensor, directions: Tensor, spectrogram: Spectrogram) -> Tensor:
        """``(B, F, N)`` magnitudes and their estimated phase → complex spectrum ``(B, F, N)``."""
        return magnitude * directions


class SourcePhase(PhaseEstimator):
    """The unchanged phase of the source, the source document's choice."""

    def directions(self, source: Tensor, images: Tensor, raw: Tensor) -> Tensor:
        """See `PhaseEstimator.directions`."""
        return direction(source)


class PhaseChannels(PhaseEstimator):
    """One generator for magnitude and phase.

    It has two more input images, the source's phase advance, and two more output images, the rotation.
    """

    n_channels = 2

    def images(self, source: Tensor, n_bins: int) -> list[Tensor]:
        """See `PhaseEstimator.images`."""
        return [phase_images(source, n_bins)]

    def directions(self, source: Tensor, images: Tensor, raw: Tensor) -> Tensor:
        """See `PhaseEstimator.directions`."""
        return rotated(source, raw)


class PhaseNetwork(PhaseEstimator):
    """A second network for the phase, which sees the magnitude that the generator predicts.

    Args:
        network: has four input images (predicted and source magnitude, the source's phase advance) and two
            output images (the rotation).
    """

    def __init__(self, network: UNet) -> None:
        super().__init__()
        self.network = network

    def directions(self, source: Tensor, images: Tensor, raw: Tensor) -> Tensor:
        """See `PhaseEstimator.directions`. The magnitude network gets no gradient from the phase."""
        advance = phase_images(source, images.shape[-2])
        return rotated(source, self.network(torch.cat([images.detach(), advance], dim=1)))


class GriffinLim(PhaseEstimator):
    """Refines the phase of another estimator until it fits the spectrogram of real audio (fast Griffin-Lim).

    Perraudin, Balazs and Søndergaard, WASPAA 2013, algorithm 1: the projections of Griffin and Lim, with
    momentum.

    Args:
        start: the estimator of the initial phase; the source's phase by default.
        n_iterations: number of iterations; each costs an analysis and a synthesis.
        momentum: α of the paper, in [0, 1); 0 is the method of Griffin and Lim.
    """

    def __init__(
        self, start: PhaseEstimator | None = None, n_iterations: int = 32, momentum: float = 0.99
    ) -> None:
        super().__init__()
        self.start = start or SourcePhase()
        self.n_channels = self.start.n_channels
        self.n_iterations, self.momentum = n_iterations, momentum

    def images(self, source: Tensor, n_bins: int) -> list[Tensor]:
        """See `PhaseEstimator.images`."""
        return self.start.images(source, n_bins)

    def directions(self, source: Tensor, images: Tensor, raw: Tensor) -> Tensor:
        """See `PhaseEstimator.directions`."""
        return self.start.directions(source, images, raw)

    def forward(self, magnitude: Tensor, directions: Tensor, spectrogram: Spectrogram) -> Tensor:
        """See `PhaseEstimator.forward`."""
        spectrum = magnitude * directions
        before = torch.zeros_like(spectrum)
        for _ in range(self.n_iterations):
            audio = spectrogram.synthesise(spectrum)
            possible = spectrogram.analyse(pad(audio, (spectrogram.context, spectrogram.context)))
            spectrum = magnitude * direction(possible + self.momentum * (possible - before))
            before = possible
        return spectrum
