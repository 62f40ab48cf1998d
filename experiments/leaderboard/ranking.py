"""Systems ranked by their joint score, on the test cases that all of them have.

Within a track and a pair of instruments systems are compared on their common test cases. A test case is known
by its audio, so corpora may differ in what training heard.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.leaderboard.cells import pair_title
from experiments.leaderboard.systems import Rows, System
from metrics.evaluation.table import Interval, bootstrap_mean
from metrics.registry import JOINT_SCORE, Metric, columns

ALL = "all"
"""Track and pair of a ranking over everything."""
OWN_TEST = "Each system on its own test: pairs and pieces differ. Compare within a pair."
OTHER_AUDIO = "Other systems were tested on other audio under these names: they have a ranking of their own."

Cases = set[tuple[str, ...]]
"""Test cases, by the keys of their rows."""


class RankedSystem(NamedTuple):
    """One system in a ranking."""

    system: System
    track: str
    pair: str
    metrics: Mapping[str, Interval]

    @property
    def n_clips(self) -> int:
        """Clips behind the system's means."""
        return max((interval.n for interval in self.metrics.values()), default=0)

    @property
    def joint_score(self) -> float:
        """The score that ranks; −1 without one, so that the system comes last."""
        return self.metrics[JOINT_SCORE].mean if JOINT_SCORE in self.metrics else -1.0


class Ranking(NamedTuple):
    """Systems that were tested on the same cases, best joint score first."""

    track: str
    pair: str
    entries: tuple[RankedSystem, ...]
    notes: tuple[str, ...] = ()
    """Sentences on which clips are compared, and on whether the systems were trained on the same music."""

    @property
    def title(self) -> str:
        """Track and pair, for a heading."""
        return "all tracks and pairs" if self.track == ALL else f"{self.track} · {pair_title(self.pair)}"

    @property
    def architectures(self) -> set[str]:
        """The architectures that are compared."""
        return {entry.system.architecture for entry in self.entries if not entry.system.is_anchor}

    @property
    def joint_scores(self) -> dict[str, Interval]:
        """The joint score of each experiment that has one; of its best entry, where it has several."""
        scored = [entry for entry in reversed(self.entries) if JOINT_SCORE in entry.metrics]
        return {entry.system.experiment: entry.metrics[JOINT_SCORE] for entry in scored}

    @property
    def columns(self) -> list[Metric]:
        """The metrics to show: the leaderboard's that any of the systems has."""
        return [metric for metric in columns() if any(metric.name in entry.metrics for entry in self.entries)]


def rankings(found: Sequence[System]) -> list[Ranking]:
    """A ranking of every track and pair, and last one of everything together (``all``)."""
    pairs = sorted({(key[0], key[1]) for system in found for rows in system.trainings() for key in rows})
    of_pairs = [ranking for track, pair in pairs for ranking in _of_pair(track, pair, found)]
    return [*of_pairs, _of_own_tests(found)]


def main_ranking(found: Sequence[Ranking]) -> Ranking:
    """The ranking that compares most architectures, among those the one with most systems, first by name."""
    of_pairs = [ranking for ranking in found if ranking.track != ALL] or list(found)
    return max(of_pairs, key=lambda ranking: (len(ranking.architectures), len(ranking.entries)))


def experiments_in(found: Sequence[Ranking]) -> list[str]:
    """The experiments in any of the rankings, without anchors, sorted."""
    entries = [entry for ranking in found for entry in ranking.entries]
    return sorted({entry.system.experiment for entry in entries if not entry.system.is_anchor})


def _of_own_tests(found: Sequence[System]) -> Ranking:
    """Each system on all of its rows; metrics of a set (KAD, Fréchet distance) are those of its first run."""
    cases = [_common(system.trainings()) for system in found]
    entries = [
        RankedSystem(
            s, ALL, ALL, _intervals(s.trainings(), own) | _of_set(s.runs[0].table.set_metrics, len(own))
        )
        for s, own in zip(found, cases, strict=True)
    ]
    differ = len({frozenset(own) for own in cases}) > 1
    return Ranking(ALL, ALL, _ranked(entries), (OWN_TEST,) if differ else ())


