"""The leaderboard in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from experiments.leaderboard import COLUMNS, Column, Line
from metrics.table import Interval

GROUP_STYLES = {"joint": "bold", "content": "cyan", "timbre": "magenta", "signal": "green"}


def print_table(found: Sequence[Line], console: Console | None = None) -> None:
    """Print one table per track and pair, best joint score first, anchors dimmed and marked."""
    # Not a terminal: wide enough for every column, instead of 80 characters.
    console = console or Console()
    if not console.is_terminal:
        console.width = 220
    for (track, pair), group in groupby(found, key=lambda line: (line.track, line.pair)):
        console.print(_table(f"{track} · {pair}", list(group)))
    console.print(
        "⚓ anchor: a trivial transfer for comparison · ↑ higher is better, ↓ lower · joint score with its "
        "95 % bootstrap interval over pieces · `--format html` to listen",
        style="dim",
    )


def _table(title: str, group: Sequence[Line]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for name in ("experiment", "scale", "seed", "n"):
        table.add_column(name, justify="right" if name in ("seed", "n") else "left", no_wrap=True)
    columns = [column for column in COLUMNS if any(column.metric in line.metrics for line in group)]
    for column in columns:
        table.add_column(
            f"{column.caption} {arrow(column)}", style=GROUP_STYLES[column.group], justify="right"
        )
    for line in group:
        table.add_row(*_cells(line, columns), style="dim" if line.run.is_anchor else "")
    return table


def _cells(line: Line, columns: Sequence[Column]) -> list[Text | str]:
    name = f"⚓ {line.run.experiment}" if line.run.is_anchor else line.run.experiment
    n = max((interval.n for interval in line.metrics.values()), default=0)
    values = [value(line.metrics.get(column.metric), column.group == "joint") for column in columns]
    return [name, line.run.scale, str(line.run.seed), str(n), *values]


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
