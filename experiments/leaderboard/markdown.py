"""The leaderboard as a part of Markdown pages, with its pictures in a folder beside them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from experiments.leaderboard.cells import heading, number, pair_title, value, verdict
from experiments.leaderboard.differences import Comparison, compare_systems
from experiments.leaderboard.pictures import all_curves, learning_curves, quality_and_cost
from experiments.leaderboard.ranking import ALL, RankedSystem, Ranking, experiments_in, main_ranking
from experiments.leaderboard.systems import System
from metrics.registry import JOINT_SCORE, METRICS, Metric
from runtime.files import write_beside

LEADERBOARD, SYSTEMS = "leaderboard", "systems"
PICTURES = "pictures"


def begin(part: str) -> str:
    """The mark before a part of a page: ``leaderboard`` for everything, ``systems`` for one table."""
    return f"<!-- {part}: made by experiments.compare -->"


def end(part: str) -> str:
    """The mark after a part of a page."""
    return f"<!-- end of {part} -->"


def update_page(
    path: Path, found: Sequence[Ranking], uri: str, against: Sequence[tuple[System, System]] = ()
) -> None:
    """Write what stands between the marks of ``path`` anew; a page without marks gets the whole leaderboard.

    Args:
        path: a Markdown file; pictures go to ``pictures/`` beside it.
        found: as `experiments.leaderboard.ranking.rankings` gives them.
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
    path: Path, found: Sequence[Ranking], uri: str, against: Sequence[tuple[System, System]]
) -> Iterator[str]:
    main = main_ranking(found)
    yield from (f"### {main.title[0].upper()}{main.title[1:]}", "", *_table(main), "")
    yield from _picture(
        path, "quality", "Quality against real-time factor and parameters", quality_and_cost(main)
    )
    others = [ranking for ranking in found if ranking is not main and ranking.track != ALL]
    if shared := [ranking for ranking in others if len(experiments_in([ranking])) > 1]:
        yield from ("### Joint score on the other pairs that several systems have", "", *_matrix(shared), "")
    for ours, theirs in against:
        yield from _differences(ours, theirs)
    yield from ("### Each system on its own test", "", *_systems(found))
    systems = [entry.system for entry in found[-1].entries]
    yield from _picture(
        path, "curves", "Validation over processor time", learning_curves(all_curves(systems, uri))
    )
    n_runs = sum(len(system.runs) for system in systems)
    yield from (f"*Tested runs: {n_runs}. {time.strftime('%Y-%m-%d %H:%M')}.*", "")


def _table(ranking: Ranking) -> Iterator[str]:
    yield from _head(["system", "seeds", "clips", *(heading(metric) for metric in ranking.columns)])
    for entry in ranking.entries:
        values = [
            value(entry.metrics.get(metric.name), metric.group == "joint") for metric in ranking.columns
        ]
        yield _row([_name(entry.system), entry.system.seeds, str(entry.n_clips), *values])
    yield from ("", *ranking.notes)


def _systems(found: Sequence[Ranking]) -> Iterator[str]:
    """The table of what a reader chooses by: scores, speed, size."""
    main = main_ranking(found)
    together = f"{heading(METRICS[JOINT_SCORE])}, {pair_title(main.pair)}"
    yield from _head(
        ["experiment", together, "joint ↑, its own test", "clips", "pairs", "real-time factor", "parameters"]
    )
    for entry in found[-1].entries:
        if not entry.system.is_anchor:
            yield _row(_system_cells(entry, main))
    yield ""


def _system_cells(own: RankedSystem, main: Ranking) -> list[str]:
    system = own.system
    pairs = {row.pair for run in system.runs for row in run.table.rows}
    costs = (f"{system.cost[0]:.2g}", f"{system.cost[1]:,}") if system.cost else ("–", "–")
    together = next((entry.metrics for entry in main.entries if entry.system is system), {})
    scores = [value(metrics.get(JOINT_SCORE), True) for metrics in (together, own.metrics)]
    return [_name(system), *scores, str(own.n_clips), str(len(pairs)), *costs]


def _matrix(shared: Sequence[Ranking]) -> Iterator[str]:
    names = experiments_in(shared)
    yield from _head(["track", "pair", *(f"`{name}`" for name in names)])
    for ranking in shared:
        scores = [value(ranking.joint_scores.get(name)) for name in names]
        yield _row([ranking.track, pair_title(ranking.pair), *scores])


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
    joint = METRICS[JOINT_SCORE]
    yield from _head(["track", "pair", heading(joint), ""])
    for part in parts:
        yield _row([part.track, pair_title(part.pair), *_difference_cells(joint, part)])


def _difference_table(comparison: Comparison) -> Iterator[str]:
    yield from _head(["metric", "difference", ""])
    for metric in comparison.columns:
        yield _row([heading(metric), *_difference_cells(metric, comparison)])


def _difference_cells(metric: Metric, comparison: Comparison) -> list[str]:
    difference = comparison.differences[metric.name]
    return [value(difference, True), verdict(metric, difference)]


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
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"
