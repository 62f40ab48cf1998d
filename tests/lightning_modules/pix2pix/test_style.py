"""A style hears what sounds, of any length, and not where it stands in time."""

import pytest
import torch

from lightning_modules.pix2pix.style import StyleEncoder, from_first_sound, sounding_frames


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return StyleEncoder(8, channels=(8, 16))


def test_an_embedding_of_any_number_of_frames(encoder):
    for n_frames in (4, 8, 40):
        style = encoder(torch.randn(2, 1, 32, n_frames), torch.ones(2, n_frames, dtype=torch.bool))
        assert style.shape == (2, 8)
        torch.testing.assert_close(style.mean(-1), torch.zeros(2), atol=1e-5, rtol=0)


def test_frames_that_do_not_sound_do_not_count(encoder):
    image, sounding = torch.randn(1, 1, 32, 40), torch.arange(40)[None] < 16
    changed = image.clone()
    changed[..., 24:] = 1.0  # what an encoder with blocks of 4 frames sees of the first 16 ends before
    assert torch.allclose(encoder(image, sounding), encoder(changed, sounding), atol=1e-6)
    assert not torch.allclose(encoder(image, ~sounding), encoder(changed, ~sounding), atol=1e-2)


def test_the_height_of_a_band_counts(encoder):
    """An average over bins would be the same for a low band and the same band higher up."""
    low = torch.full((1, 1, 32, 16), -1.0)
    high = low.clone()
    low[:, :, 8:12], high[:, :, 20:24] = 0.5, 0.5
    heard = torch.ones(1, 16, dtype=torch.bool)
    assert (encoder(low, heard) - encoder(high, heard)).norm() > 1e-2


def test_what_sounds_is_relative_to_the_loudest():
    spectrum = torch.tensor([1.0, 0.02, 0.005, 0.0]).expand(1, 3, -1).to(torch.complex64)
    assert sounding_frames(spectrum).tolist() == [[True, True, False, False]]
    audio = torch.tensor([[0.0, 0.001, 0.5, 0.0, -0.5, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0, 0.2]])
    moved = from_first_sound(audio)
    assert moved.tolist() == [[0.5, 0.0, -0.5, 0.0, 0.0, 0.0], [pytest.approx(0.2), 0.0, 0.0, 0.0, 0.0, 0.0]]
    assert not from_first_sound(torch.zeros(1, 5)).any()
