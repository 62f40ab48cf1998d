"""The one evaluation that validation and test of every architecture and every anchor run through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from datamodules.batch import TransferBatch
from metrics import content, signal, timbre
from metrics.table import Interval, TestRow, TestTable

__all__ = ["EvaluationSuite", "Interval", "TestRow", "TestTable"]


class EvaluationSuite:
    """Measures a system example by example; `update` per batch, `compute` once.

    Args:
        sample_rate: of all audio, in Hz.
        instruments: names behind the instrument ids of a batch.
    """

    def __init__(self, sample_rate: int, instruments: Sequence[str], corpus_root: Path | None = None) -> None:
        self.sample_rate = sample_rate
        self.instruments = list(instruments)
        self._rows: list[TestRow] = []

    @classmethod
    def for_validation(cls, sample_rate: int, instruments: Sequence[str]) -> EvaluationSuite:
        """A handful of cheap metrics, batched and on the device of the audio."""
        return cls(sample_rate, instruments)

    @classmethod
    def for_test(
        cls, sample_rate: int, instruments: Sequence[str], corpus_root: Path | None = None
    ) -> EvaluationSuite:
        """Every metric."""
        return cls(sample_rate, instruments, corpus_root)

    def update(self, preds: Tensor, batch: TransferBatch) -> None:
        """Measure ``preds`` ``(B, T)``, the transfer of ``batch``."""
        preds = preds.detach()
        target = batch.source if batch.target is None else batch.target
        wanted = batch.reference if batch.target is None else batch.target
        values = {"mfcc_distance": timbre.mfcc_distance(preds, wanted, self.sample_rate)}
        values["chroma_cosine"] = content.chroma_cosine(preds, target, self.sample_rate)
        if batch.target is not None:
            functions: list[Callable[..., Tensor]] = [signal.mr_stft, signal.lsd_mel_db]
            values |= {f.__name__: f(preds, batch.target, self.sample_rate) for f in functions}
        for index in range(len(preds)):
            example = {name: float(column[index]) for name, column in values.items()}
            self._rows.append(self._row(batch, index, example))

    def compute(self) -> TestTable:
        """The table of everything measured so far."""
        return TestTable(tuple(self._rows))

    def _row(self, batch: TransferBatch, index: int, values: dict[str, float]) -> TestRow:
        source = self.instruments[int(batch.source_instrument[index])]
        target = self.instruments[int(batch.target_instrument[index])]
        defined = {name: value if value == value else None for name, value in values.items()}
        return TestRow(
            batch.track[index],
            f"{source}->{target}",
            batch.piece[index],
            batch.reference_piece[index],
            defined,
        )
