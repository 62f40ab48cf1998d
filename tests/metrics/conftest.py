"""Signals whose values are known, and excerpts of the tiny corpus."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from datamodules.batch import TransferBatch
from datamodules.corpora.corpus import Corpus

RATE = 16000


def tone(frequency_hz: float, seconds: float = 2.0, amplitude: float = 0.3, rate: int = RATE) -> Tensor:
    """``(1, T)`` sine."""
    time_s = torch.arange(round(seconds * rate)) / rate
    return amplitude * torch.sin(2 * torch.pi * frequency_hz * time_s)[None]


def melody(midi_pitches: list[int], note_s: float = 0.5, harmonics: int = 6, rate: int = RATE) -> Tensor:
    """``(1, T)`` notes of a plucked string: harmonics that decay; pitch 0 is a rest."""
    time_s = torch.arange(round(note_s * rate)) / rate
    notes = [_note(pitch, time_s, harmonics) if pitch else torch.zeros_like(time_s) for pitch in midi_pitches]
    return torch.cat(notes)[None]


def _note(pitch: int, time_s: Tensor, harmonics: int) -> Tensor:
    f0_hz = 440 * 2 ** ((pitch - 69) / 12)
    partials = sum(torch.sin(2 * torch.pi * k * f0_hz * time_s) / k for k in range(1, harmonics + 1))
    attack = (time_s / 0.005).clamp(max=1.0)
    return 0.2 * torch.as_tensor(partials) * attack * torch.exp(-3 * time_s)


def noise(seconds: float = 2.0, amplitude: float = 0.1, seed: int = 0, rate: int = RATE) -> Tensor:
    """``(1, T)`` white noise of RMS ``amplitude``."""
    generator = torch.Generator().manual_seed(seed)
    return amplitude * torch.randn(1, round(seconds * rate), generator=generator)


class Quartet(NamedTuple):
    """``(B, T)`` clips of the same pieces."""

    keyboard: Tensor
    violin: Tensor
    other_violin: Tensor
    wrong_violin: Tensor


@pytest.fixture(scope="session")
def quartet(tiny_corpus: Corpus) -> Quartet:
    """Four seconds of the monophonic test pieces on keyboard and violin, and on another bank's violin."""
    keyboard = clips(tiny_corpus, "keyboard_acoustic")
    violin = clips(tiny_corpus, "violin")
    return Quartet(keyboard, violin, clips(tiny_corpus, "violin", "elsewhere"), violin.roll(1, 0))


def clips(corpus: Corpus, instrument: str, bank: str = "default", track: str = "monophonic") -> Tensor:
    """``(B, 4 s)`` of the test pieces, from second 2 on."""
    items = corpus.select("test", track, instrument, bank)
    audio = [corpus.read(item, 2 * RATE, 4 * RATE) for item in items]
    return torch.from_numpy(np.stack([np.pad(a, (0, 4 * RATE - len(a))) for a in audio]))


@pytest.fixture(scope="session")
def anchor_batch(quartet: Quartet) -> TransferBatch:
    """Keyboard to violin with everything that anchors need; instrument ids as in the tiny corpus."""
    count = len(quartet.keyboard)
    return TransferBatch(
        source=quartet.keyboard,
        reference=quartet.violin.roll(2, 0),
        target=quartet.violin,
        source_instrument=torch.full((count,), 1),
        target_instrument=torch.full((count,), 3),
        piece=[f"piece-{i}" for i in range(count)],
        reference_piece=[f"piece-{(i - 2) % count}" for i in range(count)],
        track=["monophonic"] * count,
        wrong_notes=quartet.wrong_violin,
        other_recording=quartet.other_violin,
    )
