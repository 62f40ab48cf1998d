"""The differences of two systems, piece by piece: ``experiments.compare --against A B``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.leaderboard.cells import pair_title
from experiments.leaderboard.ranking import ALL
from experiments.leaderboard.systems import Rows, System
from metrics.evaluation.table import Interval, TestRow, bootstrap_mean
from metrics.registry import JOINT_SCORE, Metric, columns
from runtime.errors import UserError, nearest


class PieceDifference(NamedTuple):
    """A metric of two systems on one piece, each the mean over its clips and trainings."""

    piece: str
    ours: float
    theirs: float


class Comparison(NamedTuple):
    """Two systems on their common clips of one track and pair, or on all common clips (``all``)."""

    track: str
    pair: str
    differences: Mapping[str, Interval]
    """Mean of ours − theirs per metric, with its 95 % interval: clips are paired, whole pieces resampled."""
    pieces: tuple[PieceDifference, ...]
    """Joint scores of the pieces, the largest gain first."""

    @property
    def title(self) -> str:
        """Track and pair, for a heading."""
        return "all common clips" if self.track == ALL else f"{self.track} · {pair_title(self.pair)}"

    @property
    def columns(self) -> list[Metric]:
        """The metrics to show: those of the leaderboard that both systems have."""
        return [metric for metric in columns() if metric.name in self.differences]


def system_named(name: str, found: Sequence[System]) -> System:
    """The system of an experiment, given by its name or its config's path, as in ``ablations/ddsp_lstm``.

    Raises:
        UserError: there is none; names the nearest one.
    """
    of_name = [system for system in found if system.experiment == name.rpartition("/")[2]]
    if not of_name:
        known = sorted({system.experiment for system in found})
        raise UserError(
            f"No tested run of '{name}' is there.{nearest(name, known)} "
            f"There are: {', '.join(known) or 'none'}."
        )
    return of_name[0]


def compare_systems(ours: System, theirs: System, only: str | None = None) -> list[Comparison]:
    """Ours − theirs on all common clips, then on every track and pair that both have.

    Args:
        ours: a system.
        theirs: the system to compare it with.
        only: the only pair of instruments to compare on, as in ``piano->violin``.

    Raises:
        UserError: no clip is common.
    """
    sides = [_by_clip(system.trainings()) for system in (ours, theirs)]
    shared = sorted(key for key in sides[0].keys() & sides[1].keys() if only in (None, key[1]))
    if not shared:
        raise UserError(
            f"'{ours.experiment}' and '{theirs.experiment}' have no test clip in common: their pairs of "
            "instruments, pieces or audio differ."
        )
    groups: dict[tuple[str, str], list[tuple[str, ...]]] = {(ALL, ALL): shared}
    for key in shared:
        groups.setdefault((key[0], key[1]), []).append(key)
    if len(groups) == 2:  # one pair only
        del groups[ALL, ALL]
    return [_comparison(*group, keys, *sides) for group, keys in groups.items()]


RowsByClip = Mapping[tuple[str, ...], Sequence[TestRow]]
"""The rows that the trainings of a system have of each clip."""


def _by_clip(trainings: Sequence[Rows]) -> RowsByClip:
    keys = set.intersection(*(set(rows) for rows in trainings))
    return {key: [rows[key] for rows in trainings] for key in keys}


def _comparison(
    track: str, pair: str, keys: Sequence[tuple[str, ...]], ours: RowsByClip, theirs: RowsByClip
) -> Comparison:
    names = dict.fromkeys(name for key in keys for name in ours[key][0].metrics)
    pieces = [ours[key][0].piece for key in keys]
    found = {name: bootstrap_mean(_per_seed(name, keys, ours, theirs), pieces) for name in names}
    differences = {name: interval for name, interval in found.items() if interval is not None}
    ranked = sorted(_by_piece(keys, ours, theirs), key=lambda score: score.theirs - score.ours)
    return Comparison(track, pair, differences, tuple(ranked))


def _by_piece(
    keys: Sequence[tuple[str, ...]], ours: RowsByClip, theirs: RowsByClip
) -> Iterator[PieceDifference]:
    for piece in dict.fromkeys(ours[key][0].piece for key in keys):
        clips = [key for key in keys if ours[key][0].piece == piece]
        sides = [
            np.concatenate([_values(JOINT_SCORE, rows[key]) for key in clips]) for rows in (ours, theirs)
        ]
        if all(np.isfinite(side).any() for side in sides):
            yield PieceDifference(piece, *(float(np.nanmean(side)) for side in sides))


def _per_seed(name: str, keys: Sequence[tuple[str, ...]], ours: RowsByClip, theirs: RowsByClip) -> np.ndarray:
    """Differences ``(S, clips)``: trainings are paired where both systems have as many, else means are."""
    sides = [np.array([_values(name, side[key]) for key in keys]).T for side in (ours, theirs)]
    if len(sides[0]) == len(sides[1]):
        return sides[0] - sides[1]
    return sides[0].mean(0) - sides[1].mean(0)


def _values(name: str, rows: Sequence[TestRow]) -> np.ndarray:
    return np.array([row.value(name) for row in rows])


def to_json(found: Sequence[tuple[System, System, Sequence[Comparison]]]) -> str:
    """One JSON document: of each two systems the names and, by track and pair, the differences."""
    return json.dumps([_as_document(*two) for two in found], indent=1, allow_nan=False)


def _as_document(ours: System, theirs: System, found: Sequence[Comparison]) -> dict[str, Any]:
    return {
        "ours": ours.experiment,
        "theirs": theirs.experiment,
        "comparisons": [
            {
                "track": comparison.track,
                "pair": comparison.pair,
                "differences": {name: i._asdict() for name, i in sorted(comparison.differences.items())},
                "joint_score_by_piece": [piece._asdict() for piece in comparison.pieces],
            }
            for comparison in found
        ],
    }
