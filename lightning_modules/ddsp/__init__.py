"""DDSP: harmonic-plus-noise synthesis controlled by a network (docs/ddsp.md)."""

from lightning_modules.ddsp.adaptation import Adaptation
from lightning_modules.ddsp.articulation import Articulation
from lightning_modules.ddsp.decoders import DilatedDecoder, GRUDecoder, LSTMDecoder
from lightning_modules.ddsp.losses import LossWeights, SpectralLoss
from lightning_modules.ddsp.module import DDSPModule
from lightning_modules.ddsp.network import DDSPNetwork
from lightning_modules.ddsp.reverb import TrainableReverb
from lightning_modules.ddsp.synthesizers import Synthesizer

__all__ = [
    "Adaptation",
    "Articulation",
    "DDSPModule",
    "DDSPNetwork",
    "DilatedDecoder",
    "GRUDecoder",
    "LSTMDecoder",
    "LossWeights",
    "SpectralLoss",
    "Synthesizer",
    "TrainableReverb",
]
