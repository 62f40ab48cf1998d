"""The examples of the tested runs: what was asked, what each system answered, and their cards on the page."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile

from callbacks.plots.spectrograms import spectrogram_db
from callbacks.tracking.mlflow_store import connect
from experiments.leaderboard.cells import pair_title
from experiments.leaderboard.page_files import PageFiles
from experiments.leaderboard.runs import TestedRun, damage, require_answer
from experiments.leaderboard.systems import System
from runtime.messages import say

EXAMPLES = "audio/test"
MAX_EXCERPTS = 12
"""An excerpt has a card for each system."""


class Sound(NamedTuple):
    """A clip to play: its caption, its audio file and who made it."""

    caption: str
    path: Path
    kind: str
    """``given`` (source and target), ``system`` or ``anchor``."""


class Excerpt(NamedTuple):
    """What all systems were asked to transfer."""

    track: str
    pair: str
    piece: str

    @property
    def title(self) -> str:
        """Pair and piece, for the label of a player."""
        return f"{pair_title(self.pair)}, {self.piece}"


def sounds(ranked: Sequence[System], uri: str, folder: Path) -> Mapping[Excerpt, list[Sound]]:
    """For each excerpt the source, the true target, and the output of every system's first seed, best first.

    Args:
        ranked: the systems, the best first.
        uri: MLflow tracking URI.
        folder: where example audio is downloaded to.
    """
    found: dict[Excerpt, list[Sound]] = {}
    client = connect(uri)
    for system in ranked:
        for excerpt, stem in _excerpts_of(client, system, folder):
            entry = found.setdefault(excerpt, list(_given(stem)))
            caption = system.experiment if system.scale == "demo" else f"{system.experiment} ({system.scale})"
            kind = "anchor" if system.is_anchor else "system"
            entry.append(Sound(caption, Path(f"{stem}_output.wav"), kind))
    return dict(sorted(found.items(), key=lambda item: -len(item[1]))[:MAX_EXCERPTS])


def _excerpts_of(client: Any, system: System, folder: Path) -> Iterator[tuple[Excerpt, str]]:
    """The excerpts of a system, each once: several tests of an anchor may have the same one."""
    runs = system.runs if system.is_anchor else system.runs[:1]
    yield from {excerpt: stem for run in runs for excerpt, stem in _excerpts(client, run, folder)}.items()


def _excerpts(client: Any, run: TestedRun, folder: Path) -> list[tuple[Excerpt, str]]:
    """The excerpts of a run with the first part of their files' names; none where a test logged none."""
    target = folder / run.run_id / "examples"
    target.mkdir(parents=True, exist_ok=True)
    try:
        if not client.list_artifacts(run.run_id, EXAMPLES):
            return []
        local = Path(client.download_artifacts(run.run_id, EXAMPLES, str(target)))
        listed = json.loads((local / "examples.json").read_text(encoding="utf-8"))
        names = [Excerpt(*(str(excerpt[part]) for part in Excerpt._fields)) for excerpt in listed]
    except Exception as error:  # whatever a damaged run raises, it costs the examples of that run alone
        require_answer(client, run.run_id)
        say(f"The examples of {run.experiment} ({run.run_id}) are left out: {damage(error)}.")
        return []
    return [(excerpt, str(local / f"{number:02d}")) for number, excerpt in enumerate(names, start=1)]


def _given(stem: str) -> Iterator[Sound]:
    yield Sound("source", Path(f"{stem}_source.wav"), "given")
    if Path(f"{stem}_target.wav").is_file():
        yield Sound("target", Path(f"{stem}_target.wav"), "given")


def sections(found: Mapping[Excerpt, list[Sound]], files: PageFiles) -> Iterator[str]:
    """HTML of each excerpt: a picture and a player for every sound."""
    for excerpt, entries in sorted(found.items()):
        cards = "\n".join(card for sound in entries if (card := _card(sound, excerpt, files)))
        title = f"{escape(excerpt.track)} · {escape(pair_title(excerpt.pair))}"
        if cards:
            yield (
                f"<section><h3>{title} <small>{escape(excerpt.piece)}</small></h3>"
                f"<div class=cards>{cards}</div></section>"
            )


def _card(sound: Sound, excerpt: Excerpt, files: PageFiles) -> str:
    """The picture and the player of a sound; nothing, and a word about it, where the file is damaged."""
    try:
        samples, sample_rate = soundfile.read(sound.path, dtype="float32")
        picture, audio = _picture(samples), _flac(samples, sample_rate)
    except Exception:  # whatever a damaged file raises, it costs that file alone
        say(f"The {sound.path.name} of {sound.caption} ({excerpt.title}) is damaged and left out.")
        return ""
    name, label = escape(sound.caption), escape(f"{sound.caption}: {excerpt.title}")
    player = f"<audio controls preload=none aria-label='{label}' src='{files.add(audio, 'flac')}'></audio>"
    image = f"<img alt='spectrogram of {label}' loading=lazy src='{files.add(picture, 'png')}'>"
    return f"<figure class={sound.kind}><figcaption>{name}</figcaption>{image}{player}</figure>"


def _picture(samples: np.ndarray) -> bytes:
    """A spectrogram without axes, log frequency, 0 … −80 dB, so that cards compare at a glance."""
    from matplotlib.image import imsave

    if not samples.size:
        raise ValueError("There is no sample to draw.")
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
