"""The same few excerpts at every validation and at the test: audio, spectrograms, and how these changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

import lightning as L
import numpy as np
from torch import Tensor

from callbacks.evaluation_batches import EvaluationBatches, Stage
from callbacks.plots.spectrograms import save_animation, save_picture
from callbacks.tracking.tracker import RunTracker, n_batches_done, tracker_of
from datamodules.audio.files import write_wav
from datamodules.batch import TransferBatch
from lightning_modules.transfer_module import TimbreTransferModule

TEST_FOLDER = "audio/test"
STEPS_FOLDER = "audio/step_"
EXAMPLES = "examples.json"


class Excerpt(NamedTuple):
    """The names by which an example of the data is found again."""

    track: str
    pair: str
    piece: str
    reference_piece: str

    @classmethod
    def of(cls, batch: TransferBatch, index: int, instruments: Sequence[str]) -> Excerpt:
        """Name the example at ``index`` of a batch."""
        source = instruments[int(batch.source_instrument[index])]
        target = instruments[int(batch.target_instrument[index])]
        return cls(
            batch.track[index], f"{source}->{target}", batch.piece[index], batch.reference_piece[index]
        )


class Place(NamedTuple):
    """Where the excerpts of one validation or test go."""

    folder: str
    """Relative to the run's folder."""
    when: str
    """Words for the title of the pictures."""
    n_excerpts: int
    """How many there may be."""


class AudioExamples(EvaluationBatches):
    """Log source, output and target of fixed excerpts, at validations and at the test.

    The validation and test loaders give the same batches every time, so the first examples of each pair of
    instruments are the same excerpts throughout a training and in every experiment on the same data. The
    outputs are the transfers that validation and test have just measured.

    Args:
        every_n_validations: validations from one that logs excerpts to the next; 0 turns them off.
        n_validation: number of excerpts at a validation.
        n_test: number of excerpts at the test, which the leaderboard page plays.
    """

    def __init__(self, every_n_validations: int = 1, n_validation: int = 2, n_test: int = 6) -> None:
        self.every_n_validations = every_n_validations
        self.n_validation, self.n_test = n_validation, n_test
        self._n_validations = 0
        self._logged: list[Excerpt] = []

    def begin(self) -> None:
        """Forget which excerpts were logged."""
        self._logged.clear()

    def collect(
        self,
        trainer: L.Trainer,
        module: L.LightningModule,
        batch: TransferBatch,
        transfers: Tensor,
        stage: Stage,
    ) -> None:
        """Log the excerpts of this batch, at a test or when it is a validation's turn."""
        if stage == "test":
            self._log(trainer, module, batch, transfers, Place(TEST_FOLDER, "test", self.n_test))
        elif self._is_turn() and not trainer.sanity_checking:
            n = n_batches_done(trainer)
            place = Place(f"{STEPS_FOLDER}{n:07d}", f"after {n} batches", self.n_validation)
            self._log(trainer, module, batch, transfers, place)

    def _is_turn(self) -> bool:
        return bool(self.every_n_validations) and self._n_validations % self.every_n_validations == 0

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Count validations."""
        self._n_validations += not trainer.sanity_checking

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log an animation of each excerpt's pictures, also of those from before a resumption."""
        tracker = tracker_of(trainer)
        if tracker is None:
            return
        for number in range(1, self.n_validation + 1):
            pictures = sorted(tracker.run_dir.glob(f"{STEPS_FOLDER}*/{number:02d}.png"))
            if len(pictures) > 1:
                path = tracker.run_dir / f"audio/over_training_{number:02d}.gif"
                save_animation(path, pictures)
                tracker.log_artifact(path)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log which excerpts the test's are, so that those of several runs can stand side by side."""
        tracker = tracker_of(trainer)
        if tracker is None or not self._logged:
            return
        path = tracker.run_dir / TEST_FOLDER / EXAMPLES
        path.write_text(
            json.dumps([excerpt._asdict() for excerpt in self._logged], indent=1), encoding="utf-8"
        )
        tracker.log_artifact(path)

    def _log(
        self,
        trainer: L.Trainer,
        module: L.LightningModule,
        batch: TransferBatch,
        transfers: Tensor,
        place: Place,
    ) -> None:
        tracker = tracker_of(trainer)
        if tracker is None or not isinstance(module, TimbreTransferModule):
            return
        for index in range(len(batch.piece)):
            excerpt = Excerpt.of(batch, index, module.instruments)
            new_pair = (excerpt.track, excerpt.pair) not in {(e.track, e.pair) for e in self._logged}
            if new_pair and len(self._logged) < place.n_excerpts:
                self._logged.append(excerpt)
                stem = f"{place.folder}/{len(self._logged):02d}"
                title = " · ".join((excerpt.track, excerpt.pair, excerpt.piece, place.when))
                self._write(tracker, stem, _parts(batch, transfers, index), title, module.sample_rate)

    @staticmethod
    def _write(
        tracker: RunTracker, stem: str, audio: dict[str, np.ndarray], title: str, sample_rate: int
    ) -> None:
        for part, samples in audio.items():
            path = tracker.run_dir / f"{stem}_{part}.wav"
            write_wav(path, samples, sample_rate)
            tracker.log_artifact(path)
        picture = tracker.run_dir / f"{stem}.png"
        save_picture(picture, audio, sample_rate, title)
        tracker.log_artifact(picture)


def _parts(batch: TransferBatch, transfers: Tensor, index: int) -> dict[str, np.ndarray]:
    """``source``, ``output`` and, where data is paired, ``target`` of one example, each ``(T,)``."""
    parts = {"source": batch.source, "output": transfers, "target": batch.target}
    return {
        part: audio[index].detach().float().cpu().numpy()
        for part, audio in parts.items()
        if audio is not None
    }
