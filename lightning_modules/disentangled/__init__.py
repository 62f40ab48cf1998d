"""The disentangled model: style and content are encoded apart and decoded together (docs/disentangled.md)."""

from lightning_modules.disentangled.losses import LossWeights
from lightning_modules.disentangled.module import DisentangledModule
from lightning_modules.disentangled.network import ContentEncoder, Decoder, Discriminator, StyleEncoder

__all__ = ["ContentEncoder", "Decoder", "Discriminator", "DisentangledModule", "LossWeights", "StyleEncoder"]
