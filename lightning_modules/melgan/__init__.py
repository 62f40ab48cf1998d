"""MelGAN: a vocoder, unpaired translation of mel frames, and matching of statistics (docs/melgan.md)."""

from lightning_modules.melgan.losses import LossWeights, StyleLossWeights
from lightning_modules.melgan.module import MelGANModule
from lightning_modules.melgan.network import Generator, MultiScaleDiscriminator
from lightning_modules.melgan.statistics_module import MelGANStatisticsModule
from lightning_modules.melgan.style_module import MelGANStyleModule
from lightning_modules.melgan.style_network import ChunkCritic, MelTranslator, SiameseEncoder

__all__ = [
    "ChunkCritic",
    "Generator",
    "LossWeights",
    "MelGANModule",
    "MelGANStatisticsModule",
    "MelGANStyleModule",
    "MelTranslator",
    "MultiScaleDiscriminator",
    "SiameseEncoder",
    "StyleLossWeights",
]
