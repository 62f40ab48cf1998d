"""Pix2Pix as a timbre transfer: learns from pairs of images, plays songs of any length in slices."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor

from datamodules.batch import TransferBatch
from datamodules.corpora.corpus import CorpusError
from lightning_modules.adversarial_module import AdversarialModule
from lightning_modules.layers.adversarial import AdversarialLoss, CrossEntropyLoss
from lightning_modules.layers.dsp.slices import in_slices, whole_slices
from lightning_modules.layers.network_size import NetworkSizeError
from lightning_modules.layers.trained_instruments import TrainedInstruments
from lightning_modules.pix2pix.losses import LossWeights, mean_absolute_error, phase_distance
from lightning_modules.pix2pix.network import PatchDiscriminator, UNet
from lightning_modules.pix2pix.phase import PhaseEstimator, SourcePhase
from lightning_modules.pix2pix.spectrogram import Spectrogram
from lightning_modules.pix2pix.style import StyleEncoder
from lightning_modules.pix2pix.translation import Condition, Forward, Translator


class Pix2PixModule(AdversarialModule[Forward]):
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
        style_encoder: hears a reference, so that the generator plays any instrument; without one it plays
            the instrument of its training.
        slice_frames: frames that the networks see at a time, a multiple of 2 to the power of the generator's
            steps down; training segments should be as long, plus a window.
        overlap_frames: frames that neighbouring slices share in a transfer, less than half of them.
        adversarial_loss: the game of the two networks.
        loss_weights: weight of each term of the generator.
        generator_optimizer: of the generator, and of the phase's network.
        discriminator_optimizer: of the discriminator.
    """

    loss_weights: LossWeights
    discriminator_first = False

    def __init__(
        self,
        network: UNet,
        discriminator: PatchDiscriminator | None = None,
        sample_rate: int = 44_100,
        instruments: Sequence[str] = (),
        spectrogram: Spectrogram | None = None,
        phase: PhaseEstimator | None = None,
        style_encoder: StyleEncoder | None = None,
        slice_frames: int = 256,
        overlap_frames: int = 64,
        adversarial_loss: AdversarialLoss | None = None,
        loss_weights: LossWeights = LossWeights(),  # noqa: B008 (copied below)
        generator_optimizer: OptimizerCallable = torch.optim.Adam,
        discriminator_optimizer: OptimizerCallable = torch.optim.Adam,
    ) -> None:
        super().__init__(sample_rate, instruments, loss_weights, generator_optimizer, discriminator_optimizer)
        self.adversarial_loss = adversarial_loss or CrossEntropyLoss()
        self.spectrogram = spectrogram or Spectrogram()
        self.conditioned = self.takes_reference = style_encoder is not None
        self.translator = Translator(network, phase or SourcePhase(), self.spectrogram, style_encoder)
        self.discriminator = discriminator
        self._require_fitting_sizes(slice_frames, overlap_frames)
        self.slice_samples = self.spectrogram.n_samples(slice_frames)
        self.overlap_samples = overlap_frames * self.spectrogram.hop
        self.trained_instruments = TrainedInstruments(
            self.instruments, "A Pix2Pix model without a reference", only_one=not self.conditioned
        )

    @property
    def network(self) -> UNet:
        """The generator."""
        return self.translator.network

    # ------------------------------------------------------------------------------------------ training

    @property
    def is_judged(self) -> bool:
        """See `AdversarialModule.is_judged`."""
        return self.loss_weights.adversarial > 0

    def forward_batch(self, batch: TransferBatch) -> Forward:
        """Predict every whole slice of the batch."""
        source, target = (self._whole_slices(audio) for audio in (batch.source, self.targets_of(batch)))
        style = self._style(batch.reference)
        if style is not None:
            style = style.repeat_interleave(len(source) // len(batch.source), 0)
        if self.training:
            self.trained_instruments.observe(batch.target_instrument)
        condition = self.translator.condition(source, style)
        truth = self.spectrogram.analyse(target)
        return Forward(condition, self.translator.predict(condition), truth, self.spectrogram.image(truth))

    def generator_terms(self, forward: Forward) -> dict[str, Tensor]:
        """Compute every term of `LossWeights`, unweighted; without a discriminator, none of its judgement."""
        image, terms = forward.prediction.image, {}
        if self.discriminator is not None:
            terms["adversarial"] = self.adversarial_loss.generator(self._judged(forward.condition, image))
        return terms | {
            "mae": mean_absolute_error(image, forward.target_image),
            "phase": phase_distance(forward.prediction.directions, forward.target),
            "heard": self._heard_error(forward),
        }

    def discriminator_terms(self, forward: Forward) -> dict[str, Tensor]:
        """Compute the discriminator's loss: both images stand behind the same condition."""
        real = self._judged(forward.condition, forward.target_image)
        fake = self._judged(forward.condition, forward.prediction.image.detach())
        return {"discriminator": self.adversarial_loss.discriminator(real, fake)}

    def _judged(self, condition: Condition, image: Tensor) -> list[Tensor]:
        assert self.discriminator is not None  # else it has no turn
        style = None if condition.style is None else condition.style.detach()
        return self.discriminator(condition.image, image, style)

    def measures(self, batch: TransferBatch, preds: Tensor) -> dict[str, Tensor]:
        """Measure the error ``audio_mae`` of the finished audio's image, and ``copy_mae`` of the source's."""
        of_preds, of_source, of_target = (
            self.spectrogram.image(self.spectrogram.analyse(self._whole_slices(audio)))
            for audio in (preds, batch.source, self.targets_of(batch))
        )
        return {
            "audio_mae": mean_absolute_error(of_preds, of_target),
            "copy_mae": mean_absolute_error(of_source, of_target),
        }

    def _heard_error(self, forward: Forward) -> Tensor:
        edge, target = self.spectrogram.n_edge_frames, forward.target_image
        heard = self.translator.heard(forward.condition, forward.prediction)
        return mean_absolute_error(heard, target[..., edge : target.shape[-1] - edge])

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
        style = self._style(reference)
        return in_slices(
            lambda part: self.translator(part, style),
            source,
            self.slice_samples,
            self.overlap_samples,
            self.spectrogram.context,
        )

    # ----------------------------------------------------------------------- requests that cannot be met

    def _style(self, reference: Tensor | None) -> Tensor | None:
        """The style ``(B, E)`` of a reference; ``None`` for a model that plays one instrument."""
        if not self.conditioned:
            return None
        if reference is None or reference.shape[-1] == 0:
            raise CorpusError(
                "This Pix2Pix model plays what a reference plays, and there is none: transfer with "
                "--reference, and train with datamodules.OneShotDataModule."
            )
        return self.translator.style(reference)

    def _require_fitting_sizes(self, slice_frames: int, overlap_frames: int) -> None:
        judge, style_size = self.discriminator, self.network.style_size
        if judge is not None and (judge.in_channels, judge.style_size) != (2, style_size):
            raise NetworkSizeError(
                f"model.init_args.discriminator takes {judge.in_channels} images and a style of "
                f"{judge.style_size} numbers, but is given 2, the source's and the one to be judged, and "
                f"{style_size}: set its in_channels and style_size."
            )
        if not 0 <= 2 * overlap_frames < slice_frames:
            raise NetworkSizeError(
                f"model.init_args.overlap_frames must be below half of slice_frames ({slice_frames}), found "
                f"{overlap_frames}."
            )
