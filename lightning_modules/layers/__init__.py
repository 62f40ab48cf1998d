"""Layers, losses and rules that more than one architecture uses."""

from lightning_modules.layers.adversarial import (
    AdversarialLoss,
    CrossEntropyLoss,
    HingeLoss,
    LeastSquaresLoss,
    feature_matching,
)
from lightning_modules.layers.causal import Cache, Convolution, Upsampling
from lightning_modules.layers.loss_weights import weighted_sum
from lightning_modules.layers.mamba import Mamba
from lightning_modules.layers.network_size import NetworkSizeError
from lightning_modules.layers.single_precision import in_float32
from lightning_modules.layers.trained_instruments import TrainedInstruments

__all__ = [
    "AdversarialLoss",
    "Cache",
    "Convolution",
    "CrossEntropyLoss",
    "HingeLoss",
    "LeastSquaresLoss",
    "Mamba",
    "NetworkSizeError",
    "TrainedInstruments",
    "Upsampling",
    "feature_matching",
    "in_float32",
    "weighted_sum",
]
