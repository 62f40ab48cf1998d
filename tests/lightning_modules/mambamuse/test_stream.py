"""A stream's output is the transfer of the whole, as late as it says."""

import numpy as np
import pytest
import torch

from lightning_modules.layers.network_size import NetworkSizeError
from tests.lightning_modules.mambamuse.conftest import build, network, tone

LATENCY = 15
"""Samples: the last of a stride of 16 decides on its first."""


def streamed(stream, audio, sizes):
    """Blocks of these sizes, repeated until the audio ends; with the rest at the end, without the wait."""
    blocks, start = [], 0
    while start < audio.shape[1]:
        block = audio[:, start : start + sizes[len(blocks) % len(sizes)]]
        blocks.append(stream.process(block))
        assert blocks[-1].shape == block.shape
        start += block.shape[1]
    return torch.cat([*blocks, stream.flush()], dim=1)[:, stream.latency :]


@pytest.fixture
def music():
    """``(2, 3333)`` tones and noise that come and go."""
    generator = torch.Generator().manual_seed(3)
    notes = torch.cat([tone(310.0, (0.5, 0.3), 3333), tone(470.0, (0.2, 0.4, 0.3), 3333)])
    swell = torch.sin(torch.arange(3333) / 400).square()
    return notes * swell + 0.02 * torch.randn(2, 3333, generator=generator)


@pytest.mark.parametrize("sizes", [[1], [16], [256], [15, 17, 1, 400], [3333], [7, 0, 1000]])
def test_blocks_of_any_sizes_equal_the_whole(sizes, music):
    module = build(causal=True)
    reference = torch.cat([tone(700.0, (0.4, 0.4)), tone(200.0, (0.9,))])
    with torch.no_grad():
        whole = module.transfer(music, reference)
    heard = streamed(module.stream(reference), music, sizes)
    torch.testing.assert_close(heard, whole, atol=1e-5, rtol=0)


def test_random_block_sizes_equal_the_whole(music):
    module = build(causal=True)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        whole = module.transfer(music, music)
    for _ in range(5):
        sizes = torch.randint(1, 700, (8,), generator=generator).tolist()
        torch.testing.assert_close(streamed(module.stream(music), music, sizes), whole, atol=1e-5, rtol=0)


def test_other_strides_stream_alike(music):
    module = build(causal=True)
    module.network = network(causal=True, window=400, strides=(4, 3, 2, 2), decoder_kernels=(4, 2, 6, 8))
    with torch.no_grad():
        whole = module.transfer(music, music)
    stream = module.stream(music)
    assert stream.latency == 47
    torch.testing.assert_close(streamed(stream, music, [256, 31]), whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("position", [160, 167, 175])
def test_a_click_is_heard_when_its_stride_is_complete(position):
    """What it changes first comes out when its stride is full, and never later than promised."""
    module = build(causal=True)
    reference = tone(500.0)

    def heard(audio):
        stream = module.stream(reference)
        return torch.cat([stream.process(sample) for sample in audio.split(1, dim=1)], dim=1)

    silence = torch.zeros(1, 400)
    click = silence.clone()
    click[0, position] = 1.0
    first = (heard(click) - heard(silence)).abs()[0].gt(1e-6).nonzero()[0].item()
    assert position <= first == position // 16 * 16 + LATENCY
    assert module.stream(reference).latency == LATENCY


def test_a_stream_starts_with_silence_and_keeps_no_state_of_another(music):
    module = build(causal=True)
    first = module.stream(music).process(music)
    again = module.stream(music).process(music)
    assert torch.equal(first, again) and not first[:, :LATENCY].any()


def test_strengths_can_be_turned_while_it_plays(music):
    module, unturned = build(causal=True), build(causal=True).stream(music.flip(-1))
    stream = module.stream(music.flip(-1))
    assert torch.equal(stream.process(music[:, :1600]), unturned.process(music[:, :1600]))
    module.adaptation.style = 0.0
    after = stream.process(music[:, 1600:3200])
    assert not torch.allclose(unturned.process(music[:, 1600:3200]), after)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_bad_sample_is_silence_and_spoils_nothing_after_it(wrong, music):
    module = build(causal=True)
    stream, other = module.stream(music), module.stream(music)
    bad, silenced = music.clone(), music.clone()
    bad[1, 1000], silenced[1, 1000] = wrong, 0.0
    with pytest.warns(UserWarning, match="1 NaN or infinite samples"):
        heard = streamed(stream, bad, [256])
    torch.testing.assert_close(heard, streamed(other, silenced, [256]), atol=0, rtol=0)


def test_an_overflow_ends_with_its_block(music):
    stream = build(causal=True).stream(music)
    with pytest.warns(UserWarning, match="starts anew"):
        stream.process(torch.full((2, 64), 3e38))
    after = [stream.process(block) for block in music.split(256, dim=1)]
    assert all(block.isfinite().all() for block in after) and after[-1].abs().max() > 0


def test_after_a_reset_nothing_is_left_of_what_came_before(music):
    module = build(causal=True)
    stream = module.stream(music)
    first = stream.process(music)
    stream.process(music[:, :777])
    stream.reset()
    assert torch.equal(stream.process(music), first)


def test_double_precision_blocks_are_played(music):
    module = build(causal=True)
    heard = module.stream(music).process(music.double())
    assert torch.equal(heard, module.stream(music).process(music)) and heard.dtype == torch.float32


@pytest.mark.parametrize(
    ("block", "error", "sentence"),
    [
        (torch.zeros(2, 64, dtype=torch.int16), TypeError, "int16: divide 16-bit samples by 32768"),
        (np.zeros((2, 64), np.float32), TypeError, "ndarray.*torch.from_numpy"),
        (torch.zeros(64), ValueError, r"is \(2, T\).*this one is \(64,\)"),
        (torch.zeros(3, 64), ValueError, r"is \(2, T\).*this one is \(3, 64\)"),
        (torch.zeros(2, 1, 64), ValueError, r"this one is \(2, 1, 64\)"),
    ],
)
def test_what_is_no_block_is_one_sentence_and_changes_nothing(block, error, sentence, music):
    module = build(causal=True)
    stream = module.stream(music)
    with pytest.raises(error, match=sentence):
        stream.process(block)
    assert torch.equal(stream.process(music), module.stream(music).process(music))
    assert stream.process(music[:, :0]).shape == (2, 0)


def test_a_network_that_looks_ahead_says_so():
    with pytest.raises(NetworkSizeError, match="mambamuse_causal"):
        build().stream(tone(500.0))
