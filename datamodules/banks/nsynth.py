"""NSynth as a bank: recorded notes put together to pieces (Engel et al., arXiv 1704.01279)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from datamodules.audio.files import read_audio, resampled
from datamodules.banks.soundfont import Bank
from datamodules.corpora.corpus import CorpusError
from datamodules.scores.notes import Note
from runtime.hashing import FileHashes

NOTE_FILE = re.compile(
    r"(?P<family>[a-z]+(?:_[a-z]+)*)_(?P<preset>\d{3})-(?P<pitch>\d{3})-(?P<velocity>\d{3})"
)
"""``{instrument}_{source}_{preset}-{pitch}-{velocity}``, such as ``guitar_acoustic_010-060-075``."""
RELEASE_S = 0.06
"""Time constant of a note's decay after its end."""
RELEASE_LENGTHS = 5
"""A note is cut off after so many time constants (−43 dB)."""


class Sample(NamedTuple):
    """A recorded note."""

    pitch: int
    velocity: int
    path: Path


class NSynthBank(Bank):
    """A folder of NSynth as it is distributed, ``examples.json`` beside ``audio/*.wav``, or just WAV files.

    A note is played by the recording of its pitch with the nearest velocity, cut to the note's length.

    Args:
        path: the folder with ``examples.json`` or with the files.
        names: which NSynth instrument plays an instrument, as ``{"piano": "keyboard_acoustic_004"}``. The
            others have their NSynth names without number (``guitar_acoustic``).
        preset: number of the NSynth instrument within its family, for those not in ``names``; ``None`` is
            the lowest there is.
        quality: only recordings with this note quality, such as ``bright``; needs ``examples.json``.
        nearest: a pitch without recording is played by one at most so many semitones away, shifted.
    """

    licence = "NSynth, CC BY 4.0 (Google), where it is the original; otherwise that of the folder"

    def __init__(
        self,
        path: str | Path,
        names: Mapping[str, str] | None = None,
        preset: int | None = None,
        quality: str | None = None,
        nearest: int = 3,
    ) -> None:
        self.path, self.names, self.preset, self.quality = Path(path), dict(names or {}), preset, quality
        self.nearest = nearest
        if not self._samples():
            wanted = f" with the quality '{quality}'" if quality else ""
            raise CorpusError(
                f"{self.path} holds no NSynth notes{wanted}: expected files such as "
                "audio/guitar_acoustic_010-060-075.wav; give the folder that holds examples.json."
            )
        unknown = sorted(set(self.names.values()) - set(self._samples()))
        if unknown:
            raise CorpusError(
                f"{self.path} has no instrument {unknown[0]}; it has {', '.join(self._samples())}."
            )

    def _samples(self) -> dict[str, tuple[Sample, ...]]:
        return samples_in(self.path, self.quality)

    def _chosen(self) -> dict[str, str]:
        """Instrument name → NSynth name."""
        families: dict[str, str] = {}
        for name in sorted(self._samples(), reverse=True):  # the lowest number is met last and stays
            family, number = name.rsplit("_", 1)
            if self.preset is None or int(number) == self.preset:
                families[family] = name
        return {**families, **self.names}

    @property
    def instruments(self) -> tuple[str, ...]:
        """Names without the preset's number, and those given."""
        return tuple(sorted(self._chosen()))

    def fingerprint(self, hashes: FileHashes, instruments: Sequence[str]) -> dict[str, Any]:
        """The recordings of the instruments and how they are chosen."""
        chosen = {name: self._chosen()[name] for name in instruments}
        paths = [sample.path for name in chosen.values() for sample in self._samples()[name]]
        files = hashes.of_folder(self.path, set(paths))
        return {"bank": "nsynth", "files": files, "names": chosen, "nearest": self.nearest}

    def pitch_range(self, instrument: str) -> tuple[int, int]:
        """From the lowest to the highest recording."""
        pitches = [sample.pitch for sample in self._samples()[self._chosen()[instrument]]]
        return min(pitches), max(pitches)

    def missing(self, notes: Sequence[Note], instrument: str) -> tuple[Note, ...]:
        """Notes farther than ``nearest`` semitones from any recording."""
        return tuple(note for note in notes if self._sample(note, instrument) is None)

    def elsewhere(self) -> Bank | None:
        """The next preset of every family; ``None`` where a family has no other."""
        mine, others = self._chosen(), dict[str, str]()
        for name, chosen in mine.items():
            family = chosen.rsplit("_", 1)[0]
            siblings = [
                n for n in self._samples() if n.rsplit("_", 1)[0] == family and n not in mine.values()
            ]
            if not siblings:
                return None
            others[name] = siblings[0]
        return NSynthBank(self.path, others, self.preset, self.quality, self.nearest)

    def render(self, notes: Sequence[Note], instrument: str, sample_rate: int, seconds: float) -> np.ndarray:
        """Add up the recordings of ``notes``; missing ones are silent (see `missing`)."""
        audio = np.zeros(round(seconds * sample_rate), dtype=np.float32)
        for note in notes:
            sample = self._sample(note, instrument)
            start = round(note.start_s * sample_rate)
            if sample is None or start >= len(audio):
                continue
            sound = _shaped(
                _recording(sample.path, note.pitch - sample.pitch, sample_rate), note, sample_rate
            )
            end = min(start + len(sound), len(audio))  # what goes beyond the end is cut, the note is kept
            audio[start:end] += sound[: end - start]
        return audio

    def _sample(self, note: Note, instrument: str) -> Sample | None:
        """The recording nearest in pitch and then in velocity."""
        recordings = self._samples()[self._chosen()[instrument]]
        best = min(recordings, key=lambda s: (abs(s.pitch - note.pitch), abs(s.velocity - note.velocity), s))
        return best if abs(best.pitch - note.pitch) <= self.nearest else None


