"""Unpaired style transfer: mel frames translated from one domain to another, then vocoded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor
from torch.nn.functional import l1_loss

from datamodules.batch import TransferBatch
from lightning_modules.adversarial_module import Game, Player, with_total
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

    def games(self) -> list[Game[Any]]:
        """The vocoder's game, unless it is frozen, and the translator's, once a term of it has a weight."""
        translator = Player[Domains](
            "translator",
            lambda: [*self.translator.parameters(), *self.siamese.parameters()],
            self.translator_optimizer,
            lambda domains: with_total("translator", self.translator_terms(domains), self.style_loss_weights),
            every=self.critic_turns,
        )
        critic = Player[Domains]("critic", self.critic.parameters, self.critic_optimizer, self.critic_terms)
        [vocoder] = super().games()
        return [
            replace(vocoder, is_on=any(parameter.requires_grad for parameter in self.network.parameters())),
            Game(self.domains, translator, critic, is_on=any(vars(self.style_loss_weights).values())),
        ]

    def recordings(self, batch: TransferBatch) -> Tensor:
        """The beginnings of both sides: their clips are longer than a vocoder needs to hear at once."""
        return super().recordings(batch)[:, : self.vocoder_frames * self.mel.hop]

    def domains(self, batch: TransferBatch) -> Domains:
        """Sources, their translations and references, in the one order that both players are shown."""
        if self.training:
            self.trained_instruments.observe(batch.target_instrument)
        source, target = (self._clips(audio) for audio in (batch.source, batch.reference))
        return Domains(source, join(self.translator(split(source))), target)

    def _clips(self, audio: Tensor) -> Tensor:
        """Mel frames of as much of ``(B, T)`` as three chunks need."""
        n_frames = N_CHUNKS * self.siamese.chunk_frames
        n_samples = n_frames * self.mel.hop
        if audio.shape[-1] < n_samples:
            raise NetworkSizeError(
                f"A clip of three chunks of siamese.chunk_frames {self.siamese.chunk_frames} is {n_samples} "
                f"samples long, but a clip of this batch has {audio.shape[-1]}: set segment_s, "
                f"reference_s and val_clip_s to {n_samples / self.sample_rate:.4f} at least."
            )
        return self.mel(audio[:, :n_samples], self.sample_rate)

    def critic_terms(self, domains: Domains) -> dict[str, Tensor]:
        """Compute the critic's loss, called ``critic``."""
        real, fake = self.critic(domains.target), self.critic(domains.translated.detach())
        return {"critic": self.adversarial_loss.discriminator([real], [fake])}

    def translator_terms(self, domains: Domains) -> dict[str, Tensor]:
        """Compute every term of `StyleLossWeights`, unweighted."""
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

    def measures(self, batch: TransferBatch, preds: Tensor) -> dict[str, Tensor]:
        """Measure the cost of vocoding, and what the translator changes in frames of either domain."""
        changes = {}
        for side, audio in (("source", batch.source), ("target", batch.reference)):
            frames = self.mel(audio, self.sample_rate)
            changes[f"change_of_{side}"] = l1_loss(self.translator(frames), frames)
        return super().measures(batch, preds) | changes

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
