"""The leaderboard as one self-contained HTML page: tables, pictures, players and spectrograms."""

from __future__ import annotations

import base64
import io
import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import numpy as np
import soundfile

from callbacks.plots.spectrograms import spectrogram_db
from callbacks.tracking.events import Artifact, RunStarted, StatusChanged
from callbacks.tracking.mlflow_store import MlflowStore, connect
from experiments.leaderboard.differences import compare_systems, shown_columns, verdict
from experiments.leaderboard.pictures import learning_curves, quality_and_cost
from experiments.leaderboard.systems import COLUMNS, Column, Group, Line, System, TestedRun, meeting
from experiments.leaderboard.terminal import arrow, number, value

EXAMPLES = "audio/test"
MAX_EXCERPTS = 12
"""A card takes about 150 kB, and an excerpt has one for each system."""
TEMPLATE = Path(__file__).with_name("page.html")


class Sound(NamedTuple):
    """A caption, an audio file and what it is."""

    caption: str
    path: Path
    is_anchor: bool = False


Excerpt = tuple[str, str, str]
"""Track, pair and piece."""


def page(
    found: Sequence[Group], uri: str, folder: Path, against: Sequence[tuple[System, System]] = ()
) -> str:
    """The page for these groups; example audio is downloaded below ``folder`` and embedded.

    Args:
        found: as `experiments.leaderboard.systems.groups` gives them.
        uri: MLflow tracking URI.
        folder: for downloads.
        against: systems whose differences are shown too.
    """
    ranked = [line.system for line in found[-1].lines]
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        tables="\n".join(_tables(found)),
        differences="\n".join(part for two in against for part in _differences(*two)),
        pictures="\n".join(_pictures(found, uri)),
        sounds="\n".join(_sections(_sounds(ranked, uri, folder))),
        n_excerpts=MAX_EXCERPTS,
        n_runs=sum(len(system.runs) for system in ranked),
        made=time.strftime("%Y-%m-%d %H:%M"),
        tracking=escape(uri),
    )


def store(text: str, uri: str, folder: Path) -> None:
    """Log the page as the artifact of a run of its own, in the MLflow experiment ``leaderboard``."""
    path = folder / "leaderboard.html"
    path.write_text(text, encoding="utf-8")
    tracking = MlflowStore(uri)
    start = RunStarted("leaderboard", time.strftime("%Y-%m-%d_%H-%M-%S"), uuid.uuid4().hex)
    tracking.send(tracking.open_run(start), [Artifact(path.name), StatusChanged("FINISHED")], folder)


def _tables(found: Sequence[Group]) -> Iterator[str]:
    best_met = meeting(found)
    for group in [best_met, *(group for group in found if group is not best_met)]:
        columns = [column for column in COLUMNS if any(column.metric in line.metrics for line in group.lines)]
        rows = "\n".join(_row(line, columns, group.lines) for line in group.lines)
        notes = "".join(f"<p class=note>{escape(note)}</p>" for note in group.notes)
        yield (
            f"<details {'open' if group is best_met else ''}><summary>{escape(group.title)}</summary>"
            f"<div class=scroll><table><thead>{_head(columns)}</thead><tbody>{rows}</tbody></table></div>"
            f"{notes}</details>"
        )


def _differences(ours: System, theirs: System) -> Iterator[str]:
    yield f"<h2>{escape(ours.experiment)} − {escape(theirs.experiment)}</h2>"
    yield "<p>Clips are paired; 95 % intervals over pieces; coloured where the interval leaves out zero.</p>"
    for comparison in compare_systems(ours, theirs):
        columns = shown_columns(comparison)
        heads = "".join(f"<th>{column.caption} {arrow(column)}</th>" for column in columns)
        cells = "".join(
            f"<td class={verdict(column, comparison.differences[column.metric])}>"
            f"{value(comparison.differences[column.metric], True)}</td>"
            for column in columns
        )
        pieces = "".join(
            f"<tr><td>{escape(p.piece)}</td><td>{number(p.ours)}</td><td>{number(p.theirs)}</td>"
            f"<td>{number(p.ours - p.theirs)}</td></tr>"
            for p in comparison.pieces
        )
        yield (
            f"<details open><summary>{escape(comparison.title)}</summary><div class=scroll>"
            f"<table><thead><tr>{heads}</tr></thead><tbody><tr>{cells}</tr></tbody></table>"
            f"<table><thead><tr><th>piece</th><th>{escape(ours.experiment)}</th><th>{escape(theirs.experiment)}</th>"
            f"<th>joint score, difference</th></tr></thead><tbody>{pieces}</tbody></table></div></details>"
        )


def _pictures(found: Sequence[Group], uri: str) -> Iterator[str]:
    pictures = {
        "quality against real-time factor and parameters": quality_and_cost(meeting(found)),
        "learning curves": learning_curves([line.system for line in found[-1].lines], uri),
    }
    for name, picture in pictures.items():
        if picture:
            yield f"<img class=picture alt='{name}' src='data:image/png;base64,{_base64(picture)}'>"


def _head(columns: Sequence[Column]) -> str:
    groups = "".join(
        f"<th class={group} colspan={len(list(members))}>{group}</th>"
        for group, members in groupby(columns, key=lambda column: column.group)
    )
    names = "".join(f"<th title={column.metric}>{column.caption} {arrow(column)}</th>" for column in columns)
    return (
        f"<tr><th colspan=3></th>{groups}</tr><tr><th>experiment</th><th>scale</th><th>seed</th>{names}</tr>"
    )


