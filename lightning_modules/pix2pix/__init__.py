"""Pix2Pix: magnitude spectrograms translated as images, with exchangeable phase (docs/pix2pix.md)."""

from lightning_modules.pix2pix.losses import LossWeights
from lightning_modules.pix2pix.module import Pix2PixModule
from lightning_modules.pix2pix.network import PatchDiscriminator, UNet

__all__ = ["LossWeights", "PatchDiscriminator", "Pix2PixModule", "UNet"]
