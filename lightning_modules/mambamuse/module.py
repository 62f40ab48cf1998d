"""MambaMuse as a timbre transfer: one network for every instrument that a reference can show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor
from torch.optim import Optimizer

from datamodules.batch import TransferBatch
from datamodules.corpora.corpus import CorpusError
from lightning_modules.adversarial_module import Attempts, take_turn
from lightning_modules.layers.adversarial import AdversarialLoss, LeastSquaresLoss
from lightning_modules.layers.dsp.spectral import mr_stft
from lightning_modules.layers.loss_weights import weighted_sum
from lightning_modules.layers.network_size import NetworkSizeError
from lightning_modules.mambamuse.discriminators import HiFiGANDiscriminator
from lightning_modules.mambamuse.losses import LossWeights, mel_distance
from lightning_modules.mambamuse.network import StyleStrengths, UNet
from lightning_modules.mambamuse.stream import Stream
from lightning_modules.transfer_module import TimbreTransferModule

MAX_NORM = {"generator": 3.0, "discriminator": 2.0}
"""Gradients of either player are scaled down to this (the document's)."""


class Attempt(NamedTuple):
    """Audio ``(B, T)``: what the network makes of the sources of a batch, and the answers."""

    preds: Tensor
    target: Tensor


class MambaMuseModule(TimbreTransferModule):
    """Plays a source as a reference sounds, also one of an instrument it never heard.

    Trained on `OneShotDataModule`: on pairs, with a reference of another piece on the target's instrument;
    on recordings, to undo a change of timbre, with a reference from elsewhere in the recording.

    Args:
        network: source and reference → audio.
        discriminator: tells real audio from the network's; without one it learns from spectra alone.
        sample_rate: in Hz.
        instruments: names behind instrument ids; it makes no difference between them.
        strengths: how much of the reference each place takes on, in training and after it.
        adversarial_loss: the game of network and discriminator.
        loss_weights: weight of each term of the network.
        segment_share: how much of each training segment is used, in (0, 1]: a curriculum may begin with
            short segments.
        generator_optimizer: of the network.
        discriminator_optimizer: of the discriminator.
    """

    averages_references = True

    def __init__(
        self,
        network: UNet,
        discriminator: HiFiGANDiscriminator | None = None,
        sample_rate: int = 16_000,
        instruments: Sequence[str] = (),
        strengths: StyleStrengths = StyleStrengths(),  # noqa: B008 (copied below)
        adversarial_loss: AdversarialLoss | None = None,
        loss_weights: LossWeights = LossWeights(),  # noqa: B008 (copied below)
        segment_share: float = 1.0,
        generator_optimizer: OptimizerCallable = torch.optim.AdamW,
        discriminator_optimizer: OptimizerCallable = torch.optim.AdamW,
    ) -> None:
        super().__init__(sample_rate, instruments)
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.network = network
        self.discriminator = discriminator
        self.adaptation: StyleStrengths = replace(strengths)
        self.adversarial_loss = adversarial_loss or LeastSquaresLoss()
        self.loss_weights = replace(loss_weights)
        self.segment_share = segment_share
        self.generator_optimizer = generator_optimizer
        self.discriminator_optimizer = discriminator_optimizer

    # ------------------------------------------------------------------------------------------ training

    def configure_optimizers(self) -> list[Optimizer]:
        """One for each player."""
        generator = self.generator_optimizer(self.network.parameters())
        if self.discriminator is None:
            return [generator]
        return [generator, self.discriminator_optimizer(self.discriminator.parameters())]

    def training_step(self, batch: TransferBatch, batch_idx: int) -> None:
        """The discriminator's turn, then the network's, on the same audio."""
        if not (batches := self.batches_of_step(batch)):
            return
        attempts = Attempts(self.attempt, batches)
        optimizers = self.optimizers()
        generator, *judge = optimizers if isinstance(optimizers, list) else [optimizers]
        if judge and self.loss_weights.adversarial:
            take_turn(self, judge[0], attempts.judge(self._discriminator_loss), MAX_NORM["discriminator"])
        take_turn(self, generator, attempts.learn(self._generator_loss), MAX_NORM["generator"])

    def attempt(self, batch: TransferBatch) -> Attempt:
        """Transfer the beginnings of the batch's sources: `segment_share` of them."""
        n_samples = max(1, round(self.segment_share * batch.source.shape[-1]))
        source, target = batch.source[:, :n_samples], self._target(batch)[:, :n_samples]
        return Attempt(self.transfer(source, batch.reference), target)

    def generator_terms(self, preds: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Every term of the network's loss, unweighted; the discriminator's only once it has a say."""
        terms = {
            "mel": mel_distance(preds, target, self.sample_rate),
            "mr_stft": mr_stft(preds, target),
        }
        if self.discriminator is not None and self.loss_weights.adversarial:
            terms["adversarial"] = self.adversarial_loss.generator(self.discriminator(preds))
        return terms

    def _generator_loss(self, attempt: Attempt) -> Tensor:
        terms = self.generator_terms(*attempt)
        self.log_dict({f"train/{name}": value for name, value in terms.items()})
        return weighted_sum(terms, self.loss_weights)

    def _discriminator_loss(self, attempt: Attempt) -> Tensor:
        assert self.discriminator is not None  # who has none has no optimizer for it
        real, fake = self.discriminator(attempt.target), self.discriminator(attempt.preds.detach())
        loss = self.adversarial_loss.discriminator(real, fake)
        self.log("train/discriminator", loss)
        return loss

    @staticmethod
    def _target(batch: TransferBatch) -> Tensor:
        if batch.target is None:
            raise CorpusError(
                "MambaMuse learns from answers, and this batch has none: use "
                "datamodules.data_module.OneShotDataModule, which makes them of recordings, too."
            )
        return batch.target

    # ----------------------------------------------------------------------------------------- inference

    def transfer(
        self,
        source: Tensor,
        reference: Tensor | Sequence[Tensor] | None = None,
        target_instrument: Tensor | None = None,
    ) -> Tensor:
        """Give ``source`` the timbre of ``reference``; the instrument's name is not used.

        See `TimbreTransferModule.transfer`. There may be several references, of different lengths.
        """
        style = self.network.style(self._required(reference))
        whole = self.network.whole_strides(source)
        return self.network(whole, style, self.adaptation)[:, : source.shape[-1]]

    def stream(self, reference: Tensor | Sequence[Tensor]) -> Stream:
        """A transfer of audio as it comes; its output is the one of `transfer`, ``Stream.latency`` later.

        Args:
            reference: ``(B, R)``, or several; what the stream shall sound like.
        """
        if not self.network.causal:
            raise NetworkSizeError(
                "This MambaMuse looks ahead and cannot transfer a stream: use a checkpoint of "
                "mambamuse_causal, or set model.init_args.network.init_args.causal and train anew."
            )
        with torch.inference_mode():
            style = self.network.style(self._required(reference))
        return Stream(self.network, style, self.adaptation)

    @staticmethod
    def _required(reference: Tensor | Sequence[Tensor] | None) -> Sequence[Tensor]:
        references = [reference] if isinstance(reference, Tensor) else list(reference or ())
        if not references or any(one.shape[-1] == 0 for one in references):
            raise CorpusError(
                "MambaMuse plays what a reference plays, and there is none: transfer with --reference, and "
                "train with datamodules.data_module.OneShotDataModule."
            )
        return references
