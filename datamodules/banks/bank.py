"""The interface of banks: what gives instruments their sound."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from datamodules.corpora.corpus import unknown_instrument
from datamodules.scores.notes import Note
from datamodules.scores.source import Skipped
from runtime.hashing import FileHashes

PITCH_RANGES = {
    "guitar_acoustic": (40, 84),
    "guitar_electric": (40, 88),
    "violin": (55, 100),
    "string_acoustic": (28, 96),
    "trumpet": (54, 84),
    "flute": (60, 96),
}
"""What players of the real instruments reach, lowest and highest MIDI pitch; other instruments play all."""
WHOLE_KEYBOARD = (21, 108)
"""Lowest and highest MIDI pitch of a piano."""


class Bank(ABC):
    """Plays notes on instruments.

    A bank is sent to the processes of a build: it holds what it was made from, and loads sounds on first use.
    """

    licence = "unknown"
    """Licence of the sounds, for the corpus's manifest."""

    @property
    @abstractmethod
    def instruments(self) -> tuple[str, ...]:
        """Every instrument that the bank can play, sorted."""

    @abstractmethod
    def fingerprint(self, hashes: FileHashes, instruments: Sequence[str]) -> dict[str, Any]:
        """Describe all that decides the sound of ``instruments``, as JSON with the hashes of its files."""

    @abstractmethod
    def render(self, notes: Sequence[Note], instrument: str, sample_rate: int, seconds: float) -> np.ndarray:
        """Play notes on an instrument.

        Args:
            notes: what is played; times in seconds.
            instrument: one of `instruments`.
            sample_rate: in Hz.
            seconds: length of the audio; sound after its end is cut.

        Returns:
            ``(round(seconds · sample_rate),)`` float32 mono.
        """

    def pitch_range(self, instrument: str) -> tuple[int, int]:
        """Give the lowest and highest MIDI pitch that is sensible on ``instrument``."""
        return PITCH_RANGES.get(instrument, WHOLE_KEYBOARD)

    def missing(self, notes: Sequence[Note], instrument: str) -> tuple[Note, ...]:
        """Find the notes that ``instrument`` has no sound for."""
        return ()

    def without_damaged(
        self, instruments: Sequence[str], workers: int | None, progress: bool
    ) -> tuple[Bank, list[Skipped]]:
        """Read every recording of ``instruments``; give the bank without those that fail, and their names."""
        return self, []

    def elsewhere(self) -> Bank | None:
        """Find a bank with the same instruments from another maker; ``None`` where there is none."""
        return None

    def require(self, instruments: Sequence[str]) -> None:
        """Raise `CorpusError`, with the nearest right name, where the bank lacks one of ``instruments``."""
        for name in instruments:
            if name not in self.instruments:
                raise unknown_instrument(name, self.instruments, "this bank")
