"""Is the joint score to be trusted? ``python -m metrics.rank_anchors CORPUS`` ranks anchors by every metric.

Every pair of instruments, piece and clip of the test split is one test case. Every anchor gives an output for
it, and it is known which outputs are better (`KNOWN_ORDER`). A metric fails a test case when it does not rank
the better of two outputs strictly above the worse. The table shows how often each metric fails;
docs/metrics.md has it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datamodules.corpora.corpus import DEFAULT_BANK, Corpus, CorpusError
from metrics.evaluation.measure import EvaluationSetup, measure
from metrics.evaluation.transfer import Transfer, as_batch
from metrics.functional.oracle import with_phase_of
from metrics.registry import METRICS, Stage, measured_in
from metrics.timbre_space.training import prepare_timbre_space
from runtime.errors import run_command
from runtime.threads import one_thread
from runtime.workers import run_jobs

TRUE_ANCHORS = ("oracle_phase", "target_plus_noise")
OTHER_BANK = "elsewhere"
NEAR_ANCHOR = "other_recording"
WRONG_ANCHORS = ("copy", "wrong_notes", "copy_reference", "silence")
KNOWN_ORDER = tuple((better, worse) for better in (*TRUE_ANCHORS, NEAR_ANCHOR) for worse in WRONG_ANCHORS)
"""Pairs (better, worse) that no listener would dispute. Whether another maker's violin or the true one with
20 dB of noise is the better output is a matter of taste in a single case, so it is not among them."""


class AnchorCase(NamedTuple):
    """A source, a target instrument and the clips that anchors need; audio ``(T,)``."""

    name: str
    sample_rate: int
    is_monophonic: bool
    target_instrument: str
    source: np.ndarray
    target: np.ndarray
    reference: np.ndarray
    wrong_notes: np.ndarray
    other_recording: np.ndarray

    def outputs(self) -> dict[str, np.ndarray]:
        """The output of every anchor, by its name."""
        source, target = as_batch(self.source), as_batch(self.target)
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

    def transfer(self, preds: np.ndarray) -> Transfer:
        """This case with an output, as a test measures it."""
        return Transfer(
            position=0,
            preds=preds,
            source=self.source,
            reference=self.reference,
            target=self.target,
            wrong_notes=self.wrong_notes,
            is_monophonic=self.is_monophonic,
            target_instrument=self.target_instrument,
        )


class Failures(NamedTuple):
    """How often a metric failed."""

    metric: str
    share: dict[tuple[str, str], float]
    """Per (better, worse): share of the cases in which the metric does not rank better above worse."""
    worst: float
    """The largest share."""


def anchor_cases(corpus: Corpus, clip_s: float, clips_per_piece: int, limit: int) -> Iterator[AnchorCase]:
    """Ordered pairs of instruments × test pieces × clips, at most ``limit``, drawn with a fixed seed.

    Unrelated notes are those of two other pieces of the same track.
    """
    clips = _Clips(corpus, clip_s, clips_per_piece)
    pairs = [(a, b) for a in corpus.instruments for b in corpus.instruments if a != b]
    possible = [
        (*place, *pair) for place in clips.places() for pair in pairs if clips.has_other(place[1], pair[1])
    ]
    # A stride would skip the same pairs of every piece.
    chosen = sorted(np.random.default_rng(0).permutation(len(possible))[:limit])
    for track, piece, number, source, target in (possible[index] for index in chosen):
        unrelated = clips.other_pieces(track, piece)
        yield AnchorCase(
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
        """Track, piece and number of the clips that every instrument plays and that have unrelated pieces."""
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


def measure_anchors(case: AnchorCase, setup: EvaluationSetup) -> dict[str, dict[str, float]]:
    """The metrics of ``setup`` for every anchor."""
    return {name: measure(case.transfer(preds), setup).metrics for name, preds in case.outputs().items()}


def count_failures(values: Sequence[Mapping[str, Mapping[str, float]]]) -> list[Failures]:
    """Per metric the share of cases that it fails, best metric first.

    Args:
        values: per case, anchor and metric the value. A NaN is the worst that a metric can say.
    """
    found = []
    for name in values[0]["copy"]:
        if METRICS[name].higher_is_better is None:
            continue
        goodness = {
            anchor: _goodness(name, [v[anchor].get(name, np.nan) for v in values]) for anchor in values[0]
        }
        share = {(a, b): float(np.mean(~(goodness[a] > goodness[b]))) for a, b in KNOWN_ORDER}
        found.append(Failures(name, share, max(share.values())))
    return sorted(found, key=lambda failures: (failures.worst, sum(failures.share.values())))


def _goodness(metric: str, values: Sequence[float]) -> np.ndarray:
    sign = 1.0 if METRICS[metric].higher_is_better else -1.0
    return np.nan_to_num(sign * np.asarray(values), nan=-np.inf, posinf=np.inf, neginf=-np.inf)


def as_markdown(failures: Sequence[Failures], n_cases: int) -> str:
    """The table of docs/metrics.md: percent of the cases that each metric fails."""
    worse_names = " | ".join(name.replace("_", " ") for name in WRONG_ANCHORS)
    lines = [
        f"Share of {n_cases} cases in which a better anchor is not ranked above the worse one, in %:",
        "true anchors (the worse of oracle phase and target + noise) / other recording.",
        "",
        f"| metric | {worse_names} | worst |",
        f"|---|{'---|' * (len(WRONG_ANCHORS) + 1)}",
    ]
    for metric, share, worst in failures:
        cells = []
        for worse in WRONG_ANCHORS:
            true = max(share[better, worse] for better in TRUE_ANCHORS)
            cells.append(f"{100 * true:.0f} / {100 * share[NEAR_ANCHOR, worse]:.0f}")
        lines.append(f"| {metric} | {' | '.join(cells)} | {100 * worst:.1f} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the table."""
    options = _parser().parse_args(arguments)
    corpus = Corpus.open(options.corpus)
    cases = list(anchor_cases(corpus, options.clip_seconds, options.clips, options.limit))
    if not cases:
        raise CorpusError(
            f"{corpus.root} cannot rank anchors: its test split has no pieces on a second bank 'elsewhere'. "
            "Prepare a corpus from scores, with at least three test pieces a track."
        )
    setup = EvaluationSetup(
        corpus.sample_rate,
        [metric for metric in measured_in(Stage.TEST) if options.slow or not metric.is_slow],
        prepare_timbre_space(corpus.root),
        corpus.root / "evaluation" / "analyses",
    )
    with one_thread():
        values = [found for _, found in run_jobs(partial(measure_anchors, setup=setup), cases, "Ranking")]
    print(as_markdown(count_failures(values), len(values)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m metrics.rank_anchors", description=__doc__)
    parser.add_argument("corpus", type=Path, help="a prepared corpus whose test split has a second bank")
    parser.add_argument("--clip-seconds", type=float, default=4.0, help="length of a clip")
    parser.add_argument("--clips", type=int, default=1, help="clips of each piece")
    parser.add_argument("--limit", type=int, default=300, help="most test cases, drawn with a fixed seed")
    parser.add_argument(
        "--slow", action="store_true", help="measure slow metrics, too (melody, PESQ, ViSQOL)"
    )
    return parser


if __name__ == "__main__":
    run_command(main)
