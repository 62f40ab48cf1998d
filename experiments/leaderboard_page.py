"""The leaderboard as one self-contained HTML page: tables, players and spectrograms."""

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

from callbacks.pictures import spectrogram_db
from experiments.leaderboard import COLUMNS, Column, Line, TestedRun
from experiments.leaderboard_table import arrow, number
from experiments.mlflow_store import MlflowStore, connect

EXAMPLES = "audio/test"
TEMPLATE = Path(__file__).with_name("leaderboard_page.html")


class Sound(NamedTuple):
    """A caption, an audio file and what it is."""

    caption: str
    path: Path
    is_anchor: bool = False


Excerpt = tuple[str, str, str]
"""Track, pair and piece."""


def page(found: Sequence[Line], uri: str, folder: Path) -> str:
    """The page for these lines; example audio is downloaded below ``folder`` and embedded."""
    runs = list({line.run.run_id: line.run for line in found}.values())
    ranked = sorted(runs, key=lambda run: [line.run for line in found if line.track == "all"].index(run))
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        tables="\n".join(_tables(found)),
        sounds="\n".join(_sections(_sounds(ranked, uri, folder))),
        n_runs=len(runs),
        made=time.strftime("%Y-%m-%d %H:%M"),
        tracking=escape(uri),
    )


def store(text: str, uri: str, folder: Path) -> None:
    """Log the page as the artifact of a run of its own, in the MLflow experiment ``leaderboard``."""
    path = folder / "leaderboard.html"
    path.write_text(text, encoding="utf-8")
    start = {
        "experiment": "leaderboard",
        "run_name": time.strftime("%Y-%m-%d_%H-%M-%S"),
        "journal": uuid.uuid4().hex,
        "time_ms": int(time.time() * 1000),
    }
    tracking = MlflowStore(uri)
    run_id = tracking.open_run(start)
    done = {"kind": "status", "status": "FINISHED", "time_ms": int(time.time() * 1000)}
    tracking.send(run_id, [{"kind": "artifact", "path": path.name, "folder": ""}, done], folder)


def _tables(found: Sequence[Line]) -> Iterator[str]:
    for (track, pair), members in groupby(found, key=lambda line: (line.track, line.pair)):
        group = list(members)
        columns = [column for column in COLUMNS if any(column.metric in line.metrics for line in group)]
        title = "All tracks and pairs" if track == "all" else f"{track} · {pair.replace('->', ' → ')}"
        rows = "\n".join(_row(line, columns, group) for line in group)
        yield (
            f"<details {'open' if track == 'all' else ''}><summary>{escape(title)}</summary>"
            f"<div class=scroll><table><thead>{_head(columns)}</thead><tbody>{rows}</tbody></table></div>"
            "</details>"
        )


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
    run = line.run
    names = f"<td>{escape(run.experiment)}</td><td>{escape(run.scale)}</td><td>{run.seed}</td>"
    return f"<tr class={'anchor' if run.is_anchor else 'system'}>{names}{cells}</tr>"


def _best(column: Column, group: Sequence[Line]) -> float | None:
    """The best value among systems; anchors know the answer and do not compete."""
    values = [
        line.metrics[column.metric].mean
        for line in group
        if column.metric in line.metrics and not line.run.is_anchor
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
    mark = " class=best" if not line.run.is_anchor and interval.mean == best else ""
    bar = f" style='--score:{interval.mean:.3f}'" if column.group == "joint" else ""
    return f"<td{mark}{bar}>{number(interval.mean)}{spread}</td>"


def _sounds(runs: Sequence[TestedRun], uri: str, folder: Path) -> Mapping[Excerpt, list[Sound]]:
    """Per excerpt: the source, the true target, and every run's output, best run first."""
    sounds: dict[Excerpt, list[Sound]] = {}
    client = connect(uri)
    for run in runs:
        for excerpt, stem in _excerpts(client, run, folder):
            entry = sounds.setdefault(excerpt, list(_given(stem)))
            caption = run.experiment if run.scale == "demo" else f"{run.experiment} ({run.scale})"
            entry.append(Sound(caption, Path(f"{stem}_output.wav"), run.is_anchor))
    return sounds


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
