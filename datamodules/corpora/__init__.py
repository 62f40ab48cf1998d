"""Corpora on disk: how they are described, built, found again, inspected and repaired."""

from typing import TYPE_CHECKING

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "building": ["CorpusSource"],
        "corpus": ["Corpus", "CorpusError", "Item", "NoPairsError"],
        "recording_parts": ["Filters"],
        "recordings": ["RecordingsCorpus"],
        "rendering": ["RenderedCorpus"],
    },
)

if TYPE_CHECKING:
    from datamodules.corpora.building import CorpusSource
    from datamodules.corpora.corpus import Corpus, CorpusError, Item, NoPairsError
    from datamodules.corpora.recording_parts import Filters
    from datamodules.corpora.recordings import RecordingsCorpus
    from datamodules.corpora.rendering import RenderedCorpus
