"""How far style and content are apart, measured at the test by probes that are trained for it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import torch
from torch import Tensor

from callbacks.tracking.tracker import tracker_of
from datamodules.batch import FRAME_RATE_HZ, TransferBatch
from datamodules.corpora.maps import Points, save_maps
from datamodules.features.pitch import PestoTracker
from lightning_modules.disentangled import DisentangledModule
from lightning_modules.disentangled.losses import hsic
from metrics.evaluation.probes import chance, probe_accuracy

PICTURE = "disentanglement.png"
SURE = 0.85
"""Confidence of the pitch tracker from which a patch has a pitch."""


class Heard(NamedTuple):
    """Embeddings of ``S`` slices of recordings, with what probes are asked for."""

    content: Tensor
    """``(S, M, E)``."""
    styles: Tensor
    """``(S, E)``."""
    classes: Tensor
    """``(S,)`` long."""
    midi: Tensor
    """``(S, M)`` long, the note in the middle of every patch; −1 where none is clear."""

    @classmethod
    def together(cls, parts: Sequence[Heard]) -> Heard:
        """All slices of several."""
        return cls(*(torch.cat(field) for field in zip(*parts, strict=True)))


class Disentanglement(L.Callback):
    """Log ``test/…`` what fresh probes read from the embeddings of the test's recordings, and a map of both.

    ``instrument_from_style`` should be near 1; ``instrument_from_content`` (of the mean over a slice) and
    ``instrument_from_content_patches`` at ``instrument_by_chance``; ``pitch_from_content`` far above
    ``pitch_from_style``. ``style_content_hsic`` is over all slices of the test.

    Args:
        n_batches: training batches that the probes learn from.
    """

    def __init__(self, n_batches: int = 24) -> None:
        self.n_batches = n_batches
        self._heard: list[Heard] = []

    def on_test_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Forget what was heard."""
        self._heard.clear()

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Embed the recordings of this batch."""
        self._heard.extend(listen(pl_module, batch))

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Train the probes on training batches, ask them about the test's, and log."""
        if not trainer.is_global_zero or not self._heard:
            return
        batches = islice(trainer.datamodule.train_dataloader(), self.n_batches)  # type: ignore[attr-defined]
        learnt = [part for batch in batches for part in listen(pl_module, batch)]
        known, held_out = Heard.together(learnt), Heard.together(self._heard)
        for name, value in readings(known, held_out).items():
            pl_module.log(f"test/{name}", value, rank_zero_only=True)
        tracker = tracker_of(trainer)
        if tracker is not None:
            draw(held_out, pl_module.instruments, tracker.run_dir / PICTURE)  # type: ignore[arg-type]
            tracker.log_artifact(tracker.run_dir / PICTURE)


@torch.no_grad()
def listen(module: L.LightningModule, batch: TransferBatch) -> list[Heard]:
    """The sources and the references of a batch."""
    assert isinstance(module, DisentangledModule)
    sides = (batch.source, batch.source_instrument), (batch.reference, batch.target_instrument)
    heard = []
    for audio, instruments in sides:
        if audio.shape[-1] == 0:
            continue
        slices = module.whole_slices(audio.to(module.device))
        classes = instruments.to(slices.device).repeat_interleave(len(slices) // len(audio))
        embeddings = module.embed(slices, classes)
        midi = notes(slices, module, n_patches=embeddings.content.shape[1])
        heard.append(Heard(embeddings.content, embeddings.styles, classes, midi))
    return heard


def notes(slices: Tensor, module: DisentangledModule, n_patches: int) -> Tensor:
    """MIDI note in the middle of each patch, ``(S, M)``; −1 where none is clear."""
    representation, patch = module.representation, module.decoder.patch_frames
    pitch = PestoTracker()(slices, module.sample_rate)
    middles = torch.arange(n_patches, device=slices.device) * patch + (patch - 1) / 2
    seconds = (representation.context + middles * representation.hop) / module.sample_rate
    frames = (seconds * FRAME_RATE_HZ).round().long().clamp(max=pitch.f0_hz.shape[-1] - 1)
    midi = (69 + 12 * torch.log2(pitch.f0_hz[:, frames] / 440)).round().long()
    return torch.where(pitch.confidence[:, frames] >= SURE, midi, -1)


def readings(known: Heard, held_out: Heard) -> dict[str, float]:
    """What probes that learn from ``known`` read from ``held_out``."""

    def of_classes(embeddings: Sequence[Tensor]) -> float:
        return probe_accuracy(embeddings[0], known.classes, embeddings[1], held_out.classes)

    def of_pitch(embeddings: Sequence[Tensor]) -> float:
        clear = [heard.midi >= 0 for heard in (known, held_out)]
        labels = [heard.midi[where] for heard, where in zip((known, held_out), clear, strict=True)]
        seen = [patches[where] for patches, where in zip(embeddings, clear, strict=True)]
        return probe_accuracy(seen[0], labels[0], seen[1], labels[1])

    both = known, held_out
    n_patches = held_out.content.shape[1]
    patch_classes = [heard.classes.repeat_interleave(n_patches) for heard in both]
    patches = [heard.content.flatten(0, 1) for heard in both]
    return {
        "instrument_by_chance": chance(held_out.classes),
        "instrument_from_style": of_classes([heard.styles for heard in both]),
        "instrument_from_content": of_classes([heard.content.mean(1) for heard in both]),
        "instrument_from_content_patches": probe_accuracy(
            patches[0], patch_classes[0], patches[1], patch_classes[1]
        ),
        "pitch_by_chance": chance(held_out.midi[held_out.midi >= 0]),
        "pitch_from_content": of_pitch([heard.content for heard in both]),
        "pitch_from_style": of_pitch([heard.styles[:, None].expand(-1, n_patches, -1) for heard in both]),
        "style_content_hsic": float(hsic(held_out.styles, held_out.content.mean(1))),
    }


def draw(heard: Heard, instruments: Sequence[str], path: Any) -> None:
    """Maps of styles and of contents, coloured by instrument, into a PNG file."""
    names = [instruments[i] for i in heard.classes.tolist()]

    def array(embeddings: Tensor) -> np.ndarray:
        return embeddings.float().cpu().numpy()

    save_maps(
        path,
        {
            "style, a point a slice": Points(array(heard.styles), names),
            "content, mean of a slice": Points(array(heard.content.mean(1)), names),
        },
    )
