"""A bank of recorded notes that are put together to pieces: NSynth (Engel et al., arXiv 1704.01279)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from copy import copy
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from datamodules.audio.files import read_audio, resampled
from datamodules.banks.bank import Bank
from datamodules.corpora.corpus import CorpusError
from datamodules.scores.notes import Note
from datamodules.scores.source import Skipped
from runtime.arguments import natural_int
from runtime.hashing import FileHashes
from runtime.workers import run_jobs

NOTE_FILE = re.compile(
    r"(?P<family>[a-z]+(?:_[a-z]+)*)_(?P<preset>\d{3})-(?P<pitch>\d{3})-(?P<velocity>\d{3})"
)
"""``{family}_{source}_{preset}-{pitch}-{velocity}``, such as ``guitar_acoustic_010-060-075``."""
RELEASE_S = 0.06
"""Time constant of a note's decay after its end, in seconds."""
RELEASE_LENGTHS = 5
"""Length of a decay in time constants; it has then fallen by 43 dB."""


class RecordedNote(NamedTuple):
    """The recording of one note of an NSynth instrument."""

    pitch: int
    velocity: int
    path: Path


class NSynthBank(Bank):
    """A folder of NSynth as distributed, with ``examples.json`` beside ``audio/*.wav``, or of such WAV files.

    A note is played by the recording of its pitch with the nearest velocity, cut to the note's length.

    Args:
        path: the folder with ``examples.json`` or with the files.
        names: NSynth instrument that plays an instrument, as in ``{"piano": "keyboard_acoustic_004"}``. The
            other instruments have their NSynth names without number (``guitar_acoustic``).
        preset: number of the NSynth instrument within its family, for instruments not in ``names``; ``None``
            is the lowest there is.
        quality: only recordings with this note quality, such as ``bright``; needs ``examples.json``.
        nearest: a pitch without a recording is played by one that is at most so many semitones away, shifted.
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
        self._damaged = frozenset[Path]()
        natural_int.require(nearest, "nearest")
        if preset is not None:
            natural_int.require(preset, "preset")
        if not self._recordings():
            wanted = f" with the quality '{quality}'" if quality else ""
            raise CorpusError(
                f"{self.path} holds no NSynth notes{wanted}: expected files such as "
                "audio/guitar_acoustic_010-060-075.wav; give the folder that holds examples.json."
            )
        unknown = sorted(set(self.names.values()) - set(self._recordings()))
        if unknown:
            raise CorpusError(
                f"{self.path} has no instrument {unknown[0]}; it has {', '.join(self._recordings())}."
            )

    def _recordings(self) -> dict[str, tuple[RecordedNote, ...]]:
        return recordings_in(self.path, self.quality)

    def _chosen(self) -> dict[str, str]:
        """Map each instrument to the NSynth instrument that plays it."""
        families: dict[str, str] = {}
        for name in sorted(self._recordings(), reverse=True):  # the lowest number is met last and stays
            family, number = name.rsplit("_", 1)
            if self.preset is None or int(number) == self.preset:
                families[family] = name
        return {**families, **self.names}

    @property
    def instruments(self) -> tuple[str, ...]:
        """Every NSynth name without its number, and the names given, sorted."""
        return tuple(sorted(self._chosen()))

    def fingerprint(self, hashes: FileHashes, instruments: Sequence[str]) -> dict[str, Any]:
        """Describe the recordings of ``instruments`` and how they are chosen."""
        chosen = {name: self._chosen()[name] for name in instruments}
        paths = [recording.path for name in chosen.values() for recording in self._recordings()[name]]
        files = hashes.of_folder(self.path, set(paths))
        return {"bank": "nsynth", "files": files, "names": chosen, "nearest": self.nearest}

    def pitch_range(self, instrument: str) -> tuple[int, int]:
        """Give the pitches of the lowest and the highest recording."""
        pitches = [recording.pitch for recording in self._recordings()[self._chosen()[instrument]]]
        return min(pitches), max(pitches)

    def missing(self, notes: Sequence[Note], instrument: str) -> tuple[Note, ...]:
        """Find the notes that are farther than ``nearest`` semitones from every recording."""
        return tuple(note for note in notes if self._nearest(note, instrument) is None)

    def without_damaged(
        self, instruments: Sequence[str], workers: int | None, progress: bool
    ) -> tuple[Bank, list[Skipped]]:
        """See `Bank.without_damaged`; a note is then played by the nearest recording that is left."""
        chosen = {self._chosen()[name] for name in instruments}
        paths = sorted(recording.path for name in chosen for recording in self._recordings()[name])
        reasons = dict(run_jobs(_flaw, paths, "Reading notes", workers, progress, _given_up))
        bank = copy(self)
        bank._damaged = frozenset(path for path in paths if reasons[path])
        return bank, [Skipped(path.name, reasons[path]) for path in sorted(bank._damaged)]

    def elsewhere(self) -> Bank | None:
        """Play the next preset of every family; ``None`` where a family has no other."""
        mine, others = self._chosen(), dict[str, str]()
        for name, chosen in mine.items():
            family = chosen.rsplit("_", 1)[0]
            siblings = [
                n for n in self._recordings() if n.rsplit("_", 1)[0] == family and n not in mine.values()
            ]
            if not siblings:
                return None
            others[name] = siblings[0]
        return NSynthBank(self.path, others, self.preset, self.quality, self.nearest)

    def render(self, notes: Sequence[Note], instrument: str, sample_rate: int, seconds: float) -> np.ndarray:
        """See `Bank.render`; the recordings are added up, and notes that are `missing` are silent."""
        audio = np.zeros(round(seconds * sample_rate), dtype=np.float32)
        for note in notes:
            recording = self._nearest(note, instrument)
            start = round(note.start_s * sample_rate)
            if recording is None or start >= len(audio):
                continue
            whole = _shifted(recording.path, note.pitch - recording.pitch, sample_rate)
            sound = _shaped(whole, note, sample_rate)
            end = min(start + len(sound), len(audio))  # what goes beyond the end is cut, the note is kept
            audio[start:end] += sound[: end - start]
        return audio

    def _nearest(self, note: Note, instrument: str) -> RecordedNote | None:
        """Find the recording nearest in pitch and then in velocity; ``None`` where all are too far."""
        recordings = recordings_in(self.path, self.quality, self._damaged).get(self._chosen()[instrument])
        if not recordings:
            return None
        best = min(recordings, key=lambda s: (abs(s.pitch - note.pitch), abs(s.velocity - note.velocity), s))
        return best if abs(best.pitch - note.pitch) <= self.nearest else None


@lru_cache(maxsize=8)
def recordings_in(
    root: Path, quality: str | None, damaged: frozenset[Path] = frozenset()
) -> dict[str, tuple[RecordedNote, ...]]:
    """Map each NSynth name in a folder, or in its ``audio`` folder, to its recordings, sorted.

    Args:
        root: the folder.
        quality: only recordings with this note quality.
        damaged: recordings to leave out.
    """
    folder = root / "audio" if (root / "audio").is_dir() else root
    if not folder.is_dir():
        raise CorpusError(f"There is no folder {folder}; give the folder of NSynth that holds examples.json.")
    allowed = _with_quality(root / "examples.json", quality) if quality else None
    found: dict[str, list[RecordedNote]] = {}
    for path in sorted(folder.glob("*.wav")):
        match = NOTE_FILE.fullmatch(path.stem)
        if match and path not in damaged and (allowed is None or path.stem in allowed):
            recording = RecordedNote(int(match["pitch"]), int(match["velocity"]), path)
            found.setdefault(f"{match['family']}_{match['preset']}", []).append(recording)
    return {name: tuple(sorted(found[name])) for name in sorted(found)}


def _with_quality(path: Path, quality: str) -> set[str]:
    if not path.is_file():
        raise CorpusError(f"Choosing the quality '{quality}' needs {path}, which is not there.")
    try:
        examples = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{path} is damaged ({error}); copy it again.") from None
    if not isinstance(examples, dict):
        raise CorpusError(f"{path} is no mapping from the names of notes to what they are; copy it again.")
    return {name for name, example in examples.items() if quality in _qualities(path, name, example)}


def _qualities(path: Path, name: str, example: Any) -> list[str]:
    qualities = example.get("qualities_str", []) if isinstance(example, dict) else None
    if not isinstance(qualities, list):
        raise CorpusError(f"{path} has no list 'qualities_str' for the note {name}; copy the file again.")
    return qualities


def _flaw(path: Path) -> str:
    """Read a recording; an error says what is wrong with it."""
    read_audio(path)
    return ""


def _given_up(path: Path, reason: str) -> str:
    return reason


@lru_cache(maxsize=512)
def _shifted(path: Path, semitones: int, sample_rate: int) -> np.ndarray:
    """Read a recording at ``sample_rate`` Hz, played quicker or slower to shift its pitch (read-only)."""
    audio, rate = read_audio(path)
    audio = resampled(audio, rate * 2.0 ** (semitones / 12), sample_rate)
    audio.setflags(write=False)
    return audio


def _shaped(recording: np.ndarray, note: Note, sample_rate: int) -> np.ndarray:
    """Cut a recording to the length of the note, with a decay after it."""
    held = round((note.end_s - note.start_s) * sample_rate)
    released = recording[held : held + round(RELEASE_LENGTHS * RELEASE_S * sample_rate)]
    decay = np.exp(-np.arange(len(released), dtype=np.float32) / (RELEASE_S * sample_rate))
    return np.concatenate([recording[:held], released * decay])
