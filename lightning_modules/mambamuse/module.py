"""MambaMuse as a timbre transfer: one network for every instrument that a reference can show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor

from datamodules.batch import TransferBatch
from datamodules.corpora.corpus import CorpusError
from lightning_modules.adversarial_module import AdversarialModule
from lightning_modules.layers.adversarial import AdversarialLoss, LeastSquaresLoss
from lightning_modules.layers.dsp.spectral import mr_stft_loss
from lightning_modules.layers.network_size import NetworkSizeError
from lightning_modules.mambamuse.discriminators import HiFiGANDiscriminator
from lightning_modules.mambamuse.losses import LossWeights, mel_distance
from lightning_modules.mambamuse.network import StyleStrengths, UNet
from lightning_modules.mambamuse.stream import Stream


class Forward(NamedTuple):
    """Audio ``(B, T)``: what the network makes of the sources of a batch, and the targets."""

    preds: Tensor
    target: Tensor


class MambaMuseModule(AdversarialModule[Forward]):
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

    loss_weights: LossWeights
    adaptation: StyleStrengths
    takes_reference = averages_references = True
    generator_max_norm, discriminator_max_norm = 3.0, 2.0  # the document's

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
        super().__init__(sample_rate, instruments, loss_weights, generator_optimizer, discriminator_optimizer)
        self.adversarial_loss = adversarial_loss or LeastSquaresLoss()
        self.network = network
        self.discriminator = discriminator
        self.adaptation = replace(strengths)
        self.segment_share = segment_share

    # ------------------------------------------------------------------------------------------ training

    @property
    def is_judged(self) -> bool:
        """See `AdversarialModule.is_judged`."""
        return self.loss_weights.adversarial > 0

    def forward_batch(self, batch: TransferBatch) -> Forward:
        """Transfer the beginnings of the batch's sources: `segment_share` of them."""
        target = self.targets_of(batch)
        n_samples = max(1, round(self.segment_share * target.shape[-1]))
        preds = self.transfer(batch.source[:, :n_samples], batch.reference)
        return Forward(preds, target[:, :n_samples])

    def generator_terms(self, forward: Forward) -> dict[str, Tensor]:
        """Compute every term of `LossWeights`, unweighted; the discriminator's only while it learns."""
        preds, target = forward
        terms = {"mel": mel_distance(preds, target, self.sample_rate), "stft": mr_stft_loss(preds, target)}
        if self.discriminator is not None and self.is_judged:
            terms["adversarial"] = self.adversarial_loss.generator(self.discriminator(preds))
        return terms

    def discriminator_terms(self, forward: Forward) -> dict[str, Tensor]:
        """Compute the discriminator's loss."""
        assert self.discriminator is not None  # else it has no turn
        real, fake = self.discriminator(forward.target), self.discriminator(forward.preds.detach())
        return {"discriminator": self.adversarial_loss.discriminator(real, fake)}

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
                "train with datamodules.OneShotDataModule."
            )
        return references
