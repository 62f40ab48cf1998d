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
from experiments.leaderboard.cells import heading, number, pair_title, value, verdict
from experiments.leaderboard.differences import Comparison, compare_systems
from experiments.leaderboard.pictures import learning_curves, quality_and_cost
from experiments.leaderboard.ranking import RankedSystem, Ranking, main_ranking
from experiments.leaderboard.runs import TestedRun
from experiments.leaderboard.systems import System
from metrics.registry import Metric

EXAMPLES = "audio/test"
MAX_EXCERPTS = 12
"""A card takes about 150 kB, and an excerpt has one for each system."""
TEMPLATE = Path(__file__).with_name("page.html")


class Sound(NamedTuple):
    """A clip to play: its caption, its audio file and whether an anchor made it."""

    caption: str
    path: Path
    is_anchor: bool = False


Excerpt = tuple[str, str, str]
"""Track, pair and piece."""


def page(
    found: Sequence[Ranking], uri: str, folder: Path, against: Sequence[tuple[System, System]] = ()
) -> str:
    """The page for these rankings; example audio is downloaded below ``folder`` and embedded.

    Args:
        found: as `experiments.leaderboard.ranking.rankings` gives them.
        uri: MLflow tracking URI.
        folder: for downloads.
        against: systems whose differences are shown too.
    """
    ranked = [entry.system for entry in found[-1].entries]
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


def _tables(found: Sequence[Ranking]) -> Iterator[str]:
    main = main_ranking(found)
    for ranking in [main, *(ranking for ranking in found if ranking is not main)]:
        rows = "\n".join(_row(entry, ranking) for entry in ranking.entries)
        notes = "".join(f"<p class=note>{escape(note)}</p>" for note in ranking.notes)
        yield (
            f"<details {'open' if ranking is main else ''}><summary>{escape(ranking.title)}</summary>"
            f"<div class=scroll><table><thead>{_head(ranking.columns)}</thead><tbody>{rows}</tbody></table>"
            f"</div>{notes}</details>"
        )


def _differences(ours: System, theirs: System) -> Iterator[str]:
    yield f"<h2>{escape(ours.experiment)} − {escape(theirs.experiment)}</h2>"
    yield "<p>Clips are paired; 95 % intervals over pieces; coloured where the interval leaves out zero.</p>"
    names = "".join(f"<th>{escape(system.experiment)}</th>" for system in (ours, theirs))
    for comparison in compare_systems(ours, theirs):
        heads = "".join(f"<th>{heading(metric)}</th>" for metric in comparison.columns)
        cells = "".join(_difference_cell(metric, comparison) for metric in comparison.columns)
        pieces = "".join(
            f"<tr><td>{escape(p.piece)}</td><td>{number(p.ours)}</td><td>{number(p.theirs)}</td>"
            f"<td>{number(p.ours - p.theirs)}</td></tr>"
            for p in comparison.pieces
        )
        yield (
            f"<details open><summary>{escape(comparison.title)}</summary><div class=scroll>"
            f"<table><thead><tr>{heads}</tr></thead><tbody><tr>{cells}</tr></tbody></table>"
            f"<table><thead><tr><th>piece</th>{names}<th>joint score, difference</th></tr></thead>"
            f"<tbody>{pieces}</tbody></table></div></details>"
        )


def _difference_cell(metric: Metric, comparison: Comparison) -> str:
    difference = comparison.differences[metric.name]
    return f"<td class={verdict(metric, difference)}>{value(difference, True)}</td>"


def _pictures(found: Sequence[Ranking], uri: str) -> Iterator[str]:
    pictures = {
        "quality against real-time factor and parameters": quality_and_cost(main_ranking(found)),
        "learning curves": learning_curves([entry.system for entry in found[-1].entries], uri),
    }
    for name, picture in pictures.items():
        if picture:
            yield f"<img class=picture alt='{name}' src='data:image/png;base64,{_base64(picture)}'>"


def _head(columns: Sequence[Metric]) -> str:
    groups = "".join(
        f"<th class={group} colspan={len(list(members))}>{group}</th>"
        for group, members in groupby(columns, key=lambda metric: metric.group)
    )
    names = "".join(f"<th title={metric.name}>{heading(metric)}</th>" for metric in columns)
    return (
        f"<tr><th colspan=3></th>{groups}</tr><tr><th>experiment</th><th>scale</th><th>seed</th>{names}</tr>"
    )


def _row(entry: RankedSystem, ranking: Ranking) -> str:
    cells = "".join(_cell(entry, metric, _best(metric, ranking)) for metric in ranking.columns)
    system = entry.system
    names = f"<td>{escape(system.experiment)}</td><td>{escape(system.scale)}</td><td>{system.seeds}</td>"
    return f"<tr class={'anchor' if system.is_anchor else 'system'}>{names}{cells}</tr>"


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
    """The excerpts of a system, each once: several tests of an anchor may have the same one."""
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
        title = f"{escape(track)} · {escape(pair_title(pair))} <small>{escape(piece)}</small>"
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