def _of_pair(track: str, pair: str, found: Sequence[System]) -> Iterator[Ranking]:
    """One ranking of the systems that share clips; more where audio under the same names differs."""
    rows = [_rows_of(system, track, pair) for system in found]
    cases = {number: own for number, tables in enumerate(rows) if (own := _common(tables))}
    competing = {n: own for n, own in cases.items() if not found[n].is_anchor} or cases
    parts = _connected(competing)
    for part in parts:
        common = set.intersection(*(competing[number] for number in part))
        entries = [
            RankedSystem(
                found[n],
                track,
                pair,
                _intervals(rows[n], own & common) | _sets_of(found[n], track, pair, own, common),
            )
            for n, own in cases.items()
            if own & common and (n in part or found[n].is_anchor)
        ]
        notes = _notes([found[n] for n in part], [len(competing[n]) for n in part], len(common))
        yield Ranking(track, pair, _ranked(entries), (*notes, OTHER_AUDIO) if len(parts) > 1 else notes)


def _rows_of(system: System, track: str, pair: str) -> list[Rows]:
    """The rows of each training on one track and pair."""
    return [
        {key: row for key, row in rows.items() if key[:2] == (track, pair)} for rows in system.trainings()
    ]


def _common(tables: Sequence[Rows]) -> Cases:
    return set.intersection(*(set(rows) for rows in tables))


def _connected(cases: Mapping[int, Cases]) -> list[list[int]]:
    """Numbers of the systems that share test cases, directly or over other systems."""
    parts: list[list[int]] = []
    for number, own in cases.items():
        touching = [part for part in parts if any(cases[other] & own for other in part)]
        parts = [part for part in parts if part not in touching] + [
            [n for part in touching for n in part] + [number]
        ]
    return parts


def _notes(systems: Sequence[System], n_clips: Sequence[int], n_common: int) -> tuple[str, ...]:
    notes = []
    if not n_common:
        notes.append("No clip is there in every system, so there is nothing to compare.")
    elif max(n_clips) > n_common:
        fewest = [s.experiment for s, n in zip(systems, n_clips, strict=True) if n == min(n_clips)]
        least = ", ".join(sorted(set(fewest)))
        notes.append(f"Compared on the {n_common} clips that all have; {least} has the fewest.")
    if len(corpora := sorted({run.corpus for system in systems for run in system.runs})) > 1:
        notes.append(
            f"Trained on different corpora ({', '.join(corpora)}); the audio of the test is the same."
        )
    return tuple(notes)


def _intervals(tables: Sequence[Rows], cases: Cases) -> dict[str, Interval]:
    ordered = sorted(cases)
    pieces = [tables[0][key].piece for key in ordered]
    names = dict.fromkeys(name for key in ordered for name in tables[0][key].metrics)
    found = {
        name: bootstrap_mean(
            np.array([[rows[key].value(name) for key in ordered] for rows in tables]), pieces
        )
        for name in names
    }
    return {name: interval for name, interval in found.items() if interval is not None}


def _sets_of(system: System, track: str, pair: str, own: Cases, common: Cases) -> dict[str, Interval]:
    """Metrics of all clips of a pair, where all of them are compared."""
    values = system.runs[0].table.group_metrics.get((track, pair), {})
    return _of_set(values, len(own)) if own == common else {}


def _of_set(values: Mapping[str, float], n: int) -> dict[str, Interval]:
    return {name: Interval(value, None, None, n) for name, value in values.items()}


def _ranked(entries: Sequence[RankedSystem]) -> tuple[RankedSystem, ...]:
    return tuple(sorted(entries, key=lambda entry: (-entry.joint_score, entry.system.experiment)))


def to_json(found: Sequence[Ranking]) -> str:
    """One JSON document: a list of the entries of all rankings."""
    entries = [_as_document(ranking, entry) for ranking in found for entry in ranking.entries]
    return json.dumps(entries, indent=1, allow_nan=False)


def _as_document(ranking: Ranking, entry: RankedSystem) -> dict[str, Any]:
    system = entry.system
    factor, n_parameters = system.cost or (None, None)
    return {
        "experiment": system.experiment,
        "architecture": system.architecture,
        "scale": system.scale,
        "track": entry.track,
        "pair": entry.pair,
        "is_anchor": system.is_anchor,
        "seed": system.runs[0].seed,
        "corpus": system.runs[0].corpus,
        "run_id": system.runs[0].run_id,
        "runs": [{"run_id": run.run_id, "seed": run.seed, "corpus": run.corpus} for run in system.runs],
        "real_time_factor": factor,
        "transfer_parameters": n_parameters,
        "metrics": {name: interval._asdict() for name, interval in sorted(entry.metrics.items())},
        "notes": list(ranking.notes),
    }
