"""MelGAN: a vocoder, unpaired translation of mels, and waveforms matched to its discriminator."""

from lightning_modules.melgan.module import MelGANModule
from lightning_modules.melgan.statistics_module import MelGANStatisticsModule
from lightning_modules.melgan.style_module import MelGANStyleModule

__all__ = ["MelGANModule", "MelGANStatisticsModule", "MelGANStyleModule"]
