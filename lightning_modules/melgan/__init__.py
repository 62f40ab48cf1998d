"""MelGAN: a vocoder, unpaired translation of mel frames, and matching of statistics (docs/melgan.md)."""

from lightning_modules.melgan.losses import LossWeights, MatchingWeights, StyleLossWeights
from lightning_modules.melgan.mel import LogMel
from lightning_modules.melgan.module import MelGANModule
from lightning_modules.melgan.network import Generator, MultiScaleDiscriminator
from lightning_modules.melgan.statistics_module import MelGANStatisticsModule
from lightning_modules.melgan.style_module import MelGANStyleModule
from lightning_modules.melgan.style_network import ChunkCritic, MelTranslator, SiameseEncoder
from lightning_modules.melgan.waveform_matching import WaveformMatching

__all__ = [
    "ChunkCritic",
    "Generator",
    "LogMel",
    "LossWeights",
    "MatchingWeights",
    "MelGANModule",
    "MelGANStatisticsModule",
    "MelGANStyleModule",
    "MelTranslator",
    "MultiScaleDiscriminator",
    "SiameseEncoder",
    "StyleLossWeights",
    "WaveformMatching",
]
