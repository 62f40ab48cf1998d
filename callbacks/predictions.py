"""The result of `predict`: a WAV file for each example."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L

from callbacks.tracking.tracker import RunTracker
from datamodules.audio.files import write_wav
from lightning_modules.transfer_module import TimbreTransferModule
from runtime.messages import say

FOLDER = "predictions"


class PredictionFiles(L.Callback):
    """Write every transfer of `predict` to ``<piece>_<source>_to_<target>_<number>.wav``.

    Args:
        output: folder of the files; default ``predictions`` in the run's folder, or in the working directory
            where nothing is tracked.
    """

    def __init__(self, output: str | None = None) -> None:
        self.output = output
        self._n_written = 0
        self._folder = Path()

    def on_predict_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Number the files from 0, and take the folder from the first process, which alone knows the run."""
        self._n_written = 0
        self._folder = Path(trainer.strategy.broadcast(str(self._wanted_folder(trainer))))

    def on_predict_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: TimbreTransferModule,  # type: ignore[override]
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write the transfers of a batch."""
        ids = zip(batch.source_instrument.tolist(), batch.target_instrument.tolist(), strict=True)
        pairs = ["_to_".join(pl_module.instruments[i] for i in pair) for pair in ids]
        for audio, piece, pair in zip(outputs, batch.piece, pairs, strict=True):
            # Processes count in steps of their number, so that no two write the same file.
            number = self._n_written * trainer.world_size + trainer.global_rank
            name = f"{piece.replace('/', '_')}_{pair}_{number:04d}.wav"
            write_wav(self._folder / name, audio.float().cpu().numpy(), pl_module.sample_rate)
            self._n_written += 1

    def on_predict_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say where the files are."""
        if trainer.is_global_zero:
            say(f"Wrote {self._n_written} transfers into {self._folder}/.")

    def _wanted_folder(self, trainer: L.Trainer) -> Path:
        if self.output is not None:
            return Path(self.output)
        run_dirs = [logger.run_dir for logger in trainer.loggers if isinstance(logger, RunTracker)]
        return Path(*run_dirs[:1], FOLDER)
