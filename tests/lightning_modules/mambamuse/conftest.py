"""A MambaMuse small enough for a second of training, and tones to train it on."""

import math

import pytest
import torch

from datamodules.batch import TransferBatch
from lightning_modules.mambamuse import MambaMuseModule
from lightning_modules.mambamuse.discriminators import HiFiGANDiscriminator
from lightning_modules.mambamuse.network import UNet

SIZES = {"channels": (4, 8, 8, 16, 16), "n_mamba": (1, 1, 1, 1, 1), "n_decoder_mamba": (1, 1, 1, 1)}


def tone(hz, partials=(1.0,), n_samples=2048, sample_rate=8000):
    """``(1, T)``, partials of these gains."""
    phase = 2 * math.pi * hz * torch.arange(n_samples) / sample_rate
    return 0.3 * sum(gain * torch.sin((k + 1) * phase) for k, gain in enumerate(partials))[None]


def network(**settings):
    torch.manual_seed(0)
    return UNet(**(SIZES | settings))


def build(causal=False, with_judge=True, **settings):
    torch.manual_seed(1)
    judge = HiFiGANDiscriminator((2, 3), (4, 8), n_scales=2, scale_channels=16) if with_judge else None
    return MambaMuseModule(
        network(causal=causal, window=400),
        judge,
        8000,
        ["dull", "bright"],
        generator_optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=3e-3),
        discriminator_optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=1e-3),
        **settings,
    )


@pytest.fixture
def pair_batch():
    """Two notes, dull and bright; the references are other bright notes, and longer."""
    notes = (300.0, 500.0)
    dull, bright = (1.0,), (0.5, 0.4, 0.3)
    source, target = (torch.cat([tone(hz, gains) for hz in notes]) for gains in (dull, bright))
    reference = torch.cat([tone(1.2 * hz, bright, 3000) for hz in notes])
    ids = torch.zeros(2, dtype=torch.long), torch.ones(2, dtype=torch.long)
    return TransferBatch(source, reference, target, *ids, ["a", "b"], ["c", "d"], ["monophonic"] * 2)
