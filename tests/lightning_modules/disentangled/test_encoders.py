"""The encoders have the documented sizes, and each keeps and forgets what it should."""

import pytest
import torch

from lightning_modules.disentangled.encoders import ContentEncoder, StyleEncoder
from lightning_modules.layers.network_size import NetworkSizeError

K, P, E = 60, 2, 16
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
