"""The leaderboard as a part of Markdown pages, with its pictures beside."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from experiments.leaderboard.differences import Comparison, compare_systems, verdict
from experiments.leaderboard.pictures import learning_curves, quality_and_cost
from experiments.leaderboard.systems import ALL, COLUMNS, JOINT_SCORE, Column, Group, Line, System, meeting
from experiments.leaderboard.terminal import arrow, number, scores, systems_of, value
from runtime.files import write_beside

LEADERBOARD, SYSTEMS = "leaderboard", "systems"
PICTURES = "pictures"


def begin(part: str) -> str:
    """The mark before a part of a page: ``leaderboard`` for everything, ``systems`` for one table."""
    return f"<!-- {part}: made by experiments.compare -->"


def end(part: str) -> str:
    """The mark after it."""
    return f"<!-- end of {part} -->"


def update_page(
    path: Path, found: Sequence[Group], uri: str, against: Sequence[tuple[System, System]] = ()
) -> None:
    """Write what stands between the marks of ``path`` anew; a page without marks gets the whole leaderboard.

    Args:
        path: a Markdown file; pictures go to ``pictures/`` beside it.
        found: as `experiments.leaderboard.systems.groups` gives them.
        uri: MLflow tracking URI, for the learning curves.
        against: systems whose differences are shown.
    """
    text = path.read_text(encoding="utf-8") if path.is_file() else "# Leaderboard\n\n"
    if not any(begin(part) in text for part in (LEADERBOARD, SYSTEMS)):
        text += f"{begin(LEADERBOARD)}\n{end(LEADERBOARD)}\n"
    if begin(SYSTEMS) in text:
        text = _with(text, SYSTEMS, _systems(found))
    if begin(LEADERBOARD) in text:
        text = _with(text, LEADERBOARD, _leaderboard(path, found, uri, against))
    with write_beside(path) as file:
        file.write(text.encode())


def _with(text: str, part: str, lines: Iterator[str]) -> str:
    before, _, rest = text.partition(begin(part))
    after = rest.partition(end(part))[2]
    return "\n".join([f"{before}{begin(part)}", "", *lines, f"{end(part)}{after}"])


def _leaderboard(
    path: Path, found: Sequence[Group], uri: str, against: Sequence[tuple[System, System]]
) -> Iterator[str]:
    main = meeting(found)
    yield from (f"### {main.title[0].upper()}{main.title[1:]}", "", *_table(main), "")
    yield from _picture(
        path, "quality", "Quality against real-time factor and parameters", quality_and_cost(main)
    )
    others = [group for group in found if group is not main and group.track != ALL]
    if shared := [group for group in others if len(systems_of([group])) > 1]:
        yield from ("### Joint score on the other pairs that several systems have", "", *_matrix(shared), "")
    for ours, theirs in against:
        yield from _differences(ours, theirs)
    yield from ("### Each system on its own test", "", *_systems(found))
    systems = [line.system for line in found[-1].lines]
    yield from _picture(path, "curves", "Validation over processor time", learning_curves(systems, uri))
    n_runs = sum(len(system.runs) for system in systems)
    yield from (f"*Tested runs: {n_runs}. {time.strftime('%Y-%m-%d %H:%M')}.*", "")


def _table(group: Group) -> Iterator[str]:
    columns = [column for column in COLUMNS if any(column.metric in line.metrics for line in group.lines)]
    yield from _head(
        ["system", "seeds", "clips", *(f"{column.caption} {arrow(column)}" for column in columns)]
    )
    for line in group.lines:
        values = [value(line.metrics.get(column.metric), column.group == "joint") for column in columns]
        yield _row([_name(line.system), line.system.seeds, str(line.n_clips), *values])
    yield from ("", *group.notes)


def _systems(found: Sequence[Group]) -> Iterator[str]:
    """What a reader chooses by: scores, speed, size."""
    main = meeting(found)
    together = f"joint ↑, {main.pair.replace('->', ' → ')}"
    yield from _head(
        ["experiment", together, "joint ↑, its own test", "clips", "pairs", "real-time factor", "parameters"]
    )
    for line in found[-1].lines:
        if not line.system.is_anchor:
            yield _row(_system_cells(line, main))
    yield ""


def _system_cells(line: Line, main: Group) -> list[str]:
    system = line.system
    pairs = {row.pair for run in system.runs for row in run.table.rows}
    costs = (f"{system.cost[0]:.2g}", f"{system.cost[1]:,}") if system.cost else ("–", "–")
    scored = [value(part.metrics.get(JOINT_SCORE), True) for part in (*_lines_of(system, main), line)]
    together, own = scored if len(scored) == 2 else ("–", *scored)
    return [_name(system), together, own, str(line.n_clips), str(len(pairs)), *costs]


def _lines_of(system: System, group: Group) -> list[Line]:
    return [line for line in group.lines if line.system == system]


def _matrix(shared: Sequence[Group]) -> Iterator[str]:
    names = systems_of(shared)
    yield from _head(["track", "pair", *(f"`{name}`" for name in names)])
    for group in shared:
        yield _row([group.track, group.pair.replace("->", " → "), *scores(group, names)])


def _differences(ours: System, theirs: System) -> Iterator[str]:
    yield from (f"### `{ours.experiment}` − `{theirs.experiment}`", "")
    first, *parts = compare_systems(ours, theirs)
    yield from (f"{first.title}, paired by clip, 95 % intervals over pieces:", "")
    yield from (*_difference_table(first), "")
    pieces = ", ".join(f"{p.piece} {number(p.ours - p.theirs)}" for p in first.pieces)
    yield from (f"Joint score piece by piece: {pieces}.", "")
    if parts:
        yield from (*_joint_differences(parts), "")


def _joint_differences(parts: Sequence[Comparison]) -> Iterator[str]:
    [column] = [column for column in COLUMNS if column.metric == JOINT_SCORE]
    yield from _head(["track", "pair", *_difference_cells(column, parts[0])[:1], ""])
    for part in parts:
        _, *cells = _difference_cells(column, part)
        yield _row([part.track, part.pair.replace("->", " → "), *cells])


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
