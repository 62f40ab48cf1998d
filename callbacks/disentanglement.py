"""How far style and content are apart, measured at the test by probes that are fitted for it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import torch
from torch import Tensor

from callbacks.evaluation_batches import EvaluationBatches, Stage
from callbacks.tracking.tracker import tracker_of
from datamodules.batch import FRAME_RATE_HZ, TransferBatch
from datamodules.corpora.maps import Points, save_maps
from datamodules.features.pitch import PestoTracker
from lightning_modules.disentangled import DisentangledModule
from lightning_modules.disentangled.losses import hsic
from metrics.evaluation.probes import chance, probe_accuracy
from runtime.messages import say

PICTURE = "disentanglement.png"
SURE = 0.85
"""Confidence of the pitch tracker from which a patch has a pitch."""


class LabelledSlices(NamedTuple):
    """Embeddings of ``S`` slices of recordings, on the CPU, with what probes are asked for."""

    content: Tensor
    """``(S, M, E)``, of every patch."""
    styles: Tensor
    """``(S, E)``."""
    classes: Tensor
    """``(S,)`` long, the instrument's id."""
    midi: Tensor
    """``(S, M)`` long, the note in the middle of every patch; −1 where none is clear."""

    @classmethod
    def together(cls, parts: Sequence[LabelledSlices]) -> LabelledSlices:
        """The slices of all ``parts``, at least one, in their order."""
        return cls(*(torch.cat(field) for field in zip(*parts, strict=True)))


class Disentanglement(EvaluationBatches):
    """Log ``test/…`` what probes read from the embeddings of the test's recordings, and a map of both.

    ``instrument_from_style`` should be near 1; ``instrument_from_content`` (of the mean over a slice) and
    ``instrument_from_content_patches`` at ``instrument_by_chance``; ``pitch_from_content`` far above
    ``pitch_from_style``. ``style_content_hsic`` is over all slices of the test.

    A probe is a small classifier whose fit is the measurement itself, as a regression line would be: the
    module stays as it is, and no trainer or checkpoint takes part. When the test has ended, the first process
    fits the probes to embeddings of training recordings, always from the same beginning, and asks them about
    those of the test recordings, which come from all processes.

    Args:
        n_batches: training batches that the probes are fitted to.
    """

    def __init__(self, n_batches: int = 24) -> None:
        self.n_batches = n_batches
        self._slices: list[LabelledSlices] = []

    def begin(self) -> None:
        """Forget the slices of the test before."""
        self._slices.clear()

    def collect(
        self,
        trainer: L.Trainer,
        module: L.LightningModule,
        batch: TransferBatch,
        transfers: Tensor,
        stage: Stage,
    ) -> None:
        """Embed the recordings of a test batch."""
        if stage == "test":
            self._slices.extend(embedded(module, batch))

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Fit the probes to embeddings of training batches, and log what they read from the test's."""
        held_out = _of_all_processes(trainer, self._slices)
        if not trainer.is_global_zero or not held_out:
            return
        say(f"Fitting probes to the embeddings of {self.n_batches} training batches.")
        batches = islice(trainer.datamodule.train_dataloader(), self.n_batches)  # type: ignore[attr-defined]
        known = LabelledSlices.together([part for batch in batches for part in embedded(pl_module, batch)])
        asked = LabelledSlices.together(held_out)
        for name, value in readings(known, asked).items():
            pl_module.log(f"test/{name}", value, rank_zero_only=True)
        tracker = tracker_of(trainer)
        if tracker is not None:
            draw(asked, pl_module.instruments, tracker.run_dir / PICTURE)  # type: ignore[arg-type]
            tracker.log_artifact(tracker.run_dir / PICTURE)


def _of_all_processes(trainer: L.Trainer, slices: list[LabelledSlices]) -> list[LabelledSlices]:
    if trainer.world_size == 1:
        return slices
    gathered: list[Any] = [None] * trainer.world_size
    torch.distributed.all_gather_object(gathered, slices)
    return [part for parts in gathered for part in parts]


