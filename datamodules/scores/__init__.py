"""Scores: where they come from, how they are split, and how a person would play them."""

from typing import TYPE_CHECKING

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "embedded": ["EmbeddedScores"],
        "midi_folder": ["MidiFolder"],
        "notes": ["Note", "Score"],
        "performance": ["Performance"],
        "source": ["ScoreSource"],
    },
)

if TYPE_CHECKING:
    from datamodules.scores.embedded import EmbeddedScores
    from datamodules.scores.midi_folder import MidiFolder
    from datamodules.scores.notes import Note, Score
    from datamodules.scores.performance import Performance
    from datamodules.scores.source import ScoreSource
