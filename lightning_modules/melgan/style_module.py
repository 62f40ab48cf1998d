"""Unpaired style transfer: mel frames translated from one domain to another, then vocoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.nn.functional import l1_loss
from torch.optim import Optimizer

from datamodules.batch import TransferBatch
from lightning_modules.adversarial_module import Attempts, take_turn
from lightning_modules.layers.loss_weights import weighted_sum
from lightning_modules.layers.network_size import NetworkSizeError
from lightning_modules.layers.trained_instruments import TrainedInstruments
from lightning_modules.melgan.losses import StyleLossWeights, margin, travel
from lightning_modules.melgan.module import MelGANModule
from lightning_modules.melgan.style_network import (
    N_CHUNKS,
    ChunkCritic,
    MelTranslator,
    SiameseEncoder,
    join,
    split,
)


class Domains(NamedTuple):
    """Mel frames of both sides of a batch, ``(B, M, 3 · N)`` each, and the one side's translation."""

    source: Tensor
    translated: Tensor
    """Of ``source``, chunk by chunk."""
    target: Tensor
    """Other clips, of the domain that ``translated`` shall belong to."""


class MelGANStyleModule(MelGANModule):
    """Makes one domain sound like another without ever seeing the same music in both.

    A domain is whatever a batch holds as sources, or as references: an instrument, several, or a folder of
    recordings of a genre. The translator is trained against a critic of three joined chunks, and keeps
    what is played because a siamese network sees the chunks of a clip differ as they did before (TraVeL).
    The vocoder learns beside it, from both domains, unless its weights are frozen
    (`callbacks.pretrained.PretrainedParts`).

    Args:
        translator: source frames → target frames.
        critic: tells target frames from translated ones.
        siamese: embeds chunks; its ``chunk_frames`` are the length that the translator is trained on.
        style_loss_weights: weight of each term of translator and siamese network.
        critic_turns: turns of the critic for each turn of the translator.
        translator_optimizer: of translator and siamese network.
        critic_optimizer: of the critic.
        vocoder_frames: frames at the beginning of each clip that the vocoder learns from.
        vocoder: the other arguments, see `MelGANModule`.
    """

    def __init__(
        self,
        translator: MelTranslator,
        critic: ChunkCritic,
        siamese: SiameseEncoder,
        style_loss_weights: StyleLossWeights = StyleLossWeights(),  # noqa: B008 (copied below)
        critic_turns: int = 3,
        translator_optimizer: OptimizerCallable = torch.optim.Adam,
        critic_optimizer: OptimizerCallable = torch.optim.Adam,
        vocoder_frames: int = 32,
        **vocoder: Any,
    ) -> None:
        super().__init__(**vocoder)
        self.save_hyperparameters()
        self.translator = translator
        self.critic = critic
        self.siamese = siamese
        self.style_loss_weights = replace(style_loss_weights)
        self.critic_turns = critic_turns
        self.translator_optimizer = translator_optimizer
        self.critic_optimizer = critic_optimizer
        self.vocoder_frames = vocoder_frames
        self.trained_instruments = TrainedInstruments(
            self.instruments, "A MelGAN translation", only_one=False
        )

    # ------------------------------------------------------------------------------------------ training

    def configure_optimizers(self) -> list[Optimizer]:
        """The vocoder's two, the translator's with the siamese network, the critic's."""
        learners = [*self.translator.parameters(), *self.siamese.parameters()]
        return [
            *super().configure_optimizers(),
            self.translator_optimizer(learners),
            self.critic_optimizer(self.critic.parameters()),
        ]

    def training_step(self, batch: TransferBatch, batch_idx: int) -> None:
        """Turns of the vocoder's two players, of the critic, and at times of the translator."""
        if not (batches := self.batches_of_step(batch)):
            return
        generator, discriminator, translator, critic = self.optimizers()  # type: ignore[attr-defined]
        if any(parameter.requires_grad for parameter in self.network.parameters()):
            self.vocoder_turns(batches, generator, discriminator)
        if any(vars(self.style_loss_weights).values()):
            self._style_turns(batches, translator, critic)

    def recordings(self, batch: TransferBatch) -> Tensor:
        """The beginnings of both sides: their clips are longer than a vocoder needs to hear at once."""
        return super().recordings(batch)[:, : self.vocoder_frames * self.mel.hop]

    def _style_turns(
        self, batches: Sequence[TransferBatch], translator: LightningOptimizer, critic: LightningOptimizer
    ) -> None:
        for batch in batches:
            self.trained_instruments.observe(batch.target_instrument)
        attempts = Attempts(self.domains, batches)
        take_turn(self, critic, attempts.judge(self._critic_loss))
        n_steps = self.trainer.fit_loop.total_batch_idx // self.stepping.n_batches
        if n_steps % self.critic_turns == 0:
            take_turn(self, translator, attempts.learn(self._translator_loss))

    def domains(self, batch: TransferBatch) -> Domains:
        """Sources, their translations and references, in the one order that both players are shown."""
        source, target = (self._clips(audio) for audio in (batch.source, batch.reference))
        return Domains(source, join(self.translator(split(source))), target)

    def _clips(self, audio: Tensor) -> Tensor:
        """Mel frames of as much of ``(B, T)`` as three chunks need."""
        n_frames = N_CHUNKS * self.siamese.chunk_frames
        n_samples = n_frames * self.mel.hop
        if audio.shape[-1] < n_samples:
            raise NetworkSizeError(
                f"A clip of three chunks of siamese.chunk_frames {self.siamese.chunk_frames} is {n_samples} "
                f"samples long, but the training segments have {audio.shape[-1]}: set segment_s and "
                f"reference_s to {n_samples / self.sample_rate:.4f} at least."
            )
        return self.mel(audio[:, :n_samples], self.sample_rate)

    def _critic_loss(self, domains: Domains) -> Tensor:
        real, fake = self.critic(domains.target), self.critic(domains.translated.detach())
        loss = self.adversarial_loss.discriminator([real], [fake])
        self.log("train/critic", loss)
        return loss

    def _translator_loss(self, domains: Domains) -> Tensor:
        terms = self.style_terms(domains)
        self.log_dict({f"train/{name}": value for name, value in terms.items()})
        return weighted_sum(terms, self.style_loss_weights)

    def style_terms(self, domains: Domains) -> dict[str, Tensor]:
        """Every term of `StyleLossWeights`, unweighted."""
        before, after = (
            self.siamese(split(mel)).unflatten(0, (-1, N_CHUNKS))
            for mel in (domains.source, domains.translated)
        )
        return {
            "style_adversarial": self.adversarial_loss.generator([self.critic(domains.translated)]),
            "travel": travel(before, after),
            "margin": margin(before),
            "identity": l1_loss(join(self.translator(split(domains.target))), domains.target),
        }

    def validation_step(self, batch: TransferBatch, batch_idx: int) -> Tensor:
        """Measure the transfer, and what the translator changes in frames of either domain."""
        preds = super().validation_step(batch, batch_idx)
        for side, audio in (("source", batch.source), ("target", batch.reference)):
            frames = self.mel(audio, self.sample_rate)
            change = l1_loss(self.translator(frames), frames)
            self.log(f"val/change_of_{side}", change, batch_size=len(audio), sync_dist=True)
        return preds

    # ----------------------------------------------------------------------------------------- inference

    def transfer(
        self,
        source: Tensor,
        reference: Tensor | None = None,
        target_instrument: Tensor | None = None,
    ) -> Tensor:
        """Translate ``source`` into the domain this model was trained for; the reference is not used.

        See `TimbreTransferModule.transfer`. The translator is a convolution: it sees the whole at once, and
        there are no chunks to join.
        """
        self.trained_instruments.require(target_instrument)
        translated = self.translator(self.mel(source, self.sample_rate))
        return self.vocoded(translated, source.shape[-1])
