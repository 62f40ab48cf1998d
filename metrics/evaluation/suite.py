"""The one evaluation that validation and test of every architecture and every anchor run through."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor

from datamodules.batch import TransferBatch
from metrics.evaluation.analyses import audio_address
from metrics.evaluation.measure import EvaluationSetup, TransferValues, measure, unmeasured
from metrics.evaluation.table import TestRow, TestTable
from metrics.evaluation.transfer import Transfer, side_of
from metrics.registry import Metric, Stage, measured_in
from runtime.processes import available_cores
from runtime.threads import one_thread
from runtime.workers import run_jobs

log = logging.getLogger(__name__)

TRANSFERS_PER_PROCESS = {Stage.SELECTION: 32, Stage.TEST: 4}
"""A process takes about as long to start as two transfers of a test take, or many of a selection."""
MAX_WAITING = 256
"""Most transfers that wait to be measured; each holds a few MB."""


class EvaluationSuite:
    """Measures a system example by example: `update` for every batch, then `compute` once.

    Make it with `for_validation`, `for_selection` or `for_test`.
    """

    def __init__(self, sample_rate: int, instruments: Sequence[str]) -> None:
        self.sample_rate = sample_rate
        self.instruments = list(instruments)
        self.rows: list[TestRow] = []

    @staticmethod
    def for_validation(sample_rate: int, instruments: Sequence[str]) -> EvaluationSuite:
        """The cheap metrics, batched, on the device of the audio.

        Args:
            sample_rate: of all audio, in Hz.
            instruments: names behind the instrument ids of a batch.
        """
        return _Validation(sample_rate, instruments)

    @staticmethod
    def for_selection(
        sample_rate: int, instruments: Sequence[str], corpus_root: Path | None = None
    ) -> EvaluationSuite:
        """What chooses between trainings: the joint score, its parts, and the metrics of a validation.

        The arguments are those of `for_test`. Metrics that take long are left out.
        """
        return _Test(sample_rate, instruments, corpus_root, Stage.SELECTION)

    @staticmethod
    def for_test(
        sample_rate: int, instruments: Sequence[str], corpus_root: Path | None = None
    ) -> EvaluationSuite:
        """Every metric of `metrics.registry`, in one process a core.

        Args:
            sample_rate: of all audio, in Hz.
            instruments: names behind the instrument ids of a batch.
            corpus_root: folder of the prepared corpus. Its timbre space is read there
                (`metrics.timbre_space.training.prepare_timbre_space` makes it), and analyses of targets are
                kept there. Without a timbre space there are no metrics that need one, and no joint score.
        """
        return _Test(sample_rate, instruments, corpus_root, Stage.TEST)

    def update(self, preds: Tensor, batch: TransferBatch) -> None:
        """Measure, or put aside, ``preds`` ``(B, T)``: the transfer of ``batch``."""
        raise NotImplementedError

    def compute(self) -> TestTable:
        """The table of everything so far, in the order of the updates."""
        raise NotImplementedError

    def _row(self, batch: TransferBatch, index: int, metrics: Mapping[str, float]) -> TestRow:
        source, target = batch.source_instrument[index], batch.target_instrument[index]
        return TestRow(
            track=batch.track[index],
            pair=f"{self.instruments[int(source)]}->{self.instruments[int(target)]}",
            piece=batch.piece[index],
            reference_piece=batch.reference_piece[index],
            metrics=_defined(metrics),
        )


class _Validation(EvaluationSuite):
    def update(self, preds: Tensor, batch: TransferBatch) -> None:
        _require_shape(preds, batch)
        preds = preds.detach().float()
        found = {metric.name: self._values(metric, preds, batch) for metric in measured_in(Stage.VALIDATION)}
        columns = {name: values.tolist() for name, values in found.items() if values is not None}
        for index in range(len(preds)):
            example = {name: values[index] for name, values in columns.items()}
            self.rows.append(self._row(batch, index, example))

    def compute(self) -> TestTable:
        return TestTable.of(self.rows)

    def _values(self, metric: Metric, preds: Tensor, batch: TransferBatch) -> Tensor | None:
        other = side_of(batch, metric.compared_with)
        return None if other is None else metric.function(preds, other, self.sample_rate)


class _Test(EvaluationSuite):
    def __init__(
        self, sample_rate: int, instruments: Sequence[str], corpus_root: Path | None, stage: Stage
    ) -> None:
        super().__init__(sample_rate, instruments)
        folders = _space_path(corpus_root), _analyses_folder(corpus_root)
        self._setup = EvaluationSetup(sample_rate, measured_in(stage), *folders)
        self._transfers_per_process = TRANSFERS_PER_PROCESS[stage]
        self._waiting: list[Transfer] = []

    def update(self, preds: Tensor, batch: TransferBatch) -> None:
        _require_shape(preds, batch)
        for index in range(len(preds)):
            row = self._row(batch, index, {})._replace(clip=self._clip_address(batch, index))
            target_instrument = row.pair.split("->")[1]
            self._waiting.append(
                Transfer(
                    position=len(self.rows),
                    preds=_samples(preds, index),
                    source=_samples(batch.source, index),
                    reference=_samples(batch.reference, index),
                    target=None if batch.target is None else _samples(batch.target, index),
                    wrong_notes=None if batch.wrong_notes is None else _samples(batch.wrong_notes, index),
                    is_monophonic=row.track == "monophonic",
                    target_instrument=target_instrument,
                )
            )
            self.rows.append(row)
        if len(self._waiting) >= MAX_WAITING:
            self._measure_waiting()

    def _clip_address(self, batch: TransferBatch, index: int) -> str:
        sides = [side for side in (batch.source, batch.target, batch.reference) if side is not None]
        return audio_address(np.concatenate([_samples(side, index) for side in sides]), self.sample_rate)

    def compute(self) -> TestTable:
        self._measure_waiting()
        return TestTable.of(self.rows)

    def _measure_waiting(self) -> None:
        n_processes = _n_processes(len(self._waiting), self._transfers_per_process)
        job = partial(measure, setup=self._setup)
        # A library that crashes costs one transfer and no test; for a few transfers a process does not pay.
        failed = self._without_values if n_processes > 1 else None
        with one_thread():
            for transfer, values in run_jobs(job, self._waiting, "Measuring", n_processes, failed=failed):
                row = self.rows[transfer.position]
                self.rows[transfer.position] = _filled(row, values)
        self._waiting = []

    def _without_values(self, transfer: Transfer, reason: str) -> TransferValues:
        row = self.rows[transfer.position]
        log.error("%s (%s) could not be measured and has no metrics: %s", row.piece, row.pair, reason)
        return unmeasured(transfer, self._setup)


def _filled(row: TestRow, values: TransferValues) -> TestRow:
    windows = (values.preds_windows, values.target_windows)
    return row._replace(metrics=_defined(values.metrics), windows=windows)


def _defined(metrics: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


def _samples(audio: Tensor, index: int) -> np.ndarray:
    return audio[index].detach().cpu().float().numpy()


def _require_shape(preds: Tensor, batch: TransferBatch) -> None:
    if preds.shape != batch.source.shape:
        raise ValueError(
            f"A transfer must have the source's shape: it has {tuple(preds.shape)}, the source "
            f"{tuple(batch.source.shape)}. Cut or pad it in `transfer`."
        )


def _space_path(corpus_root: Path | None) -> Path | None:
    if corpus_root is None:
        return None
    from metrics.timbre_space.training import find_timbre_space

    return find_timbre_space(Path(corpus_root))


def _analyses_folder(corpus_root: Path | None) -> Path | None:
    return None if corpus_root is None else Path(corpus_root) / "evaluation" / "analyses"


def _n_processes(n_transfers: int, transfers_per_process: int) -> int:
    """Processes that pay: the cores of this rank, but no further process for a few transfers."""
    cores = available_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, min(cores, n_transfers // transfers_per_process))
