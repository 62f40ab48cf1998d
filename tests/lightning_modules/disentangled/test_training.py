"""Training with a trainer: each phase of the curriculum, and all of them in one short run."""

import lightning as L
import pytest
import torch

from callbacks.curriculum import Curriculum, Schedule
from datamodules.features.spectrum_statistics import Statistics
from experiments.command_line.cli import SuiteCLI
from lightning_modules.disentangled.losses import LossWeights
from lightning_modules.disentangled.spectra import parts
from tests.lightning_modules.disentangled.conftest import build
from tests.losses import assert_validation_logs_the_losses
from tests.trainers import fit

PHASES = {"reconstruction": 0.1, "disentanglement": 0.3, "contrastive": 0.5, "adversarial": 0.9}
"""A time within each phase, as a share of the training."""


def schedules():
    """The curriculum's points in the shipped experiment."""
    return SuiteCLI(["--config", "disentangled", "--scale", "paper"], run=False).config.curriculum.points


@pytest.fixture(scope="module")
def shipped():
    return schedules()


def weights(network):
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()]).clone()


def in_phase(shipped, progress):
    """Loss weights at this share of the training."""
    weights = LossWeights()
    for attribute, points in shipped.items():
        name = attribute.removeprefix("loss_weights.")
        assert hasattr(weights, name)
        setattr(weights, name, Schedule(attribute, points).value_at(progress))
    return weights


def test_the_phases_are_the_documents(shipped):
    def active(phase):
        return {name for name, weight in vars(in_phase(shipped, PHASES[phase])).items() if weight > 0}

    reconstruction = {"level", "temporal", "spectral", "perceptual", "convergence"}
    assert active("reconstruction") == reconstruction
    assert active("disentanglement") - reconstruction == {"hsic", "transfer"}
    assert active("contrastive") - active("disentanglement") == {"info_nce", "margin"}
    assert active("adversarial") - active("contrastive") == {"adversarial"}
    assert 0 < in_phase(shipped, 0.7).adversarial < in_phase(shipped, 1.0).adversarial  # ramped
    assert in_phase(shipped, 1.0) == LossWeights()


@pytest.mark.parametrize("paired", [True, False], ids=["pairs", "recordings"])
@pytest.mark.parametrize("phase", PHASES)
def test_entering_each_phase_trains_on_a_real_batch(phase, paired, shipped, pair_batch):
    batch = pair_batch if paired else pair_batch._replace(target=None)
    module = build(loss_weights=in_phase(shipped, PHASES[phase]))
    networks = (module.style_encoder, module.content_encoder, module.decoder, module.discriminator)
    before = [weights(network) for network in networks]
    trainer = fit(module, [batch])
    for network, old in zip(networks, before, strict=True):
        new = weights(network)
        assert new.isfinite().all() and (new != old).float().mean() > 0.5
    assert all(value.isfinite() for value in trainer.logged_metrics.values())
    assert module.known.all()


def test_one_run_crosses_all_four_phases(shipped, pair_batch):
    seen = []

    class Watch(L.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            active = pl_module.loss_weights
            seen.append((active.hsic > 0, active.info_nce > 0, active.adversarial > 0))

    one_class = pair_batch._replace(target_instrument=pair_batch.source_instrument)
    fit(build(), [pair_batch, one_class] * 5, Curriculum(shipped, n_batches=10), Watch())
    assert list(dict.fromkeys(seen)) == [
        (False, False, False),
        (True, False, False),
        (True, True, False),
        (True, True, True),
    ]


def test_one_batch_is_learned_also_where_it_is_generated_and_heard_in_noise(pair_batch):
    """The corpus is empty between the partials of its tones, as rendered music is, and a recording is not."""
    module = build(loss_weights=LossWeights(hsic=0, info_nce=0, margin=0, adversarial=0))
    spectra = parts(module.representation.analyse(pair_batch.target, module.sample_rate))
    module.normalisation.adopt(Statistics(spectra.mean((0, 3)), spectra.std((0, 3))))
    module.known[:] = True

    def generated():
        with torch.no_grad():
            terms = module.eval().generator_terms(module.forward_batch(pair_batch))
        return terms["convergence"].item(), terms["transfer"].item()

    def magnitude(audio):
        with torch.no_grad():
            heard = module.eval().transfer(audio, pair_batch.reference)
        return module.representation.fourier(heard).abs()

    before = generated()
    fit(module.train(), [pair_batch] * 250)
    after = generated()
    assert after[0] < 0.5 * before[0] and after[1] < 0.5 * before[1]

    source = pair_batch.source
    noise = source.square().mean().sqrt() * torch.randn(source.shape, generator=torch.manual_seed(0))
    clean = magnitude(source)
    for snr_db in (60, 40, 30, 20):
        heard = magnitude(source + noise * 10 ** (-snr_db / 20))
        level_db = 10 * (heard.square().sum() / clean.square().sum()).log10()
        alike = torch.cosine_similarity(heard.flatten(), clean.flatten(), dim=0)
        assert abs(level_db) < 2 and alike > 0.9, snr_db
    clipped = magnitude((8 * source).clamp(-1, 1))
    assert torch.cosine_similarity(clipped.flatten(), clean.flatten(), dim=0) > 0.8


def test_the_discriminator_leaves_its_initial_loss(pair_batch):
    module = build(loss_weights=LossWeights(hsic=0, adversarial=0))
    trainer = fit(module, [pair_batch] * 60)
    assert trainer.logged_metrics["train/naming_of_style"] < 0.2  # a guess costs ln 2


def test_validation_logs_the_losses(pair_batch):
    assert_validation_logs_the_losses(build(), pair_batch, needing_targets=["transfer"])
