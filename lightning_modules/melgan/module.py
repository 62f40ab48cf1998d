"""MelGAN's vocoder: mel frames of a recording back into its audio."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn
from torch.nn.functional import pad
from torchaudio.functional import highpass_biquad

from datamodules.batch import TransferBatch
from lightning_modules.adversarial_module import AdversarialModule
from lightning_modules.layers.adversarial import AdversarialLoss, HingeLoss, feature_matching
from lightning_modules.layers.dsp.spectral import mr_stft
from lightning_modules.layers.network_size import NetworkSizeError
from lightning_modules.layers.single_precision import in_float32
from lightning_modules.melgan.inference import Vocoding, vocode
from lightning_modules.melgan.losses import LossWeights
from lightning_modules.melgan.mel import LogMel
from lightning_modules.melgan.network import Generator, Judgement, MultiScaleDiscriminator

CHUNK_FRAMES = 512
"""Frames that a transfer generates at a time: about six seconds."""
LOWEST_HZ = 30.0
"""A transfer has nothing below this frequency, where there is no music."""


class Forward(NamedTuple):
    """Audio ``(B, T)``: a recording, and what the generator makes of its mel frames."""

    real: Tensor
    fake: Tensor


class MelGANModule(AdversarialModule[Any]):
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

    loss_weights: LossWeights

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
        super().__init__(sample_rate, instruments, loss_weights, generator_optimizer, discriminator_optimizer)
        self.adversarial_loss = adversarial_loss or HingeLoss()
        self.network = network
        self.discriminator = discriminator
        self.mel = mel or LogMel()
        self._require_fitting_mel()
        self.vocoding = vocoding or Vocoding()

    # ------------------------------------------------------------------------------------------ training

    @property
    def is_judged(self) -> bool:
        """See `AdversarialModule.is_judged`."""
        return bool(self.loss_weights.adversarial or self.loss_weights.feature_matching)

    def generator_parameters(self) -> Iterable[nn.Parameter]:
        """The parameters of the vocoder."""
        return self.network.parameters()

    def recordings(self, batch: TransferBatch) -> Tensor:
        """All audio of a batch ``(B', T)``, T whole frames: a vocoder learns from whatever it hears."""
        sides = [batch.source, batch.reference if batch.target is None else batch.target]
        n_samples = batch.source.shape[-1] // self.mel.hop * self.mel.hop
        return torch.cat([side[:, :n_samples] for side in sides if side.shape[-1] >= n_samples])

    def forward_batch(self, batch: TransferBatch) -> Forward:
        """Give all recordings of a batch back."""
        real = self.recordings(batch)
        return Forward(real, self.network(self.mel(real, self.sample_rate)))

    def generator_terms(self, forward: Forward) -> dict[str, Tensor]:
        """Compute every term of `LossWeights`, unweighted; the discriminator's only while it learns."""
        terms = {"stft": mr_stft(forward.fake, forward.real)}
        if self.is_judged:
            with torch.no_grad():
                of_real = self.discriminator(forward.real)
            of_fake = self.discriminator(forward.fake)
            terms["adversarial"] = self.adversarial_loss.generator(logits_of(of_fake))
            terms["feature_matching"] = feature_matching(features_of(of_real), features_of(of_fake))
        return terms

    def discriminator_terms(self, forward: Forward) -> dict[str, Tensor]:
        """Compute the discriminator's loss."""
        real, fake = (logits_of(self.discriminator(audio)) for audio in (forward.real, forward.fake.detach()))
        return {"discriminator": self.adversarial_loss.discriminator(real, fake)}

    def measures(self, batch: TransferBatch, preds: Tensor) -> dict[str, Tensor]:
        """Measure what vocoding alone costs: the distance of the source, given back, to itself."""
        source = batch.source
        given_back = self.vocoded(self.mel(source, self.sample_rate), source.shape[-1])
        return {"vocoder_mr_stft": mr_stft(given_back, source)}

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
    """The logits of each scale."""
    return [judgement.logits for judgement in judgements]


def features_of(judgements: Sequence[Judgement]) -> list[list[Tensor]]:
    """The features of each layer, of each scale."""
    return [judgement.features for judgement in judgements]
