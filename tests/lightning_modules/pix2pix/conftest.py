"""A Pix2Pix module small enough for a second of training, and tones to train it on."""

import math

import pytest
import torch

from datamodules.batch import TransferBatch
from lightning_modules.pix2pix import Pix2PixModule
from lightning_modules.pix2pix.network import PatchDiscriminator, UNet
from lightning_modules.pix2pix.spectrogram import Spectrogram
from lightning_modules.pix2pix.style import StyleEncoder

INSTRUMENTS = ["dull", "bright"]
N_FRAMES, N_FFT, HOP, N_BINS = 16, 256, 64, 64


def tone(hz, partials=(1.0,), n_samples=(N_FRAMES - 1) * HOP + N_FFT, sample_rate=8000):
    """``(1, T)``, partials of these gains."""
    phase = 2 * math.pi * hz * torch.arange(n_samples) / sample_rate
    return 0.3 * sum(gain * torch.sin((k + 1) * phase) for k, gain in enumerate(partials))[None]


def build(conditioned=False, phase=None, with_judge=True, **settings):
    """8 kHz, images of 64 bins and 16 frames, two steps down, no dropout."""
    torch.manual_seed(0)
    n_images, size = 1 + (phase.n_channels if phase else 0), 8 if conditioned else 0
    network = UNet(n_images, n_images, channels=(8, 16), n_dropout=0, style_size=size)
    judge = PatchDiscriminator(2, channels=(4, 8), style_size=size) if with_judge else None
    sizes = {"slice_frames": N_FRAMES, "overlap_frames": 6} | settings
    return Pix2PixModule(
        network,
        judge,
        8000,
        INSTRUMENTS,
        Spectrogram(N_FFT, HOP, N_BINS),
        phase,
        StyleEncoder(size, channels=(8, 16)) if conditioned else None,
        generator_optimizer=lambda parameters: torch.optim.Adam(parameters, lr=3e-3),
        discriminator_optimizer=lambda parameters: torch.optim.Adam(parameters, lr=1e-3),
        **sizes,
    )


@pytest.fixture
def pair_batch():
    """Two notes, dull and bright, as long as a slice and a window; the reference is another bright note."""
    notes = (300.0, 500.0)
    source, target, reference = (
        torch.cat([tone(factor * hz, gains) for hz in notes])
        for factor, gains in ((1, (1.0,)), (1, (0.5, 0.4, 0.3)), (1.2, (0.5, 0.4, 0.3)))
    )
    ids = torch.zeros(2, dtype=torch.long), torch.ones(2, dtype=torch.long)
    return TransferBatch(source, reference, target, *ids, ["a", "b"], ["c", "d"], ["monophonic"] * 2)
