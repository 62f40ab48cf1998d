"""Examples cut from a corpus for training, validation and test, their augmentation and their batches."""

from typing import TYPE_CHECKING

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "augmentation": ["Augmentation", "Delay", "Effect", "Equalizer", "Gain", "Noise", "Reverb"],
        "evaluation": ["EvaluationCase", "EvaluationData", "EvaluationPlan"],
        "training": ["PairedData", "Selection", "SelfReferenceData", "TrainingData", "UnpairedData"],
        "training_with_features": ["FeatureData", "PairedFeatureData"],
    },
)

if TYPE_CHECKING:
    from datamodules.examples.augmentation import Augmentation, Delay, Effect, Equalizer, Gain, Noise, Reverb
    from datamodules.examples.evaluation import EvaluationCase, EvaluationData, EvaluationPlan
    from datamodules.examples.training import (
        PairedData,
        Selection,
        SelfReferenceData,
        TrainingData,
        UnpairedData,
    )
    from datamodules.examples.training_with_features import FeatureData, PairedFeatureData
