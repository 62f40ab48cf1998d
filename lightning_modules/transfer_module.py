"""The contract that architectures and anchors fulfil, and the training and evaluation that they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import lightning as L
import torch
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.optim import Optimizer

from datamodules.audio.levels import CORPUS_DB
from datamodules.batch import TransferBatch
from datamodules.corpora.corpus import Corpus, NoPairsError
from lightning_modules.layers.loss_weights import weighted_sum
from metrics.evaluation.suite import EvaluationSuite, TestTable
from metrics.timbre_space.training import prepare_timbre_space

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


Part = Callable[[int, int], Tensor]
"""Mono audio of any length: gives its samples from one number up to another, ``(1, stop − start)``."""


@runtime_checkable
class CorpusDataModule(Protocol):
    """A data module whose examples come from a prepared corpus."""

    @property
    def corpus(self) -> Corpus:
        """The corpus, open once the data module has prepared its data."""


class TimbreTransferModule(L.LightningModule):
    """A timbre transfer: `transfer` turns a source into the same notes with another timbre.

    An architecture with one optimizer implements `transfer` and `loss_terms`; one with a discriminator
    is an `AdversarialModule`. Validation, test and predict are written here once and call only `transfer`,
    so that every architecture and every anchor is judged by the same code. The losses are logged under the
    same names for training, validation and test.

    Args:
        sample_rate: rate in Hz of all audio in and out; linked to the data module's by the CLI.
        instruments: names behind the instrument ids of a batch; linked to the data module's.
    """

    is_anchor: bool = False
    """Anchors are trivial transfers that every table shows and marks."""
    takes_reference: bool = False
    """Whether `transfer` uses a reference."""
    averages_references: bool = False
    """Whether `transfer` also takes a sequence of references ``(B, R)``, each of another length."""
    adaptation: DataclassInstance | None = None
    """What a user may turn when playing a file (`experiments.transfer --option`), if there is anything."""
    loss_weights: DataclassInstance
    """The weight of each term of the loss, under the term's name; a curriculum may change it."""
    optimizer: OptimizerCallable
    """Makes the optimizer of an architecture that has one."""

    def __init__(self, sample_rate: int, instruments: Sequence[str] = ()) -> None:
        super().__init__()
        self.save_hyperparameters()  # those of the subclass too
        self.sample_rate = sample_rate
        self.instruments = list(instruments)
        self.test_table: TestTable | None = None
        """Per-example values of the last test, set when it ends."""
        self.corpus_db: float = CORPUS_DB
        """Level in dB of the corpus that it is trained on, to which a source is brought before a transfer."""

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

    def long_transfer(
        self,
        source: Part,
        n_samples: int,
        reference: Tensor | None = None,
        target_instrument: Tensor | None = None,
    ) -> Part:
        """Prepare the transfer of a source that is too long to be transferred at once.

        Parts of the result are asked for one after another, each overlapping the one before, and are
        cross-faded. An architecture that adapts itself to a source measures all of it here, part by part;
        by default each part is transferred by itself.

        Args:
            source: the parts of the source, at ``sample_rate``.
            n_samples: its length.
            reference: see `transfer`.
            target_instrument: see `transfer`.

        Returns:
            The parts of the result, in constant memory.
        """
        return lambda start, stop: self.transfer(source(start, stop), reference, target_instrument)

    def loss_terms(self, batch: TransferBatch) -> Mapping[str, Tensor]:
        """Compute every term of the loss, an unweighted scalar under the name of its weight.

        Raises:
            NoPairsError: the terms need targets, and the batch has none (`targets_of`).
        """
        return {}

    # ------------------------------------------------------------------ training

    def configure_optimizers(self) -> Optimizer | Sequence[Optimizer] | None:
        """Make one optimizer for all parameters."""
        return self.optimizer(self.parameters())

    def losses(self, batch: TransferBatch) -> Mapping[str, Tensor]:
        """Compute all that is logged of a batch: the unweighted terms, and their weighted sum ``loss``."""
        terms = self.loss_terms(batch)
        return {**terms, "loss": weighted_sum(terms, self.loss_weights)} if terms else {}

    def training_step(self, batch: TransferBatch, batch_idx: int) -> Tensor | None:
        """Compute and log the losses of a batch."""
        losses = self.losses(batch)
        self.log_terms("train", losses)
        return losses["loss"] + self._zero_of_all_parameters()

    def _zero_of_all_parameters(self) -> Tensor:
        """Zero, with a gradient of zero for every parameter.

        Several processes wait for the gradients of all parameters, also of those that a batch does not reach.
        """
        return 0.0 * torch.stack([parameter.sum() for parameter in self.parameters()]).sum()

    def targets_of(self, batch: TransferBatch) -> Tensor:
        """The targets ``(B, T)`` of a batch.

        Raises:
            NoPairsError: the batch has none.
        """
        if batch.target is None:
            raise NoPairsError(
                f"{type(self).__name__} learns from pairs, and this batch has no targets: use "
                "datamodules.OneShotDataModule, or PairedDataModule with a corpus that is "
                "rendered from scores."
            )
        return batch.target

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the level of the corpus."""
        self.corpus_db = self.corpus_db if self.corpus is None else self.corpus.loudness_db
        checkpoint["corpus_db"] = self.corpus_db

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Read what `on_save_checkpoint` keeps."""
        self.corpus_db = checkpoint.get("corpus_db", CORPUS_DB)

    def log_terms(self, stage: str, terms: Mapping[str, Tensor], batch_size: int | None = None) -> None:
        """Log ``stage/name``: of each step in training, of the whole epoch and all processes elsewhere."""
        held_out = stage != "train"
        named = {f"{stage}/{name}": value for name, value in terms.items()}
        self.log_dict(
            named, on_step=not held_out, on_epoch=held_out, sync_dist=held_out, batch_size=batch_size
        )

    # ------------------------------------------------------------------ the evaluation everyone shares

    def transfer_batch(self, batch: TransferBatch) -> Tensor:
        """Transfer a batch. Only anchors override this: they may look at the target."""
        return self.transfer(batch.source, batch.reference, batch.target_instrument)

    @property
    def validates_thoroughly(self) -> bool:
        """Whether this validation stands alone, and so measures what chooses between trainings.

        A validation within a training measures only what is cheap.
        """
        return self.trainer.state.fn == TrainerFn.VALIDATING

    def prepare_data(self) -> None:
        """Train the timbre space of the corpus where an evaluation needs it and there is none yet.

        Lightning calls this in one process a machine, after the data module's `prepare_data`.
        """
        corpus_root = self.corpus_root
        if corpus_root is not None and self.trainer.state.fn in (TrainerFn.VALIDATING, TrainerFn.TESTING):
            prepare_timbre_space(corpus_root)

    def on_validation_epoch_start(self) -> None:
        """Start an empty validation."""
        if self.validates_thoroughly:
            self._evaluation = EvaluationSuite.for_selection(
                self.sample_rate, self.instruments, self.corpus_root
            )
        else:
            self._evaluation = EvaluationSuite.for_validation(self.sample_rate, self.instruments)

    def validation_step(self, batch: TransferBatch, batch_idx: int) -> Tensor:
        """Transfer a batch, log its losses and measure the transfer, which callbacks are given."""
        return self._evaluation_step("val", batch)

    def on_validation_epoch_end(self) -> None:
        """Log ``val/<metric>``, averaged over examples of all ranks."""
        self._log_means("val", self._gathered())

    def on_test_epoch_start(self) -> None:
        """Start an empty test with every metric."""
        self._evaluation = EvaluationSuite.for_test(self.sample_rate, self.instruments, self.corpus_root)

    def test_step(self, batch: TransferBatch, batch_idx: int) -> Tensor:
        """Transfer a batch, log its losses and measure the transfer, which callbacks are given."""
        return self._evaluation_step("test", batch)

    def on_test_epoch_end(self) -> None:
        """Log ``test/<metric>`` once and keep the per-piece table."""
        self.test_table = self._gathered()
        self._log_means("test", self.test_table)

    def predict_step(self, batch: TransferBatch, batch_idx: int) -> Tensor:
        """Transfer a batch."""
        return self.transfer_batch(batch)

    def measures(self, batch: TransferBatch, preds: Tensor) -> Mapping[str, Tensor]:
        """Measure what an architecture logs of an evaluated batch beside its losses; by default nothing.

        Args:
            batch: of the validation or test.
            preds: its transfer ``(B, T)``.

        Raises:
            NoPairsError: as in `loss_terms`.
        """
        return {}

    def _evaluation_step(self, stage: str, batch: TransferBatch) -> Tensor:
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            preds = self.transfer_batch(batch)
            with torch.autocast(self.device.type, enabled=False):  # a metric is no network
                self._evaluation.update(preds, batch)
            self.log_terms(stage, self._measured(batch, preds), len(batch.source))
        return preds

    def _measured(self, batch: TransferBatch, preds: Tensor) -> Mapping[str, Tensor]:
        try:
            return {**self.losses(batch), **self.measures(batch, preds)}
        except NoPairsError:  # without targets these have no value
            return {}

    def _gathered(self) -> TestTable:
        table = self._evaluation.compute()
        if self.trainer.world_size > 1:
            tables: list[TestTable] = [table] * self.trainer.world_size
            torch.distributed.all_gather_object(tables, table)
            table = TestTable.merged(tables)
        return table

    def _log_means(self, stage: str, table: TestTable) -> None:
        for name, value in table.means().items():
            self.log(f"{stage}/{name}", value, rank_zero_only=False, sync_dist=False)

    @property
    def corpus(self) -> Corpus | None:
        """The corpus of the trainer's data module, if that has one."""
        data_module = getattr(self.trainer, "datamodule", None)
        return data_module.corpus if isinstance(data_module, CorpusDataModule) else None

    @property
    def corpus_root(self) -> Path | None:
        """The folder of `corpus`."""
        return None if self.corpus is None else self.corpus.root
