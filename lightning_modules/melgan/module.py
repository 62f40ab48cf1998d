"""MelGAN's vocoder: mel frames of a recording back into its audio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.nn.functional import pad
from torch.optim import Optimizer
from torchaudio.functional import highpass_biquad

from datamodules.batch import TransferBatch
from lightning_modules.adversarial_module import Attempts, take_turn
from lightning_modules.layers.adversarial import AdversarialLoss, HingeLoss, feature_matching
from lightning_modules.layers.dsp.spectral import mr_stft_loss
from lightning_modules.layers.loss_weights import weighted_sum
from lightning_modules.layers.network_size import NetworkSizeError
from lightning_modules.layers.single_precision import in_float32
from lightning_modules.melgan.inference import Vocoding, vocode
from lightning_modules.melgan.losses import LossWeights
from lightning_modules.melgan.mel import LogMel
from lightning_modules.melgan.network import Generator, Judgement, MultiScaleDiscriminator
from lightning_modules.transfer_module import TimbreTransferModule

CHUNK_FRAMES = 512
"""Frames that a transfer generates at a time: about six seconds."""
LOWEST_HZ = 30.0
"""What is below is no music."""


class Attempt(NamedTuple):
    """Audio ``(B, T)``: a recording, and what the generator makes of its mel frames."""

    real: Tensor
    fake: Tensor


class MelGANModule(TimbreTransferModule):
    """A vocoder: learns to give a recording back from its mel frames, whatever is played.

    Kumar et al., MelGAN, arXiv 1910.06711. As a transfer it is analysis and resynthesis, so the test judges
    it as a copy of the source that lost its phase: what it adds to *copy* is the cost of vocoding.

    Args:
        network: mel frames → audio.
        discriminator: tells real audio from generated, at several rates.
        sample_rate: in Hz.
        instruments: names behind instrument ids; it makes no difference between them.
        mel: audio → mel frames.
        vocoding: how the trained generator is made to work.
        adversarial_loss: the game of the two networks.
        loss_weights: weight of each term of the generator.
        generator_optimizer: of the generator.
        discriminator_optimizer: of the discriminator.
    """

    def __init__(
        self,
        network: Generator,
        discriminator: MultiScaleDiscriminator,
        sample_rate: int = 22_050,
        instruments: Sequence[str] = (),
        mel: LogMel | None = None,
        vocoding: Vocoding | None = None,
        adversarial_loss: AdversarialLoss | None = None,
        loss_weights: LossWeights = LossWeights(),  # noqa: B008 (copied below)
        generator_optimizer: OptimizerCallable = torch.optim.Adam,
        discriminator_optimizer: OptimizerCallable = torch.optim.Adam,
    ) -> None:
        super().__init__(sample_rate, instruments)
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.network = network
        self.discriminator = discriminator
        self.mel = mel or LogMel()
        self._require_fitting_mel()
        self.vocoding = vocoding or Vocoding()
        self.adversarial_loss = adversarial_loss or HingeLoss()
        self.loss_weights = replace(loss_weights)
        self.generator_optimizer = generator_optimizer
        self.discriminator_optimizer = discriminator_optimizer

    # ------------------------------------------------------------------------------------------ training

    def configure_optimizers(self) -> list[Optimizer]:
        """One optimizer for each player."""
        return [
            self.generator_optimizer(self.network.parameters()),
            self.discriminator_optimizer(self.discriminator.parameters()),
        ]

    def training_step(self, batch: TransferBatch, batch_idx: int) -> None:
        """Give both sides of the batch back."""
        if batches := self.batches_of_step(batch):
            generator, discriminator = self.optimizers()  # type: ignore[attr-defined]
            self.vocoder_turns(batches, generator, discriminator)

    def recordings(self, batch: TransferBatch) -> Tensor:
        """All audio of a batch ``(B', T)``, T whole frames: a vocoder learns from whatever it hears."""
        sides = [batch.source, batch.reference if batch.target is None else batch.target]
        n_samples = batch.source.shape[-1] // self.mel.hop * self.mel.hop
        return torch.cat([side[:, :n_samples] for side in sides if side.shape[-1] >= n_samples])

    def vocoder_turns(
        self,
        batches: Sequence[TransferBatch],
        generator: LightningOptimizer,
        discriminator: LightningOptimizer,
    ) -> None:
        """The discriminator's turn, then the generator's, on the same audio.

        Args:
            batches: of the step.
            generator: the generator's optimizer.
            discriminator: the discriminator's.
        """
        attempts = Attempts(self.attempt, batches)
        if self._judges():
            take_turn(self, discriminator, attempts.judge(self._discriminator_loss))
        take_turn(self, generator, attempts.learn(self._generator_loss))

    def attempt(self, batch: TransferBatch) -> Attempt:
        """Give all recordings of a batch back."""
        real = self.recordings(batch)
        return Attempt(real, self.network(self.mel(real, self.sample_rate)))

    def _judges(self) -> bool:
        """Whether the discriminator has a say; while only the spectrum is learned it would be wasted."""
        return bool(self.loss_weights.adversarial or self.loss_weights.feature_matching)

    def _discriminator_loss(self, attempt: Attempt) -> Tensor:
        loss = self.adversarial_loss.discriminator(
            logits_of(self.discriminator(attempt.real)), logits_of(self.discriminator(attempt.fake.detach()))
        )
        self.log("train/discriminator", loss)
        return loss

    def _generator_loss(self, attempt: Attempt) -> Tensor:
        real, fake = attempt
        terms = {"mr_stft_loss": mr_stft_loss(fake, real)} | (
            self._judged(real, fake) if self._judges() else {}
        )
        self.log_dict({f"train/{name}": value for name, value in terms.items()})
        return weighted_sum(terms, self.loss_weights)

    def _judged(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            of_real = self.discriminator(real)
        of_fake = self.discriminator(fake)
        return {
            "adversarial": self.adversarial_loss.generator(logits_of(of_fake)),
            "feature_matching": feature_matching(features_of(of_real), features_of(of_fake)),
        }

    def validation_step(self, batch: TransferBatch, batch_idx: int) -> Tensor:
        """Measure the transfer, and what vocoding alone costs: the source, given back, against itself."""
        preds = super().validation_step(batch, batch_idx)
        source = batch.source
        given_back = self.vocoded(self.mel(source, self.sample_rate), source.shape[-1])
        distance = mr_stft_loss(given_back, source)
        self.log("val/vocoder_mr_stft_loss", distance, batch_size=len(source), sync_dist=True)
        return preds

    # ----------------------------------------------------------------------------------------- inference

    def transfer(
        self,
        source: Tensor,
        reference: Tensor | None = None,
        target_instrument: Tensor | None = None,
    ) -> Tensor:
        """Take ``source`` apart into mel frames and build it anew; the rest is not used.

        See `TimbreTransferModule.transfer`.
        """
        return self.vocoded(self.mel(source, self.sample_rate), source.shape[-1])

    def vocoded(self, mel: Tensor, n_samples: int) -> Tensor:
        """Audio ``(B, n_samples)`` of mel frames ``(B, M, N)``; silence behind the last frame."""
        audio = vocode(self.vocoding(self.network), mel, self.mel.hop, CHUNK_FRAMES)
        # Mel bands begin above 0 Hz: of an offset the generator is told nothing, and it has one of its own.
        audio = in_float32(highpass_biquad)(audio, self.sample_rate, LOWEST_HZ)[:, :n_samples]
        return pad(audio, (0, n_samples - audio.shape[-1]))

    def _require_fitting_mel(self) -> None:
        ours, theirs = (self.network.n_mels, self.network.hop), (self.mel.n_mels, self.mel.hop)
        if ours != theirs:
            raise NetworkSizeError(
                f"network makes {ours[1]} samples from each frame of {ours[0]} mels, but mel gives frames of "
                f"{theirs[0]} mels every {theirs[1]} samples: set n_mels and hop of mel to the n_mels and "
                "the product of the ratios of network."
            )


def logits_of(judgements: Sequence[Judgement]) -> list[Tensor]:
    """Of each scale."""
    return [judgement.logits for judgement in judgements]


def features_of(judgements: Sequence[Judgement]) -> list[list[Tensor]]:
    """Of each scale."""
    return [judgement.features for judgement in judgements]
