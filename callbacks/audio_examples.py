"""The same few excerpts, transferred again over training: audio and spectrogram pictures."""

from __future__ import annotations

from typing import Any, NamedTuple

import lightning as L
import numpy as np
import torch

from callbacks.pictures import save_picture
from datamodules.audio_files import write_wav
from datamodules.batch import Features, TransferBatch
from experiments.tracking import RunTracker, tracker_of
from lightning_modules.transfer_module import TimbreTransferModule


class Example(NamedTuple):
    """One excerpt before and after its transfer; audio is ``(T,)`` float32."""

    title: str
    audio: dict[str, np.ndarray]
    """``source``, ``output`` and, where data is paired, ``target``."""


class AudioExamples(L.Callback):
    """Log source, output and target of fixed excerpts, at validations and at the test.

    The validation and test loaders give the same batches every time, so the first examples of each pair of
    instruments are the same excerpts throughout a training and in every experiment on the same data.

    Args:
        every_n_validations: how often; 0 turns validation examples off.
        n_validation: number of excerpts at a validation.
        n_test: number of excerpts at the test; they are what the leaderboard page plays.
    """

    def __init__(self, every_n_validations: int = 1, n_validation: int = 2, n_test: int = 6) -> None:
        self.every_n_validations = every_n_validations
        self.n_validation, self.n_test = n_validation, n_test
        self._n_validations = 0
        self._pairs: set[tuple[str, int, int]] = set()

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Forget which pairs were heard."""
        self._pairs.clear()

    def on_test_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Forget which pairs were heard."""
        self._pairs.clear()

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Count validations."""
        self._n_validations += not trainer.sanity_checking

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Log the excerpts of this batch, when it is a turn for examples."""
        turn = self.every_n_validations and self._n_validations % self.every_n_validations == 0
        if turn and not trainer.sanity_checking:
            self._log(trainer, pl_module, batch, self.n_validation, f"audio/step_{trainer.global_step:07d}")

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Log the excerpts of this batch."""
        self._log(trainer, pl_module, batch, self.n_test, "audio/test")

    def _log(
        self, trainer: L.Trainer, module: L.LightningModule, batch: TransferBatch, limit: int, folder: str
    ) -> None:
        tracker = tracker_of(trainer)
        if tracker is None or not isinstance(module, TimbreTransferModule):
            return
        for index in self._new_pairs(batch, limit):
            example = transfer_example(module, batch, index)
            self._write(tracker, f"{folder}/{len(self._pairs):02d}", example, module.sample_rate)

    def _new_pairs(self, batch: TransferBatch, limit: int) -> list[int]:
        """Indices of the first examples of pairs not heard yet, ``limit`` in all."""
        chosen = []
        for index in range(len(batch.piece)):
            pair = (
                batch.track[index],
                int(batch.source_instrument[index]),
                int(batch.target_instrument[index]),
            )
            if pair not in self._pairs and len(self._pairs) < limit:
                self._pairs.add(pair)
                chosen.append(index)
        return chosen

    @staticmethod
    def _write(tracker: RunTracker, stem: str, example: Example, sample_rate: int) -> None:
        for part, audio in example.audio.items():
            path = tracker.run_dir / f"{stem}_{part}.wav"
            write_wav(path, audio, sample_rate)
            tracker.log_artifact(path)
        picture = tracker.run_dir / f"{stem}.png"
        save_picture(picture, example.audio, sample_rate, example.title)
        tracker.log_artifact(picture)


def transfer_example(module: TimbreTransferModule, batch: TransferBatch, index: int) -> Example:
    """Transfer one example of a batch, alone, so that the rest of the batch cannot change it."""
    one = single(batch, index)
    with torch.no_grad():
        output = module.transfer_batch(one)
    audio = {"source": one.source, "output": output}
    if one.target is not None:
        audio["target"] = one.target
    names = [module.instruments[int(ids[0])] for ids in (one.source_instrument, one.target_instrument)]
    title = f"{one.track[0]} · {names[0]} -> {names[1]} · {one.piece[0]}"
    return Example(title, {part: tensor[0].float().cpu().numpy() for part, tensor in audio.items()})


def single(batch: TransferBatch, index: int) -> TransferBatch:
    """The batch that holds only example ``index``."""

    def at(value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, Features):
            return Features(*(at(part) for part in value))
        return value[index : index + 1]

    return TransferBatch(*(at(value) for value in batch))
