"""It learns from every term, follows references, and takes audio of any length."""

from dataclasses import fields

import pytest
import torch

from datamodules.corpora.corpus import CorpusError
from lightning_modules.mambamuse.losses import LossWeights, mel_distance
from tests.lightning_modules.mambamuse.conftest import build, tone
from tests.trainers import logged_after


def weights(name, value=1.0):
    """All terms 0 but one."""
    return LossWeights(**{field.name: value * (field.name == name) for field in fields(LossWeights)})


@pytest.mark.parametrize("term", [field.name for field in fields(LossWeights)])
def test_every_term_alone_reaches_every_weight(pair_batch, tmp_path, term):
    module = build(loss_weights=weights(term))
    before = {name: p.clone() for name, p in module.network.named_parameters()}
    logged_after(module, [pair_batch], tmp_path)
    for name, parameter in module.network.named_parameters():
        assert not torch.equal(parameter, before[name]), name


def test_logs_are_unweighted_and_the_discriminator_waits_for_its_weight(pair_batch, tmp_path):
    logged = logged_after(build(loss_weights=weights("adversarial", 1e-3)), [pair_batch], tmp_path)
    assert set(logged) == {
        "train/mel",
        "train/stft",
        "train/adversarial",
        "train/generator",
        "train/discriminator",
    }
    assert logged["train/discriminator"] == pytest.approx(4, abs=2)  # four parts that say 0: 1 each
    module = build(loss_weights=weights("mel", 1e-3))
    before = [p.clone() for p in module.discriminator.parameters()]
    logged = logged_after(module, [pair_batch], tmp_path)
    assert set(logged) == {"train/mel", "train/stft", "train/generator"} and logged["train/mel"] > 0.1
    assert all(torch.equal(a, b) for a, b in zip(before, module.discriminator.parameters(), strict=True))


@pytest.mark.parametrize("causal", [False, True])
def test_one_batch_is_overfitted(pair_batch, tmp_path, causal):
    module = build(causal=causal, with_judge=False)
    first = logged_after(module, [pair_batch], tmp_path)["train/mel"]
    assert logged_after(module, [pair_batch] * 30, tmp_path)["train/mel"] < 0.6 * first


def test_the_result_follows_the_reference(pair_batch, tmp_path):
    """Trained on both directions, each reference draws the result to its side."""
    source, target, bright_reference = pair_batch.source, pair_batch.target, pair_batch.reference
    dull_reference = tone(420.0, (1.0,), 3000).expand(2, -1)
    both = pair_batch._replace(
        source=torch.cat([source, target]),
        target=torch.cat([target, source]),
        reference=torch.cat([bright_reference, dull_reference]),
    )
    module = build(with_judge=False)
    logged_after(module, [both] * 80, tmp_path)
    with torch.no_grad():
        bright, dull = (module.transfer(source, one) for one in (bright_reference, dull_reference))
    rate = module.sample_rate
    assert mel_distance(bright, target, rate) < mel_distance(dull, target, rate)
    assert mel_distance(dull, source, rate) < mel_distance(bright, source, rate)


def test_segments_can_be_short_at_first(pair_batch, tmp_path):
    """With a quarter of the segment, what lies behind it makes no difference."""
    changed = pair_batch._replace(target=pair_batch.target.clone())
    changed.target[:, 512:] = 0
    states = []
    for batch in (pair_batch, changed):
        module = build(segment_share=0.25)
        logged_after(module, [batch], tmp_path)
        states.append(module.network.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_audio_as_long_as_it_is(pair_batch):
    module = build()
    with torch.no_grad():
        for n_samples in (0, 1, 15, 16, 1001):
            source = pair_batch.source[:, :n_samples]
            assert module.transfer(source, pair_batch.reference).shape == source.shape


def test_the_length_of_the_reference_is_free(pair_batch):
    module = build()
    with torch.no_grad():
        short, long = (pair_batch.reference[:, :n].contiguous() for n in (100, 2999))
        results = [module.transfer(pair_batch.source, one) for one in (short, long, [short, long])]
    assert all(result.shape == pair_batch.source.shape and result.isfinite().all() for result in results)


def test_without_a_reference_it_says_what_to_do(pair_batch):
    for nothing in (None, torch.zeros(2, 0), []):
        with pytest.raises(CorpusError, match="--reference"):
            build().transfer(pair_batch.source, nothing)


def test_without_targets_it_says_what_to_do(pair_batch, tmp_path):
    with pytest.raises(CorpusError, match=r"learns from pairs.*OneShotDataModule"):
        logged_after(build(), [pair_batch._replace(target=None)], tmp_path)
