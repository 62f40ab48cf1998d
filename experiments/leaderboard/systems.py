"""Tested runs as systems that can be compared: trainings that differ only in their seed are one system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from experiments.leaderboard.runs import TestedRun
from metrics.evaluation.table import TestRow

Rows = Mapping[tuple[str, ...], TestRow]
"""The rows of a test by their key, which tells a test case."""


class System(NamedTuple):
    """An experiment's trainings with different seeds, or the tests of an anchor."""

    runs: tuple[TestedRun, ...]
    """Sorted by seed. The tests of an anchor count as one with the test cases of all."""

    @property
    def experiment(self) -> str:
        """Name of the experiment."""
        return self.runs[0].experiment

    @property
    def scale(self) -> str:
        """Scale of the experiment, such as ``demo``."""
        return self.runs[0].scale

    @property
    def architecture(self) -> str:
        """Name of the architecture's package."""
        return self.runs[0].architecture

    @property
    def is_anchor(self) -> bool:
        """Whether the system is a trivial transfer."""
        return self.runs[0].is_anchor

    @property
    def seeds(self) -> str:
        """The seeds, as in ``0, 1, 2``."""
        return ", ".join(str(seed) for seed in dict.fromkeys(run.seed for run in self.runs))

    @property
    def cost(self) -> tuple[float, int] | None:
        """Real-time factor (the least of the runs) and parameters of a transfer, where they were measured."""
        measured = [run for run in self.runs if run.real_time_factor and run.n_parameters]
        if not measured:
            return None
        return min(run.real_time_factor or 0 for run in measured), measured[0].n_parameters or 0

    def trainings(self) -> list[Rows]:
        """The rows of each training."""
        tables = [run.table.rows for run in self.runs]
        if self.is_anchor:
            tables = [tuple(row for rows in tables for row in rows)]
        return [{row.key: row for row in rows} for rows in tables]


def join_runs(runs: Sequence[TestedRun], every: bool = False) -> list[System]:
    """Runs joined into systems; with ``every`` each run is a system of its own."""
    found: dict[Any, list[TestedRun]] = {}
    for run in runs:
        place = run.run_id if every else (run.experiment, run.scale, None if run.is_anchor else run.corpus)
        found.setdefault(place, []).append(run)
    return [System(tuple(sorted(members, key=lambda run: run.seed))) for members in found.values()]
