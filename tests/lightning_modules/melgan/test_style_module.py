"""Unpaired style transfer: chunks, domains in one order, every term, and what it may be asked for."""

from dataclasses import fields

import pytest
import torch
from torch import nn

from datamodules.corpora.corpus import CorpusError
from lightning_modules.layers.network_size import NetworkSizeError
from lightning_modules.melgan import MelGANStyleModule
from lightning_modules.melgan.losses import LossWeights, StyleLossWeights
from lightning_modules.melgan.style_network import ChunkCritic, MelTranslator, SiameseEncoder, join, split
from tests.lightning_modules.melgan.conftest import (
    CHUNK_FRAMES,
    N_MELS,
    small_style_networks,
    small_vocoder,
    tone,
)
from tests.losses import assert_validation_logs_the_losses
from tests.trainers import logged_after

SPECTRUM_ONLY = LossWeights(0.0, 0.0, 1.0)


@pytest.fixture
def clips():
    return 2 * torch.rand(2, N_MELS, 3 * CHUNK_FRAMES) - 1


# ---------------------------------------------------------------------------------------- networks


def test_joining_undoes_splitting_and_chunks_are_in_order(clips):
    chunks = split(clips)
    torch.testing.assert_close(join(chunks), clips)
    torch.testing.assert_close(chunks[1], clips[0, :, CHUNK_FRAMES : 2 * CHUNK_FRAMES])
    torch.testing.assert_close(chunks[3], clips[1, :, :CHUNK_FRAMES])


@pytest.mark.parametrize("n_frames", [1, 2, 5, 24, 37])
def test_any_number_of_frames_is_translated(n_frames):
    translated = MelTranslator(N_MELS, 8)(torch.zeros(1, N_MELS, n_frames))
    assert translated.shape == (1, N_MELS, n_frames)


def test_the_translation_of_a_chunk_depends_on_its_surroundings_only_near_its_ends():
    torch.manual_seed(0)
    translator, mel = MelTranslator(N_MELS, 8), 2 * torch.rand(1, N_MELS, 120) - 1
    alone = translator(mel[..., 40:])
    torch.testing.assert_close(alone[..., 40:], translator(mel)[..., 80:], atol=1e-5, rtol=0)


def test_critic_sees_the_joins(clips):
    """Every logit sees 23 frames: the ones at a join see both chunks, those in the middle of one do not."""
    critic = ChunkCritic(N_MELS, 8).eval()
    clips = clips.requires_grad_()
    logits = critic(clips)
    at_the_join = CHUNK_FRAMES // 4
    [seen] = torch.autograd.grad(logits[0, 0, at_the_join], clips)
    reached = seen[0].abs().sum(0) > 0
    assert reached[CHUNK_FRAMES - 1] and reached[CHUNK_FRAMES]


def test_critic_is_bounded_by_its_spectral_norm(clips):
    critic = ChunkCritic(N_MELS, 8)
    for _ in range(50):  # power iterations
        critic(clips)
    for layer in critic.modules():
        if isinstance(layer, nn.Conv1d):
            assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, rel=0.02)


def test_siamese_network_hears_when_something_sounds():
    torch.manual_seed(0)
    siamese, early = SiameseEncoder(N_MELS, 8, 8), torch.full((1, N_MELS, 8), -1.0)
    early[..., 0] = 1.0
    assert (siamese(early) - siamese(early.flip(-1))).norm() > 0.1 * siamese(early).norm()


# ---------------------------------------------------------------------------------------- training


def weights(name):
    return StyleLossWeights(**{field.name: float(field.name == name) for field in fields(StyleLossWeights)})


@pytest.mark.parametrize(
    ("term", "learner"),
    [
        ("style_adversarial", "translator"),
        ("travel", "translator"),
        ("travel", "siamese"),
        ("margin", "siamese"),
        ("identity", "translator"),
    ],
)
def test_every_term_alone_reaches_whom_it_is_for(style, batch, tmp_path, term, learner):
    style.style_loss_weights, style.loss_weights = weights(term), SPECTRUM_ONLY
    before = {name: p.clone() for name, p in getattr(style, learner).named_parameters()}
    logged_after(style, [batch], tmp_path)
    for name, parameter in getattr(style, learner).named_parameters():
        # The bias of the siamese network's last layer moves all vectors alike, and no difference.
        shifts_all = learner == "siamese" and name == "layers.7.bias"
        assert shifts_all or not torch.equal(parameter, before[name]), name


