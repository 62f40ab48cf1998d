"""Where the phase of a predicted magnitude comes from: exchangeable parts.

Every part starts from the source's phase, which already moves at the right frequencies, because the notes
are the same. What a network learns is by how much to turn it in each bin. Shapes: ``B`` examples, ``F`` bins
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
"""Below this a magnitude has no direction, and its gradient would have no bound."""


def direction(spectrum: Tensor) -> Tensor:
    """Complex numbers of magnitude 1 (0 where there is nothing)."""
    return spectrum / spectrum.abs().clamp(min=QUIET)


@in_float32
def turned(source: Tensor, turn: Tensor) -> Tensor:
    """The source's phase, turned where an image says so.

    Args:
        source: complex ``(B, F, N)``.
        turn: ``(B, 2, K, N)`` real and imaginary part of a rotation, of any magnitude; raw 0 turns nothing.

    Returns:
        Complex ``(B, F, N)`` of magnitude 1.
    """
    # Adding 1 makes the untrained network's output, near 0, the identity.
    rotation = direction(torch.complex(turn[:, 0] + 1, turn[:, 1]))
    above = torch.ones_like(source[:, rotation.shape[1] :])
    return direction(source) * torch.cat([rotation, above], dim=1)


def phase_images(spectrum: Tensor, n_bins: int) -> Tensor:
    """Cosine and sine of how far the phase advances from frame to frame: ``(B, 2, K, N)``, 0 in empty bins.

    The advance says where inside its bin a partial lies and does not depend on when the piece began, which
    the phase itself does.
    """
    phase = direction(spectrum[:, :n_bins])
    advance = phase * torch.roll(phase, 1, dims=-1).conj()
    return torch.stack([advance.real, advance.imag], dim=1)


class PhaseEstimator(nn.Module):
    """Gives a predicted magnitude its phase. A subclass says which."""

    n_channels = 0
    """Images that this part adds to what the generator sees, and to what it gives."""

    def images(self, source: Tensor, n_bins: int) -> list[Tensor]:
        """What the generator shall see besides magnitudes: images ``(B, n_channels, K, N)`` or none."""
        return []

    def directions(self, source: Tensor, images: Tensor, raw: Tensor) -> Tensor:
        """The estimated phase, complex ``(B, F, N)`` of magnitude 1.

        Args:
            source: complex ``(B, F, N)``.
            images: ``(B, 2, K, N)`` magnitudes of prediction and source, on the document's scale.
            raw: ``(B, n_channels, K, N)`` what the generator gave besides the magnitude.
        """
        raise NotImplementedError

    def forward(self, magnitude: Tensor, directions: Tensor, spectrogram: Spectrogram) -> Tensor:
        """``(B, F, N)`` magnitudes and their estimated phase → complex spectrum ``(B, F, N)``."""
        return magnitude * directions


class SourcePhase(PhaseEstimator):
    """The source's phase as it is, the source document's choice."""

    def directions(self, source: Tensor, images: Tensor, raw: Tensor) -> Tensor:
        """See `PhaseEstimator.directions`."""
        return direction(source)


class PhaseChannels(PhaseEstimator):
    """One network for both: two more images in (the source's phase advance), two more out (the turn)."""

    n_channels = 2

    def images(self, source: Tensor, n_bins: int) -> list[Tensor]:
        """See `PhaseEstimator.images`."""
        return [phase_images(source, n_bins)]

    def directions(self, source: Tensor, images: Tensor, raw: Tensor) -> Tensor:
        """See `PhaseEstimator.directions`."""
        return turned(source, raw)


class PhaseNetwork(PhaseEstimator):
    """A second network for the phase, which sees the first one's magnitude.

    Args:
        network: four images in (predicted and source magnitude, the source's phase advance), two out.
    """

    def __init__(self, network: UNet) -> None:
        super().__init__()
        self.network = network

    def directions(self, source: Tensor, images: Tensor, raw: Tensor) -> Tensor:
        """See `PhaseEstimator.directions`. The magnitude network gets no gradient from the phase."""
        advance = phase_images(source, images.shape[-2])
        return turned(source, self.network(torch.cat([images.detach(), advance], dim=1)))


class GriffinLim(PhaseEstimator):
    """Refine another part's phase until a spectrogram of real audio fits it (fast Griffin-Lim).

    Perraudin, Balazs and Søndergaard, WASPAA 2013, algorithm 1: the projections of Griffin and Lim, with
    momentum.

    Args:
        start: whose phase to begin with; the source's by default.
        n_iterations: pairs of transforms; each costs as much as an analysis and a synthesis.
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
