"""Where instruments get their sound: SoundFonts, behind a small interface that other banks share."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from datamodules.audio.files import resampled
from datamodules.corpora.corpus import CorpusError, unknown_instrument
from datamodules.scores.notes import Note, midi_bytes
from runtime.hashing import FileHashes

PROGRAMS = {
    "keyboard_acoustic": 0,
    "piano": 1,
    "guitar_acoustic": 24,
    "guitar_electric": 27,
    "violin": 40,
    "string_acoustic": 48,
    "trumpet": 56,
    "flute": 73,
    "synth_lead_synthetic": 81,
}
"""General MIDI program of each instrument of the suite."""
NEIGHBOURS = {
    "keyboard_acoustic": 2,
    "piano": 2,
    "guitar_acoustic": 25,
    "guitar_electric": 26,
    "violin": 110,
    "string_acoustic": 49,
    "trumpet": 59,
    "flute": 72,
    "synth_lead_synthetic": 80,
}
"""Another program of the same family, for "the same instrument from elsewhere"; never in a default bank."""
PITCH_RANGES = {
    "guitar_acoustic": (40, 84),
    "guitar_electric": (40, 88),
    "violin": (55, 100),
    "string_acoustic": (28, 96),
    "trumpet": (54, 84),
    "flute": (60, 96),
}
"""What players of the real instrument reach (MIDI pitches); others play everything."""
WHOLE_KEYBOARD = (21, 108)
EMBEDDED_LICENCE = "TimGM6mb, GPL-2: do not distribute renders"
RENDERER_RATE = 48000
"""midirenderer knows no other rate, in Hz."""


class Bank(ABC):
    """Plays notes on instruments. Small enough to travel to worker processes: data loads on first use."""

    licence = "unknown"
    """Under which licence the sounds are, for the corpus's manifest."""

    @property
    @abstractmethod
    def instruments(self) -> tuple[str, ...]:
        """Every instrument it can play."""

    @abstractmethod
    def fingerprint(self, hashes: FileHashes, instruments: Sequence[str]) -> dict[str, Any]:
        """All that decides the sound of ``instruments``, as JSON, with the hashes of the files it needs."""

    @abstractmethod
    def render(self, notes: Sequence[Note], instrument: str, sample_rate: int, seconds: float) -> np.ndarray:
        """Play ``notes``: ``(round(seconds · sample_rate),)`` float32 mono; sound after the end is cut."""

    def pitch_range(self, instrument: str) -> tuple[int, int]:
        """Lowest and highest MIDI pitch that is sensible on ``instrument``."""
        return PITCH_RANGES.get(instrument, WHOLE_KEYBOARD)

    def missing(self, notes: Sequence[Note], instrument: str) -> tuple[Note, ...]:
        """The notes that ``instrument`` has no sound for."""
        return ()

    def elsewhere(self) -> Bank | None:
        """A bank whose instruments have the same names and come from elsewhere; ``None`` if there is none."""
        return None

    def require(self, instruments: Sequence[str]) -> None:
        """Raise `CorpusError`, with the nearest right name, for an instrument the bank does not have."""
        for name in instruments:
            if name not in self.instruments:
                raise unknown_instrument(name, self.instruments, "this bank")


