"""Matching a waveform's statistics: what is kept, what is taken over, and what is left alone."""

import math

import pytest
import torch

from datamodules.corpora.corpus import CorpusError
from lightning_modules.melgan import MelGANStatisticsModule
from lightning_modules.melgan.changes import Filter, Samples
from lightning_modules.melgan.losses import MatchingWeights
from lightning_modules.melgan.waveform_matching import Gram, MeanAndDeviation, WaveformMatching
from metrics.functional.timbre import mfcc_distance
from tests.lightning_modules.melgan.conftest import SAMPLE_RATE, small_vocoder, tone

SOURCE = tone(330.0, 4096) + 0.1 * tone(330.0, 4096, partials=range(4, 9))
REFERENCE = tone(262.0, 6000, partials=range(1, 9))


CHANGES = [Filter(6, 256, learning_rate=0.1), Samples(0.04)]
each_change = pytest.mark.parametrize("change", CHANGES, ids=lambda change: type(change).__name__)
each_statistic = pytest.mark.parametrize(
    "statistic", [MeanAndDeviation(), Gram()], ids=lambda statistic: type(statistic).__name__
)


def module_with(**settings):
    torch.manual_seed(0)
    matching = WaveformMatching(n_steps=30, content_layers=(1,), progress=False, **settings)
    return MelGANStatisticsModule(matching, **small_vocoder())


@each_statistic
def test_a_statistic_forgets_when_anything_happened(statistic):
    features = torch.randn(2, 4, 50)
    shuffled = features[..., torch.randperm(50)]
    torch.testing.assert_close(statistic(features), statistic(shuffled))
    torch.testing.assert_close(statistic(features.repeat(1, 1, 3)), statistic(features))


def test_statistics_of_a_square_wave():
    features = torch.tensor([[[1.0, -1.0, 1.0, -1.0], [2.0, 2.0, 2.0, 2.0]]])
    assert MeanAndDeviation()(features)[0].tolist() == pytest.approx([0, 2, 1, 0], abs=1e-5)
    assert Gram()(features)[0].tolist() == [1, 0, 0, 4]


@each_change
@each_statistic
def test_the_statistics_come_nearer_to_the_references(statistic, change):
    module = module_with(statistic=statistic, change=change)
    goal = module.matching.goal(module.listen(SOURCE), module.listen(REFERENCE))
    before, after = (
        module.matching.distances(module.listen(audio), goal)
        for audio in (SOURCE, module.transfer(SOURCE, REFERENCE))
    )
    assert after["statistics"] < 0.95 * before["statistics"]
    assert before["content"] == 0
    if isinstance(change, Filter):  # Adam's steps on samples are noise at first, in bands that were silent
        assert after["mel"] < 0.6 * before["mel"]


@each_change
def test_without_parameters_the_source_is_not_changed(change):
    result = change.apply(SOURCE, change.parameters(SOURCE), SAMPLE_RATE)
    torch.testing.assert_close(result, SOURCE, atol=1e-6, rtol=0)


def test_a_filter_changes_strengths_and_leaves_notes_and_rests():
    """Bands up by 6 dB: a tone in them is twice as strong, one far above stays, as does silence."""
    filter_ = Filter(10, 1024)
    low, high = tone(330.0, 16000, partials=(1,)), tone(6000.0, 16000, partials=(1,))
    bands = filter_.parameters(low)
    bands[:, :3] = math.log(2.0)
    inside = slice(2048, -2048)
    torch.testing.assert_close(
        filter_.apply(low, bands, SAMPLE_RATE)[:, inside], 2 * low[:, inside], atol=2e-3, rtol=0
    )
    torch.testing.assert_close(
        filter_.apply(high, bands, SAMPLE_RATE)[:, inside], high[:, inside], atol=2e-3, rtol=0
    )
    assert filter_.apply(torch.zeros(1, 4096), bands, SAMPLE_RATE).abs().max() == 0


def test_a_filtered_reference_is_recovered():
    """Of the same notes on a duller instrument, the reference's strengths of partials come back."""
    bright, dull = tone(partials=range(1, 12)), tone(partials=(1, 1.0001))
    dull = dull + 0.02 * (bright - tone(partials=(1,)))
    module = module_with(
        change=Filter(12, 512, 0.2), weights=MatchingWeights(mel=1.0, statistics=0.0, content=0.0)
    )
    result = module.transfer(dull, bright)
    assert mfcc_distance(result, bright, SAMPLE_RATE) < 0.2 * mfcc_distance(dull, bright, SAMPLE_RATE)


def test_another_reference_gives_another_result():
    module = module_with()
    assert not torch.allclose(module.transfer(SOURCE, REFERENCE), module.transfer(SOURCE, 0.3 * REFERENCE))


@each_change
def test_with_content_alone_the_source_stays(change):
    module = module_with(change=change, weights=MatchingWeights(mel=0.0, statistics=0.0))
    # Not exactly: Adam makes full steps of rounding errors, too.
    torch.testing.assert_close(module.transfer(SOURCE, REFERENCE), SOURCE, atol=0.01, rtol=0)


@each_change
def test_the_source_is_the_right_way_up(change):
    result = module_with(change=change).transfer(SOURCE, REFERENCE)
    assert torch.corrcoef(torch.cat([SOURCE, result]))[0, 1] > 0.5


def test_examples_of_a_batch_do_not_change_each_other():
    module = module_with()
    alone = module.transfer(SOURCE, REFERENCE)
    both = module.transfer(torch.cat([SOURCE, SOURCE.roll(900)]), REFERENCE.expand(2, -1))
    torch.testing.assert_close(both[:1], alone, atol=1e-3, rtol=0)


@pytest.mark.parametrize("training", [True, False])
def test_modes_and_gradients_are_left_alone_in_inference_mode_too(training):
    module = module_with().train(training)
    with torch.inference_mode():
        module.transfer(SOURCE.clone(), REFERENCE.clone())
        assert torch.is_inference_mode_enabled()
    assert all(m.training == training for m in module.modules())
    assert all(p.requires_grad and p.grad is None for p in module.parameters())


def test_without_a_reference_it_says_what_is_missing():
    with pytest.raises(CorpusError, match="--reference FILE"):
        module_with().transfer(SOURCE)
