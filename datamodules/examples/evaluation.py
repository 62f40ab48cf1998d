"""Validation and test examples: the same for every experiment on a corpus, with any seed.

Pieces, clips and references are chosen by hashes of names, so that they stay the same when instruments or
pieces are added, and experiments with the same instruments can be compared piece by piece.
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
"""Places in a piece, from its start (0) to its end (1), of which the first with sound gives the clip."""


@dataclass(frozen=True)
class EvaluationCase:
    """One transfer to judge, by the items that it is made of."""

    source: Item
    target_instrument: str
    target: Item | None
    """The source's piece on the target instrument; ``None`` where it does not exist, as with recordings."""
    reference: Item
    """Another work on the target instrument, or another part of the same recording where there is none."""
    wrong_notes: Item | None
    """A third work on the target instrument, for the anchor of that name."""
    other_recording: Item | None
    """The source's piece on the same instrument of another bank, for the anchor of that name."""

    @property
    def group(self) -> tuple[str, str, str]:
        """Track, source instrument and target instrument."""
        return self.source.track, self.source.instrument, self.target_instrument


class EvaluationPlan:
    """Chooses the validation or test cases of a corpus.

    Args:
        corpus: an open corpus.
        split: ``val`` or ``test``.
        tracks: ``monophonic``, ``polyphonic`` or both.
        target_bank: bank of targets and references; sources are always of the default bank. The second bank
            of a rendered corpus is in its test split only, so that no training has heard it.
        resynthesis: whether an instrument that is both source and target is also its own target. This is the
            only truth of recordings, of which there are no pairs.
    """

    def __init__(
        self,
        corpus: Corpus,
        split: str,
        tracks: Sequence[str],
        target_bank: str = DEFAULT_BANK,
        resynthesis: bool = False,
    ) -> None:
        self.corpus = corpus
        self.split = split
        self.tracks = [track for track in TRACKS if track in tracks]
        self.target_bank = target_bank
        self.resynthesis = resynthesis
        self._lists: dict[tuple[str, str, str, str], list[Item]] = {}
        self._versions: dict[tuple[str, str, str], Item] = {}
        for item in corpus.items:
            self._lists.setdefault((item.bank, item.split, item.track, item.instrument), []).append(item)
            if item.split == split:
                self._versions[item.bank, item.instrument, item.piece] = item
        self._other_banks = sorted({bank for bank, _, _ in self._versions if bank != target_bank})

    def cases(
        self, sources: Sequence[str], targets: Sequence[str], pieces: int | None = None
    ) -> list[EvaluationCase]:
        """List ``pieces`` cases (``None``: all) of every track and pair of instruments."""
        return [
            case
            for track in self.tracks
            for source in sorted(sources)
            for target in sorted(targets)
            if source != target or self.resynthesis
            for case in self._of_pair(track, source, target, pieces)
        ]

    def interleaved(self, sources: Sequence[str], targets: Sequence[str], count: int) -> list[EvaluationCase]:
        """List ``count`` cases, spread as evenly as possible over tracks and pairs of instruments."""
        groups: dict[tuple[str, str, str], list[EvaluationCase]] = {}
        for case in self.cases(sources, targets, count):
            groups.setdefault(case.group, []).append(case)
        ordered = sorted(groups.values(), key=lambda group: stable_hash(*group[0].group))
        rounds = zip_longest(*ordered)
        return [case for one_round in rounds for case in one_round if case is not None][:count]

    def _of_pair(self, track: str, source: str, target: str, pieces: int | None) -> Iterator[EvaluationCase]:
        items = self._lists.get((DEFAULT_BANK, self.split, track, source), [])
        for item in sorted(items, key=lambda item: stable_hash(item.piece))[:pieces]:
            others = list(islice(self._other_pieces(item, target), 2))
            if not others:
                raise CorpusError(
                    f"{self.corpus.root} has no second piece on {target} in the bank '{self.target_bank}', "
                    "and a reference has to be another piece than the source: prepare a larger corpus, or "
                    "choose another data.init_args.test_bank."
                )
            yield EvaluationCase(
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
        """Give other works on ``instrument``, those of this split and track first, those of training last.

        After them come other parts of the source's own recording, which is all there is of some instruments.
        """
        other_tracks = [track for track in TRACKS if track != source.track]
        places = [(self.split, track) for track in (source.track, *other_tracks)]
        places += [(split, track) for split in ("val", "train") for track in TRACKS if split != self.split]
        seen, own = {source.work}, []
        for split, track in places:
            items = self._lists.get((self.target_bank, split, track, instrument), [])
            first = stable_hash(source.piece, instrument) % max(1, len(items))
            for offset in range(len(items)):
                item = items[(first + offset) % len(items)]
                if item.work not in seen:
                    seen.add(item.work)
                    yield item
                elif item.work == source.work and item.piece != source.piece:
                    own.append(item)
        yield from own


class EvaluationData(Dataset[Example]):
    """The examples of a list of cases.

    Args:
        corpus: an open corpus.
        instruments: names behind the instrument ids of a batch.
        cases: the transfers to judge.
        clip_s: length of source and target in seconds; shorter pieces are continued with silence. ``None`` is
            the whole piece, for batches of one.
        reference_s: length of the reference in seconds.
    """

    def __init__(
        self,
        corpus: Corpus,
        instruments: Sequence[str],
        cases: Sequence[EvaluationCase],
        clip_s: float | None,
        reference_s: float,
    ) -> None:
        self.corpus = corpus
        self.ids = {name: number for number, name in enumerate(instruments)}
        self.cases = list(cases)
        self.clip_samples = None if clip_s is None else round(clip_s * corpus.sample_rate)
        self.reference_samples = round(reference_s * corpus.sample_rate)

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, number: int) -> Example:
        case = self.cases[number]
        length = self.clip_samples or case.source.n_samples
        start, source = self._clip(case.source, length)
        return Example(
            source=source,
            reference=self._clip(case.reference, self.reference_samples)[1],
            target=self._aligned(case.target, start, length),
            source_instrument=self.ids[case.source.instrument],
            target_instrument=self.ids[case.target_instrument],
            piece=case.source.piece,
            reference_piece=case.reference.piece,
            track=case.source.track,
            wrong_notes=None if case.wrong_notes is None else self._clip(case.wrong_notes, length)[1],
            other_recording=self._aligned(case.other_recording, start, length),
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
