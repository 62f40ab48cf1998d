"""DDSP: harmonic-plus-noise synthesis controlled by a network (docs/ddsp.md)."""

from lightning_modules.ddsp.losses import LossWeights, SpectralLoss
from lightning_modules.ddsp.module import DDSPModule
from lightning_modules.ddsp.network import DDSPNetwork

__all__ = ["DDSPModule", "DDSPNetwork", "LossWeights", "SpectralLoss"]
