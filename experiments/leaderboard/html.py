"""The leaderboard as an HTML page: tables, pictures, players and spectrograms.

Pictures and sounds lie in a folder beside the page, so that a browser loads a sound when it is played.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from string import Template

from experiments.leaderboard.cells import heading, number, value, verdict
from experiments.leaderboard.differences import Comparison, compare_systems
from experiments.leaderboard.page_files import PageFiles
from experiments.leaderboard.pictures import all_curves, learning_curves, quality_and_cost
from experiments.leaderboard.ranking import RankedSystem, Ranking, main_ranking
from experiments.leaderboard.sounds import MAX_EXCERPTS, sections, sounds
from experiments.leaderboard.systems import System
from metrics.registry import Metric
from runtime.databases import hidden
from runtime.files import write_beside

TEMPLATE = Path(__file__).with_name("page.html")


def write_page(
    path: Path,
    found: Sequence[Ranking],
    uri: str,
    folder: Path,
    against: Sequence[tuple[System, System]] = (),
) -> None:
    """Write the page of these rankings, and the folder with its pictures and sounds.

    Args:
        path: an HTML file; its pictures and sounds go to ``<name>_files/`` beside it.
        found: as `experiments.leaderboard.ranking.rankings` gives them.
        uri: MLflow tracking URI.
        folder: where example audio is downloaded to.
        against: systems whose differences are shown too.
    """
    files = PageFiles(path)
    ranked = [entry.system for entry in found[-1].entries]
    text = Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        tables="\n".join(_tables(found)),
        differences="\n".join(part for two in against for part in _differences(*two)),
        pictures=_section(PICTURES, _pictures(found, uri, files)),
        sounds=_section(LISTEN, sections(sounds(ranked, uri, folder), files)),
        n_runs=sum(len(system.runs) for system in ranked),
        made=time.strftime("%Y-%m-%d %H:%M"),
        tracking=escape(hidden(uri)),
    )
    with write_beside(path) as file:
        file.write(text.encode())
    files.remove_others()


PICTURES = """<h2>Quality against speed and size, and how it was learnt</h2>
<p>The real-time factor is processor seconds for a second of audio on one thread; left of the line is faster
than real time. Curves are over processor time, each on its own validation clips.</p>"""
LISTEN = f"""<h2>Listen</h2>
<p>Held-out pieces, the same excerpt for every run; those that most systems have, at most {MAX_EXCERPTS}.
Spectrograms: log frequency upwards, 0 to −80 dB.</p>"""


def _section(head: str, parts: Iterator[str]) -> str:
    content = "\n".join(parts)
    return f"{head}\n{content}" if content else ""


def _table(label: str, head: str, rows: str) -> str:
    """A table in a box that scrolls sideways, with the hint that it does."""
    return (
        "<p class=hint>This table is wider than the window: scroll it sideways&nbsp;→</p>"
        f"<div class=scroll role=region tabindex=0 aria-label='{escape(label)}'>"
        f"<table><thead>{head}</thead><tbody>{rows}</tbody></table></div>"
    )


def _tables(found: Sequence[Ranking]) -> Iterator[str]:
    main = main_ranking(found)
    for ranking in [main, *(ranking for ranking in found if ranking is not main)]:
        rows = "\n".join(_row(entry, ranking) for entry in ranking.entries)
        notes = "".join(f"<p class=note>{escape(note)}</p>" for note in ranking.notes)
        yield (
            f"<details {'open' if ranking is main else ''}><summary>{escape(ranking.title)}</summary>"
            f"{_table(ranking.title, _head(ranking.columns), rows)}{notes}</details>"
        )


def _differences(ours: System, theirs: System) -> Iterator[str]:
    names = [escape(system.experiment) for system in (ours, theirs)]
    yield f"<h2>{' − '.join(names)}</h2>"
    yield "<p>Clips are paired; 95 % intervals over pieces; ▲ better, ▼ worse, neither: about equal.</p>"
    for comparison in compare_systems(ours, theirs):
        heads = _heads(["", *(heading(metric) for metric in comparison.columns)])
        cells = "".join(_difference_cell(metric, comparison) for metric in comparison.columns)
        pieces = "".join(
            f"<tr><th scope=row>{escape(p.piece)}</th><td>{number(p.ours)}</td><td>{number(p.theirs)}</td>"
            f"<td>{number(p.ours - p.theirs)}</td></tr>"
            for p in comparison.pieces
        )
        yield (
            f"<details open><summary>{escape(comparison.title)}</summary>"
            f"{_table(comparison.title, heads, f'<tr><th scope=row>difference</th>{cells}</tr>')}"
            f"{_table('joint score by piece', _heads(['piece', *names, 'difference']), pieces)}</details>"
        )


def _difference_cell(metric: Metric, comparison: Comparison) -> str:
    difference = comparison.differences[metric.name]
    return f"<td class='{verdict(metric, difference)}'>{value(difference, True)}</td>"


def _pictures(found: Sequence[Ranking], uri: str, files: PageFiles) -> Iterator[str]:
    main, curves = main_ranking(found), all_curves([entry.system for entry in found[-1].entries], uri)
    pictures = {
        "Quality against real-time factor and parameters": [quality_and_cost(main, n) for n in (2, 1)],
        "Validation over processor time": [learning_curves(curves, n) for n in (3, 1)],
    }
    for name, (wide, narrow) in pictures.items():
        if wide and narrow:
            yield (
                f"<p><picture><source media='(max-width: 700px)' srcset='{files.add(narrow, 'png')}'>"
                f"<img alt='{name}' loading=lazy src='{files.add(wide, 'png')}'></picture></p>"
            )


def _heads(names: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<th scope=col>{name}</th>' for name in names)}</tr>"


def _head(columns: Sequence[Metric]) -> str:
    groups = "".join(
        f"<th scope=colgroup class={group} colspan={len(list(members))}>{group}</th>"
        for group, members in groupby(columns, key=lambda metric: metric.group)
    )
    names = _heads(["experiment", "scale", "seed", *map(heading, columns)])
    return f"<tr class=groups><td colspan=3></td>{groups}</tr>{names}"


def _row(entry: RankedSystem, ranking: Ranking) -> str:
    cells = "".join(_cell(entry, metric, _best(metric, ranking)) for metric in ranking.columns)
    system = entry.system
    names = f"<th scope=row>{escape(system.experiment)}</th><td>{escape(system.scale)}</td>"
    kind = "anchor" if system.is_anchor else "system"
    return f"<tr class={kind}>{names}<td>{system.seeds}</td>{cells}</tr>"


def _best(metric: Metric, ranking: Ranking) -> float | None:
    """The best value among systems; anchors know the target and do not compete."""
    values = [
        entry.metrics[metric.name].mean
        for entry in ranking.entries
        if metric.name in entry.metrics and not entry.system.is_anchor
    ]
    return (max if metric.higher_is_better else min)(values) if values else None


def _cell(entry: RankedSystem, metric: Metric, best: float | None) -> str:
    interval = entry.metrics.get(metric.name)
    if interval is None:
        return "<td>–</td>"
    spread = (
        ""
        if interval.low is None
        else f"<small>{number(interval.low)} … {number(interval.high or 0)}</small>"
    )
    mark = " class=best" if not entry.system.is_anchor and interval.mean == best else ""
    bar = f" style='--score:{interval.mean:.3f}'" if metric.group == "joint" else ""
    return f"<td{mark}{bar}>{number(interval.mean)}{spread}</td>"
