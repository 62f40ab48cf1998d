"""The disentangled model as a timbre transfer: the content of one recording with the style of another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, distributed
from torch.nn.functional import layer_norm, pad

from datamodules.batch import TransferBatch
from datamodules.corpora.corpus import CorpusError
from datamodules.features.spectrum_statistics import UNIFIED, StatisticsCache
from lightning_modules.adversarial_module import AdversarialModule
from lightning_modules.disentangled import losses
from lightning_modules.disentangled.discriminator import InstrumentDiscriminator
from lightning_modules.disentangled.losses import LossWeights
from lightning_modules.disentangled.network import ContentEncoder, Decoder, StyleEncoder
from lightning_modules.disentangled.spectra import Normalisation, Representation, parts
from lightning_modules.layers.dsp.slices import in_slices, whole_slices
from lightning_modules.layers.dsp.spectral import mel_filters
from lightning_modules.layers.loss_weights import weighted_sum
from lightning_modules.layers.network_size import NetworkSizeError

N_MELS = 64


class Embeddings(NamedTuple):
    """The embeddings of ``S`` slices of recordings."""

    content: Tensor
    """``(S, M, E)``."""
    styles: Tensor
    """``(S, E)``."""
    classes: Tensor
    """``(S,)`` long, the instruments."""


class Forward(NamedTuple):
    """Levels ``(…, F, N)`` that the decoder gives, beside those that it should give."""

    embeddings: Embeddings
    """Of sources, then of targets or, where data is unpaired, of references."""
    rebuilt: Tensor
    levels: Tensor
    """Of every slice from its own content and style, and what they are."""
    transferred: Tensor
    target_levels: Tensor
    """From a source's content and the style of a reference; no examples where data is unpaired."""


def views_of(content: Tensor) -> list[Tensor]:
    """The parts of content that must not tell the instrument: means ``(S, E)``, patches ``(S · M, E)``."""
    return [content.mean(1), content.flatten(0, 1)]


def in_noise(audio: Tensor, snr_range_db: tuple[float, float]) -> Tensor:
    """Add white noise to each of ``(S, T)``, as much softer than the audio as a draw from the range says."""
    snr_db = torch.empty(len(audio), 1, device=audio.device).uniform_(*snr_range_db)
    level = audio.square().mean(-1, keepdim=True).sqrt() * 10 ** (-snr_db / 20)
    return audio + level * torch.randn_like(audio)