@lru_cache(maxsize=8)
def samples_in(root: Path, quality: str | None) -> dict[str, tuple[Sample, ...]]:
    """NSynth name → its recordings, sorted, of a folder or its ``audio`` folder."""
    folder = root / "audio" if (root / "audio").is_dir() else root
    if not folder.is_dir():
        raise CorpusError(f"There is no folder {folder}; give the folder of NSynth that holds examples.json.")
    allowed = _with_quality(root / "examples.json", quality) if quality else None
    found: dict[str, list[Sample]] = {}
    for path in sorted(folder.glob("*.wav")):
        match = NOTE_FILE.fullmatch(path.stem)
        if match and (allowed is None or path.stem in allowed):
            sample = Sample(int(match["pitch"]), int(match["velocity"]), path)
            found.setdefault(f"{match['family']}_{match['preset']}", []).append(sample)
    return {name: tuple(sorted(found[name])) for name in sorted(found)}


def _with_quality(path: Path, quality: str) -> set[str]:
    if not path.is_file():
        raise CorpusError(f"Choosing the quality '{quality}' needs {path}, which is not there.")
    examples = json.loads(path.read_text(encoding="utf-8"))
    return {name for name, example in examples.items() if quality in example.get("qualities_str", ())}


@lru_cache(maxsize=512)
def _recording(path: Path, semitones: int, sample_rate: int) -> np.ndarray:
    """A recording at ``sample_rate``, played quicker or slower to shift its pitch; shared, so read-only."""
    audio, rate = read_audio(path)
    audio = resampled(audio, rate * 2.0 ** (semitones / 12), sample_rate)
    audio.setflags(write=False)
    return audio


def _shaped(recording: np.ndarray, note: Note, sample_rate: int) -> np.ndarray:
    """The start of a recording, as long as the note, with a decay after it; a copy."""
    held = round((note.end_s - note.start_s) * sample_rate)
    released = recording[held : held + round(RELEASE_LENGTHS * RELEASE_S * sample_rate)]
    decay = np.exp(-np.arange(len(released), dtype=np.float32) / (RELEASE_S * sample_rate))
    return np.concatenate([recording[:held], released * decay])
