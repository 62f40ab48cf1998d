"""Performances of scores, before any instrument sounds: range, dynamics, tempo, length of notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from datamodules.corpora.corpus import CorpusError
from datamodules.scores.notes import Note, Score, without_overlaps


@dataclass(frozen=True)
class Performance:
    """The way in which all instruments alike play the scores.

    Playback speed, duration rate and transposition change every piece. The random changes are those of
    further renditions of a training piece, each of which is varied anew.
    """

    pitch_range: tuple[int, int] | None = None
    """Lowest and highest MIDI pitch of melodies, which are brought there by whole octaves where that is
    enough; ``None`` is what all instruments of the corpus can play. Polyphonic pieces keep their pitches."""
    velocity_range: tuple[int, int] = (40, 120)
    """Softest and loudest velocity of notes whose score has no dynamics; they swell and fade like phrases."""
    playback_speed: float = 1.0
    """Factor on the tempo; 2 is twice as quick."""
    duration_rate: float = 1.0
    """Factor on the length of notes, but not on their distance; in melodies, the next onset ends a note."""
    transpose: int = 0
    """Semitones by which every piece is moved."""
    random_semitones: int = 5
    """Most semitones by which a varied piece is moved, up or down, within the range."""
    random_tempo: tuple[float, float] = (0.85, 1.15)
    """Smallest and largest factor on the tempo of a varied piece."""

    def __post_init__(self) -> None:
        slowest, quickest = self.random_tempo
        softest, loudest = self.velocity_range
        rules = {
            "0.1 ≤ playback_speed ≤ 10": 0.1 <= self.playback_speed <= 10,
            "0.1 ≤ duration_rate ≤ 10": 0.1 <= self.duration_rate <= 10,
            "0.1 ≤ random_tempo ≤ 10, lower first": 0.1 <= slowest <= quickest <= 10,
            "1 ≤ velocity_range ≤ 127, lower first": 1 <= softest <= loudest <= 127,
            "random_semitones ≥ 0": self.random_semitones >= 0,
            "pitch_range of an octave or more": self.pitch_range is None or _width(self.pitch_range) >= 12,
        }
        broken = [rule for rule, kept in rules.items() if not kept]
        if broken:
            raise CorpusError(f"This performance cannot be played: it needs {'; '.join(broken)}; got {self}.")

    def play(self, score: Score, rng: np.random.Generator, varied: bool = False) -> Score | None:
        """Play a score; ``None`` where a melody's compass is wider than the range.

        Args:
            score: the piece to play.
            rng: draws the dynamics, and the key and tempo of a varied piece.
            varied: play in another key and tempo than written.
        """
        semitones, tempo = (self.random_semitones, self.random_tempo) if varied else (0, (1.0, 1.0))
        pitches = [note.pitch + self.transpose for note in score.notes]
        melody = score.track == "monophonic"
        low, high = self.pitch_range if melody and self.pitch_range else (0, 127)
        shift = fitting_shift(pitches, low, high)
        if shift is None:
            return None
        down = max(-semitones, low - min(pitches) - shift)
        up = min(semitones, high - max(pitches) - shift)
        shift += int(rng.integers(down, up + 1)) + self.transpose
        pace = 1.0 / (self.playback_speed * rng.uniform(*tempo))
        velocities = wandering_velocities(len(pitches), self.velocity_range, rng)
        notes = [
            Note(n.start_s * pace, self._end(n) * pace, n.pitch + shift, n.velocity or int(velocity))
            for n, velocity in zip(score.notes, velocities, strict=True)
        ]
        return replace(score, notes=_one_at_a_time(notes) if melody else without_overlaps(notes))

    def _end(self, note: Note) -> float:
        return note.start_s + (note.end_s - note.start_s) * self.duration_rate


def _width(pitch_range: tuple[int, int]) -> int:
    return pitch_range[1] - pitch_range[0]


def _one_at_a_time(notes: Sequence[Note]) -> tuple[Note, ...]:
    following = [note.start_s for note in notes[1:]] + [notes[-1].end_s]
    return tuple(n._replace(end_s=min(n.end_s, onset)) for n, onset in zip(notes, following, strict=True))


def fitting_shift(pitches: Sequence[int], low: int, high: int) -> int | None:
    """Find the semitones that bring a melody into ``low … high``: whole octaves, then as few as needed.

    The result is ``None`` where the melody's compass is wider than the range.
    """
    lowest, highest = min(pitches), max(pitches)
    if highest - lowest > high - low:
        return None
    if low <= lowest and highest <= high:
        return 0
    octaves = 12 * round(((low + high) - (lowest + highest)) / 24)
    return octaves + max(0, low - (lowest + octaves)) - max(0, (highest + octaves) - high)


def wandering_velocities(
    n_notes: int, velocity_range: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    """Draw ``(n_notes,)`` velocities that swell over 12 to 32 notes and scatter from note to note."""
    low, high = velocity_range
    middle, reach = (low + high) / 2, (high - low) / 2
    swell = np.sin(2 * np.pi * (np.arange(n_notes) / rng.uniform(12, 32) + rng.uniform()))
    velocity = middle + reach * (0.7 * swell + 0.5 * rng.uniform(-1, 1, n_notes))
    return np.clip(np.rint(velocity), low, high).astype(int)
