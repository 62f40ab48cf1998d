"""Scores that come with music21: fiddle tunes of Ryan's Mammoth Collection and of O'Neill, Bach's chorales.

music21 is slow to import and to parse with, so scores are parsed once and kept as a list of notes; reading
the list needs no music21.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import Progress

from datamodules.corpora.corpus import CorpusError
from datamodules.scores.melodies import MelodyRegister, intervals, split_of
from datamodules.scores.notes import Note, Score, excerpt, is_monophonic, without_overlaps
from datamodules.scores.source import ScoreSet, ScoreSource, Skipped, readable_name
from runtime.arguments import positive_float
from runtime.hashing import FileHashes
from runtime.workers import run_jobs

TUNE_TEMPO = 96
"""Tempo of tunes in quarter notes a minute: they are quick, and strings still speak."""
CHORALE_TEMPO = 66
"""Tempo of chorales in quarter notes a minute."""
WIDEST_COMPASS = 24
"""Widest compass of a melody in semitones: what all instruments of the suite can play (C4 to C6)."""
SPARE = 1.5
"""Length that is kept of a piece, in lengths of an excerpt: a quicker tempo needs more of the piece."""


@dataclass(frozen=True)
class Size:
    """A number of pieces, and their length."""

    seconds: float
    """Length of an excerpt."""
    tunes: dict[str, int]
    """Tunes of each split from Ryan's Mammoth Collection, and ``unseen`` ones from O'Neill's for the test."""
    chorales: dict[str, int]
    """Chorales of each split."""

    def quotas(self) -> dict[str, dict[str, int]]:
        """Count pieces by collection and split, O'Neill's first, so that its tunes are left out of Ryan's."""
        ryan = {split: count for split, count in self.tunes.items() if split != "unseen"}
        return {"oneill": {"test": self.tunes["unseen"]}, "ryan": ryan, "bach": self.chorales}


SIZES = {
    "tiny": Size(8.0, dict(train=4, val=2, test=2, unseen=2), dict(train=3, val=2, test=3)),
    "demo": Size(12.0, dict(train=32, val=6, test=5, unseen=5), dict(train=8, val=3, test=5)),
    "default": Size(20.0, dict(train=44, val=8, test=8, unseen=8), dict(train=22, val=5, test=8)),
    "full": Size(30.0, dict(train=300, val=30, test=30, unseen=40), dict(train=150, val=20, test=30)),
}


class Tune(NamedTuple):
    """One score of music21's corpus."""

    collection: str
    path: Path
    number: int | None = None
    """Number of the tune in a file that holds many."""


class EmbeddedScores(ScoreSource):
    """Public-domain scores that every installation has: monophonic tunes and polyphonic chorales.

    Training, validation and test tunes come from Ryan's Mammoth Collection (1883). O'Neill's (1903) is in the
    test split only, in pieces whose names begin with ``oneill-``. A melody is taken once, in any key, with
    any ornaments, from any collection.

    Args:
        size: ``tiny`` (10 tunes and 8 chorales of 8 s), ``demo`` (48 and 16 of 12 s), ``default``
            (68 and 35 of 20 s) or ``full`` (400 and 200 of 30 s).
        seconds: length of the excerpts; ``None`` is that of the size.
    """

    licence = "public-domain music in encodings of varying terms (music21): do not distribute"

    def __init__(self, size: str = "default", seconds: float | None = None) -> None:
        if size not in SIZES:
            raise CorpusError(f"EmbeddedScores has no size '{size}'; choose one of {', '.join(SIZES)}.")
        if seconds is not None:
            positive_float.require(seconds, "seconds")
        self.size = size
        self.seconds: float = SIZES[size].seconds if seconds is None else seconds

    def fingerprint(self, hashes: FileHashes) -> dict[str, Any]:
        """Describe the pieces by the size and the version of music21, which decides its files."""
        try:
            version = importlib.metadata.version("music21")
        except importlib.metadata.PackageNotFoundError:
            raise CorpusError(
                "music21, which carries the embedded scores, is not installed; run `make env`."
            ) from None
        quotas = SIZES[self.size].quotas()
        tempi = [TUNE_TEMPO, CHORALE_TEMPO]
        return {
            "scores": "music21",
            "version": version,
            "quotas": quotas,
            "seconds": self.seconds,
            "tempi": tempi,
        }

    def _read(self, workers: int | None, progress: bool) -> ScoreSet:
        quotas = SIZES[self.size].quotas()
        register = MelodyRegister()
        scores: list[Score] = []
        skipped: list[Skipped] = []
        wanted = sum(sum(quota.values()) for quota in quotas.values())
        # Importing music21 takes a worker as long as parsing 50 pieces: few pieces are parsed right here.
        workers = 1 if wanted < 50 else workers
        with Progress(console=Console(stderr=True), disable=not progress) as bar:
            task = bar.add_task("Reading scores (once)", total=wanted)
            for collection, quota in quotas.items():
                for score in self._select(collection, quota, register, skipped, workers):
                    scores.append(score)
                    bar.advance(task)
        return ScoreSet(tuple(scores), tuple(skipped))

    def _select(
        self,
        collection: str,
        quota: dict[str, int],
        register: MelodyRegister,
        skipped: list[Skipped],
        workers: int | None,
    ) -> Iterator[Score]:
        """Take pieces of a collection, in the order of a hash, until every split has its number."""
        remaining, ids = dict(quota), set[str]()
        for tune, (title, notes) in _in_order(candidates(collection), workers):
            if not any(remaining.values()):
                return
            origin = tune.path.name + (f" no. {tune.number}" if tune.number else "")
            reason = self._unfit(notes, collection) or _twin(register, notes)
            split = "test" if collection == "oneill" else split_of(",".join(map(str, intervals(notes))))
            if reason is not None:
                skipped.append(Skipped(f"{collection}: {origin}", reason))
            elif remaining[split] > 0 and title not in ids:
                remaining[split] -= 1
                ids.add(title)
                register.add(f"{collection}-{title}", notes)
                track = "polyphonic" if collection == "bach" else "monophonic"
                kept = excerpt(notes, SPARE * self.seconds)
                yield Score(f"{collection}-{title}", track, kept, origin, split)
        if any(remaining.values()):
            raise CorpusError(
                f"music21's {collection} collection has too few pieces: {remaining} more are wanted."
            )

    def _unfit(self, notes: tuple[Note, ...], collection: str) -> str | None:
        if not notes or notes[-1].end_s < self.seconds:
            return f"shorter than {self.seconds:g} s"
        if collection == "bach":
            return None
        if not is_monophonic(notes):
            return "not monophonic"
        pitches = [note.pitch for note in notes]
        compass = max(pitches) - min(pitches)
        return (
            f"its compass, {compass} semitones, is above {WIDEST_COMPASS}"
            if compass > WIDEST_COMPASS
            else None
        )