def _row(line: Line, columns: Sequence[Column], group: Sequence[Line]) -> str:
    cells = "".join(_cell(line, column, _best(column, group)) for column in columns)
    system = line.system
    names = f"<td>{escape(system.experiment)}</td><td>{escape(system.scale)}</td><td>{system.seeds}</td>"
    return f"<tr class={'anchor' if system.is_anchor else 'system'}>{names}{cells}</tr>"


def _best(column: Column, group: Sequence[Line]) -> float | None:
    """The best value among systems; anchors know the answer and do not compete."""
    values = [
        line.metrics[column.metric].mean
        for line in group
        if column.metric in line.metrics and not line.system.is_anchor
    ]
    return (max if column.higher_is_better else min)(values) if values else None


def _cell(line: Line, column: Column, best: float | None) -> str:
    interval = line.metrics.get(column.metric)
    if interval is None:
        return "<td>–</td>"
    spread = (
        ""
        if interval.low is None
        else f"<small>{number(interval.low)} … {number(interval.high or 0)}</small>"
    )
    mark = " class=best" if not line.system.is_anchor and interval.mean == best else ""
    bar = f" style='--score:{interval.mean:.3f}'" if column.group == "joint" else ""
    return f"<td{mark}{bar}>{number(interval.mean)}{spread}</td>"


def _sounds(ranked: Sequence[System], uri: str, folder: Path) -> Mapping[Excerpt, list[Sound]]:
    """Per excerpt: the source, the true target, and every system's output (of its first seed), best first."""
    sounds: dict[Excerpt, list[Sound]] = {}
    client = connect(uri)
    for system in ranked:
        for excerpt, stem in _excerpts_of(client, system, folder):
            entry = sounds.setdefault(excerpt, list(_given(stem)))
            caption = system.experiment if system.scale == "demo" else f"{system.experiment} ({system.scale})"
            entry.append(Sound(caption, Path(f"{stem}_output.wav"), system.is_anchor))
    return dict(sorted(sounds.items(), key=lambda item: -len(item[1]))[:MAX_EXCERPTS])


def _excerpts_of(client: Any, system: System, folder: Path) -> Iterator[tuple[Excerpt, str]]:
    """Each excerpt once: an anchor's runs may have the same."""
    runs = system.runs if system.is_anchor else system.runs[:1]
    yield from {excerpt: stem for run in runs for excerpt, stem in _excerpts(client, run, folder)}.items()


def _excerpts(client: Any, run: TestedRun, folder: Path) -> Iterator[tuple[Excerpt, str]]:
    target = folder / run.run_id / "examples"
    target.mkdir(parents=True, exist_ok=True)
    try:
        local = Path(client.download_artifacts(run.run_id, EXAMPLES, str(target)))
        listed = json.loads((local / "examples.json").read_text(encoding="utf-8"))
    except Exception:  # mlflow has a different error per store; a run without examples is no error here
        return
    for number_from_1, excerpt in enumerate(listed, start=1):
        yield (excerpt["track"], excerpt["pair"], excerpt["piece"]), str(local / f"{number_from_1:02d}")


def _given(stem: str) -> Iterator[Sound]:
    yield Sound("source", Path(f"{stem}_source.wav"))
    if Path(f"{stem}_target.wav").is_file():
        yield Sound("target", Path(f"{stem}_target.wav"))


def _sections(sounds: Mapping[Excerpt, list[Sound]]) -> Iterator[str]:
    for (track, pair, piece), entries in sorted(sounds.items()):
        cards = "\n".join(_card(sound) for sound in entries)
        title = f"{escape(track)} · {escape(pair.replace('->', ' → '))} <small>{escape(piece)}</small>"
        yield f"<section><h3>{title}</h3><div class=cards>{cards}</div></section>"


def _card(sound: Sound) -> str:
    samples, sample_rate = soundfile.read(sound.path, dtype="float32")
    kind = (
        sound.caption if sound.caption in ("source", "target") else "anchor" if sound.is_anchor else "system"
    )
    name = escape(sound.caption)
    picture, audio = _base64(_picture(samples)), _base64(_flac(samples, sample_rate))
    return (
        f"<figure class={kind}><figcaption>{name}</figcaption>"
        f"<img alt='spectrogram of {name}' src='data:image/png;base64,{picture}'>"
        f"<audio controls preload=none src='data:audio/flac;base64,{audio}'></audio></figure>"
    )


def _picture(samples: np.ndarray) -> bytes:
    """A spectrogram without axes, log frequency, 0 … −80 dB, so that cards compare at a glance."""
    from matplotlib.image import imsave

    decibels = spectrogram_db(samples)
    # 128 rows, evenly spaced in log frequency from bin 2 (31 Hz at 16 kHz) to the top.
    rows = np.geomspace(2, len(decibels) - 1, 128).round().astype(int)
    step = max(1, decibels.shape[1] // 300)
    buffer = io.BytesIO()
    imsave(buffer, decibels[rows][::-1, ::step], vmin=-80, vmax=0, cmap="magma", format="png")
    return buffer.getvalue()


def _flac(samples: np.ndarray, sample_rate: int) -> bytes:
    """Lossless and half the size of WAV; every browser plays it."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, sample_rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
