"""MelGAN: a vocoder, unpaired translation of mels before it, and matching of its discriminators' statistics."""

from lightning_modules.melgan.module import MelGANModule
from lightning_modules.melgan.statistics_module import MelGANStatisticsModule
from lightning_modules.melgan.style_module import MelGANStyleModule

__all__ = ["MelGANModule", "MelGANStatisticsModule", "MelGANStyleModule"]
