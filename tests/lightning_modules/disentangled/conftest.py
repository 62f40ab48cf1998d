"""A disentangled model small enough for a second of training, and tones to train it on."""

import math

import pytest
import torch

from datamodules.batch import TransferBatch
from lightning_modules.disentangled import DisentangledModule
from lightning_modules.disentangled.network import ContentEncoder, Decoder, StyleEncoder
from lightning_modules.disentangled.spectra import Representation

RATE = 8000
INSTRUMENTS = ["dull", "bright"]
N_FRAMES, N_FFT, HOP, N_SEMITONES, PATCH, SIZE = 16, 256, 64, 24, 2, 32
N_SAMPLES = (N_FRAMES - 1) * HOP + N_FFT
GAINS = {"dull": (1.0,), "bright": (0.5, 0.4, 0.3)}


def tone(hz, instrument="dull", n_samples=N_SAMPLES):
    """``(1, T)``."""
    phase = 2 * math.pi * hz * torch.arange(n_samples) / RATE
    return 0.3 * sum(gain * torch.sin((k + 1) * phase) for k, gain in enumerate(GAINS[instrument]))[None]


def build(instruments=INSTRUMENTS, history_dropout=0.5, **settings):
    """8 kHz, 129 + 24 bins, slices of eight patches."""
    torch.manual_seed(0)
    n_bins = N_FFT // 2 + 1
    encoder = {
        "n_bins": n_bins + N_SEMITONES,
        "patch_frames": PATCH,
        "channels": (4, 8),
        "size": SIZE,
        "n_layers": 1,
        "n_heads": 2,
        "hidden": 32,
    }
    sizes = {"slice_frames": N_FRAMES, "overlap_frames": 6, "discriminator_hidden": (16,)} | settings
    optimizers = {
        "generator_optimizer": lambda parameters: torch.optim.AdamW(parameters, lr=2e-3),
        "discriminator_optimizer": lambda parameters: torch.optim.AdamW(parameters, lr=2e-3),
    }
    return DisentangledModule(
        StyleEncoder(**encoder),
        ContentEncoder(**encoder),
        Decoder(n_bins, PATCH, SIZE, 1, 2, 64, window=4, history_dropout=history_dropout),
        RATE,
        instruments,
        Representation(N_FFT, HOP, N_SEMITONES),
        **{**optimizers, **sizes},
    )


@pytest.fixture
def pair_batch():
    """Four notes, dull and bright, as long as a slice and a window; references are other bright notes."""
    notes = (300.0, 500.0, 370.0, 440.0)
    source, target, reference = (
        torch.cat([tone(factor * hz, name) for hz in notes])
        for factor, name in ((1, "dull"), (1, "bright"), (1.2, "bright"))
    )
    ids = torch.zeros(4, dtype=torch.long), torch.ones(4, dtype=torch.long)
    return TransferBatch(source, reference, target, *ids, list("abcd"), list("efgh"), ["monophonic"] * 4)
