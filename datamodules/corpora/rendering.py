"""Rendered corpora: scores played on every instrument of a bank, sample-aligned, so that pieces are pairs."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.audio.levels import CORPUS_DB, FLOOR_DB, mean_loudness_db, normalised
from datamodules.banks.bank import Bank
from datamodules.banks.soundfont import SoundFontBank
from datamodules.corpora.building import BuildJob, BuildPlan, CorpusSource, file_bytes, write_item
from datamodules.corpora.corpus import DEFAULT_BANK, TRACKS, VARIED_MARK, CorpusError, Item
from datamodules.corpora.journal import Built
from datamodules.scores.embedded import EmbeddedScores
from datamodules.scores.notes import Note, Score, excerpt
from datamodules.scores.performance import Performance
from datamodules.scores.source import ScoreSource, Skipped
from runtime.arguments import finite_float, fraction, natural_int, positive_int
from runtime.hashing import FileHashes, stable_hash
from runtime.paths import is_name, printable

DEFAULT_INSTRUMENTS = (
    "keyboard_acoustic",
    "guitar_acoustic",
    "guitar_electric",
    "violin",
    "string_acoustic",
    "trumpet",
    "flute",
    "synth_lead_synthetic",
)
ELSEWHERE = "elsewhere"
"""Name of the second bank, which is heard in the test split only."""
RELEASE_S = 0.5
"""Time that a piece may ring after its last note, in seconds."""


class RenderedCorpus(CorpusSource):
    """Every piece on every instrument, with equal notes, times, dynamics and lengths.

    Levels are made equal (programs of a SoundFont differ by 10 dB). Test pieces are also played on a second
    bank: the same instruments from elsewhere.

    Args:
        scores: source of the pieces; ``None`` is `EmbeddedScores` of size ``default``.
        bank: gives the instruments their sound; ``None`` is the embedded SoundFont.
        instruments: names of instruments of the bank.
        elsewhere: the second bank; ``None`` is what ``bank.elsewhere()`` gives, if anything.
        tracks: ``monophonic``, ``polyphonic`` or both.
        performance: how the scores are played.
        renditions: how often a training piece is played: as written first, then varied in key and tempo,
            which is more music from the same scores. Validation and test pieces are played once, as written,
            so that a corpus with more renditions has the same test cases.
        loudness_db: A-weighted level of every file in dB re full scale, lower where peaks would clip.
        most_missing: a piece is skipped if a bank lacks more than this share of its notes; fewer notes are
            left out on all instruments.
        seed: of everything random: dynamics, and how renditions vary.
    """

    name = "rendered"

    def __init__(
        self,
        scores: ScoreSource | None = None,
        bank: Bank | None = None,
        instruments: Sequence[str] = DEFAULT_INSTRUMENTS,
        elsewhere: Bank | None = None,
        tracks: Sequence[str] = TRACKS,
        performance: Performance | None = None,
        renditions: int = 1,
        loudness_db: float = CORPUS_DB,
        most_missing: float = 0.05,
        seed: int = 0,
    ) -> None:
        self.scores = EmbeddedScores() if scores is None else scores
        self.bank = SoundFontBank() if bank is None else bank
        self._instruments = tuple(sorted(set(instruments)))
        self.elsewhere = self._own_elsewhere() if elsewhere is None else elsewhere
        self.tracks, self.seed, self.loudness_db = tuple(sorted(set(tracks))), seed, loudness_db
        self.renditions, self.most_missing = renditions, most_missing
        self._check()
        performance = Performance() if performance is None else performance
        self.performance = replace(performance, pitch_range=performance.pitch_range or self._common_range())

    def _own_elsewhere(self) -> Bank | None:
        found = self.bank.elsewhere()
        return found if found and set(self._instruments) <= set(found.instruments) else None

    def _check(self) -> None:
        positive_int.require(self.renditions, "renditions")
        natural_int.require(self.seed, "seed")
        finite_float.require(self.loudness_db, "loudness_db")
        fraction.require(self.most_missing, "most_missing")
        if not self._instruments:
            raise CorpusError(
                f"No instruments were asked for; the bank has {', '.join(self.bank.instruments)}."
            )
        for name in self._instruments:
            if not is_name(name):
                raise CorpusError(
                    f"'{printable(name)}' cannot be an instrument: it is not the name of a file."
                )
        self.bank.require(self._instruments)
        if self.elsewhere is not None:
            self.elsewhere.require(self._instruments)
        unknown = sorted(set(self.tracks) - set(TRACKS))
        if unknown or not self.tracks:
            raise CorpusError(
                f"tracks must be 'monophonic', 'polyphonic' or both, got {', '.join(unknown) or 'none'}."
            )

    def _common_range(self) -> tuple[int, int]:
        ranges = [self.bank.pitch_range(instrument) for instrument in self._instruments]
        low, high = max(low for low, _ in ranges), min(high for _, high in ranges)
        if high - low < 12:
            raise CorpusError(
                f"{', '.join(self._instruments)} have no octave in common (MIDI pitches {low} to {high}); "
                "choose other instruments or set performance.pitch_range."
            )
        return low, high

    @property
    def instruments(self) -> tuple[str, ...]:
        """The instruments that were asked for, sorted."""
        return self._instruments

    def licences(self) -> list[str]:
        """See `CorpusSource.licences`: those of the scores and of the sounds."""
        banks = [self.bank] if self.elsewhere is None else [self.bank, self.elsewhere]
        return [f"scores: {self.scores.licence}", *sorted({f"sounds: {bank.licence}" for bank in banks})]

    def describe(self, hashes: FileHashes) -> dict[str, Any]:
        """Describe scores, banks, instruments and how they play."""
        return {
            "scores": self.scores.fingerprint(hashes),
            "bank": self.bank.fingerprint(hashes, self.instruments),
            "elsewhere": self.elsewhere and self.elsewhere.fingerprint(hashes, self.instruments),
            "instruments": self.instruments,
            "tracks": self.tracks,
            "performance": asdict(self.performance),
            "renditions": self.renditions,
            "loudness_db": self.loudness_db,
            "most_missing": self.most_missing,
            "seed": self.seed,
        }

    def plan(
        self, sample_rate: int, cache: Path, hashes: FileHashes, workers: int | None, progress: bool
    ) -> BuildPlan:
        """See `CorpusSource.plan`; every piece on a bank is a job."""
        scores = self.scores.load(cache, hashes, workers, progress)
        jobs: list[RenderJob] = []
        usable, damaged = self._without_damaged(workers, progress)
        skipped = [*scores.skipped, *damaged]
        for score in scores.scores:
            if score.track not in self.tracks:
                continue
            for rendition in range(self.renditions if score.split == "train" else 1):
                played = usable._played(score, rendition)
                if isinstance(played, Skipped):
                    skipped.append(played)
                    continue
                notes, left_out = played
                skipped += left_out
                jobs += [
                    RenderJob(bank, n, self.instruments, notes, sample_rate, self.loudness_db)
                    for n, bank in usable._banks(score)
                ]
        n_bytes = sum(job.n_bytes for job in jobs)
        alone = "The bank has no second sound for every instrument: no test piece is played from elsewhere."
        return BuildPlan(jobs, skipped, n_bytes, [alone] if self.elsewhere is None else [])

    def _without_damaged(self, workers: int | None, progress: bool) -> tuple[RenderedCorpus, list[Skipped]]:
        """Give this source with what can be read of its banks, and what cannot."""
        usable = copy(self)
        usable.bank, damaged = self.bank.without_damaged(self.instruments, workers, progress)
        if self.elsewhere is not None:
            usable.elsewhere, more = self.elsewhere.without_damaged(self.instruments, workers, progress)
            damaged = [*damaged, *more]
        return usable, damaged

    def _banks(self, score: Score) -> list[tuple[str, Bank]]:
        banks = [(DEFAULT_BANK, self.bank)]
        if score.split == "test" and self.elsewhere is not None:
            banks.append((ELSEWHERE, self.elsewhere))
        return banks

    def _played(self, score: Score, rendition: int) -> tuple[Score, list[Skipped]] | Skipped:
        """Play a score: as it will sound on every instrument, with what is left out; or why it is skipped."""
        rng = np.random.default_rng([self.seed, rendition, stable_hash(score.piece)])
        played = self.performance.play(score, rng, varied=rendition > 0)
        if played is None:
            return Skipped(
                score.piece, f"its compass is wider than MIDI pitches {self.performance.pitch_range}"
            )
        notes = excerpt(played.notes, self.scores.seconds)
        if not notes:
            return Skipped(score.piece, f"no note begins in its first {self.scores.seconds:g} s")
        missing = self._missing(notes, score)
        if len(missing) == len(notes) or len(missing) > self.most_missing * len(notes):
            pitches = ", ".join(str(pitch) for pitch in sorted({note.pitch for note in missing}))
            return Skipped(
                score.piece, f"{len(missing)} of {len(notes)} notes are missing in a bank (pitches {pitches})"
            )
        name = f"{score.piece}{VARIED_MARK}{rendition + 1}" if rendition else score.piece
        kept = tuple(note for note in notes if note not in missing)
        reports = [
            Skipped(name, f"a note was left out on every instrument: {_described(note)}")
            for note in sorted(missing)
        ]
        return replace(played, piece=name, notes=kept), reports

    def _missing(self, notes: Sequence[Note], score: Score) -> set[Note]:
        banks = [bank for _, bank in self._banks(score)]
        return {note for bank in banks for name in self.instruments for note in bank.missing(notes, name)}


def _described(note: Note) -> str:
    return f"MIDI pitch {note.pitch}, velocity {note.velocity}, at {note.start_s:.2f} s"


@dataclass(frozen=True)
class RenderJob(BuildJob):
    """Plays one piece on all instruments of one bank."""

    bank: Bank
    bank_name: str
    instruments: tuple[str, ...]
    score: Score
    sample_rate: int
    loudness_db: float

    @property
    def name(self) -> str:  # type: ignore[override]
        """Bank and piece."""
        return f"{self.bank_name}/{self.score.piece}"

    @property
    def seconds(self) -> float:
        """Length of the audio, the same on all instruments."""
        return max(note.end_s for note in self.score.notes) + RELEASE_S

    @property
    def n_bytes(self) -> int:
        """Size of all files of the job."""
        return len(self.instruments) * file_bytes(self._item("", 0.0))

    def run(self, root: Path) -> Built:
        """See `BuildJob.run`; the piece is skipped on all instruments where one of them is silent."""
        sounds = {
            name: self.bank.render(self.score.notes, name, self.sample_rate, self.seconds)
            for name in self.instruments
        }
        items, digests = [], []
        for name, audio in sounds.items():
            loudness_db = mean_loudness_db(audio, self.sample_rate)
            if loudness_db <= FLOOR_DB:
                return Built(
                    skipped=(Skipped(self.score.piece, f"{name} of bank '{self.bank_name}' stays silent"),)
                )
            item = self._item(name, round(loudness_db, 2))
            items.append(item)
            digests.append(
                write_item(root, item, normalised(audio, loudness_db, self.loudness_db), self.sample_rate)
            )
        return Built(tuple(items), tuple(digests))

    def _item(self, instrument: str, loudness_db: float) -> Item:
        split, n_samples = self.score.split or "train", round(self.seconds * self.sample_rate)
        return Item(
            split, self.score.track, self.score.piece, instrument, self.bank_name, n_samples, loudness_db
        )
