"""DDSP as a timbre transfer: features of any source, a network that knows one instrument, synthesizers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor
from torch.nn.functional import pad
from torch.optim import Optimizer

from datamodules.batch import FRAME_RATE_HZ, Features, TransferBatch
from datamodules.features.frames import loudness_db, n_frames
from datamodules.features.pitch import PestoTracker, PitchTracker
from lightning_modules.ddsp.adaptation import Adaptation, Conditioning, adapt, detect_notes, silence_gate
from lightning_modules.ddsp.additive import frame_phases
from lightning_modules.ddsp.articulation import Articulation
from lightning_modules.ddsp.filtered_noise import noise_between
from lightning_modules.ddsp.hop_grid import hop_samples, n_hops, on_hop_grid
from lightning_modules.ddsp.losses import LossWeights, SpectralLoss
from lightning_modules.ddsp.network import DDSPNetwork
from lightning_modules.ddsp.pitch_repair import repair_pitch
from lightning_modules.ddsp.statistics import TargetStatistics
from lightning_modules.ddsp.synthesizers import Synthesizer
from lightning_modules.layers.trained_instruments import TrainedInstruments
from lightning_modules.transfer_module import Part, TimbreTransferModule

SILENCE_AROUND_S = 0.2
"""Silence that is put before and after audio whose pitch is tracked: whole frames at all usual rates."""
EXTRACTED_S = 30
"""Seconds of a long source whose features are extracted at a time."""
MEMORY_FRAMES = 1100
"""Frames before a part that decide how it is played: the dilated decoder looks as far back, recurrent ones
have forgotten what was before."""
LATER_FRAMES = 16
"""Frames after a part that decide how it ends."""
ARTICULATION_RATE = 4.0
"""Learning rate of the articulation, as a multiple of the network's: 4e-3 against 1e-3 took the voiced frames
that it gets right on unseen tunes from 94.0 to 94.6 %."""


class DDSPModule(TimbreTransferModule):
    """Resynthesizes one instrument from f0 and loudness, and so plays any monophonic source on it.

    Engel et al., DDSP, arXiv 2001.04643; Carney et al., Tone Transfer, HAI-GEN 2021. Network and synthesizers
    are trained on features of the target instrument alone; an articulation, if there is one, also on those of
    other instruments that play the same pieces (`PairedFeatureDataModule`), where there are any.

    Args:
        sample_rate: in Hz.
        instruments: names behind instrument ids.
        network: f0 and loudness → raw controls.
        synthesizer: raw controls → audio.
        pitch_tracker: the one the training features were made with.
        articulation: how the instrument speaks the notes of another one; ``None`` plays them as they come.
        adaptation: how a source is fitted to the instrument.
        spectral_loss: what training compares.
        loss_weights: weight of each term.
        optimizer: of all parameters.
        noise_seed: seed of the noise at inference, so that equal sources give equal results.
    """

    loss_weights: LossWeights
    adaptation: Adaptation

    def __init__(
        self,
        network: DDSPNetwork,
        sample_rate: int = 16_000,
        instruments: Sequence[str] = (),
        synthesizer: Synthesizer | None = None,
        pitch_tracker: PitchTracker | None = None,
        articulation: Articulation | None = None,
        adaptation: Adaptation = Adaptation(),  # noqa: B008 (copied below)
        spectral_loss: SpectralLoss | None = None,
        loss_weights: LossWeights = LossWeights(),  # noqa: B008 (copied below)
        optimizer: OptimizerCallable = torch.optim.Adam,
        noise_seed: int = 0,
    ) -> None:
        super().__init__(sample_rate, instruments)
        self.loss_weights = replace(loss_weights)
        self.network = network
        self.synthesizer = synthesizer or Synthesizer()
        self.pitch_tracker = pitch_tracker or PestoTracker()
        self.articulation = articulation
        self.adaptation = replace(adaptation)
        self.spectral_loss = spectral_loss or SpectralLoss()
        self.optimizer = optimizer
        self.noise_seed = noise_seed
        self.statistics = TargetStatistics()
        self.trained_instruments = TrainedInstruments(self.instruments, "A DDSP model")

    # ------------------------------------------------------------------------------------------ training

    def configure_optimizers(self) -> Optimizer:
        """One optimizer for all; the articulation, small and on an easy loss, takes larger steps."""
        if self.articulation is None:
            return self.optimizer(self.parameters())
        articulation = list(self.articulation.parameters())
        others = [p for name, p in self.named_parameters() if not name.startswith("articulation.")]
        optimizer = self.optimizer([{"params": others}, {"params": articulation}])
        optimizer.param_groups[1]["lr"] *= ARTICULATION_RATE
        return optimizer

    def loss_terms(self, batch: TransferBatch) -> dict[str, Tensor]:
        """Resynthesize segments of the instrument from their own features, and compare.

        The articulation has terms where a batch holds pairs: the same notes played by another instrument.
        """
        target = batch.source if batch.target is None else batch.target
        features, source_features = self._features_of(batch)
        if self.training:
            self.statistics.update(features, detect_notes(features, self.adaptation))
            self.trained_instruments.observe(batch.target_instrument)
        preds = self.synthesize(self._own_conditioning(features), target.shape[-1])
        terms = self.spectral_loss(preds, target)._asdict()
        if self.articulation is not None and source_features is not None:
            terms |= self.articulation.terms(source_features, features)._asdict()
        return terms

    def _features_of(self, batch: TransferBatch) -> tuple[Features, Features | None]:
        """The target's features and, in pairs, the source's, extracted where the data module gave none."""
        if batch.features is not None:
            return batch.features, batch.source_features
        if batch.target is None:
            return self.extract(batch.source), None
        return self.extract(batch.target), self.extract(batch.source) if self.articulation else None

    def _own_conditioning(self, features: Features) -> Conditioning:
        """The instrument's own features, with the pitch repaired as in `adapt` and nothing else changed."""
        f0_hz = repair_pitch(features.f0_hz, features.f0_confidence, self.adaptation.voiced_confidence)
        return Conditioning(f0_hz, features.loudness_db, silence_gate(features.loudness_db))

    # ----------------------------------------------------------------------------------------- inference

    def transfer(
        self,
        source: Tensor,
        reference: Tensor | None = None,
        target_instrument: Tensor | None = None,
    ) -> Tensor:
        """Play the notes of ``source`` on the instrument this model was trained on.

        See `TimbreTransferModule.transfer`. ``reference`` is not used; ``target_instrument`` may only be the
        one trained on.
        """
        self.trained_instruments.require(target_instrument)
        if source.shape[-1] == 0:
            return source.clone()
        conditioning = self.condition(self.extract(source))
        return self.synthesize(conditioning, source.shape[-1], self.noise_seed)

    def long_transfer(
        self,
        source: Part,
        n_samples: int,
        reference: Tensor | None = None,
        target_instrument: Tensor | None = None,
    ) -> Part:
        """Adapt the features of the whole source to the instrument, and synthesize any part of them.

        See `TimbreTransferModule.long_transfer`. Parts have the phase and the noise of the whole, so that
        they agree where they overlap.
        """
        self.trained_instruments.require(target_instrument)
        features = self._extracted(source, n_samples)
        grid = self._on_hop_grid(self.condition(features), n_samples)
        phases = frame_phases(grid.f0_hz, hop_samples(self.sample_rate), self.sample_rate)
        return lambda start, stop: self._synthesized_part(grid, phases, start, stop)

    def _extracted(self, source: Part, n_samples: int) -> Features:
        """Extract the features of a source, part by part, each heard with a second of what is around it."""
        second = self.sample_rate
        whole = Features(*torch.zeros(3, 1, n_frames(n_samples, second), device=self.device))
        for start in range(0, n_samples, EXTRACTED_S * second):
            stop, before = min(start + EXTRACTED_S * second, n_samples), min(start, second)
            features = self.extract(source(start - before, min(stop + second, n_samples)))
            first, to = n_frames(start, second), n_frames(stop, second)
            skipped = n_frames(before, second)
            # Into place: small tensors that stay between large ones would keep memory from being used again.
            for values, part in zip(whole, features, strict=True):
                values[:, first:to] = part[:, skipped : skipped + to - first]
        return whole

    def condition(self, features: Features) -> Conditioning:
        """What the network is told of a source with these features."""
        articulation = self.articulation if self.adaptation.articulate else None
        spoken = features if articulation is None else articulation.articulate(features)
        # Silence is the source's, whatever was made of it.
        gate = silence_gate(features.loudness_db)
        return adapt(spoken, self.statistics, self.adaptation)._replace(gate=gate)

    def extract(self, audio: Tensor) -> Features:
        """Features of ``(B, T)`` audio, with the tracker of the training features.

        There is silence before the audio and after it, for the tracker as for the loudness: a tracker that
        reflects the ends would hear other pitches there.
        """
        n_silent = round(SILENCE_AROUND_S * self.sample_rate)
        pitch = self.pitch_tracker(pad(audio, (n_silent, n_silent)), self.sample_rate)
        loudness = loudness_db(audio, self.sample_rate)
        first = round(SILENCE_AROUND_S * FRAME_RATE_HZ)
        f0_hz, confidence = (values[:, first : first + loudness.shape[1]] for values in pitch)
        return Features(f0_hz, confidence, loudness)

    def synthesize(self, conditioning: Conditioning, n_samples: int, noise_seed: int | None = None) -> Tensor:
        """Conditioning at 250 frames a second → ``(B, n_samples)`` audio.

        Args:
            conditioning: what to play.
            n_samples: length of the result.
            noise_seed: of one noise for the whole batch, so that an example sounds the same in any batch.
                ``None`` (training) draws new noise for each example.
        """
        f0_hz, loudness, gate = self._on_hop_grid(conditioning, n_samples)
        raw, _ = self.network(f0_hz, loudness)
        n_padded = f0_hz.shape[1] * hop_samples(self.sample_rate)
        noise = None if noise_seed is None else noise_between(0, n_padded, noise_seed)
        return self.synthesizer(raw, f0_hz, gate, self.sample_rate, noise)[:, :n_samples]

    def _on_hop_grid(self, conditioning: Conditioning, n_samples: int) -> Conditioning:
        return Conditioning(*(on_hop_grid(x, self.sample_rate, n_samples) for x in conditioning))

    def _synthesized_part(self, grid: Conditioning, phases: Tensor, start: int, stop: int) -> Tensor:
        """Synthesize the samples from ``start`` to ``stop``.

        Synthesis begins earlier, with what the network remembers and what echoes in the room, and ends later,
        as frames reach to the next ones and noise filters are centred.
        """
        hop, room = hop_samples(self.sample_rate), self.synthesizer.reverb
        n_earlier = MEMORY_FRAMES + (0 if room is None else n_hops(room.n_taps, self.sample_rate))
        first, last = max(0, start // hop - n_earlier), -(-stop // hop) + LATER_FRAMES
        f0_hz, loudness, gate = (x[:, first:last] for x in grid)
        raw, _ = self.network(f0_hz, loudness)
        noise = noise_between(first * hop, (first + f0_hz.shape[1]) * hop, self.noise_seed)
        audio = self.synthesizer(raw, f0_hz, gate, self.sample_rate, noise, phases[:, first])
        return audio[:, start - first * hop : stop - first * hop]
