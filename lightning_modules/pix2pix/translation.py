"""The translation of audio by a generator: images of the source, a predicted image, its phase, audio."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from lightning_modules.layers.network_size import NetworkSizeError
from lightning_modules.pix2pix.network import UNet
from lightning_modules.pix2pix.phase import PhaseEstimator
from lightning_modules.pix2pix.spectrogram import Spectrogram
from lightning_modules.pix2pix.style import StyleEncoder, from_first_sound, sounding_frames


class Condition(NamedTuple):
    """The input of the generator."""

    spectrum: Tensor
    """Complex ``(B, F, N)`` of the source."""
    image: Tensor
    """``(B, 1, K, N)`` magnitudes of the source."""
    style: Tensor | None
    """``(B, E)`` of the reference, where there is one."""


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
        style_encoder: of the reference; without one the generator plays one instrument.
    """

    def __init__(
        self,
        network: UNet,
        phase: PhaseEstimator,
        spectrogram: Spectrogram,
        style_encoder: StyleEncoder | None,
    ) -> None:
        super().__init__()
        self.network, self.phase, self.spectrogram = network, phase, spectrogram
        self.style_encoder = style_encoder
        self._require_fitting_channels()

    def style(self, reference: Tensor) -> Tensor:
        """Encode all that sounds in a reference ``(B, R)``, of any length: ``(B, E)``."""
        assert self.style_encoder is not None  # else nobody asks
        context, hop, encoder = self.spectrogram.context, self.spectrogram.hop, self.style_encoder
        n_frames = reference.shape[-1] // hop + 1 + encoder.reach
        n_samples = self.spectrogram.n_samples(math.ceil(n_frames / encoder.multiple) * encoder.multiple)
        heard = pad(from_first_sound(reference), (context, n_samples - reference.shape[-1] + context))
        spectrum = self.spectrogram.analyse(heard)
        return encoder(self.spectrogram.image(spectrum), sounding_frames(spectrum))

    def condition(self, source: Tensor, style: Tensor | None) -> Condition:
        """Compute the generator's input from a source with context and, where there is one, a style."""
        spectrum = self.spectrogram.analyse(source)
        return Condition(spectrum, self.spectrogram.image(spectrum), style)

    def predict(self, condition: Condition) -> Prediction:
        """Predict magnitude and phase of the result."""
        extra = self.phase.images(condition.spectrum, self.spectrogram.n_bins)
        raw = self.network(torch.cat([condition.image, *extra], dim=1), condition.style)
        image = torch.tanh(raw[:, :1])
        magnitudes = torch.cat([image, condition.image], dim=1)
        return Prediction(image, self.phase.directions(condition.spectrum, magnitudes, raw[:, 1:]))

    def heard(self, condition: Condition, prediction: Prediction) -> Tensor:
        """Compute images ``(B, 1, K, N − 2·e)`` of a prediction's audio, without refinement of its phase.

        Neighbouring frames overlap, so where their phases disagree with their magnitudes the audio has other
        magnitudes. The ``e = spectrogram.n_edge_frames`` at either end would need audio beyond the slice.
        """
        magnitude = self.spectrogram.magnitude(prediction.image, condition.spectrum)
        audio = self.spectrogram.synthesise(magnitude * prediction.directions)
        return self.spectrogram.image(self.spectrogram.analyse(audio))

    def forward(self, source: Tensor, style: Tensor | None = None) -> Tensor:
        """Translate a slice as long as in training: ``(B, context + T + context)`` → ``(B, T)``."""
        condition = self.condition(source, style)
        prediction = self.predict(condition)
        magnitude = self.spectrogram.magnitude(prediction.image, condition.spectrum)
        spectrum = self.phase(magnitude, prediction.directions, self.spectrogram)
        return self.spectrogram.synthesise(spectrum)

    def _require_fitting_channels(self) -> None:
        needed = 1 + self.phase.n_channels
        found = self.network.in_channels, self.network.out_channels
        if found != (needed, needed):
            raise NetworkSizeError(
                f"model.init_args.network takes {found[0]} images and gives {found[1]}, but with "
                f"{type(self.phase).__name__} it must take and give {needed}: set its in_channels and "
                "out_channels."
            )
        size = self.style_encoder.size if self.style_encoder else 0
        if self.network.style_size != size:
            raise NetworkSizeError(
                f"model.init_args.network takes a style of {self.network.style_size} numbers, and is given "
                f"{size}: set its style_size to the size of the style_encoder."
            )
