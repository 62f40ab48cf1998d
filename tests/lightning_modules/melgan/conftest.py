"""Networks small enough for seconds of training, and tones to train them on."""

import math

import pytest
import torch

from datamodules.batch import TransferBatch
from lightning_modules.melgan import MelGANModule, MelGANStyleModule
from lightning_modules.melgan.mel import LogMel
from lightning_modules.melgan.network import Generator, MultiScaleDiscriminator
from lightning_modules.melgan.style_network import ChunkCritic, MelTranslator, SiameseEncoder

SAMPLE_RATE = 16_000
N_MELS = 20
CHUNK_FRAMES = 8


def tone(hz=330.0, n_samples=8192, gain=0.3, partials=(1, 2, 3)):
    """``(1, T)`` harmonics of falling strength."""
    t = torch.arange(n_samples) / SAMPLE_RATE
    return gain * sum(torch.sin(2 * math.pi * hz * k * t) / k for k in partials)[None]


def small_vocoder():
    """The arguments of a vocoder, at 16 kHz with a hop of 64."""
    return {
        "network": Generator(N_MELS, 32, (4, 4, 2, 2), initial_std=None),
        "discriminator": MultiScaleDiscriminator(2, (8, 16), 8, initial_std=None),
        "sample_rate": SAMPLE_RATE,
        "instruments": ["flute", "violin"],
        "mel": LogMel(N_MELS, 256, 64),
    }


def small_style_networks():
    """The arguments of a style transfer beside those of its vocoder."""
    return {
        "translator": MelTranslator(N_MELS, 16),
        "critic": ChunkCritic(N_MELS, 16),
        "siamese": SiameseEncoder(N_MELS, CHUNK_FRAMES, 16, 8),
    }


@pytest.fixture
def vocoder():
    torch.manual_seed(0)
    return MelGANModule(**small_vocoder())


@pytest.fixture
def style():
    torch.manual_seed(0)
    return MelGANStyleModule(**small_style_networks(), **small_vocoder())


@pytest.fixture
def batch():
    """Two sources on the flute and two references on the violin, of other notes and more partials."""
    source = torch.cat([tone(330.0), tone(440.0)])
    reference = torch.cat([tone(262.0, partials=range(1, 9)), tone(392.0, partials=range(1, 9))])
    ids = torch.zeros(2, dtype=torch.long)
    names = ["a", "b"]
    return TransferBatch(source, reference, None, ids, ids + 1, names, names, ["monophonic"] * 2)
