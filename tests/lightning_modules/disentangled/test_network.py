"""The networks have the documented sizes, see what they should, and generate as they predict."""

import pytest
import torch

from lightning_modules.disentangled.network import ContentEncoder, Decoder, StyleEncoder
from lightning_modules.layers.network_size import NetworkSizeError

K, F, P, E = 60, 40, 2, 16
SMALL = {
    "n_bins": K,
    "patch_frames": P,
    "channels": (4, 6),
    "size": E,
    "n_layers": 1,
    "n_heads": 2,
    "hidden": 32,
}


@pytest.mark.parametrize("encoder", [StyleEncoder, ContentEncoder])
def test_the_parameter_count_is_the_documented_one(encoder):
    assert round(sum(parameter.numel() for parameter in encoder().parameters()) / 1e6, 2) == 13.17


@pytest.mark.parametrize("n_frames", [1, 7, 8, 40])
def test_style_is_one_vector_and_content_one_a_patch(n_frames):
    spectra = torch.randn(3, 2, K, n_frames)
    assert StyleEncoder(**SMALL)(spectra).shape == (3, E)
    assert ContentEncoder(**SMALL)(spectra).shape == (3, -(-n_frames // P), E)


@pytest.mark.parametrize("encoder", [StyleEncoder, ContentEncoder])
def test_an_embedding_depends_on_its_own_recording_only_and_not_on_the_mode(encoder):
    network, spectra = encoder(**SMALL), torch.randn(3, 2, K, 16)
    alone = network.eval()(spectra[1:2])
    torch.testing.assert_close(network.train()(spectra)[1:2], alone, atol=1e-5, rtol=1e-5)


def test_content_follows_the_music_in_time():
    """What changes late changes late patches most."""
    torch.manual_seed(0)
    network = ContentEncoder(**SMALL)
    spectra = torch.randn(1, 2, K, 32)
    later = spectra.clone()
    later[..., 28:] = torch.randn(1, 2, K, 4)
    change = (network(spectra) - network(later)).norm(dim=-1)[0]
    assert change.argmax() >= 13 and change[:12].mean() < 0.5 * change[14:].mean()


def test_content_forgets_how_loud_and_style_what_order():
    torch.manual_seed(0)
    spectra = torch.randn(1, 2, K, 32)
    content, style = ContentEncoder(**SMALL), StyleEncoder(**SMALL)
    patches = spectra.unflatten(-1, (4, 8)).flip(3).flatten(3)  # in another order
    norm = content.residual_blocks[0].block[1]
    x = torch.randn(1, 4, 10, 10)
    torch.testing.assert_close(norm(3 * x + 1), norm(x), atol=1e-3, rtol=1e-3)
    moved = (style(patches) - style(spectra)).norm() / style(spectra).norm()
    assert moved < (content(patches) - content(spectra)).norm() / content(spectra).norm()


def test_bins_and_patches_that_do_not_fit_are_refused():
    with pytest.raises(NetworkSizeError, match="60 bins was given 59: set n_bins"):
        StyleEncoder(**SMALL)(torch.randn(1, 2, K - 1, 8))
    with pytest.raises(NetworkSizeError, match=r"power of 2.*found 3"):
        ContentEncoder(**{**SMALL, "patch_frames": 3})


# ---------------------------------------------------------------------------------------------- decoder


@pytest.fixture
def decoder():
    torch.manual_seed(0)
    decoder = Decoder(F, P, E, n_layers=2, n_heads=2, hidden=32, window=5, history_dropout=0.0)
    for parameter in decoder.parameters():  # also those that begin at 0
        torch.nn.init.normal_(parameter, std=0.2)
    return decoder.double()


def drawn(n_patches, n=2):
    """Content, style and levels."""
    torch.manual_seed(1)
    return (
        torch.randn(n, n_patches, E).double(),
        torch.randn(n, E).double(),
        torch.rand(n, F, n_patches * P).double(),
    )


def test_a_patch_is_frames_in_order_and_a_frame_is_bins_in_order(decoder):
    levels = torch.arange(2.0 * F * 6).reshape(2, F, 6)
    patches = decoder.to_patches(levels)
    assert patches[1, 2, : F + 1].tolist() == [*levels[1, :, 4].tolist(), levels[1, 0, 5].item()]
    assert torch.equal(decoder.from_patches(patches), levels)


@pytest.mark.parametrize("n_patches", [1, 4, 5, 6, 23])
def test_generation_with_its_cache_is_the_full_forward_on_what_it_generated(decoder, n_patches):
    content, style, _ = drawn(n_patches)
    generated = decoder.eval().generate(content, style)
    torch.testing.assert_close(decoder(content, style, generated), generated)


def test_training_and_generation_have_one_input_path(decoder):
    content, style, _ = drawn(9)
    seen = []
    inputs = decoder.inputs
    decoder.inputs = lambda *parts: seen.append(inputs(*parts)) or seen[-1]
    generated = decoder.eval().generate(content, style)
    decoder.train()(content, style, generated)
    torch.testing.assert_close(torch.cat(seen[:-1], dim=1), seen[-1])


def test_no_patch_sees_its_own_truth_or_a_later_one(decoder):
    content, style, levels = drawn(8)
    levels.requires_grad_()
    for patch in range(8):
        of_patch = decoder(content, style, levels)[:, :, patch * P : (patch + 1) * P].sum()
        [gradient] = torch.autograd.grad(of_patch, levels)
        seen = decoder.to_patches(gradient).abs().sum((0, 2)) > 0
        assert seen.tolist() == [i < patch for i in range(8)]


def test_a_patch_hears_content_up_to_its_own(decoder):
    content, style, levels = drawn(6)
    content.requires_grad_()
    decoder(content, style, levels)[:, :, 3 * P].sum().backward()
    assert (content.grad.abs().sum((0, 2)) > 0).tolist() == [True] * 4 + [False] * 2


def test_memory_is_bounded_by_the_window(decoder):
    content, style, _ = drawn(30)
    lengths = []
    for layer in decoder.layers:
        layer.register_forward_hook(lambda _, __, outputs: lengths.append(outputs[1].keys.shape[2]))
    decoder.generate(content, style)
    assert max(lengths) == 4  # of a window of five patches, the fifth is the present one


def test_what_is_longer_ago_than_all_windows_is_forgotten(decoder):
    content, style, _ = drawn(20)
    content.requires_grad_()
    decoder(content, style).unflatten(-1, (-1, P))[:, :, 19].sum().backward()
    assert (content.grad.abs().sum((0, 2)) > 0).nonzero().min() == 19 - 2 * (5 - 1)


def test_the_past_is_withheld_in_training_only(decoder):
    content, style, levels = drawn(50)
    decoder.history_dropout = 1.0
    withheld = decoder.train()(content, style, levels)
    torch.testing.assert_close(withheld, decoder(content, style))
    assert not torch.allclose(decoder.eval()(content, style, levels), withheld)


def test_style_reaches_every_patch(decoder):
    content, style, levels = drawn(4)
    change = decoder(content, style + 1, levels) - decoder(content, style, levels)
    assert (change.abs().amax((0, 1)) > 1e-3).all()
