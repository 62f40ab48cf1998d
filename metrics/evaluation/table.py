"""The table of a test: one row per example, with means, bootstrap intervals and paired comparisons."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from metrics.registry import METRICS, Needs
from runtime.errors import UserError

N_RESAMPLES = 2000
CONFIDENCE = 0.95
_SEED = 0


class Interval(NamedTuple):
    """A mean with its bootstrap interval."""

    mean: float
    low: float | None
    """Lower end of the 95 % interval; ``None`` where there is a single piece, or for a metric of the set."""
    high: float | None
    """Upper end of that interval."""
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
    """Address of the samples of source, target and reference: rows that share it are of the same test case,
    whatever corpora they come from. Empty in tables of older versions."""

    @property
    def key(self) -> tuple[str, ...]:
        """Equal for the rows of two systems on the same test case: its names and the address of its audio."""
        return self.track, self.pair, self.piece, self.reference_piece, self.clip

    def value(self, metric: str) -> float:
        """The value of a metric, NaN where the example has none."""
        value = self.metrics.get(metric)
        return np.nan if value is None else value


TestRow.__test__ = False  # type: ignore[attr-defined]  # not a test case, whatever pytest thinks of its name


@dataclass(frozen=True)
class TestTable:
    """Values of a test per example, and metrics that only a set of examples has (KAD, Fréchet distance)."""

    __test__ = False

    rows: tuple[TestRow, ...]
    set_metrics: dict[str, float] = field(default_factory=dict)
    """Metrics of all rows together."""
    group_metrics: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)
    """The same per (track, pair)."""
    n_windows: int = 0
    """Embeddings of outputs behind the metrics of all rows. A Fréchet distance grows as they become fewer, so
    compare it between tests that have as many."""

    @classmethod
    def of(cls, rows: Iterable[TestRow]) -> TestTable:
        """The table of ``rows``, with the metrics of the set that the rows' windows give.

        Rows are sorted, so that a table does not depend on batches and processes.
        """
        rows = tuple(sorted(rows, key=lambda row: row.key))
        groups = {group: _set_metrics(members) for group, members in _grouped(rows).items()}
        n_windows = sum(len(row.windows[0]) for row in rows if row.windows is not None)
        return cls(rows, _set_metrics(rows), groups, n_windows)

    def means(self) -> dict[str, float]:
        """Mean of every metric over the examples that have a value, and the metrics of the whole set."""
        values = {name: column[np.isfinite(column)] for name, column in self._columns().items()}
        return {name: float(v.mean()) for name, v in values.items() if v.size} | self.set_metrics

    def undefined(self) -> dict[str, int]:
        """The number of examples without a value, for each metric that has such examples."""
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
        document = {
            "rows": rows,
            "set_metrics": self.set_metrics,
            "group_metrics": groups,
            "n_windows": self.n_windows,
        }
        return json.dumps(document, indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, document: str) -> TestTable:
        """Read what `to_json` wrote.

        Raises:
            UserError: the document is not whole, or says something else.
        """
        try:
            content: Mapping[str, Any] = json.loads(document)
            groups = {(track, pair): _numbers(values) for track, pair, values in content["group_metrics"]}
            rows = tuple(_row(values) for values in content["rows"])
            return cls(rows, _numbers(content["set_metrics"]), groups, content.get("n_windows", 0))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(f"The table of the test is damaged ({type(error).__name__}: {error}).") from error

    def _names(self) -> list[str]:
        return list(dict.fromkeys(name for row in self.rows for name in row.metrics))

    def _columns(self) -> dict[str, np.ndarray]:
        return {name: np.array([row.value(name) for row in self.rows]) for name in self._names()}


def _row(values: Mapping[str, Any]) -> TestRow:
    row = TestRow(**values)
    if not all(isinstance(name, str) for name in row.key):
        raise TypeError(f"a row names its test case {row.key}")
    return row._replace(metrics=_numbers(row.metrics))


def _numbers(values: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in values.items():
        if not isinstance(value, int | float | None):
            raise TypeError(f"the value of {name} is {value!r}")
    return dict(values)


def _grouped(rows: Sequence[TestRow]) -> dict[tuple[str, str], tuple[TestRow, ...]]:
    groups = sorted({(row.track, row.pair) for row in rows})
    return {group: tuple(row for row in rows if (row.track, row.pair) == group) for group in groups}


def _set_metrics(rows: Sequence[TestRow]) -> dict[str, float]:
    """The metrics that compare all embeddings of a side; empty where a side has fewer than two."""
    windows = [row.windows for row in rows if row.windows is not None]
    if not windows:
        return {}
    preds, target = (np.concatenate(side) for side in zip(*windows, strict=True))
    of_sets = (metric for metric in METRICS.values() if metric.needs is Needs.EMBEDDINGS)
    found = {metric.name: metric.function(preds, target) for metric in of_sets}
    return {name: value for name, value in found.items() if np.isfinite(value)}


def paired_differences(ours: TestTable, theirs: TestTable) -> dict[str, Interval]:
    """Mean of ours − theirs per metric over the examples both have, with its interval over pieces."""
    other = {row.key: row for row in theirs.rows}
    shared = [row for row in ours.rows if row.key in other]
    names = dict.fromkeys(name for row in shared for name in row.metrics)
    pieces = [row.piece for row in shared]
    found = {
        name: bootstrap_mean(
            np.array([row.value(name) - other[row.key].value(name) for row in shared]), pieces
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
    """How often each of ``size`` items is drawn in a resample with replacement: ``(N_RESAMPLES, size)``."""
    return generator.multinomial(size, np.full(size, 1 / size), size=N_RESAMPLES)
