"""The network has exactly the documented sizes; what its layers do can be seen on signals."""

import pytest
import torch

from lightning_modules.layers.network_size import NetworkSizeError
from lightning_modules.mambamuse.adain import AdaIN, ChannelStatistics, channel_statistics, mean_statistics
from lightning_modules.mambamuse.network import StyleStrengths, UNet
from tests.lightning_modules.mambamuse.conftest import network, tone

CONTENT_ONLY = StyleStrengths(style=0.0)


def count(part):
    return sum(parameter.numel() for parameter in part.parameters())


def test_the_documents_parameters():
    unet = UNet()
    assert count(unet) == 4_205_186
    assert [count(block) for block in unet.encoder] == [24_512, 90_752, 333_056, 1_272_320, 1_710_592]
    assert [count(block) for block in unet.decoder] == [562_560, 148_160, 48_992, 14_128]
    assert count(unet.head) == 114


def test_the_causal_network_has_the_same_parameters():
    names = {name: p.shape for name, p in UNet().named_parameters()}
    assert {name: p.shape for name, p in UNet(causal=True).named_parameters()} == names


def test_rates_and_widths_of_the_skips():
    encoded = UNet().encode(torch.zeros(1, 320))
    assert [tuple(skip.shape[1:]) for skip in encoded.skips] == [(160, 32), (80, 64), (40, 128), (20, 256)]
    assert tuple(encoded.bottleneck.shape[1:]) == (20, 256)


def test_other_strides_pool_and_raise_by_as_much():
    unet = network(strides=(4, 3, 2, 2), decoder_kernels=(4, 2, 6, 8), n_decoder_mamba=(1, 0, 0, 0))
    encoded = unet.encode(torch.zeros(1, 5 * unet.stride))
    assert unet.stride == 48
    assert [skip.shape[1] for skip in encoded.skips] == [60, 20, 10, 5]
    assert unet.decode(encoded).shape == (1, 5 * unet.stride)
    assert [len(block.mamba_blocks) for block in unet.decoder] == [1, 0, 0, 0]


def test_every_parameter_has_a_gradient():
    unet, audio = network(), torch.randn(2, 320)
    unet(audio, unet.style([torch.randn(2, 500)]), StyleStrengths()).square().sum().backward()
    assert not [name for name, p in unet.named_parameters() if p.grad is None or not p.grad.any()]


def test_unfitting_sizes_are_named():
    with pytest.raises(NetworkSizeError, match=r"last two are equal.*16, 32"):
        network(channels=(4, 8, 8, 16, 32))
    with pytest.raises(NetworkSizeError, match=r"multiples of the strides.*\(2, 2, 3, 2\)"):
        network(strides=(2, 2, 3, 2))


# ------------------------------------------------------------------------------------------------------ style


def test_adain_gives_each_channel_the_references_mean_and_deviation_over_time():
    content, reference = torch.randn(1, 4000, 3), torch.randn(1, 900, 3) * 5 + torch.tensor([1.0, -2.0, 3.0])
    styled = channel_statistics(AdaIN()(content, channel_statistics(reference), strength=1.0))
    for value, wanted in zip(styled, channel_statistics(reference), strict=True):
        torch.testing.assert_close(value, wanted, atol=1e-3, rtol=1e-3)


def test_statistics_are_over_time_and_not_over_channels():
    """Channels that differ and do not change: over time nothing varies, over channels all would."""
    still = torch.tensor([1.0, 5.0, -3.0]).expand(1, 50, 3)
    assert channel_statistics(still).deviation.max() < 0.01
    torch.testing.assert_close(channel_statistics(still).mean.flatten(), still[0, 0])


def test_half_strength_lies_half_way():
    content, style = (
        torch.randn(1, 50, 3),
        ChannelStatistics(torch.zeros(1, 1, 3), torch.full((1, 1, 3), 2.0)),
    )
    none, half, full = (AdaIN()(content, style, strength) for strength in (0.0, 0.5, 1.0))
    assert none is content
    torch.testing.assert_close(half, (content + full) / 2)


def test_several_references_are_averaged_whatever_their_lengths():
    unet, references = network(), [torch.randn(1, 700), torch.randn(1, 1900)]
    both = unet.style(references)
    for level, *each in zip(both, *(unet.style([one]) for one in references), strict=True):
        torch.testing.assert_close(level.mean, mean_statistics(each).mean)
        torch.testing.assert_close(level.deviation, (each[0].deviation + each[1].deviation) / 2)


def test_running_statistics_of_a_long_stationary_signal_are_those_of_the_whole():
    content = torch.randn(1, 6000, 2) * 3 + 7
    plain = ChannelStatistics(torch.zeros(1, 1, 2), torch.ones(1, 1, 2))
    normalised = AdaIN(window=2000)(content, plain, 1.0)[:, 3000:]
    whole = AdaIN()(content, plain, 1.0)[:, 3000:]
    assert (normalised - whole).abs().mean() < 0.1


def test_running_statistics_begin_with_what_was_heard_and_follow_a_change():
    content = torch.cat([torch.full((1, 300, 1), 4.0), torch.full((1, 300, 1), -2.0)], dim=1)
    running = AdaIN(window=50)._moving_statistics(content, 50, None)
    torch.testing.assert_close(running.mean[:, :300], content[:, :300])
    step = 6 * torch.exp(-torch.arange(1, 301) / 50) - 2  # e⁻¹ of the change is left after one window
    torch.testing.assert_close(running.mean[0, 300:, 0], step, atol=0.02, rtol=0)


@pytest.mark.parametrize("causal", [False, True])
def test_the_reference_changes_the_result_and_without_style_it_does_not(causal):
    unet, audio = network(causal=causal), tone(300.0)
    one, other = (unet.style([tone(500.0, gains)]) for gains in ((1.0,), (0.3, 0.4, 0.5)))
    styled = [unet(audio, style, StyleStrengths()) for style in (one, other)]
    assert (styled[0] - styled[1]).abs().max() > 1e-4
    plain = [unet(audio, style, CONTENT_ONLY) for style in (one, other)]
    assert torch.equal(*plain)


def test_content_and_the_same_twice_as_strong_are_styled_alike():
    style = channel_statistics(torch.randn(1, 100, 3))
    content = torch.randn(1, 400, 3)
    adain = AdaIN()
    torch.testing.assert_close(
        adain(2 * content, style, 1.0), adain(content, style, 1.0), atol=1e-4, rtol=1e-3
    )


# ----------------------------------------------------------------------------------------------------- causal


def test_the_causal_network_looks_no_further_than_the_end_of_a_stride():
    unet, audio = network(causal=True, window=400), torch.randn(1, 800) * 0.1
    changed = audio.clone()
    changed[:, 400:] += 0.1
    style = unet.style([torch.randn(1, 600)])
    before, after = (unet(x, style, StyleStrengths()) for x in (audio, changed))
    torch.testing.assert_close(before[:, :400], after[:, :400], atol=1e-6, rtol=0)
    assert ((before - after).abs()[:, 400:] > 1e-6).float().mean() > 0.9


def test_the_other_network_looks_ahead():
    unet, audio = network(), torch.randn(1, 800) * 0.1
    changed = audio.clone()
    changed[:, 400:] += 0.1
    before, after = (unet(x, unet.style([audio]), CONTENT_ONLY) for x in (audio, changed))
    ahead = (before - after).abs()[0, :400] > 1e-7
    assert ahead[-1] and not ahead[:100].any()