@torch.no_grad()
def embedded(module: L.LightningModule, batch: TransferBatch) -> list[LabelledSlices]:
    """The slices of a batch's sources and of its references, where it has any."""
    assert isinstance(module, DisentangledModule)
    sides = (batch.source, batch.source_instrument), (batch.reference, batch.target_instrument)
    return [_embedded(module, audio, ids) for audio, ids in sides if audio.shape[-1]]


def _embedded(module: DisentangledModule, audio: Tensor, instruments: Tensor) -> LabelledSlices:
    slices = module.whole_slices(audio.to(module.device))
    classes = instruments.to(slices.device).repeat_interleave(len(slices) // len(audio))
    embeddings = module.embed(slices, classes)
    midi = notes(slices, module, n_patches=embeddings.content.shape[1])
    found = embeddings.content, embeddings.styles, classes, midi
    return LabelledSlices(*(part.cpu() for part in found))


def notes(slices: Tensor, module: DisentangledModule, n_patches: int) -> Tensor:
    """Find the MIDI note in the middle of each patch: ``(S, T)`` → ``(S, M)``; −1 where none is clear."""
    representation, patch = module.representation, module.decoder.patch_frames
    pitch = PestoTracker()(slices, module.sample_rate)
    middles = torch.arange(n_patches, device=slices.device) * patch + (patch - 1) / 2
    seconds = (representation.context + middles * representation.hop) / module.sample_rate
    frames = (seconds * FRAME_RATE_HZ).round().long().clamp(max=pitch.f0_hz.shape[-1] - 1)
    midi = (69 + 12 * torch.log2(pitch.f0_hz[:, frames] / 440)).round().long()
    return torch.where(pitch.confidence[:, frames] >= SURE, midi, -1)


def readings(known: LabelledSlices, held_out: LabelledSlices) -> dict[str, float]:
    """What probes that are fitted to ``known`` read from ``held_out``: shares in [0, 1], and the HSIC."""
    both = known, held_out

    def of_classes(embeddings: Sequence[Tensor]) -> float:
        return probe_accuracy(embeddings[0], known.classes, embeddings[1], held_out.classes)

    def of_pitch(embeddings: Sequence[Tensor]) -> float:
        clear = [part.midi >= 0 for part in both]
        labels = [part.midi[where] for part, where in zip(both, clear, strict=True)]
        seen = [patches[where] for patches, where in zip(embeddings, clear, strict=True)]
        return probe_accuracy(seen[0], labels[0], seen[1], labels[1])

    n_patches = held_out.content.shape[1]
    patch_classes = [part.classes.repeat_interleave(n_patches) for part in both]
    patches = [part.content.flatten(0, 1) for part in both]
    return {
        "instrument_by_chance": chance(held_out.classes),
        "instrument_from_style": of_classes([part.styles for part in both]),
        "instrument_from_content": of_classes([part.content.mean(1) for part in both]),
        "instrument_from_content_patches": probe_accuracy(
            patches[0], patch_classes[0], patches[1], patch_classes[1]
        ),
        "pitch_by_chance": chance(held_out.midi[held_out.midi >= 0]),
        "pitch_from_content": of_pitch([part.content for part in both]),
        "pitch_from_style": of_pitch([part.styles[:, None].expand(-1, n_patches, -1) for part in both]),
        "style_content_hsic": float(hsic(held_out.styles, held_out.content.mean(1))),
    }


def draw(slices: LabelledSlices, instruments: Sequence[str], path: Path) -> None:
    """Draw a map of the styles and one of the contents, coloured by instrument, into a PNG file."""
    names = [instruments[i] for i in slices.classes.tolist()]

    def array(embeddings: Tensor) -> np.ndarray:
        return embeddings.float().numpy()

    save_maps(
        path,
        {
            "style, a point a slice": Points(array(slices.styles), names),
            "content, mean of a slice": Points(array(slices.content.mean(1)), names),
        },
    )
