"""What a test leaves behind: one row per example, means, bootstrap intervals, paired comparisons."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from metrics.functional.distributions import frechet_distance, kernel_audio_distance

N_RESAMPLES = 2000
CONFIDENCE = 0.95
_SEED = 0


class Interval(NamedTuple):
    """A mean with its bootstrap interval."""

    mean: float
    low: float | None
    """Lower end of the 95 % interval; ``None`` where there is a single piece, or for a metric of the set."""
    high: float | None
    """Upper end of it."""
    n: int
    """Examples behind the mean; those without a value are not among them."""


class TestRow(NamedTuple):
    """The values of one example."""

    track: str
    pair: str
    """``source_instrument->target_instrument``."""
    piece: str
    reference_piece: str
    metrics: dict[str, float | None]
    """Value per metric; ``None`` where it could not be computed for this example."""
    windows: tuple[np.ndarray, np.ndarray] | None = None
    """Timbre embeddings ``(W, 64)`` of output and target, for `TestTable.set_metrics`; not in JSON."""
    clip: str = ""
    """Address of the samples of source, target and reference: rows that share it answer the same question,
    whatever corpora they come from. Empty in tables of older versions."""

    @property
    def key(self) -> tuple[str, ...]:
        """What makes two rows of two systems the same example: names and, in ``clip``, audio."""
        return self.track, self.pair, self.piece, self.reference_piece, self.clip


TestRow.__test__ = False  # type: ignore[attr-defined]  # not a test case, whatever pytest thinks of its name


@dataclass(frozen=True)
class TestTable:
    """Per-example values of a test, and metrics that only a set has (KAD, Fréchet distance)."""

    __test__ = False

    rows: tuple[TestRow, ...]
    set_metrics: dict[str, float] = field(default_factory=dict)
    """Metrics of all rows together."""
    group_metrics: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)
    """The same per (track, pair)."""

    @classmethod
    def of(cls, rows: Iterable[TestRow]) -> TestTable:
        """The table of ``rows``, with the metrics of the set that their windows give.

        Rows are sorted, so that a table does not depend on batches and processes.
        """
        rows = tuple(sorted(rows, key=lambda row: row.key))
        groups = {group: _set_metrics(members) for group, members in _grouped(rows).items()}
        return cls(rows, _set_metrics(rows), groups)

    def means(self) -> dict[str, float]:
        """Mean of every metric over the examples that have it, and the set's metrics."""
        values = {name: column[np.isfinite(column)] for name, column in self._columns().items()}
        return {name: float(v.mean()) for name, v in values.items() if v.size} | self.set_metrics

    def undefined(self) -> dict[str, int]:
        """Per metric the number of examples for which it could not be computed; only where not 0."""
        counts = {name: sum(row.metrics.get(name, 0) is None for row in self.rows) for name in self._names()}
        return {name: count for name, count in counts.items() if count}

    def intervals(self) -> dict[str, Interval]:
        """Mean and 95 % percentile interval of every metric, bootstrapped over pieces with a fixed seed."""
        pieces = [row.piece for row in self.rows]
        found = {name: bootstrap_mean(column, pieces) for name, column in self._columns().items()}
        of_set = {n: Interval(v, None, None, len(self.rows)) for n, v in self.set_metrics.items()}
        return {name: interval for name, interval in found.items() if interval is not None} | of_set

    def by_group(self) -> dict[tuple[str, str], TestTable]:
        """One table per (track, pair), sorted."""
        return {
            group: TestTable(rows, self.group_metrics.get(group, {}))
            for group, rows in _grouped(self.rows).items()
        }

    @classmethod
    def merged(cls, tables: Sequence[TestTable]) -> TestTable:
        """One table of all rows, for example of all ranks. Rows that a sampler repeated count once."""
        rows = [row for table in tables for row in table.rows]
        return cls.of({(row.key, tuple(row.metrics.items())): row for row in rows}.values())

    def to_json(self) -> str:
        """A JSON document that `from_json` reads."""
        fields = [name for name in TestRow._fields if name != "windows"]
        rows = [{name: getattr(row, name) for name in fields} for row in self.rows]
        groups = [[*group, metrics] for group, metrics in self.group_metrics.items()]
        document = {"rows": rows, "set_metrics": self.set_metrics, "group_metrics": groups}
        return json.dumps(document, indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, document: str) -> TestTable:
        """Read what `to_json` wrote."""
        content: Mapping[str, Any] = json.loads(document)
        groups = {(track, pair): metrics for track, pair, metrics in content["group_metrics"]}
        return cls(tuple(TestRow(**row) for row in content["rows"]), content["set_metrics"], groups)

    def _names(self) -> list[str]:
        return list(dict.fromkeys(name for row in self.rows for name in row.metrics))

    def _columns(self) -> dict[str, np.ndarray]:
        return {
            name: np.array([_number(row.metrics.get(name)) for row in self.rows]) for name in self._names()
        }


