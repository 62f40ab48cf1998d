"""MambaMuse: one-shot timbre transfer in the time domain (docs/mambamuse.md)."""

from lightning_modules.mambamuse.discriminators import PeriodsAndScales
from lightning_modules.mambamuse.losses import LossWeights
from lightning_modules.mambamuse.module import MambaMuseModule
from lightning_modules.mambamuse.network import UNet

__all__ = ["LossWeights", "MambaMuseModule", "PeriodsAndScales", "UNet"]
