"""The leaderboard, and two systems' differences, in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from experiments.leaderboard.differences import Comparison, shown_columns, verdict
from experiments.leaderboard.systems import ALL, COLUMNS, JOINT_SCORE, Column, Group, Line, System, meeting
from metrics.evaluation.table import Interval

GROUP_STYLES = {"joint": "bold", "content": "cyan", "timbre": "magenta", "signal": "green"}
VERDICT_STYLES = {"better": "green", "worse": "red", "": "dim"}
MAX_TABLES = 12
"""With more pairs than this the others are one table of joint scores."""


def print_table(found: Sequence[Group], console: Console | None = None) -> None:
    """Print the pairs' tables, best joint score first, anchors dimmed and marked; then costs.

    With many pairs only the one in which most architectures meet has a table of its own.
    """
    console = _wide(console)
    for group in tabulated(found):
        console.print(_table(group))
        for note in group.notes:
            console.print(f"  {note}", style="dim")
    rest = [group for group in found if group not in tabulated(found)]
    if rest:
        console.print(_matrix(rest))
        console.print("  `--pair SOURCE->TARGET` shows one of these pairs whole.", style="dim")
    console.print(_costs([line.system for line in found[-1].lines]))
    console.print(
        "⚓ anchor: a trivial transfer for comparison · ↑ higher is better, ↓ lower · joint score with its "
        "95 % bootstrap interval over pieces · `--format html` to listen",
        style="dim",
    )


def tabulated(found: Sequence[Group]) -> list[Group]:
    """The groups that have a table of their own."""
    if len(found) <= MAX_TABLES:
        return list(found)
    return [meeting(found), *(group for group in found if group.track == ALL)]


def print_differences(
    ours: System, theirs: System, found: Sequence[Comparison], console: Console | None = None
) -> None:
    """Print ours − theirs: the means of every metric with their intervals, and the pieces' joint scores."""
    console = _wide(console)
    for comparison in found:
        columns = shown_columns(comparison)
        table = Table(title=comparison.title, title_justify="left", title_style="bold")
        for column in columns:
            table.add_column(f"{column.caption} {arrow(column)}", justify="right")
        intervals = [comparison.differences[column.metric] for column in columns]
        table.add_row(
            *(
                Text(value(interval, True), VERDICT_STYLES[verdict(column, interval)])
                for column, interval in zip(columns, intervals, strict=True)
            )
        )
        console.print(table)
        if comparison.track != ALL:
            console.print(_pieces(ours, theirs, comparison))
    console.print(
        f"{ours.experiment} − {theirs.experiment} · clips are paired, 95 % intervals over pieces · green: "
        f"{ours.experiment} is better, red: worse, dim: the interval holds zero",
        style="dim",
    )


def _wide(console: Console | None) -> Console:
    # Not a terminal: wide enough for every column, instead of 80 characters.
    console = console or Console()
    if not console.is_terminal:
        console.width = 220
    return console


def _table(group: Group) -> Table:
    table = Table(title=group.title, title_justify="left", title_style="bold")
    for name in ("experiment", "scale", "seed", "n"):
        table.add_column(name, justify="right" if name in ("seed", "n") else "left", no_wrap=True)
    columns = [column for column in COLUMNS if any(column.metric in line.metrics for line in group.lines)]
    for column in columns:
        table.add_column(
            f"{column.caption} {arrow(column)}", style=GROUP_STYLES[column.group], justify="right"
        )
    for line in group.lines:
        table.add_row(*_cells(line, columns), style="dim" if line.system.is_anchor else "")
    return table


def _cells(line: Line, columns: Sequence[Column]) -> list[Text | str]:
    values = [value(line.metrics.get(column.metric), column.group == "joint") for column in columns]
    return [_name(line.system), line.system.scale, line.system.seeds, str(line.n_clips), *values]


def _name(system: System) -> str:
    return f"⚓ {system.experiment}" if system.is_anchor else system.experiment


def _matrix(rest: Sequence[Group]) -> Table:
    names = systems_of(rest)
    table = Table(
        "track", "pair", title="joint score of the other pairs", title_justify="left", title_style="bold"
    )
    for name in names:
        table.add_column(name, justify="right")
    for group in rest:
        table.add_row(group.track, group.pair.replace("->", " → "), *scores(group, names))
    return table


def systems_of(found: Sequence[Group]) -> list[str]:
    """Experiments in any of the groups, without anchors, sorted."""
    return sorted(
        {line.system.experiment for group in found for line in group.lines if not line.system.is_anchor}
    )


def scores(group: Group, names: Sequence[str]) -> list[str]:
    """The joint score of each named experiment in a group, a dash where it was not tested."""
    of_name = {line.system.experiment: line.metrics.get(JOINT_SCORE) for line in reversed(group.lines)}
    return [value(of_name.get(name)) for name in names]


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


def arrow(column: Column) -> str:
    """Which way is better."""
    return "↑" if column.higher_is_better else "↓"


def value(interval: Interval | None, with_interval: bool = False) -> str:
    """``0.83``, or ``0.83 [0.79, 0.86]``; a dash where there is none."""
    if interval is None:
        return "–"
    text = number(interval.mean)
    if with_interval and interval.low is not None and interval.high is not None:
        text += f" [{number(interval.low)}, {number(interval.high)}]"
    return text


def number(x: float) -> str:
    """Three significant digits, as far as a reader needs them: ``0.834``, ``6.54``, ``17.7``."""
    return f"{x:.3f}" if abs(x) < 1 else f"{x:.2f}" if abs(x) < 10 else f"{x:.1f}"
