"""MambaMuse: one-shot timbre transfer in the time domain (docs/mambamuse.md)."""

from lightning_modules.mambamuse.discriminators import HiFiGANDiscriminator
from lightning_modules.mambamuse.losses import LossWeights
from lightning_modules.mambamuse.module import MambaMuseModule
from lightning_modules.mambamuse.network import StyleStrengths, UNet
from lightning_modules.mambamuse.stream import Stream

__all__ = ["HiFiGANDiscriminator", "LossWeights", "MambaMuseModule", "Stream", "StyleStrengths", "UNet"]
