"""MelGAN's networks have the documented sizes, begin as documented and see what they should."""

import pytest
import torch
from torch import nn

from lightning_modules.layers.network_size import NetworkSizeError
from lightning_modules.melgan.inference import (
    CONTEXT_FRAMES,
    BFloat16Products,
    ProductGenerator,
    vocode,
)
from lightning_modules.melgan.network import (
    Generator,
    MultiScaleDiscriminator,
    ScaleDiscriminator,
)
from tests.lightning_modules.melgan.conftest import tone


def n_without_gains(network):
    """Parameters; of weight normalisation only the directions count."""
    return sum(p.numel() for name, p in network.named_parameters() if not name.endswith("original0"))


@pytest.mark.parametrize(
    ("network", "parameters"),
    [
        (Generator, 4_260_257),
        (lambda: Generator(n_mels=128), 4_432_289),
        (MultiScaleDiscriminator, 16_913_859),
    ],
    ids=["80 mels", "128 mels", "discriminators"],
)
def test_parameter_counts_are_the_documented_ones(network, parameters):
    assert n_without_gains(network()) == parameters


def convolutions(network):
    return [m for m in network.modules() if isinstance(m, nn.Conv1d | nn.ConvTranspose1d)]


@pytest.mark.parametrize("network", [Generator, MultiScaleDiscriminator])
def test_every_weight_really_begins_at_the_documented_deviation(network):
    torch.manual_seed(0)
    for convolution in convolutions(network()):
        weight = convolution.weight.detach()  # computed anew from norm and direction
        assert weight.std().item() == pytest.approx(0.02, rel=5 / weight.numel() ** 0.5)
        assert abs(weight.mean().item()) < 5 * 0.02 / weight.numel() ** 0.5


@pytest.mark.parametrize("channels", [32, 128, 512])
def test_without_a_deviation_the_signal_keeps_its_size(channels):
    torch.manual_seed(0)
    audio = Generator(channels=channels, initial_std=None)(2 * torch.rand(1, 80, 16) - 1)
    assert 0.01 < audio.std() < 1


def test_a_frame_is_a_hop_of_samples():
    assert Generator(20, 16, (4, 4, 2, 2))(torch.zeros(2, 20, 9)).shape == (2, 9 * 64)


def test_channels_that_cannot_be_halved_are_refused():
    with pytest.raises(NetworkSizeError, match=r"channels that 4 upsamplings can halve.*24"):
        Generator(channels=24)


# ---------------------------------------------------------------------------------------- vocoding


@pytest.fixture
def generator():
    torch.manual_seed(0)
    return Generator(20, 32, initial_std=None).double()


def test_while_frames_stand_still_the_output_repeats_every_hop(generator):
    """So a held note's partials are multiples of the frame rate, whatever was learnt."""
    mel = (2 * torch.rand(1, 20, 1, dtype=torch.double) - 1).expand(-1, -1, 24)
    with torch.inference_mode():
        audio = generator(mel)[0, CONTEXT_FRAMES * 256 : -CONTEXT_FRAMES * 256].unflatten(0, (-1, 256))
    assert audio[0].std() > 1e-3
    torch.testing.assert_close(audio, audio[:1].expand_as(audio), atol=1e-9, rtol=0)


@pytest.mark.parametrize("chunk_frames", [1, 7, 16])
def test_chunks_give_what_the_whole_gives(generator, chunk_frames):
    mel = 2 * torch.rand(2, 20, 41, dtype=torch.double) - 1
    with torch.inference_mode():
        chunks = vocode(generator, mel, 256, chunk_frames)
        torch.testing.assert_close(chunks, generator(mel), atol=1e-9, rtol=0)


def test_matrix_products_are_the_convolutions(generator):
    mel = 2 * torch.rand(2, 20, 9, dtype=torch.double) - 1
    with torch.inference_mode():
        exact = generator(mel)
        products = ProductGenerator(generator, torch.double)(mel)
    torch.testing.assert_close(products.double(), exact, atol=1e-6, rtol=0)


def test_rounding_noise_of_bfloat16_is_30_db_below_the_sound(generator):
    mel = 2 * torch.rand(1, 20, 16, dtype=torch.double) - 1
    with torch.inference_mode():
        exact, rounded = generator(mel), ProductGenerator(generator, torch.bfloat16)(mel)
    assert 10 * torch.log10(exact.square().sum() / (rounded - exact).square().sum()) > 30


def test_preparing_leaves_the_generator_alone(generator):
    before = {name: p.clone() for name, p in generator.named_parameters()}
    BFloat16Products()(generator)
    assert all(torch.equal(p, before[name]) and p.requires_grad for name, p in generator.named_parameters())


@pytest.mark.parametrize("n_frames", [1, 2, 3, 4, 17])
def test_any_number_of_frames_is_vocoded(generator, n_frames):
    with torch.inference_mode():
        audio = vocode(generator, torch.zeros(1, 20, n_frames, dtype=torch.double), 256, 5)
    assert audio.shape == (1, n_frames * 256) and audio.isfinite().all()


# ------------------------------------------------------------------------------------ discriminators


def test_each_scale_hears_half_the_rate_of_the_one_before():
    judgements = MultiScaleDiscriminator(3, (8, 16), 8)(torch.randn(2, 4096))
    lengths = [judgement.features[0].shape[-1] for judgement in judgements]
    assert lengths == [4096, 2048, 1024]


def test_the_lowest_rate_does_not_hear_what_is_above_it():
    torch.manual_seed(0)
    heard = {}
    for hz in (300.0, 7000.0):
        network = MultiScaleDiscriminator(3, (8, 16), 8, initial_std=None)
        with torch.no_grad():
            low_rate = network(tone(hz, partials=(1,)))[2].features[0]
            silent = network(torch.zeros(1, 8192))[2].features[0]
        heard[hz] = (low_rate - silent)[..., 20:-20].abs().mean().item()
    assert heard[7000.0] < 0.2 * heard[300.0]


def test_a_discriminator_tells_polarity_apart():
    torch.manual_seed(0)
    network = ScaleDiscriminator((8, 16), 8, initial_std=None)
    audio = tone(partials=(1, 2))[None]
    upright, inverted = network(audio).features[0], network(-audio).features[0]
    assert (upright - inverted).abs().mean() > 0.1 * upright.abs().mean()
