"""Style and content encoded apart, and decoded patch by patch (the disentangled-latents document)."""

from lightning_modules.disentangled.discriminator import InstrumentDiscriminator
from lightning_modules.disentangled.losses import LossWeights
from lightning_modules.disentangled.module import DisentangledModule
from lightning_modules.disentangled.network import ContentEncoder, Decoder, StyleEncoder
from lightning_modules.disentangled.spectra import Representation

__all__ = [
    "ContentEncoder",
    "Decoder",
    "DisentangledModule",
    "InstrumentDiscriminator",
    "LossWeights",
    "Representation",
    "StyleEncoder",
]