def test_both_players_are_shown_the_same_domains(style, batch, tmp_path):
    """What the critic is told is real, and what fake, and what the translator is asked to pass for real."""
    seen, style.critic_turns = [], 1
    style.critic.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().clone()))
    clips = [style._clips(audio) for audio in (batch.source, batch.reference)]
    translated = join(style.translator(split(clips[0]))).detach()
    logged_after(style, [batch], tmp_path)
    for_critic_real, for_critic_fake, for_translator = seen
    torch.testing.assert_close(for_critic_real, clips[1])
    torch.testing.assert_close(for_critic_fake, translated)
    torch.testing.assert_close(for_translator, translated)


def test_the_translator_takes_one_turn_for_three_of_the_critic(style, batch, tmp_path):
    judged = []
    style.critic.register_forward_hook(lambda *_: judged.append(1))
    logged_after(style, [batch] * 6, tmp_path)
    assert len(judged) == 6 * 2 + 2  # the critic judges both sides, the translator its own


def learned_level(source, reference, batch, folder):
    """Mean of the translation of ``source`` after some training towards ``reference``."""
    torch.manual_seed(0)
    style = MelGANStyleModule(**small_style_networks(), **small_vocoder(), critic_turns=1)
    style.network.requires_grad_(False)
    style.style_loss_weights = StyleLossWeights(1.0, 0.0, 0.0, 0.0)
    style.translator_optimizer = style.critic_optimizer = lambda p: torch.optim.Adam(p, lr=5e-3)
    logged_after(style, [batch._replace(source=source, reference=reference)] * 30, folder)
    with torch.no_grad():
        return style.translator(style._clips(source)).mean().item()


def test_the_translation_moves_towards_the_target_domain(batch, tmp_path):
    """Swap the domains and it learns the opposite."""
    quiet, loud = 1e-4 * torch.randn(2, 1536), 0.3 * torch.randn(2, 1536).clamp(-3, 3)
    assert learned_level(quiet, loud, batch, tmp_path) > learned_level(loud, quiet, batch, tmp_path) + 0.1


def test_before_its_phase_the_style_networks_stand_still(style, batch, tmp_path):
    style.style_loss_weights = StyleLossWeights(0.0, 0.0, 0.0, 0.0)
    before = [p.clone() for p in style.translator.parameters()]
    assert "train/critic" not in logged_after(style, [batch], tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(before, style.translator.parameters(), strict=True))


def test_a_frozen_vocoder_stands_still(style, batch, tmp_path):
    style.network.requires_grad_(False)
    before = [p.clone() for p in style.network.parameters()]
    logged = logged_after(style, [batch], tmp_path)
    assert "train/stft" not in logged and "train/travel" in logged
    assert all(torch.equal(a, b) for a, b in zip(before, style.network.parameters(), strict=True))


def test_segments_shorter_than_three_chunks_are_refused(style, batch):
    short = batch._replace(source=batch.source[:, :1000])
    with pytest.raises(NetworkSizeError, match=r"1536 samples long.*has 1000: set segment_s.*0\.0960"):
        style.domains(short)


# ---------------------------------------------------------------------------------------- transfer


@pytest.mark.parametrize("n_samples", [0, 1, 700, 40_007])
def test_any_length_comes_back(style, n_samples):
    with torch.inference_mode():
        result = style.transfer(torch.randn(2, n_samples).clamp(-1, 1))
    assert result.shape == (2, n_samples) and result.isfinite().all()


def test_another_instrument_than_the_target_domain_is_refused(style, batch, tmp_path):
    logged_after(style, [batch], tmp_path)
    style.transfer(tone(), target_instrument=torch.tensor([1]))
    with pytest.raises(CorpusError, match=r"trained to play violin cannot play flute"):
        style.transfer(tone(), target_instrument=torch.tensor([0]))


def test_the_target_domain_is_in_the_checkpoint(style, batch, tmp_path):
    logged_after(style, [batch], tmp_path)
    assert style.trained_instruments.known.tolist() == [False, True]


def test_validation_logs_the_losses(style, batch):
    assert_validation_logs_the_losses(style, batch)
