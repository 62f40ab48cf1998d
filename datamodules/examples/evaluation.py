"""Validation and test examples: the same for every experiment on a corpus, whatever its seed.

Pieces, clips and references are chosen by hashes of names, so that they stay when instruments or pieces
are added, and two experiments with the same instruments are paired piece by piece.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest

import numpy as np
from torch.utils.data import Dataset

from datamodules.corpora.corpus import DEFAULT_BANK, TRACKS, Corpus, CorpusError, Item
from datamodules.examples.batching import Example
from datamodules.examples.training import is_silent, padded
from runtime.hashing import stable_hash

_CLIP_PLACES = (0.5, 0.25, 0.75, 0.0, 1.0)
"""Where in a piece a clip is looked for, from its start (0) to its end (1); the first with sound is taken."""


@dataclass(frozen=True)
class Question:
    """One transfer to judge: which files are its source, its answer and its anchors."""

    source: Item
    target_instrument: str
    target: Item | None
    reference: Item
    wrong_notes: Item | None
    other_recording: Item | None

    @property
    def group(self) -> tuple[str, str, str]:
        """Track, source and target instrument."""
        return self.source.track, self.source.instrument, self.target_instrument


class QuestionPlan:
    """Chooses the questions of a split.

    Args:
        corpus: an open corpus.
        split: ``val`` or ``test``.
        tracks: ``monophonic``, ``polyphonic`` or both.
        target_bank: where targets and references come from; sources are always the default bank's. The
            second bank of a rendered corpus is in its test split only, so no training has heard it.
    """

    def __init__(
        self, corpus: Corpus, split: str, tracks: Sequence[str], target_bank: str = DEFAULT_BANK
    ) -> None:
        self.corpus = corpus
        self.split = split
        self.tracks = [track for track in TRACKS if track in tracks]
        self.target_bank = target_bank
        self._lists: dict[tuple[str, str, str, str], list[Item]] = {}
        self._versions: dict[tuple[str, str, str], Item] = {}
        for item in corpus.items:
            self._lists.setdefault((item.bank, item.split, item.track, item.instrument), []).append(item)
            if item.split == split:
                self._versions[item.bank, item.instrument, item.piece] = item
        self._other_banks = sorted({bank for bank, _, _ in self._versions if bank != target_bank})

    def questions(
        self, sources: Sequence[str], targets: Sequence[str], pieces: int | None = None
    ) -> list[Question]:
        """Every (source ≠ target) pair of instruments on every track, ``pieces`` pieces each."""
        return [
            question
            for track in self.tracks
            for source in sorted(sources)
            for target in sorted(targets)
            if source != target
            for question in self._of_pair(track, source, target, pieces)
        ]

    def interleaved(self, sources: Sequence[str], targets: Sequence[str], count: int) -> list[Question]:
        """``count`` questions, spread over tracks and pairs of instruments as evenly as it goes."""
        groups: dict[tuple[str, str, str], list[Question]] = {}
        for question in self.questions(sources, targets, count):
            groups.setdefault(question.group, []).append(question)
        ordered = sorted(groups.values(), key=lambda group: stable_hash(*group[0].group))
        rounds = zip_longest(*ordered)
        return [question for one_round in rounds for question in one_round if question is not None][:count]

    def _of_pair(self, track: str, source: str, target: str, pieces: int | None) -> Iterator[Question]:
        items = self._lists.get((DEFAULT_BANK, self.split, track, source), [])
        for item in sorted(items, key=lambda item: stable_hash(item.piece))[:pieces]:
            others = list(islice(self._other_pieces(item, target), 2))
            if not others:
                raise CorpusError(
                    f"{self.corpus.root} has no two pieces on {target} in the bank {self.target_bank}, but a "
                    "reference has to be another piece than the source. Prepare a larger corpus, or choose "
                    "another test_bank."
                )
            yield Question(
                source=item,
                target_instrument=target,
                target=self._versions.get((self.target_bank, target, item.piece)),
                reference=others[0],
                wrong_notes=others[1] if len(others) > 1 else None,
                other_recording=next(
                    (
                        self._versions[bank, target, item.piece]
                        for bank in self._other_banks
                        if (bank, target, item.piece) in self._versions
                    ),
                    None,
                ),
            )

    def _other_pieces(self, source: Item, instrument: str) -> Iterator[Item]:
        """Different pieces on ``instrument``: of this split and track first, of training last."""
        other_tracks = [track for track in TRACKS if track != source.track]
        places = [(self.split, track) for track in (source.track, *other_tracks)]
        places += [(split, track) for split in ("val", "train") for track in TRACKS if split != self.split]
        seen = {source.work}
        for split, track in places:
            items = self._lists.get((self.target_bank, split, track, instrument), [])
            first = stable_hash(source.piece, instrument) % max(1, len(items))
            for offset in range(len(items)):
                item = items[(first + offset) % len(items)]
                if item.work not in seen:
                    seen.add(item.work)
                    yield item


class EvaluationData(Dataset[Example]):
    """The audio of a list of questions.

    Args:
        corpus: an open corpus.
        instruments: names behind the instrument ids of a batch.
        questions: what to judge.
        clip_s: length of source and target in seconds; shorter pieces end in silence. ``None`` is the whole
            piece, for batches of one.
        reference_s: length of the reference in seconds.
    """

    def __init__(
        self,
        corpus: Corpus,
        instruments: Sequence[str],
        questions: Sequence[Question],
        clip_s: float | None,
        reference_s: float,
    ) -> None:
        self.corpus = corpus
        self.ids = {name: number for number, name in enumerate(instruments)}
        self.questions = list(questions)
        self.clip_samples = None if clip_s is None else round(clip_s * corpus.sample_rate)
        self.reference_samples = round(reference_s * corpus.sample_rate)

    def __len__(self) -> int:
        return len(self.questions)

    def __getitem__(self, number: int) -> Example:
        question = self.questions[number]
        length = self.clip_samples or question.source.n_samples
        start, source = self._clip(question.source, length)
        return Example(
            source=source,
            reference=self._clip(question.reference, self.reference_samples)[1],
            target=self._aligned(question.target, start, length),
            source_instrument=self.ids[question.source.instrument],
            target_instrument=self.ids[question.target_instrument],
            piece=question.source.piece,
            reference_piece=question.reference.piece,
            track=question.source.track,
            wrong_notes=None if question.wrong_notes is None else self._clip(question.wrong_notes, length)[1],
            other_recording=self._aligned(question.other_recording, start, length),
        )

    def _aligned(self, item: Item | None, start: int, length: int) -> np.ndarray | None:
        return None if item is None else padded(self.corpus.read(item, start, length), length)

    def _clip(self, item: Item, length: int) -> tuple[int, np.ndarray]:
        spare = max(0, item.n_samples - length)
        for start in dict.fromkeys(round(place * spare) for place in _CLIP_PLACES):
            audio = self.corpus.read(item, start, length)
            if not is_silent(audio):
                return start, padded(audio, length)
        return start, padded(audio, length)
