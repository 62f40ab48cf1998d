"""The leaderboard, and two systems' differences, in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from experiments.leaderboard.cells import heading, number, pair_title, value, verdict
from experiments.leaderboard.differences import Comparison
from experiments.leaderboard.ranking import ALL, RankedSystem, Ranking, experiments_in, main_ranking
from experiments.leaderboard.systems import System
from metrics.registry import Metric

GROUP_STYLES = {"joint": "bold", "content": "cyan", "timbre": "magenta", "signal": "green"}
VERDICT_STYLES = {"better": "green", "worse": "red", "": "dim"}
MAX_TABLES = 12
"""With more pairs than this the others are one table of joint scores."""


def print_rankings(found: Sequence[Ranking], file: IO[str] | None = None) -> None:
    """Print a table of each ranking, best joint score first, anchors dimmed and marked; then the costs.

    With many pairs only the one on which most architectures are compared has a table of its own.
    """
    console = _console(file)
    shown = tabulated(found)
    for ranking in shown:
        console.print(_table(ranking))
        for note in ranking.notes:
            console.print(f"  {note}", style="dim")
    if rest := [ranking for ranking in found if all(ranking is not other for other in shown)]:
        console.print(_matrix(rest))
        console.print("  `--pair SOURCE->TARGET` shows one of these pairs whole.", style="dim")
    console.print(_costs([entry.system for entry in found[-1].entries]))
    console.print(
        "⚓ anchor: a trivial transfer for comparison · ↑ higher is better, ↓ lower · joint score with its "
        "95 % bootstrap interval over pieces · `--format html` to listen",
        style="dim",
    )


def tabulated(found: Sequence[Ranking]) -> list[Ranking]:
    """The rankings that have a table of their own."""
    if len(found) <= MAX_TABLES:
        return list(found)
    return [main_ranking(found), *(ranking for ranking in found if ranking.track == ALL)]


def print_differences(
    ours: System, theirs: System, found: Sequence[Comparison], file: IO[str] | None = None
) -> None:
    """Print ours − theirs: every metric's mean with its interval, and the joint score of every piece."""
    console = _console(file)
    for comparison in found:
        table = Table(title=comparison.title, title_justify="left", title_style="bold")
        for metric in comparison.columns:
            table.add_column(heading(metric), justify="right")
        table.add_row(*(_difference(metric, comparison) for metric in comparison.columns))
        console.print(table)
        if comparison.track != ALL:
            console.print(_pieces(ours, theirs, comparison))
    console.print(
        f"{ours.experiment} − {theirs.experiment} · clips are paired, 95 % intervals over pieces · green: "
        f"{ours.experiment} is better, red: worse, dim: the interval holds zero",
        style="dim",
    )


def _difference(metric: Metric, comparison: Comparison) -> Text:
    difference = comparison.differences[metric.name]
    return Text(value(difference, True), VERDICT_STYLES[verdict(metric, difference)])


def _console(file: IO[str] | None) -> Console:
    """A console for ``file``, else standard output, which shows a name such as ``[bold]x`` as it is."""
    console = Console(file=file, markup=False, emoji=False)
    if not console.is_terminal:  # wide enough for every column, instead of 80 characters
        console.width = 220
    return console


def _table(ranking: Ranking) -> Table:
    table = Table(title=ranking.title, title_justify="left", title_style="bold")
    for name in ("experiment", "scale", "seed", "n"):
        table.add_column(name, justify="right" if name in ("seed", "n") else "left", no_wrap=True)
    for metric in ranking.columns:
        table.add_column(heading(metric), style=GROUP_STYLES[metric.group], justify="right")
    for entry in ranking.entries:
        table.add_row(*_cells(entry, ranking.columns), style="dim" if entry.system.is_anchor else "")
    return table


def _cells(entry: RankedSystem, columns: Sequence[Metric]) -> list[str]:
    values = [value(entry.metrics.get(metric.name), metric.group == "joint") for metric in columns]
    return [_name(entry.system), entry.system.scale, entry.system.seeds, str(entry.n_clips), *values]


def _name(system: System) -> str:
    return f"⚓ {system.experiment}" if system.is_anchor else system.experiment


def _matrix(rest: Sequence[Ranking]) -> Table:
    names = experiments_in(rest)
    table = Table(
        "track", "pair", title="joint score of the other pairs", title_justify="left", title_style="bold"
    )
    for name in names:
        table.add_column(name, justify="right")
    for ranking in rest:
        scores = [value(ranking.joint_scores.get(name)) for name in names]
        table.add_row(ranking.track, pair_title(ranking.pair), *scores)
    return table


def _costs(found: Sequence[System]) -> Table:
    table = Table(
        "experiment", "architecture", title="cost of a transfer", title_justify="left", title_style="bold"
    )
    for caption in ("real-time factor", "parameters"):
        table.add_column(caption, justify="right")
    for system in found:
        if system.cost:
            factor, parameters = system.cost
            table.add_row(system.experiment, system.architecture, f"{factor:.2g}", f"{parameters:,}")
    return table


def _pieces(ours: System, theirs: System, comparison: Comparison) -> Table:
    table = Table("piece", title_justify="left")
    for caption in (ours.experiment, theirs.experiment, "joint score, difference"):
        table.add_column(caption, justify="right")
    for piece in comparison.pieces:
        cells = (number(piece.ours), number(piece.theirs), number(piece.ours - piece.theirs))
        table.add_row(piece.piece, *cells)
    return table