def _grouped(rows: Sequence[TestRow]) -> dict[tuple[str, str], tuple[TestRow, ...]]:
    groups = sorted({(row.track, row.pair) for row in rows})
    return {group: tuple(row for row in rows if (row.track, row.pair) == group) for group in groups}


def _set_metrics(rows: Sequence[TestRow]) -> dict[str, float]:
    """KAD and Fréchet distance of the timbre embeddings; empty where a side has fewer than two."""
    windows = [row.windows for row in rows if row.windows is not None]
    if not windows:
        return {}
    preds, target = (np.concatenate(side) for side in zip(*windows, strict=True))
    found = {
        "kad_triplet": kernel_audio_distance(preds, target),
        f"frechet_triplet_{len(preds)}_windows": frechet_distance(preds, target),
    }
    return {name: value for name, value in found.items() if np.isfinite(value)}


def paired_differences(ours: TestTable, theirs: TestTable) -> dict[str, Interval]:
    """Mean of ours − theirs per metric over the examples both have, with its interval over pieces."""
    other = {row.key: row.metrics for row in theirs.rows}
    shared = [row for row in ours.rows if row.key in other]
    names = dict.fromkeys(name for row in shared for name in row.metrics)
    pieces = [row.piece for row in shared]
    found = {
        name: bootstrap_mean(
            np.array([_number(row.metrics.get(name)) - _number(other[row.key].get(name)) for row in shared]),
            pieces,
        )
        for name in names
    }
    return {name: interval for name, interval in found.items() if interval is not None}


def bootstrap_mean(values: np.ndarray, pieces: Iterable[str]) -> Interval | None:
    """Mean of ``values`` and its 95 % interval, resampling whole pieces (the independent unit) and trainings.

    Args:
        values: ``(n,)``, or ``(S, n)`` of S trainings that differ in their seed; NaN where there is none.
        pieces: ``n`` names; the values of one piece are drawn together.

    Returns:
        ``None`` where no value is finite.
    """
    values = np.atleast_2d(values)
    defined = np.isfinite(values)
    if not defined.any():
        return None
    known = defined.any(0)
    names, unit = np.unique(np.asarray(list(pieces))[known], return_inverse=True)
    of_piece = np.eye(len(names))[unit]
    totals, counts = (part[:, known] @ of_piece for part in (np.where(defined, values, 0), defined * 1.0))
    mean, n = float(values[defined].mean()), int(known.sum())
    if len(names) < 2:
        return Interval(mean, None, None, n)
    generator = np.random.default_rng(_SEED)
    times, trainings = (_times_drawn(generator, size) for size in (len(names), len(values)))
    drawn = [((trainings @ part) * times).sum(1) for part in (totals, counts)]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.nanquantile(drawn[0] / np.where(drawn[1] > 0, drawn[1], np.nan), [tail, 1 - tail])
    return Interval(mean, float(low), float(high), n)


def _times_drawn(generator: np.random.Generator, size: int) -> np.ndarray:
    """``(N_RESAMPLES, size)``: drawing with replacement is the same as drawing how often each one comes."""
    return generator.multinomial(size, np.full(size, 1 / size), size=N_RESAMPLES)


def _number(value: float | None) -> float:
    return np.nan if value is None else value
