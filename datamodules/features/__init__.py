"""Frame-wise features of audio: pitch, loudness and the statistics of spectra."""

from typing import TYPE_CHECKING

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "frames": ["FeatureCache", "loudness_db"],
        "pitch": ["CrepeTracker", "PestoTracker", "Pitch", "PitchTracker", "PyinTracker"],
        "spectrum_statistics": ["Statistics", "StatisticsCache"],
    },
)

if TYPE_CHECKING:
    from datamodules.features.frames import FeatureCache, loudness_db
    from datamodules.features.pitch import CrepeTracker, PestoTracker, Pitch, PitchTracker, PyinTracker
    from datamodules.features.spectrum_statistics import Statistics, StatisticsCache
