"""Pix2Pix as a timbre transfer: learns from pairs of images, plays songs of any length in slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor
from torch.optim import Optimizer

from datamodules.batch import TransferBatch
from datamodules.corpora.corpus import CorpusError
from lightning_modules.adversarial_module import Attempts, take_turn
from lightning_modules.layers.adversarial import AdversarialLoss, CrossEntropyLoss
from lightning_modules.layers.dsp.slices import in_slices, whole_slices
from lightning_modules.layers.loss_weights import weighted_sum
from lightning_modules.layers.network_size import NetworkSizeError
from lightning_modules.layers.trained_instruments import TrainedInstruments
from lightning_modules.pix2pix.losses import (
    GeneratorTerms,
    LossWeights,
    mean_absolute_error,
    phase_distance,
)
from lightning_modules.pix2pix.network import PatchDiscriminator, UNet
from lightning_modules.pix2pix.phase import PhaseEstimator, SourcePhase
from lightning_modules.pix2pix.spectrogram import Spectrogram
from lightning_modules.pix2pix.translation import Attempt, Translator
from lightning_modules.transfer_module import TimbreTransferModule


class Pix2PixModule(TimbreTransferModule):
    """Translates magnitude spectrograms of one instrument into another's.

    Isola et al., arXiv 1611.07004, as in the Pix2Pix document. Trained on `PairedDataModule` or, conditioned
    on a reference, on `OneShotDataModule`.

    Args:
        network: the generator.
        discriminator: judges the generator's images; without one the L1 distance alone is trained on.
        sample_rate: in Hz.
        instruments: names behind instrument ids.
        spectrogram: how audio becomes images.
        phase: where the phase of the result comes from.
        conditioned: whether the generator also sees a reference, and so plays any instrument.
        slice_frames: frames that the networks see at a time, a multiple of 2 to the power of the generator's
            steps down; training segments should be as long, plus a window.
        overlap_frames: frames that neighbouring slices share in a transfer, less than half of them.
        adversarial_loss: the game of the two networks.
        loss_weights: weight of each term of the generator.
        generator_optimizer: of the generator, and of the phase's network.
        discriminator_optimizer: of the discriminator.
    """

    def __init__(
        self,
        network: UNet,
        discriminator: PatchDiscriminator | None = None,
        sample_rate: int = 44_100,
        instruments: Sequence[str] = (),
        spectrogram: Spectrogram | None = None,
        phase: PhaseEstimator | None = None,
        conditioned: bool = False,
        slice_frames: int = 256,
        overlap_frames: int = 64,
        adversarial_loss: AdversarialLoss | None = None,
        loss_weights: LossWeights = LossWeights(),  # noqa: B008 (copied below)
        generator_optimizer: OptimizerCallable = torch.optim.Adam,
        discriminator_optimizer: OptimizerCallable = torch.optim.Adam,
    ) -> None:
        super().__init__(sample_rate, instruments)
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.spectrogram = spectrogram or Spectrogram()
        self.conditioned = conditioned
        self.translator = Translator(network, phase or SourcePhase(), self.spectrogram, conditioned)
        self.discriminator = discriminator
        self._require_fitting_sizes(slice_frames, overlap_frames)
        self.slice_samples = self.spectrogram.n_samples(slice_frames)
        self.overlap_samples = overlap_frames * self.spectrogram.hop
        self.adversarial_loss = adversarial_loss or CrossEntropyLoss()
        self.loss_weights = replace(loss_weights)
        self.generator_optimizer = generator_optimizer
        self.discriminator_optimizer = discriminator_optimizer
        self.trained_instruments = TrainedInstruments(
            self.instruments, "A Pix2Pix model without a reference", only_one=not conditioned
        )

    @property
    def network(self) -> UNet:
        """The generator."""
        return self.translator.network

    # ------------------------------------------------------------------------------------------ training

    def configure_optimizers(self) -> list[Optimizer]:
        """One optimizer for the generator with the phase's network, one for the discriminator."""
        generator = self.generator_optimizer(self.translator.parameters())
        if self.discriminator is None:
            return [generator]
        return [generator, self.discriminator_optimizer(self.discriminator.parameters())]

    def training_step(self, batch: TransferBatch, batch_idx: int) -> None:
        """The generator's turn, then the discriminator's, on the same prediction."""
        self.trained_instruments.observe(batch.target_instrument)
        if not (batches := self.batches_of_step(batch)):
            return
        attempts = Attempts(self.attempt, batches)
        optimizers = self.optimizers()
        generator, *judge = optimizers if isinstance(optimizers, list) else [optimizers]
        take_turn(self, generator, attempts.learn(lambda a: self._generator_loss(a, "train")))
        if judge and self.loss_weights.adversarial > 0:
            take_turn(self, judge[0], attempts.judge(lambda a: self._discriminator_loss(a, "train")))

    def validation_step(self, batch: TransferBatch, batch_idx: int) -> Tensor:
        """Measure the transfer, and the losses of training."""
        preds = super().validation_step(batch, batch_idx)
        self._measure_losses(batch, preds, "val")
        return preds

    def test_step(self, batch: TransferBatch, batch_idx: int) -> Tensor:
        """Measure the transfer, and the losses of training."""
        preds = super().test_step(batch, batch_idx)
        self._measure_losses(batch, preds, "test")
        return preds

    def _measure_losses(self, batch: TransferBatch, preds: Tensor, stage: str) -> None:
        if batch.target is None:
            return
        attempt = self.attempt(batch)
        heard = self.spectrogram.image(self.spectrogram.analyse(self._whole_slices(preds)))
        audio_mae = mean_absolute_error(heard, attempt.target_image)
        self.log_terms(stage, {"audio_mae": audio_mae}, len(heard))
        self._generator_loss(attempt, stage)
        if self.discriminator is not None:
            self._discriminator_loss(attempt, stage)

    def attempt(self, batch: TransferBatch) -> Attempt:
        """Predict every whole slice of the batch."""
        if batch.target is None:
            raise CorpusError(
                "Pix2Pix learns from pairs, and this batch has no targets: choose a corpus that is rendered "
                "from scores, and PairedDataModule or OneShotDataModule."
            )
        source, target = (self._whole_slices(audio) for audio in (batch.source, batch.target))
        reference = self._required(batch.reference) if self.conditioned else None
        if reference is not None:
            reference = reference.repeat_interleave(len(source) // len(batch.source), 0)
        condition = self.translator.condition(source, reference)
        truth = self.spectrogram.analyse(target)
        return Attempt(condition, self.translator.predict(condition), truth, self.spectrogram.image(truth))

    def generator_terms(self, attempt: Attempt) -> GeneratorTerms:
        """Every term of the generator's loss."""
        image = attempt.prediction.image
        adversarial = image.new_zeros(())
        if self.discriminator is not None:
            logits = self.discriminator(attempt.condition.images, image)
            adversarial = self.adversarial_loss.generator(logits)
        return GeneratorTerms(
            mae=mean_absolute_error(image, attempt.target_image),
            adversarial=adversarial,
            phase=phase_distance(attempt.prediction.directions, attempt.target),
            heard=self._heard_error(attempt),
        )

    def _heard_error(self, attempt: Attempt) -> Tensor:
        edge, target = self.spectrogram.n_edge_frames, attempt.target_image
        heard = self.translator.heard(attempt.condition, attempt.prediction)
        return mean_absolute_error(heard, target[..., edge : target.shape[-1] - edge])

    def _generator_loss(self, attempt: Attempt, stage: str) -> Tensor:
        terms = self.generator_terms(attempt)
        loss = weighted_sum(terms._asdict(), self.loss_weights)
        source = attempt.condition.images[:, :1]
        beside = {"generator": loss, "copy_mae": mean_absolute_error(source, attempt.target_image)}
        self.log_terms(stage, {**terms._asdict(), **beside}, len(source))
        return loss

    def _discriminator_loss(self, attempt: Attempt, stage: str) -> Tensor:
        assert self.discriminator is not None  # who has none has no optimizer for it
        # Both sides are judged beside the same condition, in the order (condition, image).
        condition = attempt.condition.images
        real = self.discriminator(condition, attempt.target_image)
        fake = self.discriminator(condition, attempt.prediction.image.detach())
        loss = self.adversarial_loss.discriminator(real, fake)
        self.log_terms(stage, {"discriminator": loss}, len(condition))
        return loss

    def _whole_slices(self, audio: Tensor) -> Tensor:
        """Slices of ``(B, T)`` with context, as long as those of a transfer: `layers.slices.whole_slices`."""
        return whole_slices(audio, self.slice_samples, self.spectrogram.context)

    # ----------------------------------------------------------------------------------------- inference

    def transfer(
        self,
        source: Tensor,
        reference: Tensor | None = None,
        target_instrument: Tensor | None = None,
    ) -> Tensor:
        """Translate ``source``, in slices as long as those of the training.

        See `TimbreTransferModule.transfer`. A conditioned model plays what ``reference`` plays, any other the
        instrument it was trained on.
        """
        if not self.conditioned:
            self.trained_instruments.require(target_instrument)
        reference = self._required(reference) if self.conditioned else None
        return in_slices(
            lambda part: self.translator(part, reference),
            source,
            self.slice_samples,
            self.overlap_samples,
            self.spectrogram.context,
        )

    # ----------------------------------------------------------------------- requests that cannot be met

    @staticmethod
    def _required(reference: Tensor | None) -> Tensor:
        if reference is None or reference.shape[-1] == 0:
            raise CorpusError(
                "This Pix2Pix model plays what a reference plays, and there is none: transfer with "
                "--reference, and train with datamodules.data_module.OneShotDataModule."
            )
        return reference

    def _require_fitting_sizes(self, slice_frames: int, overlap_frames: int) -> None:
        needed = self.translator.n_conditions + 1
        if self.discriminator is not None and self.discriminator.in_channels != needed:
            raise NetworkSizeError(
                f"model.init_args.discriminator takes {self.discriminator.in_channels} images, but is given "
                f"{needed}: set its in_channels."
            )
        if not 0 <= 2 * overlap_frames < slice_frames:
            raise NetworkSizeError(
                f"model.init_args.overlap_frames must be below half of slice_frames ({slice_frames}), found "
                f"{overlap_frames}."
            )
