"""The translation of audio by a generator: images of the source, a predicted image, its phase, audio."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from lightning_modules.layers.network_size import NetworkSizeError
from lightning_modules.pix2pix.network import UNet
from lightning_modules.pix2pix.phase import PhaseEstimator
from lightning_modules.pix2pix.spectrogram import Spectrogram


class Condition(NamedTuple):
    """The input of the generator."""

    spectrum: Tensor
    """Complex ``(B, F, N)`` of the source."""
    images: Tensor
    """``(B, C, K, N)`` magnitudes of the source and, where the model is conditioned, of the reference."""


class Prediction(NamedTuple):
    """The magnitude and phase that the generator predicts."""

    image: Tensor
    """``(B, 1, K, N)`` magnitudes on the document's scale, in (−1, 1)."""
    directions: Tensor
    """Complex ``(B, F, N)`` of magnitude 1: the phase, before any refinement."""


class Forward(NamedTuple):
    """Predictions beside the truth, slices of a piece being examples of their own."""

    condition: Condition
    prediction: Prediction
    target: Tensor
    """Complex ``(B, F, N)``."""
    target_image: Tensor
    """``(B, 1, K, N)``, the magnitudes of ``target``, like `Prediction.image`."""


class Translator(nn.Module):
    """A generator with everything between it and audio.

    Args:
        network: the generator.
        phase: estimates the phase of the result.
        spectrogram: transforms audio to images and back.
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
        """Compute the generator's input from a source with context and, where conditioned, a reference."""
        spectrum = self.spectrogram.analyse(source)
        images = [self.spectrogram.image(spectrum)]
        if reference is not None:
            style = self.spectrogram.analyse(repeated(reference, source.shape[-1]))
            images.append(self.spectrogram.image(style))
        return Condition(spectrum, torch.cat(images, dim=1))

    def predict(self, condition: Condition) -> Prediction:
        """Predict magnitude and phase of the result."""
        extra = self.phase.images(condition.spectrum, self.spectrogram.n_bins)
        raw = self.network(torch.cat([condition.images, *extra], dim=1))
        image = torch.tanh(raw[:, :1])
        magnitudes = torch.cat([image, condition.images[:, :1]], dim=1)
        return Prediction(image, self.phase.directions(condition.spectrum, magnitudes, raw[:, 1:]))

    def heard(self, condition: Condition, prediction: Prediction) -> Tensor:
        """Compute images ``(B, 1, K, N − 2·e)`` of a prediction's audio, without refinement of its phase.

        Neighbouring frames overlap, so where their phases disagree with their magnitudes the audio has other
        magnitudes. The ``e = spectrogram.n_edge_frames`` at either end would need audio beyond the slice.
        """
        magnitude = self.spectrogram.magnitude(prediction.image, condition.spectrum)
        audio = self.spectrogram.synthesise(magnitude * prediction.directions)
        return self.spectrogram.image(self.spectrogram.analyse(audio))

    def forward(self, source: Tensor, reference: Tensor | None = None) -> Tensor:
        """Translate a slice as long as in training: ``(B, context + T + context)`` → ``(B, T)``."""
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
    """Repeat ``(B, R)`` from its start until it fills ``(B, n_samples)``."""
    return audio.repeat(1, -(-n_samples // audio.shape[-1]))[:, :n_samples]
