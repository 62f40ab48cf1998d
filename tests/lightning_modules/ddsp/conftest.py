"""A DDSP module small enough for a second of training, and a plucked melody to train it on."""

import math

import pytest
import torch

from datamodules.batch import Features, TransferBatch
from lightning_modules.ddsp import DDSPModule
from lightning_modules.ddsp.decoders import GRUDecoder
from lightning_modules.ddsp.network import DDSPNetwork


@pytest.fixture
def small_module():
    """16 kHz, 32 units, instruments ``flute`` and ``violin``."""
    torch.manual_seed(0)
    return DDSPModule(DDSPNetwork(GRUDecoder(64, 32), 32, layers_per_mlp=1), 16_000, ["flute", "violin"])


@pytest.fixture
def tone_batch():
    """One second of two decaying tones with three partials, played by instrument 1, with their features."""
    n_samples, n_frames = 16_000, 250
    t = torch.arange(n_samples) / 16_000
    partials = sum(0.5**k * torch.sin(2 * math.pi * 330.0 * k * t) for k in (1, 2, 3))
    audio = (partials * torch.exp(-4.0 * (t % 0.5)) * 0.5).expand(2, -1).clone()
    time = torch.arange(n_frames) / 250
    loudness = (-12.0 - 34.7 * (time % 0.5)).expand(2, -1).clone()
    features = Features(torch.full((2, n_frames), 330.0), torch.ones(2, n_frames), loudness)
    ids = torch.ones(2, dtype=torch.long)
    names = ["a", "b"]
    return TransferBatch(audio, audio, audio, ids, ids, names, names, ["monophonic"] * 2, features)
