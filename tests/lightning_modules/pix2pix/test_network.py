"""The sizes of the document, weights that are really N(0, 0.02), and what one place knows of another."""

import pytest
import torch

from lightning_modules.layers.network_size import NetworkSizeError
from lightning_modules.pix2pix.network import (
    SILENCE,
    ChannelNorm,
    PatchDiscriminator,
    UNet,
)


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.fixture(scope="module")
def paper_size():
    return UNet()


def test_the_document_has_these_sizes(paper_size):
    assert count(paper_size) == 54_408_833
    assert count(UNet(in_channels=2)) == 54_409_857
    assert count(PatchDiscriminator()) == 2_764_545


def test_initial_weights_are_what_the_paper_says(paper_size):
    for module in [*paper_size.modules(), *PatchDiscriminator().modules()]:
        if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            n_weights = module.weight.numel()
            assert module.weight.std().item() == pytest.approx(0.02, rel=4 / n_weights**0.5)
            assert abs(module.weight.mean().item()) < 4 * 0.02 / n_weights**0.5
            assert module.bias is None or not module.bias.any()
        elif isinstance(module, ChannelNorm):
            assert (module.weight == 1).all() and not module.bias.any()


def test_the_discriminator_judges_16_x_16_patches():
    image = torch.zeros(1, 1, 256, 256)
    [logits] = PatchDiscriminator(channels=(2, 2, 2, 2))(image, image)
    assert logits.shape == (1, 1, 16, 16)


def test_normalised_features_have_zero_mean_and_unit_variance_at_every_place():
    x = 5 + 3 * torch.randn(2, 32, 4, 6)
    y = ChannelNorm(32)(x)
    torch.testing.assert_close(y.mean(1), torch.zeros(2, 4, 6), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.var(1, unbiased=False), torch.ones(2, 4, 6), atol=1e-3, rtol=0)


def test_an_example_does_not_depend_on_its_batch_nor_on_the_mode():
    network = UNet(channels=(8, 16, 16), dropout=0.0)
    images = torch.randn(4, 1, 16, 24)
    together = network.train()(images)
    torch.testing.assert_close(network.eval()(images[2:3]), together[2:3])


@pytest.mark.parametrize("n_frames", [1, 7, 8, 9, 30])
def test_any_number_of_frames_is_continued_with_silence(n_frames):
    network = UNet(channels=(8, 16, 16)).eval()
    images = torch.randn(1, 1, 16, n_frames)
    whole = torch.nn.functional.pad(images, (0, -n_frames % 8), value=SILENCE)
    torch.testing.assert_close(network(images), network(whole)[..., :n_frames])


def test_dropout_is_noise_in_training_only():
    network, images = UNet(channels=(8, 16, 16)), torch.randn(1, 1, 16, 16)
    assert not torch.equal(network(images), network(images))
    network.eval()
    assert torch.equal(network(images), network(images))


def test_bins_that_cannot_be_halved_often_enough_are_refused():
    with pytest.raises(NetworkSizeError, match=r"multiple of 8 bins, found 20"):
        UNet(channels=(8, 16, 16))(torch.zeros(1, 1, 20, 8))
