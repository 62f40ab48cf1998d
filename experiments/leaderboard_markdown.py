"""The leaderboard as a part of a Markdown page, with its pictures beside."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from datamodules.atomic_files import write_beside
from experiments.leaderboard import ALL, COLUMNS, Column, Group, Line, System, meeting
from experiments.leaderboard_differences import Comparison, compare_systems, verdict
from experiments.leaderboard_pictures import learning_curves, quality_and_cost
from experiments.leaderboard_table import arrow, number, scores, systems_of, value

BEGIN, END = "<!-- leaderboard: made by experiments.compare -->", "<!-- end of leaderboard -->"
PICTURES = "pictures"


def update_page(
    path: Path, found: Sequence[Group], uri: str, against: Sequence[tuple[System, System]] = ()
) -> None:
    """Write the leaderboard into ``path``: between its two marks, where it has them, else as a new page.

    Args:
        path: a Markdown file; pictures go to ``pictures/`` beside it.
        found: as `experiments.leaderboard.groups` gives them.
        uri: MLflow tracking URI, for the learning curves.
        against: systems whose differences are shown.
    """
    before, after = _around(path)
    text = "\n".join([BEGIN, "", *_parts(path, found, uri, against), END])
    with write_beside(path) as file:
        file.write(f"{before}{text}{after}".encode())


def _around(path: Path) -> tuple[str, str]:
    text = path.read_text(encoding="utf-8") if path.is_file() else "# Leaderboard\n\n"
    before, _, rest = text.partition(BEGIN)
    return before, rest.partition(END)[2] or "\n"


def _parts(
    path: Path, found: Sequence[Group], uri: str, against: Sequence[tuple[System, System]]
) -> Iterator[str]:
    main = meeting(found)
    yield from (f"### {main.title[0].upper()}{main.title[1:]}", "", *_table(main), "")
    yield from _picture(
        path, "quality", "Quality against real-time factor and parameters", quality_and_cost(main)
    )
    others = [group for group in found if group is not main and group.track != ALL]
    shared = [group for group in others if len(systems_of([group])) > 1]
    yield from ("### Joint score on the other pairs that several systems have", "", *_matrix(shared), "")
    for ours, theirs in against:
        yield from _differences(ours, theirs)
    systems = [line.system for line in found[-1].lines]
    yield from ("### Each system on its own test", "", *_own(found[-1]), "")
    yield from _picture(path, "curves", "Validation over processor time", learning_curves(systems, uri))
    n_runs = sum(len(system.runs) for system in systems)
    yield from (f"*Made from {n_runs} tested runs, {time.strftime('%Y-%m-%d %H:%M')}.*", "")


def _table(group: Group) -> Iterator[str]:
    columns = [column for column in COLUMNS if any(column.metric in line.metrics for line in group.lines)]
    yield from _head(
        ["system", "seeds", "clips", *(f"{column.caption} {arrow(column)}" for column in columns)]
    )
    for line in group.lines:
        values = [value(line.metrics.get(column.metric), column.group == "joint") for column in columns]
        yield _row([_name(line.system), line.system.seeds, str(line.n_clips), *values])
    yield from ("", *group.notes)


def _own(group: Group) -> Iterator[str]:
    yield from _head(["experiment", "joint ↑", "clips", "pairs", "real-time factor", "parameters"])
    for line in group.lines:
        if not line.system.is_anchor:
            yield _row(_own_cells(line))


def _own_cells(line: Line) -> list[str]:
    pairs = {row.pair for run in line.system.runs for row in run.table.rows}
    cost = line.system.cost
    costs = (f"{cost[0]:.2g}", f"{cost[1]:,}") if cost else ("–", "–")
    joint = value(line.metrics.get("joint_score"), True)
    return [_name(line.system), joint, str(line.n_clips), str(len(pairs)), *costs]


def _matrix(shared: Sequence[Group]) -> Iterator[str]:
    names = systems_of(shared)
    yield from _head(["track", "pair", *(f"`{name}`" for name in names)])
    for group in shared:
        yield _row([group.track, group.pair.replace("->", " → "), *scores(group, names)])


def _differences(ours: System, theirs: System) -> Iterator[str]:
    yield from (f"### `{ours.experiment}` − `{theirs.experiment}`", "")
    for comparison in compare_systems(ours, theirs):
        yield from (f"{comparison.title}, paired by clip, 95 % intervals over pieces:", "")
        yield from (*_difference_table(comparison), "")
        pieces = ", ".join(f"{p.piece} {number(p.ours - p.theirs)}" for p in comparison.pieces)
        yield from (f"Joint score piece by piece: {pieces}.", "")


def _difference_table(comparison: Comparison) -> Iterator[str]:
    yield from _head(["metric", "difference", ""])
    for column in COLUMNS:
        if column.metric in comparison.differences:
            yield _row(_difference_cells(column, comparison))


def _difference_cells(column: Column, comparison: Comparison) -> list[str]:
    interval = comparison.differences[column.metric]
    return [f"{column.caption} {arrow(column)}", value(interval, True), verdict(column, interval)]


def _picture(path: Path, name: str, caption: str, picture: bytes | None) -> Iterator[str]:
    if picture:
        file = path.parent / PICTURES / f"{path.stem}_{name}.png"
        with write_beside(file) as target:
            target.write(picture)
        yield from (f"![{caption}]({PICTURES}/{file.name})", "")


def _name(system: System) -> str:
    return f"⚓ `{system.experiment}`" if system.is_anchor else f"`{system.experiment}`"


def _head(captions: Sequence[str]) -> Iterator[str]:
    yield from (_row(captions), f"|{'---|' * len(captions)}")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