class DisentangledModule(AdversarialModule[Forward]):
    """Encodes what is played and how it sounds by themselves, and decodes one recording's with another's.

    Learns from pairs (`OneShotDataModule`), unpaired recordings (`UnpairedDataModule`) or single ones
    (`SelfReferenceData`). The output has the decoder's magnitudes and the source's phase: the target's is in
    neither source nor reference (docs/disentangled.md). The phase joins the finished magnitudes; no network
    sees it on the way.

    Args:
        style_encoder: how it sounds.
        content_encoder: what is played.
        decoder: both → levels.
        sample_rate: in Hz.
        instruments: names behind instrument ids.
        representation: audio → complex spectra.
        slice_frames: frames of a slice, a multiple of the patches; training segments should be as long, plus
            a window.
        overlap_frames: frames that neighbouring slices share in a transfer, less than half of them.
        discriminator_hidden: widths inside the discriminator.
        memory: share of a class embedding that a batch leaves as it was, in [0, 1).
        snr_range_db: smallest and largest signal-to-noise ratio of what the encoders hear in training, in dB,
            because recordings have noise; ``None`` adds none.
        clip_norm: gradients are scaled down to this norm.
        loss_weights: weight of each term of encoders and decoder.
        generator_optimizer: of encoders and decoder.
        discriminator_optimizer: of the discriminator.
    """

    discriminator: InstrumentDiscriminator
    loss_weights: LossWeights
    takes_reference = True
    discriminator_first = False
    class_embeddings: Tensor
    known: Tensor
    mel_filters: Tensor

    def __init__(
        self,
        style_encoder: StyleEncoder,
        content_encoder: ContentEncoder,
        decoder: Decoder,
        sample_rate: int = 22_050,
        instruments: Sequence[str] = (),
        representation: Representation | None = None,
        slice_frames: int = 288,
        overlap_frames: int = 72,
        discriminator_hidden: Sequence[int] = (128, 128),
        memory: float = 0.95,
        snr_range_db: tuple[float, float] | None = (10.0, 60.0),
        clip_norm: float = 0.5,
        loss_weights: LossWeights = LossWeights(),  # noqa: B008 (copied)
        generator_optimizer: OptimizerCallable = torch.optim.AdamW,
        discriminator_optimizer: OptimizerCallable = torch.optim.AdamW,
    ) -> None:
        super().__init__(sample_rate, instruments, loss_weights, generator_optimizer, discriminator_optimizer)
        self.representation = representation or Representation()
        self.style_encoder, self.content_encoder, self.decoder = style_encoder, content_encoder, decoder
        self._require_fitting_sizes(slice_frames, overlap_frames)
        self.slice_samples = self.representation.n_samples(slice_frames)
        self.overlap_samples = overlap_frames * self.representation.hop
        size = style_encoder.size
        self.discriminator = InstrumentDiscriminator(size, len(self.instruments), discriminator_hidden)
        self.normalisation = Normalisation(self.representation.n_bins)
        self.memory, self.snr_range_db = memory, snr_range_db
        self.generator_max_norm = self.discriminator_max_norm = clip_norm
        self.register_buffer("class_embeddings", torch.zeros(len(self.instruments), size))
        self.register_buffer("known", torch.zeros(len(self.instruments), dtype=torch.bool))
        filters = mel_filters(sample_rate, self.representation.n_fft, N_MELS, mel_scale="htk")
        self.register_buffer("mel_filters", (filters / filters.sum(0).clamp(min=1e-9)).T, persistent=False)

    # -------------------------------------------------------------------------------------- normalisation

    def prepare_data(self) -> None:
        """Measure the training split, once; see `TimbreTransferModule.prepare_data`."""
        super().prepare_data()
        cache = self._statistics()
        if cache is not None:
            cache.build()

    def setup(self, stage: str) -> None:
        """Normalise by the training split's statistics over all instruments."""
        cache = self._statistics() if stage == "fit" else None
        if cache is not None:
            self.normalisation.adopt(cache.read()[UNIFIED])

    def _statistics(self) -> StatisticsCache | None:
        corpus = self.corpus
        return StatisticsCache(corpus, self.representation.name, self._parts) if corpus else None

    def _parts(self, audio: Tensor) -> Tensor:
        """``(1, T)`` → ``(1, 2, K, N)``, of the CPU's audio."""
        context = self.representation.context
        return parts(self.representation.analyse(pad(audio, (context, context)), self.sample_rate))

    # ------------------------------------------------------------------------------------------ training

    def forward_batch(self, batch: TransferBatch) -> Forward:
        """Rebuild every whole slice of the batch and, where there are targets, transfer the sources.

        In training the encoders hear the slices in noise, and the decoder is to play them without it.
        """
        paired = batch.target is not None
        sources = self.whole_slices(batch.source)
        others = self.whole_slices(batch.reference if batch.target is None else batch.target)
        classes = torch.cat([
            batch.source_instrument.repeat_interleave(len(sources) // len(batch.source)),
            batch.target_instrument.repeat_interleave(len(others) // len(batch.source)),
        ])  # fmt: skip
        slices = torch.cat([sources, others])
        embeddings = self.embed(self._heard(slices), classes)
        levels = self.normalisation.level(self.representation.fourier(slices).abs())
        content, styles = embeddings.content, embeddings.styles
        rebuilt = self._decoded(content, styles, levels)
        n_pairs = len(sources) if paired else 0
        wanted = styles[len(sources) :][:n_pairs]
        if paired and batch.reference.shape[-1]:
            wanted = self.style(batch.reference).repeat_interleave(len(sources) // len(batch.source), 0)
        target_levels = levels[len(sources) :][:n_pairs]
        transferred = self._decoded(content[:n_pairs], wanted, target_levels)
        if self.training:
            self._remember(embeddings)
        return Forward(embeddings, rebuilt, levels, transferred, target_levels)

    def _heard(self, slices: Tensor) -> Tensor:
        if not self.training or self.snr_range_db is None:
            return slices
        return in_noise(slices, self.snr_range_db)

    def embed(self, slices: Tensor, classes: Tensor) -> Embeddings:
        """Style and content of slices with context, see `whole_slices`."""
        normalised = self.normalisation(self.representation.analyse(slices, self.sample_rate))
        return Embeddings(self.content_encoder(normalised), self.style_encoder(normalised), classes)

    def style(self, recording: Tensor) -> Tensor:
        """The mean style of a recording's slices, as long as those of training: ``(B, T)`` → ``(B, E)``."""
        slices = self.whole_slices(recording)
        spectra = self.representation.analyse(slices, self.sample_rate)
        styles = self.style_encoder(self.normalisation(spectra)).unflatten(0, (len(recording), -1)).mean(1)
        return layer_norm(styles, styles.shape[-1:])

    def generator_terms(self, forward: Forward) -> dict[str, Tensor]:
        """Compute every term of `LossWeights`, unweighted; ``transfer`` only of pairs."""
        content, styles, classes = (self._of_all_processes(part) for part in forward.embeddings)
        views = views_of(content)
        told = [losses.instrument_confusion(self.discriminator(view), self.known) for view in views]
        dependence = [losses.hsic(styles.repeat_interleave(len(v) // len(styles), 0), v) for v in views]
        return {
            **self._spectral_terms(forward.rebuilt, forward.levels),
            **self._transfer_term(forward),
            "hsic": torch.stack(dependence).mean(),
            "info_nce": losses.info_nce(styles, classes),
            "margin": losses.margin(styles, classes),
            "adversarial": losses.instrument_cross_entropy(self.discriminator(styles), classes, self.known)
            + torch.stack(told).mean(),
        }

    def _transfer_term(self, forward: Forward) -> dict[str, Tensor]:
        if not len(forward.transferred):
            return {}
        terms = self._spectral_terms(forward.transferred, forward.target_levels)
        return {"transfer": weighted_sum(terms, self.loss_weights)}

    def discriminator_terms(self, forward: Forward) -> dict[str, Tensor]:
        """Compute the discriminator's loss: how well it names the instrument from style and from content."""
        content, styles, classes = forward.embeddings
        of_style = losses.instrument_cross_entropy(self.discriminator(styles.detach()), classes, self.known)
        of_mean, of_patches = (
            losses.instrument_cross_entropy(
                self.discriminator(view), classes.repeat_interleave(len(view) // len(classes)), self.known
            )
            for view in views_of(content.detach())
        )
        return {
            "discriminator": of_style + (of_mean + of_patches) / 2,
            "naming_of_style": of_style,
            "naming_of_content": of_mean,
            "naming_of_patches": of_patches,
        }

    def _spectral_terms(self, preds: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The terms that compare levels ``(S, F, N)``."""
        a, b = self.normalisation.magnitude(preds), self.normalisation.magnitude(target)
        return {
            "level": (preds - target).abs().mean(),
            "temporal": losses.temporal_difference(preds, target),
            "spectral": losses.spectral_difference(preds, target),
            "perceptual": losses.perceptual_distance(a, b, self.mel_filters),
            "convergence": losses.spectral_convergence(a, b),
        }

    @torch.no_grad()
    def _remember(self, embeddings: Embeddings) -> None:
        """Let a class' embedding, which plays where there is no reference, follow the mean of its styles."""
        styles, classes = (self._of_all_processes(part) for part in (embeddings.styles, embeddings.classes))
        for c in classes.unique():
            kept = self.memory * self.known[c]
            self.class_embeddings[c].lerp_(styles[classes == c].mean(0), 1 - float(kept))
            self.known[c] = True

    def _of_all_processes(self, part: Tensor) -> Tensor:
        """Gather a part of the embeddings from all processes, with gradients, so that losses compare all."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return part
        gathered = self.all_gather(part, sync_grads=part.requires_grad)
        return gathered.flatten(0, 1)  # type: ignore[union-attr]

    # ----------------------------------------------------------------------------------------- inference

    def transfer(
        self,
        source: Tensor,
        reference: Tensor | None = None,
        target_instrument: Tensor | None = None,
    ) -> Tensor:
        """Play the content of ``source`` in the style of ``reference``, or of the class where there is none.

        See `TimbreTransferModule.transfer`.
        """
        style = self._wanted_style(reference, target_instrument)
        return in_slices(
            lambda part: self._played(part, style),
            source,
            self.slice_samples,
            self.overlap_samples,
            self.representation.context,
        )

    def _played(self, part: Tensor, style: Tensor) -> Tensor:
        """Play a slice with its context in a style, patch by patch; gives the slice without context."""
        spectra = self.representation.analyse(part, self.sample_rate)
        content = self.content_encoder(self.normalisation(spectra))
        magnitude = self.normalisation.magnitude(self.decoder.generate(content, style.expand(len(part), -1)))
        fourier = spectra[:, : self.representation.n_fourier_bins]
        return self.representation.synthesise(torch.polar(magnitude, fourier.angle()))

    def _wanted_style(self, reference: Tensor | None, target_instrument: Tensor | None) -> Tensor:
        if reference is not None and reference.shape[-1]:
            return self.style(reference)
        if target_instrument is None:
            raise CorpusError(
                "The disentangled model plays what a reference plays, or an instrument of its training: give "
                "one of them."
            )
        unknown = [self.instruments[i] for i in target_instrument.unique() if not self.known[i]]
        if unknown:
            names = ", ".join(name for name, known in zip(self.instruments, self.known, strict=True) if known)
            raise CorpusError(
                f"This model was trained on {names} and has not heard {', '.join(unknown)}: give a reference "
                "of it."
            )
        return layer_norm(self.class_embeddings[target_instrument], self.class_embeddings.shape[-1:])

    def _decoded(self, content: Tensor, styles: Tensor, levels: Tensor) -> Tensor:
        """Decode with the true past in training, and with the decoder's own past otherwise."""
        if self.training:
            return self.decoder(content, styles, levels)
        return self.decoder.generate(content, styles)

    def whole_slices(self, audio: Tensor) -> Tensor:
        """Slices of ``(B, T)`` with context, as long as those of a transfer: `layers.slices.whole_slices`."""
        return whole_slices(audio, self.slice_samples, self.representation.context)

    # ----------------------------------------------------------------------- requests that cannot be met

    def _require_fitting_sizes(self, slice_frames: int, overlap_frames: int) -> None:
        patch = self.decoder.patch_frames
        if slice_frames % patch or {
            self.content_encoder.patch_frames,
            self.style_encoder.patch_frames,
        } != {patch}:
            raise NetworkSizeError(
                f"slice_frames ({slice_frames}) must be a multiple of patch_frames, which must be the same "
                f"for both encoders and the decoder ({patch})."
            )
        if not 0 <= 2 * overlap_frames < slice_frames:
            raise NetworkSizeError(
                f"model.init_args.overlap_frames must be below half of slice_frames ({slice_frames}), found "
                f"{overlap_frames}."
            )
