"""Pix2Pix: magnitude spectrograms translated as images, with exchangeable phase (docs/pix2pix.md)."""

from lightning_modules.pix2pix.losses import LossWeights
from lightning_modules.pix2pix.module import Pix2PixModule
from lightning_modules.pix2pix.network import PatchDiscriminator, UNet
from lightning_modules.pix2pix.phase import GriffinLim, PhaseChannels, PhaseNetwork, SourcePhase
from lightning_modules.pix2pix.spectrogram import Spectrogram
from lightning_modules.pix2pix.style import StyleEncoder

__all__ = [
    "GriffinLim",
    "LossWeights",
    "PatchDiscriminator",
    "PhaseChannels",
    "PhaseNetwork",
    "Pix2PixModule",
    "SourcePhase",
    "Spectrogram",
    "StyleEncoder",
    "UNet",
]
