"""The one evaluation that validation and test of every architecture and every anchor run through."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor

from datamodules.batch import TransferBatch
from datamodules.features.pitch import Pitch
from metrics.evaluation.analyses import audio_address
from metrics.evaluation.example import Example
from metrics.evaluation.measure import MELODY_METRICS, SIGNAL_METRICS, Measured, Setting, measure
from metrics.evaluation.table import Interval, TestRow, TestTable
from metrics.functional import content, level, signal, timbre
from runtime.processes import available_cores
from runtime.threads import one_thread
from runtime.workers import run_jobs

__all__ = ["EvaluationSuite", "Interval", "TestRow", "TestTable"]

VALIDATION_METRICS: tuple[Callable[[Tensor, Tensor, int], Tensor], ...] = (
    signal.mr_stft,
    signal.lsd_mel_db,
    level.loudness_l1_db,
)
"""Need the paired target; content.chroma_cosine and timbre.mfcc_distance are measured in any case."""
CHEAP = ("chroma_cosine", "mfcc_distance", *(function.__name__ for function in VALIDATION_METRICS))
"""Names of what every validation measures."""
SELECTION = (
    *CHEAP,
    *("joint_score", "content_score", "timbre_score", "pitch_jaccard_distance", "onset_f1"),
    *("triplet_timbre_distance", "instrument_accuracy"),
)
"""Names of what chooses between trainings."""
EXAMPLES_PER_WORKER, QUICK_EXAMPLES_PER_WORKER = 4, 32
"""A worker takes about as long to start as two examples of a test take, or many of a selection."""
MAX_WAITING = 256
"""Examples that wait for a worker at most; each holds a few MB."""


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
        """A handful of cheap metrics, batched, on the device of the audio.

        Args:
            sample_rate: of all audio, in Hz.
            instruments: names behind the instrument ids of a batch.
        """
        return _Validation(sample_rate, instruments)

    @staticmethod
    def for_selection(
        sample_rate: int, instruments: Sequence[str], corpus_root: Path | None = None
    ) -> EvaluationSuite:
        """What chooses between trainings: the joint score, what it is made of, and the cheap metrics.

        The arguments are those of `for_test`. It leaves out what takes long.
        """
        quick = QUICK_EXAMPLES_PER_WORKER
        return _Test(sample_rate, instruments, corpus_root, VALIDATION_METRICS, (), quick)

    @staticmethod
    def for_test(
        sample_rate: int, instruments: Sequence[str], corpus_root: Path | None = None
    ) -> EvaluationSuite:
        """Every metric, in one process a core.

        Args:
            sample_rate: of all audio, in Hz.
            instruments: names behind the instrument ids of a batch.
            corpus_root: folder of the prepared corpus. Its timbre space is read there
                (`metrics.timbre_space.training.prepare_timbre_space` makes it), and analyses of targets are
                kept there. Without a timbre space there is no
                ``triplet_timbre_distance``, ``instrument_accuracy``, ``kad_triplet`` and ``joint_score``.
        """
        return _Test(sample_rate, instruments, corpus_root, SIGNAL_METRICS, MELODY_METRICS)

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
            metrics={name: value if math.isfinite(value) else None for name, value in metrics.items()},
        )


class _Validation(EvaluationSuite):
    def update(self, preds: Tensor, batch: TransferBatch) -> None:
        _require_shape(preds, batch)
        columns = {name: values.tolist() for name, values in self._columns(preds.detach().float(), batch)}
        for index in range(len(preds)):
            example = {name: values[index] for name, values in columns.items()}
            self.rows.append(self._row(batch, index, example))

    def compute(self) -> TestTable:
        return TestTable.of(self.rows)

    def _columns(self, preds: Tensor, batch: TransferBatch) -> Iterator[tuple[str, Tensor]]:
        notes_wanted = batch.source if batch.target is None else batch.target
        timbre_wanted = batch.reference if batch.target is None else batch.target
        yield "chroma_cosine", content.chroma_cosine(preds, notes_wanted, self.sample_rate)
        yield "mfcc_distance", timbre.mfcc_distance(preds, timbre_wanted, self.sample_rate)
        if batch.target is not None:
            for function in VALIDATION_METRICS:
                yield function.__name__, function(preds, batch.target, self.sample_rate)


class _Test(EvaluationSuite):
    def __init__(
        self,
        sample_rate: int,
        instruments: Sequence[str],
        corpus_root: Path | None,
        signal_metrics: tuple[Callable[[Tensor, Tensor, int], Tensor], ...],
        melody_metrics: tuple[Callable[[Pitch, Pitch], Tensor], ...],
        examples_per_worker: int = EXAMPLES_PER_WORKER,
    ) -> None:
        super().__init__(sample_rate, instruments)
        folders = _space_path(corpus_root), _analyses_folder(corpus_root)
        self._setting = Setting(sample_rate, *folders, signal_metrics, melody_metrics)
        self._examples_per_worker = examples_per_worker
        self._waiting: list[Example] = []

    def update(self, preds: Tensor, batch: TransferBatch) -> None:
        _require_shape(preds, batch)
        for index in range(len(preds)):
            row = self._row(batch, index, {})._replace(clip=self._clip_address(batch, index))
            target_instrument = row.pair.split("->")[1]
            self._waiting.append(
                Example(
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
        workers = _workers(len(self._waiting), self._examples_per_worker)
        job = partial(measure, setting=self._setting)
        with one_thread():
            for example, measured in run_jobs(job, self._waiting, "Measuring", workers):
                row = self.rows[example.position]
                self.rows[example.position] = self._filled(row, measured)
        self._waiting = []

    def _filled(self, row: TestRow, measured: Measured) -> TestRow:
        metrics = {name: value if math.isfinite(value) else None for name, value in measured.metrics.items()}
        return row._replace(metrics=metrics, windows=(measured.preds_windows, measured.target_windows))


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


def _workers(n_examples: int, examples_per_worker: int) -> int:
    """Processes that pay: the cores of this rank, but no worker for a few examples."""
    cores = available_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, min(cores, n_examples // examples_per_worker))
