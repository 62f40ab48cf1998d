"""Is the joint score to be trusted? ``python -m metrics.rank_anchors CORPUS`` ranks anchors by every metric.

Every pair of instruments, piece and clip of the test split is one question; seven anchors answer it, and it
is known which answers are better (`KNOWN_ORDER`). A metric fails a question when it does not rank a better
anchor strictly above a worse one. The table shows how often each metric fails; docs/metrics.md holds it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from datamodules.corpora.corpus import DEFAULT_BANK, Corpus, CorpusError
from metrics.evaluation.example import Example
from metrics.evaluation.measure import SIGNAL_METRICS, Setting, measure
from metrics.functional.oracle import with_phase_of
from metrics.registry import DESCRIPTIONS
from runtime.workers import run_jobs

TRUE_ANSWERS = ("oracle_phase", "target_plus_noise")
OTHER_BANK = "elsewhere"
LESSER_ANSWER = "other_recording"
NO_ANSWERS = ("copy", "wrong_notes", "copy_reference", "silence")
KNOWN_ORDER = tuple((better, worse) for better in (*TRUE_ANSWERS, LESSER_ANSWER) for worse in NO_ANSWERS)
"""Pairs (better, worse) that no listener would dispute. Whether another maker's violin or the true one with
20 dB of noise is the better answer is a matter of taste for a single pair, so it is not among them."""


class Question(NamedTuple):
    """A source, an instrument, and clips to answer with; audio ``(T,)``."""

    name: str
    sample_rate: int
    is_monophonic: bool
    target_instrument: str
    source: np.ndarray
    target: np.ndarray
    reference: np.ndarray
    wrong_notes: np.ndarray
    other_recording: np.ndarray

    def answers(self) -> dict[str, np.ndarray]:
        """The output of every anchor."""
        source, target = torch.from_numpy(self.source)[None], torch.from_numpy(self.target)[None]
        noise = np.random.default_rng(0).standard_normal(len(self.target)).astype(np.float32)
        rms = float(np.sqrt(np.mean(self.target**2)))
        return {
            "copy": self.source,
            "copy_reference": self.reference,
            "wrong_notes": self.wrong_notes,
            "other_recording": self.other_recording,
            "oracle_phase": with_phase_of(source, target, self.sample_rate)[0].numpy(),
            "target_plus_noise": self.target + 0.1 * rms * noise,
            "silence": np.zeros_like(self.target),
        }

    def example(self, preds: np.ndarray) -> Example:
        """The question with an answer, as the test measures it."""
        return Example(
            0,
            preds,
            self.source,
            self.reference,
            self.target,
            self.wrong_notes,
            self.is_monophonic,
            self.target_instrument,
        )


class Failures(NamedTuple):
    """How often a metric failed."""

    metric: str
    share: dict[tuple[str, str], float]
    """Per (better, worse): share of the questions in which the metric does not rank better above worse."""
    worst: float
    """The largest of them."""


def questions(corpus: Corpus, clip_s: float, clips_per_piece: int, limit: int) -> Iterator[Question]:
    """Ordered pairs of instruments × test pieces × clips, at most ``limit``, drawn with a fixed seed.

    Unrelated notes are those of two other pieces of the same track.
    """
    clips = _Clips(corpus, clip_s, clips_per_piece)
    pairs = [(a, b) for a in corpus.instruments for b in corpus.instruments if a != b]
    asked = [
        (*place, *pair) for place in clips.places() for pair in pairs if clips.has_other(place[1], pair[1])
    ]
    # A stride would skip the same pairs of every piece.
    chosen = sorted(np.random.default_rng(0).permutation(len(asked))[:limit])
    for track, piece, number, source, target in (asked[index] for index in chosen):
        unrelated = clips.other_pieces(track, piece)
        yield Question(
            name=f"{source}->{target} {piece} {number}",
            sample_rate=corpus.sample_rate,
            is_monophonic=track == "monophonic",
            target_instrument=target,
            source=clips.read(DEFAULT_BANK, source, piece, number),
            target=clips.read(DEFAULT_BANK, target, piece, number),
            reference=clips.read(DEFAULT_BANK, target, unrelated[0], number),
            wrong_notes=clips.read(DEFAULT_BANK, target, unrelated[1], number),
            other_recording=clips.read(OTHER_BANK, target, piece, number),
        )


class _Clips:
    """Clips of the test split, spread evenly over each piece."""

    def __init__(self, corpus: Corpus, clip_s: float, clips_per_piece: int) -> None:
        self._corpus = corpus
        self._length = round(clip_s * corpus.sample_rate)
        self._per_piece = clips_per_piece
        items = corpus.select(split="test", bank=None)
        self._items = {(item.bank, item.instrument, item.piece): item for item in items}
        played = sorted({(item.track, item.piece) for item in items})
        self._pieces = [
            (track, piece)
            for track, piece in played
            if all((DEFAULT_BANK, name, piece) in self._items for name in corpus.instruments)
        ]

    def places(self) -> list[tuple[str, str, int]]:
        """Track, piece and number of every clip that every instrument plays and that has unrelated ones."""
        return [
            (track, piece, number)
            for track, piece in self._pieces
            if len(self.other_pieces(track, piece)) >= 2
            for number in range(self._per_piece)
        ]

    def other_pieces(self, track: str, piece: str) -> list[str]:
        return [p for t, p in self._pieces if t == track and p != piece]

    def has_other(self, piece: str, instrument: str) -> bool:
        return (OTHER_BANK, instrument, piece) in self._items

    def read(self, bank: str, instrument: str, piece: str, number: int) -> np.ndarray:
        item = self._items[bank, instrument, piece]
        spare = max(0, item.n_samples - self._length)
        audio = self._corpus.read(item, round(spare * (number + 0.5) / self._per_piece), self._length)
        return np.pad(audio, (0, self._length - len(audio)))


def measure_anchors(question: Question, setting: Setting) -> dict[str, dict[str, float]]:
    """Every metric of ``setting`` for every anchor."""
    return {
        name: measure(question.example(audio), setting).metrics for name, audio in question.answers().items()
    }


def count_failures(values: Sequence[Mapping[str, Mapping[str, float]]]) -> list[Failures]:
    """Per metric the share of questions that it fails, best metric first.

    Args:
        values: per question, anchor and metric the value. A NaN is the worst a metric can say.
    """
    names = [name for name in values[0]["copy"] if name in DESCRIPTIONS and not DESCRIPTIONS[name].of_source]
    found = []
    for name in names:
        goodness = {
            anchor: _goodness(name, [v[anchor].get(name, np.nan) for v in values]) for anchor in values[0]
        }
        share = {(a, b): float(np.mean(~(goodness[a] > goodness[b]))) for a, b in KNOWN_ORDER}
        found.append(Failures(name, share, max(share.values())))
    return sorted(found, key=lambda failures: (failures.worst, sum(failures.share.values())))


def _goodness(metric: str, values: Sequence[float]) -> np.ndarray:
    sign = 1.0 if DESCRIPTIONS[metric].higher_is_better else -1.0
    return np.nan_to_num(sign * np.asarray(values), nan=-np.inf, posinf=np.inf, neginf=-np.inf)


def as_markdown(failures: Sequence[Failures], n_questions: int) -> str:
    """The table of docs/metrics.md: percent of the questions each metric fails."""
    worse_names = " | ".join(name.replace("_", " ") for name in NO_ANSWERS)
    lines = [
        f"Share of {n_questions} questions in which a better anchor is not ranked above the worse one, in %:",
        "true answers (the worse of oracle phase and target + noise) / other recording.",
        "",
        f"| metric | {worse_names} | worst |",
        f"|---|{'---|' * (len(NO_ANSWERS) + 1)}",
    ]
    for metric, share, worst in failures:
        cells = []
        for worse in NO_ANSWERS:
            true = max(share[better, worse] for better in TRUE_ANSWERS)
            cells.append(f"{100 * true:.0f} / {100 * share[LESSER_ANSWER, worse]:.0f}")
        lines.append(f"| {metric} | {' | '.join(cells)} | {100 * worst:.1f} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m metrics.rank_anchors", description=__doc__)
    parser.add_argument("corpus", type=Path, help="a prepared corpus whose test split has a second bank")
    parser.add_argument("--clip-seconds", type=float, default=4.0)
    parser.add_argument("--clips", type=int, default=1, help="clips a piece")
    parser.add_argument("--limit", type=int, default=300, help="questions at most, drawn with a fixed seed")
    parser.add_argument("--slow", action="store_true", help="the pitch tracker, PESQ and ViSQOL as well")
    options = parser.parse_args(arguments)
    try:
        return _run(options)
    except CorpusError as error:
        print(error, file=sys.stderr)
        return 2


def _run(options: argparse.Namespace) -> int:
    from metrics.timbre_space.training import prepare_timbre_space

    corpus = Corpus.open(options.corpus)
    asked = list(questions(corpus, options.clip_seconds, options.clips, options.limit))
    if not asked:
        raise CorpusError(
            f"{corpus.root} cannot rank anchors: its test split has no pieces on a second bank 'elsewhere'. "
            "Prepare a corpus from scores, with at least three test pieces a track."
        )
    setting = Setting(
        corpus.sample_rate, prepare_timbre_space(corpus.root), corpus.root / "evaluation" / "analyses"
    )
    if not options.slow:
        cheap = tuple(f for f in SIGNAL_METRICS if f.__name__ not in ("pesq", "visqol"))
        setting = setting._replace(signal_metrics=cheap, melody_metrics=())
    job = partial(measure_anchors, setting=setting)
    values = [found for _, found in run_jobs(job, asked, "Ranking")]
    print(as_markdown(count_failures(values), len(values)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