def _twin(register: MelodyRegister, notes: tuple[Note, ...]) -> str | None:
    owner = register.known_as(notes)
    return None if owner is None else f"the same melody as {owner}"


def candidates(collection: str) -> list[Tune]:
    """List the scores of a collection in an order that mixes keys and dances and never changes."""
    spec = importlib.util.find_spec("music21")
    if spec is None or spec.origin is None:
        raise CorpusError("music21, which carries the embedded scores, is not installed; run `make env`.")
    root = Path(spec.origin).parent / "corpus"
    if collection == "ryan":
        tunes = [Tune(collection, path) for path in (root / "ryansMammoth").glob("*.abc")]
    elif collection == "bach":
        tunes = [Tune(collection, path) for path in (root / "bach").glob("bwv*.mxl")]
    else:
        files = sorted((root / "oneills1850").glob("*.abc"))
        numbers = {
            path: re.findall(r"^X:\s*(\d+)", path.read_text(errors="replace"), re.MULTILINE) for path in files
        }
        tunes = [Tune(collection, path, int(number)) for path in files for number in numbers[path]]
    return sorted(
        tunes, key=lambda tune: hashlib.sha256(f"{tune.path.name}/{tune.number}".encode()).hexdigest()
    )


def _in_order(tunes: list[Tune], workers: int | None) -> Iterator[tuple[Tune, tuple[str, tuple[Note, ...]]]]:
    """Parse tunes in several processes and give them in their order, so that no choice depends on timing."""
    parsed: dict[Tune, tuple[str, tuple[Note, ...]]] = {}
    results = run_jobs(parse, tunes, "", workers, progress=False)
    for tune in tunes:
        while tune not in parsed:
            done, result = next(results)
            parsed[done] = result
        yield tune, parsed.pop(tune)


def parse(tune: Tune) -> tuple[str, tuple[Note, ...]]:
    """Read title and notes of a score with its repeats, at the suite's tempo (the scores have none)."""
    from music21 import converter, repeat

    score = converter.parse(tune.path, number=tune.number, forceSource=True, storePickle=False)
    with contextlib.suppress(repeat.ExpanderException):  # repeat marks that do not match: played once
        score = score.expandRepeats()
    tempo = CHORALE_TEMPO if tune.collection == "bach" else TUNE_TEMPO
    notes = set[Note]()
    for element in score.stripTies().flatten().notes:
        start, length = float(element.offset) * 60 / tempo, float(element.quarterLength) * 60 / tempo
        if length > 0:  # grace notes have no length
            notes |= {
                Note(round(start, 4), round(start + length, 4), pitch.midi) for pitch in element.pitches
            }
    title = tune.path.stem if tune.number is None else f"{tune.number}-{score.metadata.title or ''}"
    return readable_name(title), without_overlaps(notes)
