"""Music and notes made up for tests: every pitch and time in them is known."""

import json
from pathlib import Path

import numpy as np

from datamodules.audio.files import write_wav
from datamodules.scores.notes import Note, midi_bytes

RATE = 16000


def hz_of(pitch: float) -> float:
    return 440 * 2 ** ((pitch - 69) / 12)


def tune(seed: int, shift: int = 0, n_notes: int = 60) -> list[Note]:
    """Quarter-second notes without pauses; another seed is another melody."""
    pitches = 60 + np.random.default_rng(seed).integers(0, 15, n_notes)
    return [Note(n / 4, n / 4 + 0.25, int(pitch) + shift, 80) for n, pitch in enumerate(pitches)]


def write_midi(path: Path, notes: list[Note]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(midi_bytes(notes, 0, 60.0))


def write_nsynth(root: Path) -> None:
    """Two guitars and a keyboard: pitches 57, 60, 64 at velocities 50 and 100, sines of four seconds."""
    examples = {}
    for name in ("guitar_acoustic_003", "guitar_acoustic_010", "keyboard_electronic_001"):
        for pitch in (57, 60, 64):
            for velocity in (50, 100):
                tone = velocity / 200 * np.sin(2 * np.pi * hz_of(pitch) * np.arange(4 * RATE) / RATE)
                stem = f"{name}-{pitch:03d}-{velocity:03d}"
                write_wav(root / "audio" / f"{stem}.wav", tone, RATE)
                examples[stem] = {"qualities_str": ["bright"] if velocity == 100 else ["dark"]}
    (root / "examples.json").write_text(json.dumps(examples))
