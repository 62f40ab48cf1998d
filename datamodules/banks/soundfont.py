"""Banks that play a SoundFont: with the renderer that is installed with the suite, or with FluidSynth."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from datamodules.audio.files import resampled
from datamodules.banks.bank import Bank
from datamodules.banks.soundfont_file import programs_in
from datamodules.corpora.corpus import CorpusError
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
"""General MIDI program of each of the suite's instruments."""
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
"""Another General MIDI program of the same family: the same instrument, in the bank from elsewhere."""
EMBEDDED_LICENCE = "TimGM6mb, GPL-2: do not distribute renders"
RENDERER_RATE = 48000
"""Sample rate of all that midirenderer gives, in Hz."""

SUBSTITUTED = re.compile(r"Failed to load the SoundFont|No preset found.*|.*substituted.*")
"""What fluidsynth says when it does not play what it was asked for; its exit code is 0."""


class SoundFontBank(Bank):
    """A SoundFont 2 file, played by RustySynth: 60 to 200 times real time a core, the same bytes everywhere.

    Args:
        path: a ``.sf2`` file; ``None`` is TimGM6mb, which comes with pretty_midi.
        programs: General MIDI program (0 to 127) of further instruments, or other ones of the usual.
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
            raise CorpusError(f"General MIDI programs are numbered from 0 to 127, got {bad}.")
        self._require_format()
        self._presets = programs_in(self.path)

    def _require_format(self) -> None:
        if self.path.suffix.lower() == ".sf3":
            raise CorpusError(f"{self.path} is compressed (.sf3): use FluidSynthBank, or convert it to .sf2.")

    @property
    def instruments(self) -> tuple[str, ...]:
        """Every name with a program that the file has a preset for, sorted."""
        return tuple(sorted(name for name, program in self.programs.items() if program in self._presets))

    def require(self, instruments: Sequence[str]) -> None:
        """See `Bank.require`; renderers would play another preset for one that is missing."""
        lacking = [name for name in instruments if self.programs.get(name, -1) not in {-1, *self._presets}]
        if lacking:
            programs = ", ".join(f"{self.programs[name]} ({name})" for name in lacking)
            known = (
                f"it has {', '.join(self.instruments)}" if self.instruments else "it has none of the usual"
            )
            raise CorpusError(
                f"{self.path} has no preset for General MIDI program {programs}; {known}: choose among them "
                "(--instruments), give its programs names in the configuration (programs), or take another "
                "SoundFont."
            )
        super().require(instruments)

    def fingerprint(self, hashes: FileHashes, instruments: Sequence[str]) -> dict[str, Any]:
        """Describe the file by its hash, the programs, and the renderer by the name of the class."""
        programs = {name: self.programs[name] for name in instruments}
        return {"bank": type(self).__name__, "soundfont": hashes.of(self.path), "programs": programs}

    def render(self, notes: Sequence[Note], instrument: str, sample_rate: int, seconds: float) -> np.ndarray:
        """See `Bank.render`; the two channels are averaged."""
        from midirenderer import render_wave_from

        midi = midi_bytes(notes, self.programs[instrument], seconds)
        try:
            wav = render_wave_from(_bytes_of(str(self.path)), midi)
        except (
            BaseException
        ) as error:  # on a damaged file the library in Rust panics, which is no `Exception`
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            raise CorpusError(f"{self.path} cannot be played ({error}); try another SoundFont.") from None
        return mono(wav, sample_rate, round(seconds * sample_rate))

    def elsewhere(self) -> Bank:
        """Play the same file's neighbouring programs: another piano, another violin.

        Instruments with a program of their own keep it; those whose neighbour the file lacks are left out.
        """
        return type(self)(self.path, {**NEIGHBOURS, **self._own_programs})


class FluidSynthBank(SoundFontBank):
    """Any SoundFont, also a compressed one (``.sf3``), played by the installed program ``fluidsynth``.

    Args:
        path: a ``.sf2`` or ``.sf3`` file; ``None`` is TimGM6mb.
        programs: as in `SoundFontBank`.
    """

    def _require_format(self) -> None:
        if shutil.which("fluidsynth") is None:
            raise CorpusError(
                "FluidSynthBank needs the program 'fluidsynth', which is not installed; install it "
                "(Debian: apt install fluidsynth) or use SoundFontBank with a .sf2 file."
            )

    def render(self, notes: Sequence[Note], instrument: str, sample_rate: int, seconds: float) -> np.ndarray:
        """See `Bank.render`; without reverb and chorus, the two channels averaged."""
        with tempfile.TemporaryDirectory() as folder:
            midi, wav = Path(folder, "notes.mid"), Path(folder, "notes.wav")
            midi.write_bytes(midi_bytes(notes, self.programs[instrument], seconds))
            options = ["-n", "-i", "-q", "-R", "0", "-C", "0", "-g", "0.5", "-r", str(RENDERER_RATE)]
            # In place of a file that it cannot load it would play the system's SoundFont.
            options += ["-o", f"synth.default-soundfont={self.path.absolute()}"]
            command = ["fluidsynth", *options, "-F", str(wav), str(self.path.absolute()), str(midi)]
            result = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
            complaint = SUBSTITUTED.search(result.stderr)
            if result.returncode != 0 or not wav.is_file() or complaint:
                reason = (
                    complaint[0] if complaint else (result.stderr.splitlines() or ["no reason given"])[-1]
                )
                raise CorpusError(f"fluidsynth could not play {self.path} ({reason}); try another SoundFont.")
            stereo, _ = soundfile.read(wav, dtype="float32", always_2d=True)
        mono = resampled(stereo.mean(axis=1), RENDERER_RATE, sample_rate)
        return to_length(mono, round(seconds * sample_rate))


def embedded_soundfont() -> Path:
    """Find TimGM6mb.sf2, which comes with pretty_midi, without importing that package."""
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
    """Average the two channels of midirenderer's WAV bytes: ``(n_samples,)`` float32 at ``sample_rate``."""
    stereo = np.frombuffer(wav, dtype="<i2", offset=44).reshape(-1, 2)
    mixed = (stereo[:, 0].astype(np.float32) + stereo[:, 1]) * np.float32(0.5 / 32768)
    return to_length(resampled(mixed, RENDERER_RATE, sample_rate), n_samples)


def to_length(audio: np.ndarray, n_samples: int) -> np.ndarray:
    """Cut ``audio``, or pad it with silence, to ``(n_samples,)``."""
    return np.pad(audio[:n_samples], (0, max(0, n_samples - len(audio))))
