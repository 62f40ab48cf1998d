"""Matching a waveform's statistics: what is kept, what is taken over, and what is left alone."""

import pytest
import torch

from datamodules.corpus import CorpusError
from lightning_modules.melgan import MelGANStatisticsModule
from lightning_modules.melgan.losses import MatchingWeights, feature_distance
from lightning_modules.melgan.module import features_of
from lightning_modules.melgan.waveform_matching import Gram, MeanAndDeviation, WaveformMatching
from tests.melgan.conftest import small_vocoder, tone

SOURCE, REFERENCE = tone(330.0, 4096), tone(262.0, 6000, partials=range(1, 9))


def module_with(**settings):
    torch.manual_seed(0)
    matching = WaveformMatching(
        n_steps=30, learning_rate=0.04, content_layers=(1,), progress=False, **settings
    )
    return MelGANStatisticsModule(matching, **small_vocoder())


@pytest.mark.parametrize("statistic", [MeanAndDeviation(), Gram()], ids=lambda s: type(s).__name__)
def test_a_statistic_forgets_when_anything_happened(statistic):
    features = torch.randn(2, 4, 50)
    shuffled = features[..., torch.randperm(50)]
    torch.testing.assert_close(statistic(features), statistic(shuffled))
    torch.testing.assert_close(statistic(features.repeat(1, 1, 3)), statistic(features))


def test_statistics_of_a_square_wave():
    features = torch.tensor([[[1.0, -1.0, 1.0, -1.0], [2.0, 2.0, 2.0, 2.0]]])
    assert MeanAndDeviation()(features)[0].tolist() == pytest.approx([0, 2, 1, 0], abs=1e-5)
    assert Gram()(features)[0].tolist() == [1, 0, 0, 4]


@pytest.mark.parametrize("statistic", [MeanAndDeviation(), Gram()], ids=lambda s: type(s).__name__)
def test_the_statistics_come_nearer_to_the_references(statistic):
    module = module_with(statistic=statistic)
    result = module.transfer(SOURCE, REFERENCE)

    def distance(audio):
        of = [module.matching.style_of(features_of(module.discriminator(a))) for a in (audio, REFERENCE)]
        return feature_distance(*of).item()

    assert distance(result) < 0.8 * distance(SOURCE)


def test_another_reference_gives_another_result():
    module = module_with()
    assert not torch.allclose(module.transfer(SOURCE, REFERENCE), module.transfer(SOURCE, 0.3 * REFERENCE))


def test_with_content_alone_the_source_stays():
    module = module_with(weights=MatchingWeights(statistics=0.0, content=1.0))
    torch.testing.assert_close(module.transfer(SOURCE, REFERENCE), SOURCE)


def test_the_source_is_the_right_way_up():
    result = module_with().transfer(SOURCE, REFERENCE)
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
