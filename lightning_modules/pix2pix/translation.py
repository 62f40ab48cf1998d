"""Audio in, audio out, by one generator: images of the source, a predicted image, its phase, and sound."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from lightning_modules.layers.network_size import NetworkSizeError
from lightning_modules.pix2pix.network import UNet
from lightning_modules.pix2pix.phase import PhaseEstimator
from lightning_modules.pix2pix.spectrogram import Spectrogram


class Condition(NamedTuple):
    """What the generator is given."""

    spectrum: Tensor
    """Complex ``(B, F, N)`` of the source."""
    images: Tensor
    """``(B, C, K, N)`` magnitudes of the source and, where the model is conditioned, of the reference."""


class Prediction(NamedTuple):
    """What the generator makes of it."""

    image: Tensor
    """``(B, 1, K, N)`` magnitude on the document's scale, in (−1, 1)."""
    directions: Tensor
    """Complex ``(B, F, N)`` of magnitude 1: the phase, before any refinement."""


class Forward(NamedTuple):
    """Predictions beside the truth, slices of a piece being examples of their own."""

    condition: Condition
    prediction: Prediction
    target: Tensor
    """Complex ``(B, F, N)``."""
    target_image: Tensor
    """``(B, 1, K, N)``, its magnitude as `Prediction.image`."""


class Translator(nn.Module):
    """A generator with all that stands between it and audio.

    Args:
        network: the generator.
        phase: where the phase of the result comes from.
        spectrogram: how audio becomes images.
        conditioned: whether the generator also sees a reference.
    """

    def __init__(
        self, network: UNet, phase: PhaseEstimator, spectrogram: Spectrogram, conditioned: bool
    ) -> None:
        super().__init__()
        self.network, self.phase, self.spectrogram = network, phase, spectrogram
        self.n_conditions = 2 if conditioned else 1
        self._require_fitting_channels()

    def condition(self, source: Tensor, reference: Tensor | None) -> Condition:
        """What the generator is given for a source with its context and, where conditioned, a reference."""
        spectrum = self.spectrogram.analyse(source)
        images = [self.spectrogram.image(spectrum)]
        if reference is not None:
            style = self.spectrogram.analyse(repeated(reference, source.shape[-1]))
            images.append(self.spectrogram.image(style))
        return Condition(spectrum, torch.cat(images, dim=1))

    def predict(self, condition: Condition) -> Prediction:
        """Magnitude and phase of the result."""
        extra = self.phase.images(condition.spectrum, self.spectrogram.n_bins)
        raw = self.network(torch.cat([condition.images, *extra], dim=1))
        image = torch.tanh(raw[:, :1])
        magnitudes = torch.cat([image, condition.images[:, :1]], dim=1)
        return Prediction(image, self.phase.directions(condition.spectrum, magnitudes, raw[:, 1:]))

    def heard(self, condition: Condition, prediction: Prediction) -> Tensor:
        """Images ``(B, 1, K, N − 2·e)`` of the audio that a prediction becomes, its phase not refined.

        Neighbouring frames overlap, so where their phases disagree with their magnitudes the audio has other
        magnitudes. The ``e = spectrogram.n_edge_frames`` at either end need audio that is not there.
        """
        magnitude = self.spectrogram.magnitude(prediction.image, condition.spectrum)
        audio = self.spectrogram.synthesise(magnitude * prediction.directions)
        return self.spectrogram.image(self.spectrogram.analyse(audio))

    def forward(self, source: Tensor, reference: Tensor | None = None) -> Tensor:
        """Translate a slice, ``(B, context + T + context)`` → ``(B, T)``, as long as in training."""
        condition = self.condition(source, reference)
        prediction = self.predict(condition)
        magnitude = self.spectrogram.magnitude(prediction.image, condition.spectrum)
        spectrum = self.phase(magnitude, prediction.directions, self.spectrogram)
        return self.spectrogram.synthesise(spectrum)

    def _require_fitting_channels(self) -> None:
        extra = self.phase.n_channels
        needed = self.n_conditions + extra, 1 + extra
        found = self.network.in_channels, self.network.out_channels
        if found != needed:
            raise NetworkSizeError(
                f"model.init_args.network takes {found[0]} images and gives {found[1]}, but with "
                f"{self.n_conditions} magnitude(s) to see and {type(self.phase).__name__} it must take "
                f"{needed[0]} and give {needed[1]}: set its in_channels and out_channels."
            )


def repeated(audio: Tensor, n_samples: int) -> Tensor:
    """``(B, R)`` from its start, as often as it takes to fill ``(B, n_samples)``."""
    return audio.repeat(1, -(-n_samples // audio.shape[-1]))[:, :n_samples]
