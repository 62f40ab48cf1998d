"""Scores from folders of MIDI files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from datamodules.corpora.corpus import PART_MARK, SPLITS, CorpusError
from datamodules.corpora.split_folders import find_split_folders
from datamodules.scores.melodies import MelodyRegister, intervals, split_all
from datamodules.scores.midi_file import MidiNotes, read_midi
from datamodules.scores.notes import Score, excerpt, is_monophonic
from datamodules.scores.source import ScoreSet, ScoreSource, Skipped, unique_names
from runtime.arguments import positive_float, positive_int
from runtime.hashing import FileHashes
from runtime.paths import files_below
from runtime.workers import run_jobs


class MidiFolder(ScoreSource):
    """Every MIDI file below a folder, drums left out.

    Folders named ``train``, ``val`` or ``test`` are the splits; other files are split by a hash of their
    melody. A melody that occurs twice, also in another key, is taken once.

    Args:
        path: the folder; files may lie at any depth.
        seconds: length of an excerpt; ``None`` is the whole piece.
        excerpts: most excerpts that are taken of a piece, one after the other.
        licence: licence of the music, for the manifest.
    """

    def __init__(
        self, path: str | Path, seconds: float | None = 20.0, excerpts: int = 1, licence: str = "unknown"
    ) -> None:
        self.path, self.seconds, self.excerpts, self.licence = Path(path), seconds, excerpts, licence
        if seconds is not None:
            positive_float.require(seconds, "seconds")
        positive_int.require(excerpts, "excerpts")

    def files(self) -> list[Path]:
        """List the MIDI files, sorted."""
        if not self.path.is_dir():
            raise CorpusError(f"{self.path} is not a folder; give a folder with MIDI files (.mid, .midi).")
        found = [path for path in files_below(self.path).files if path.suffix.lower() in {".mid", ".midi"}]
        if not found:
            raise CorpusError(f"{self.path} holds no MIDI file (.mid, .midi), not even in its subfolders.")
        return found

    def fingerprint(self, hashes: FileHashes) -> dict[str, Any]:
        """Describe the files by names and contents, and the excerpts."""
        contents = hashes.of_folder(self.path, self.files())
        return {"scores": "midi", "files": contents, "seconds": self.seconds, "excerpts": self.excerpts}

    def _read(self, workers: int | None, progress: bool) -> ScoreSet:
        files = self.files()
        results = dict(run_jobs(read_midi, files, "Reading MIDI files", workers, progress, _given_up))
        entries = {self.path / path.relative_to(self.path).parts[0] for path in files}
        split_folders = find_split_folders(self.path, entries)
        split_of = {
            path: s for s, folder in split_folders.items() for path in files if folder in path.parents
        }
        # Held-out folders first: of a melody in two folders, the piece in test stays.
        files.sort(key=lambda path: -SPLITS.index(split_of.get(path, SPLITS[0])))
        names = dict(
            zip(files, unique_names(p.relative_to(self.path).with_suffix("") for p in files), strict=True)
        )
        register, kept = MelodyRegister(), []
        left_out = files_below(self.path).left_out
        skipped = [Skipped(path.relative_to(self.path).as_posix(), reason) for path, reason in left_out]
        for path in files:
            (notes, remark), source = results[path], path.relative_to(self.path).as_posix()
            if remark:
                skipped.append(Skipped(source, remark))
            if not notes:
                continue
            if (owner := register.known_as(notes)) is not None:
                skipped.append(Skipped(source, f"the same melody as {owner}"))
            else:
                register.add(names[path], notes)
                kept.append(Score(names[path], "", notes, source, split_of.get(path)))
        splits = split_all(_melody_key(score) for score in kept if score.split is None)
        scores = (replace(score, split=score.split or splits[_melody_key(score)]) for score in kept)
        return ScoreSet(tuple(part for score in scores for part in self._parts(score)), tuple(skipped))

    def _parts(self, score: Score) -> list[Score]:
        parts, rest = [], score.notes
        for number in range(1, self.excerpts + 1 if self.seconds else 2):
            notes = excerpt(rest, self.seconds)
            if not notes:
                break
            rest = tuple(n for n in rest if self.seconds and n.start_s >= rest[0].start_s + self.seconds)
            name = f"{score.piece}{PART_MARK}{number:03d}" if self.excerpts > 1 else score.piece
            track = "monophonic" if is_monophonic(notes) else "polyphonic"
            parts.append(replace(score, piece=name, track=track, notes=notes))
        return parts


def _given_up(path: Path, reason: str) -> MidiNotes:
    return MidiNotes((), f"could not be read: {reason}")


def _melody_key(score: Score) -> str:
    return ",".join(map(str, intervals(score.notes)))
