"""The contract every architecture and every anchor fulfils, and the evaluation they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor

from datamodules.batch import TransferBatch
from lightning_modules.adversarial_module import Stepping
from metrics.evaluation.suite import EvaluationSuite, TestTable


class TimbreTransferModule(L.LightningModule):
    """A timbre transfer: `transfer` turns a source into the same notes with another timbre.

    An architecture implements `training_step`, `configure_optimizers` and `transfer`. Validation, test
    and predict are written here once and call only `transfer`, so that every architecture and every
    anchor is judged by the same code.

    Args:
        sample_rate: rate in Hz of all audio in and out; linked to the data module's by the CLI.
        instruments: names behind the instrument ids of a batch; linked to the data module's.
    """

    is_anchor: bool = False
    """Anchors are trivial transfers that every table shows and marks."""
    averages_references: bool = False
    """Whether `transfer` also takes a sequence of references ``(B, R)``, each of another length."""
    adaptation: Any = None
    """A dataclass of what a user may turn when playing a file (`experiments.transfer --option`), if there is
    anything."""

    stepping: Stepping = Stepping()
    """What the trainer's settings ask of an architecture that optimises by hand; the CLI sets it."""

    def __init__(self, sample_rate: int, instruments: Sequence[str] = ()) -> None:
        super().__init__()
        self._waiting: list[TransferBatch] = []
        self.sample_rate = sample_rate
        self.instruments = list(instruments)
        self.test_table: TestTable | None = None
        """Per-example values of the last test, set when it ends."""
        self.validates_thoroughly = False
        """Whether validation measures what chooses between trainings, and not only what is cheap."""

    # ------------------------------------------------------------------ what an architecture implements

    def transfer(
        self,
        source: Tensor,
        reference: Tensor | None = None,
        target_instrument: Tensor | None = None,
    ) -> Tensor:
        """Give the notes of ``source`` another timbre.

        Args:
            source: ``(B, T)`` audio, mono, in [−1, 1], at ``sample_rate``; any length.
            reference: ``(B, R)`` audio that shows the wanted timbre, for one-shot architectures.
            target_instrument: ``(B,)`` long, ids into ``instruments``, for architectures trained on classes.

        Returns:
            ``(B, T)`` audio of the source's length.
        """
        raise NotImplementedError

    # ------------------------------------------------------------------ the evaluation everyone shares

    def transfer_batch(self, batch: TransferBatch) -> Tensor:
        """Transfer a batch. Only anchors override this: they may look at the target."""
        return self.transfer(batch.source, batch.reference, batch.target_instrument)

    def on_validation_epoch_start(self) -> None:
        """Start an empty validation."""
        if self.validates_thoroughly:
            self._validation = EvaluationSuite.for_selection(
                self.sample_rate, self.instruments, self._corpus_root()
            )
        else:
            self._validation = EvaluationSuite.for_validation(self.sample_rate, self.instruments)

    def validation_step(self, batch: TransferBatch, batch_idx: int) -> Tensor:
        """Transfer a validation batch and measure it with the cheap metrics; gives callbacks the transfer."""
        preds = self.transfer_batch(batch)
        with torch.autocast(self.device.type, enabled=False):  # a metric is no network
            self._validation.update(preds, batch)
        return preds

    def on_validation_epoch_end(self) -> None:
        """Log ``val/<metric>``, averaged over examples of all ranks."""
        self._log_means("val", self._gathered(self._validation))

    def on_test_epoch_start(self) -> None:
        """Start an empty test with every metric."""
        self._test = EvaluationSuite.for_test(self.sample_rate, self.instruments, self._corpus_root())

    def test_step(self, batch: TransferBatch, batch_idx: int) -> Tensor:
        """Transfer a test batch and measure it with every metric; gives callbacks the transfer."""
        preds = self.transfer_batch(batch)
        self._test.update(preds, batch)
        return preds

    def on_test_epoch_end(self) -> None:
        """Log ``test/<metric>`` once and keep the per-piece table."""
        self.test_table = self._gathered(self._test)
        self._log_means("test", self.test_table)

    def predict_step(self, batch: TransferBatch, batch_idx: int) -> Tensor:
        """Transfer a batch."""
        return self.transfer_batch(batch)

    def batches_of_step(self, batch: TransferBatch) -> list[TransferBatch]:
        """All batches of a step when ``batch`` is its last one, and none before. For manual optimisation.

        A step is made of `Stepping.n_batches`, or of fewer where the epoch ends.
        """
        self._waiting.append(batch)
        if len(self._waiting) < self.stepping.n_batches and not self.trainer.is_last_batch:
            return []
        batches, self._waiting = self._waiting, []
        return batches

    def log_terms(self, stage: str, terms: Mapping[str, Tensor], batch_size: int) -> None:
        """Log ``stage/name``: of each step in training, of the whole epoch and all processes elsewhere."""
        held_out = stage != "train"
        named = {f"{stage}/{name}": value for name, value in terms.items()}
        self.log_dict(
            named, on_step=not held_out, on_epoch=held_out, sync_dist=held_out, batch_size=batch_size
        )

    def _gathered(self, suite: EvaluationSuite) -> TestTable:
        table = suite.compute()
        if self.trainer.world_size > 1:
            tables: list[Any] = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(tables, table)
            table = TestTable.merged(tables)
        return table

    def _log_means(self, stage: str, table: TestTable) -> None:
        for name, value in table.means().items():
            self.log(f"{stage}/{name}", value, rank_zero_only=False, sync_dist=False)

    def _corpus_root(self) -> Any:
        datamodule = getattr(self.trainer, "datamodule", None)
        return None if datamodule is None else datamodule.corpus_root