class SoundFontBank(Bank):
    """A SoundFont 2 file played by RustySynth: 60 to 200 times real time a core, the same bytes everywhere.

    Args:
        path: a ``.sf2`` file; ``None`` is TimGM6mb, which comes with pretty_midi.
        programs: General MIDI program (0 to 127) of more instruments, or of the usual ones.
    """

    def __init__(self, path: str | Path | None = None, programs: Mapping[str, int] | None = None) -> None:
        self.path = Path(path) if path is not None else embedded_soundfont()
        self.programs = {**PROGRAMS, **(programs or {})}
        embedded = self.path == embedded_soundfont()
        self.licence = EMBEDDED_LICENCE if embedded else f"that of {self.path.name}"
        self._own_programs = dict(programs or {})
        if not self.path.is_file():
            raise CorpusError(f"There is no SoundFont {self.path}; give the path of a .sf2 file.")
        bad = {name: program for name, program in self.programs.items() if not 0 <= program <= 127}
        if bad:
            raise CorpusError(f"General MIDI programs are 0 to 127, got {bad}; number them from 0.")
        self._require_format()

    def _require_format(self) -> None:
        with self.path.open("rb") as file:
            head = file.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"sfbk":
            raise CorpusError(
                f"{self.path} is not a SoundFont 2 file: it starts with {head!r}; give a .sf2 file."
            )
        if self.path.suffix.lower() == ".sf3":
            raise CorpusError(f"{self.path} is compressed (.sf3): use FluidSynthBank, or convert it to .sf2.")

    @property
    def instruments(self) -> tuple[str, ...]:
        """Names with a program."""
        return tuple(sorted(self.programs))

    def fingerprint(self, hashes: FileHashes, instruments: Sequence[str]) -> dict[str, Any]:
        """The file's hash, the programs and the renderer."""
        programs = {name: self.programs[name] for name in instruments}
        return {"bank": type(self).__name__, "soundfont": hashes.of(self.path), "programs": programs}

    def render(self, notes: Sequence[Note], instrument: str, sample_rate: int, seconds: float) -> np.ndarray:
        """Play ``notes`` and mix the two channels down."""
        from midirenderer import render_wave_from

        midi = midi_bytes(notes, self.programs[instrument], seconds)
        try:
            wav = render_wave_from(_bytes_of(str(self.path)), midi)
        except (ValueError, RuntimeError) as error:
            raise CorpusError(f"{self.path} cannot be played ({error}); try another SoundFont.") from None
        return mono(wav, sample_rate, round(seconds * sample_rate))

    def elsewhere(self) -> Bank:
        """The same file's neighbouring programs: another piano, another violin. Own programs have none."""
        return type(self)(self.path, {**NEIGHBOURS, **self._own_programs})


class FluidSynthBank(SoundFontBank):
    """Any SoundFont, ``.sf3`` too, played by the program ``fluidsynth`` where it is installed.

    Args:
        path: a ``.sf2`` or ``.sf3`` file; ``None`` is TimGM6mb.
        programs: as `SoundFontBank`.
    """

    def _require_format(self) -> None:
        if shutil.which("fluidsynth") is None:
            raise CorpusError(
                "FluidSynthBank needs the program 'fluidsynth', which is not installed; install it "
                "(Debian: apt install fluidsynth) or use SoundFontBank with a .sf2 file."
            )

    def render(self, notes: Sequence[Note], instrument: str, sample_rate: int, seconds: float) -> np.ndarray:
        """Play ``notes`` without reverb and chorus, and mix the two channels down."""
        with tempfile.TemporaryDirectory() as folder:
            midi, wav = Path(folder, "notes.mid"), Path(folder, "notes.wav")
            midi.write_bytes(midi_bytes(notes, self.programs[instrument], seconds))
            options = ["-n", "-i", "-q", "-R", "0", "-C", "0", "-g", "0.5", "-r", str(RENDERER_RATE)]
            command = ["fluidsynth", *options, "-F", str(wav), str(self.path), str(midi)]
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            if result.returncode != 0 or not wav.is_file():
                reason = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
                raise CorpusError(f"fluidsynth could not play {self.path} ({reason}); try another SoundFont.")
            stereo, _ = soundfile.read(wav, dtype="float32", always_2d=True)
        mono = resampled(stereo.mean(axis=1), RENDERER_RATE, sample_rate)
        return to_length(mono, round(seconds * sample_rate))


def embedded_soundfont() -> Path:
    """TimGM6mb.sf2 of pretty_midi, found without importing the package."""
    spec = importlib.util.find_spec("pretty_midi")
    if spec is None or spec.origin is None:
        raise CorpusError(
            "pretty_midi, which carries the default SoundFont, is not installed; run `make env`."
        )
    return Path(spec.origin).with_name("TimGM6mb.sf2")


@lru_cache(maxsize=2)
def _bytes_of(path: str) -> bytes:
    return Path(path).read_bytes()


def mono(wav: bytes, sample_rate: int, n_samples: int) -> np.ndarray:
    """Mean of the channels of midirenderer's WAV bytes, resampled, ``(n_samples,)`` float32."""
    stereo = np.frombuffer(wav, dtype="<i2", offset=44).reshape(-1, 2)
    mixed = (stereo[:, 0].astype(np.float32) + stereo[:, 1]) * np.float32(0.5 / 32768)
    return to_length(resampled(mixed, RENDERER_RATE, sample_rate), n_samples)


def to_length(audio: np.ndarray, n_samples: int) -> np.ndarray:
    """Cut ``audio``, or pad it with silence, to ``(n_samples,)``."""
    return np.pad(audio[:n_samples], (0, max(0, n_samples - len(audio))))
