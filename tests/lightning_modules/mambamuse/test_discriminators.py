"""HiFi-GAN's sizes, and that each part hears what it should."""

import torch

from lightning_modules.mambamuse.discriminators import HiFiGANDiscriminator, PeriodDiscriminator


def count(part):
    return sum(parameter.numel() for parameter in part.parameters())


def test_parameters():
    both = HiFiGANDiscriminator()
    assert count(both.period_discriminators) == 41_105_770
    assert count(both.scale_discriminators) == 29_618_821


def small():
    torch.manual_seed(0)
    return HiFiGANDiscriminator((2, 3), (4, 8), n_scales=3, scale_channels=16)


def test_any_length_is_judged_by_every_part():
    for n_samples in (1, 50, 1601):
        assert len(small()(torch.randn(2, n_samples))) == 5


def test_a_period_hears_columns_apart():
    """A change in one column of the folded audio changes the logits of that column only."""
    torch.manual_seed(0)
    discriminator = PeriodDiscriminator(3, (4, 8))
    audio = torch.randn(1, 300)
    changed = audio.clone()
    changed[:, 1::3] += 1
    difference = (discriminator(audio) - discriminator(changed)).abs().amax((0, 1, 2))
    assert difference[1] > 1e-4 and difference[0] == difference[2] == 0


def test_polarity_is_heard():
    audio = torch.randn(1, 1600)
    assert any(not torch.allclose(a, b) for a, b in zip(small()(audio), small()(-audio), strict=True))
