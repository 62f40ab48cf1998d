"""Corpora of recordings: folders of audio files, one folder an instrument."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import soundfile

from datamodules.audio.decoding import UNKNOWN_FRAMES
from datamodules.audio.files import AUDIO_SUFFIXES
from datamodules.audio.levels import CORPUS_DB
from datamodules.corpora.building import BuildPlan, CorpusSource
from datamodules.corpora.corpus import SPLITS, TRACKS, CorpusError, unknown_instrument
from datamodules.corpora.journal import JOURNAL
from datamodules.corpora.recording_parts import GAP_S, LONG_S, Filters, RecordingJob, Treatment
from datamodules.corpora.split_folders import find_split_folders
from datamodules.scores.melodies import split_all
from datamodules.scores.source import Skipped, readable_name
from runtime.arguments import finite_float, fraction, positive_float
from runtime.hashing import FileHashes
from runtime.paths import files_below, printable
from runtime.workers import run_jobs

LEAST_BYTES_PER_S = 500
"""Bytes that the strongest compression of speech needs for a second: 4 kbit/s."""

SPLIT_AS_WHOLES = 10
"""Fewer recordings of an instrument cannot be split 80 : 10 : 10 as wholes."""


class Recording(NamedTuple):
    """An audio file of an instrument."""

    instrument: str
    split: str | None
    """The split that its folder names, if any."""
    path: Path


class Header(NamedTuple):
    """What an audio file states of itself."""

    seconds: float = 0.0
    """0 where it is unknown."""
    channels: int = 1


class RecordingsCorpus(CorpusSource):
    """Recordings in ``<root>/<instrument>/*`` or ``<root>/{train,val,test}/<instrument>/*``.

    Any format that libsndfile or ffmpeg reads, any rate, number of channels and length; subfolders are
    searched. Where folders do not name the split, the recordings of an instrument are split as wholes, by a
    hash of their content. Fewer than ten are cut by time instead: the beginning of each trains, and its end
    validates and tests, with a gap between, so that no note is in two splits. Copies of a recording are used
    once.

    Args:
        root: the folder.
        instruments: names of the folders to use; ``None`` is all.
        track: ``monophonic`` or ``polyphonic``: the kind of music that is played.
        mix_channels: mix the channels of a recording to one; otherwise each becomes a part of its own.
        part_s: longer recordings are cut into equal parts of at most this length, in seconds.
        filters: limits below which recordings are skipped.
        loudness_db: A-weighted level each recording is brought to, in dB re full scale, lower where peaks
            would clip; ``None`` leaves levels as they are.
        shares: shares of train, val and test where folders do not name the split; they add up to 1.
        licence: licence of the recordings, for the manifest.
    """

    name = "recordings"
    has_pairs = False

    def __init__(
        self,
        root: str | Path,
        instruments: Sequence[str] | None = None,
        track: str = "monophonic",
        mix_channels: bool = True,
        part_s: float = 30.0,
        filters: Filters | None = None,
        loudness_db: float | None = CORPUS_DB,
        shares: tuple[float, float, float] = (0.8, 0.1, 0.1),
        licence: str = "unknown",
    ) -> None:
        self.root, self.licence = Path(root), licence
        self.how = Treatment(
            track, mix_channels, part_s, Filters() if filters is None else filters, loudness_db
        )
        self.shares = dict(zip(SPLITS, shares, strict=True))
        self._check()
        self._split_folders = self._find_layout()
        self._instruments = self._find_instruments(instruments)

    def _check(self) -> None:
        if self.how.track not in TRACKS:
            raise CorpusError(f"track must be 'monophonic' or 'polyphonic', got '{self.how.track}'.")
        positive_float.require(self.how.part_s, "part_s")
        if self.how.loudness_db is not None:
            finite_float.require(self.how.loudness_db, "loudness_db")
        if self.how.part_s < self.how.filters.shortest_s:
            raise CorpusError(
                f"part_s must be {self.how.filters.shortest_s} s or more, got {self.how.part_s}."
            )
        for split, share in self.shares.items():
            fraction.require(share, f"The share of {split}")
        if abs(sum(self.shares.values()) - 1) > 1e-6:
            raise CorpusError(f"The shares of train, val and test must add up to 1, got {self.shares}.")

    def _find_layout(self) -> dict[str, str]:
        """Find the splits by the names of their folders; none where folders do not name splits."""
        if not self.root.is_dir():
            raise CorpusError(f"{self.root} is not a folder; give one with a folder of audio per instrument.")
        folders = [
            path
            for path in self.root.iterdir()
            if path.is_dir() and not path.name.startswith(".") and not any(path.glob(f"*/{JOURNAL}"))
        ]
        return {folder.name: split for split, folder in find_split_folders(self.root, folders).items()}

    def _find_instruments(self, wanted: Sequence[str] | None) -> tuple[str, ...]:
        recordings, _ = self._search()
        found = tuple(sorted({recording.instrument for recording in recordings}))
        if not found:
            example = self.root / "flute" / "take1.wav"
            raise CorpusError(
                f"{self.root} holds no audio: expected a folder per instrument, as in {example}."
            )
        for name in wanted or ():
            if name not in found:
                raise unknown_instrument(name, found, str(self.root))
        return tuple(sorted(set(wanted or found)))

    @property
    def instruments(self) -> tuple[str, ...]:
        """Names of the folders that are used, sorted."""
        return self._instruments

    def licences(self) -> list[str]:
        """See `CorpusSource.licences`."""
        return [f"recordings: {self.licence}"]

    def describe(self, hashes: FileHashes) -> dict[str, Any]:
        """Describe the files by names and contents, and what is done with them."""
        contents = hashes.of_folder(self.root, (recording.path for recording in self._recordings()))
        how = {"instruments": self.instruments, "shares": self.shares, "gap_s": GAP_S, **asdict(self.how)}
        return {"recordings": contents, **how}

    def plan(
        self, sample_rate: int, cache: Path, hashes: FileHashes, workers: int | None, progress: bool
    ) -> BuildPlan:
        """See `CorpusSource.plan`; every recording is a job."""
        found = self._recordings()
        paths = [recording.path for recording in found]
        digests = dict(zip(paths, hashes.of_all(paths), strict=True))
        recordings, skipped = self._without_copies(found, digests)
        splits, names = self._splits(recordings, digests), Counter[str]()
        cut = self._cut_by_time(recordings)
        jobs = []
        for instrument, _, path in recordings:
            piece = readable_name(f"{instrument}-{path.stem}")
            names[piece.casefold()] += 1
            if names[piece.casefold()] > 1:
                piece = f"{piece}-{digests[path][:8]}"
            shares = self.shares if instrument in cut else {}
            how = (splits[path], shares, sample_rate, self.how)
            jobs.append(RecordingJob(self._shown(path), path, piece, instrument, *how))
        paths = [job.path for job in jobs]
        headers = [
            h for _, h in run_jobs(_header, paths, "Reading headers", workers, progress, _unknown_header)
        ]
        n_channels = [1 if self.how.mix_channels else header.channels for header in headers]
        seconds = sum(header.seconds * n for header, n in zip(headers, n_channels, strict=True))
        notes = self._notes(jobs, [header.channels for header in headers])
        notes += [self._note_of_cuts(instrument, n_takes) for instrument, n_takes in cut.items()]
        left_out = self._search()[1]
        return BuildPlan(jobs, [*skipped, *left_out], round(2 * sample_rate * seconds), notes)

    def _shown(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _search(self) -> tuple[list[Recording], list[Skipped]]:
        """Find every audio file in the folder of an instrument, and what else there is."""
        files, left_out = files_below(self.root)
        recordings: list[Recording] = []
        corpora = {path.parent for path in files if path.name == JOURNAL}
        left_out += [(folder, "a corpus, and no recordings") for folder in corpora]
        for path in files:
            if not corpora.isdisjoint(path.parents):
                continue
            *folders, _ = path.relative_to(self.root).parts
            split = self._split_folders.get(folders.pop(0)) if folders and self._split_folders else None
            if path.suffix.lower() not in AUDIO_SUFFIXES:
                left_out.append((path, "not named like an audio file"))
            elif not folders:
                left_out.append((path, "not in the folder of an instrument"))
            else:
                recordings.append(Recording(printable(folders[0]), split, path))
        return recordings, [Skipped(self._shown(path), reason) for path, reason in left_out]

    def _recordings(self) -> list[Recording]:
        """List the files of all instruments, held-out splits first: of two copies, the one in test stays."""
        found = (recording for recording in self._search()[0] if recording.instrument in self.instruments)
        return sorted(found, key=lambda r: (-SPLITS.index(r.split or SPLITS[0]), r.instrument))

    def _without_copies(
        self, recordings: list[Recording], digests: dict[Path, str]
    ) -> tuple[list[Recording], list[Skipped]]:
        first: dict[str, Path] = {}
        for recording in recordings:
            first.setdefault(digests[recording.path], recording.path)
        kept = [recording for recording in recordings if first[digests[recording.path]] == recording.path]
        copies = [
            recording.path for recording in recordings if first[digests[recording.path]] != recording.path
        ]
        return kept, [Skipped(self._shown(p), f"a copy of {self._shown(first[digests[p]])}") for p in copies]

    def _splits(self, recordings: list[Recording], digests: dict[Path, str]) -> dict[Path, str]:
        """Give each recording its split, each instrument by itself so that every one has test recordings."""
        splits: dict[Path, str] = {}
        for instrument in self.instruments:
            mine = [recording for recording in recordings if recording.instrument == instrument]
            hashed = split_all((digests[r.path] for r in mine if r.split is None), self.shares)
            splits |= {r.path: r.split or hashed[digests[r.path]] for r in mine}
        return splits

    def _cut_by_time(self, recordings: list[Recording]) -> dict[str, int]:
        """Count the recordings of the instruments that have too few to be split as wholes."""
        counts = Counter(recording.instrument for recording in recordings if recording.split is None)
        return {instrument: n for instrument, n in counts.items() if n < SPLIT_AS_WHOLES}

    def _notes(self, jobs: Sequence[RecordingJob], channels: Sequence[int]) -> list[str]:
        notes = []
        if several := sum(count > 1 for count in channels):
            how = "mixed to one" if self.how.mix_channels else "kept as separate parts"
            notes.append(
                f"{several} of {len(jobs)} recordings have several channels: {how} (see mix_channels)."
            )
        for instrument in self.instruments:
            mine = {job.split for job in jobs if job.instrument == instrument and not job.shares}
            if mine and (absent := [split for split in SPLITS if split not in mine]):
                notes.append(f"{instrument} has no recordings in the folders for {' and '.join(absent)}.")
        return notes

    def _note_of_cuts(self, instrument: str, n_takes: int) -> str:
        first, *others = (f"{share:.0%} for {split}" for split, share in self.shares.items() if share > 0)
        return (
            f"{instrument} has {n_takes} recording{'s' * (n_takes > 1)}, too few to be split as wholes: each "
            f"that sounds for {LONG_S:g} s or more is cut by time, its first {first}, then "
            f"{' and '.join(others)}, with up to {GAP_S:g} s left out between."
        )


def _header(path: Path) -> Header:
    """Read what a file states of itself; a length is unknown where the file is too small to hold it."""
    try:
        info = soundfile.info(os.fsencode(path))
    except (soundfile.LibsndfileError, RuntimeError):
        return Header()
    seconds = info.frames / info.samplerate
    is_true = info.frames < UNKNOWN_FRAMES and seconds * LEAST_BYTES_PER_S <= path.stat().st_size
    return Header(seconds if is_true else 0.0, info.channels)


def _unknown_header(path: Path, reason: str) -> Header:
    return Header()
