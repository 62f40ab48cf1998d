"""The interface of sources of scores, and what they give."""

from __future__ import annotations

import json
import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from datamodules.scores.notes import Note, Score
from runtime.files import write_beside
from runtime.hashing import FileHashes, address_of, stable_hash
from runtime.paths import is_name

LONGEST_NAME = 160
"""Most bytes of the name of a piece, to which come marks of parts, and the suffixes of files."""


class Skipped(NamedTuple):
    """Something that is not in a corpus, and the reason."""

    source: str
    reason: str


@dataclass(frozen=True)
class ScoreSet:
    """Scores with their splits. Every melody occurs once, so that none is in two splits."""

    scores: tuple[Score, ...]
    skipped: tuple[Skipped, ...]

    def to_json(self) -> str:
        """Write the scores as text for a file."""
        scores = [{**asdict(score), "notes": [list(note) for note in score.notes]} for score in self.scores]
        return json.dumps({"scores": scores, "skipped": self.skipped}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> ScoreSet:
        """Read the text that `to_json` wrote."""
        content = json.loads(text)
        scores = [Score(**{**s, "notes": tuple(Note(*n) for n in s["notes"])}) for s in content["scores"]]
        if not all(is_name(score.piece) and score.notes for score in scores):
            raise ValueError("A score has no notes, or a name that is not the name of a file.")
        return cls(tuple(scores), tuple(Skipped(*row) for row in content["skipped"]))


class ScoreSource(ABC):
    """A source of scores."""

    licence = "unknown"
    """Licence of the scores, for the corpus's manifest."""
    seconds: float | None
    """Length of an excerpt in seconds; ``None`` is the whole piece."""

    @abstractmethod
    def fingerprint(self, hashes: FileHashes) -> dict[str, Any]:
        """Describe all that decides the notes, as JSON with the hashes of files."""

    @abstractmethod
    def _read(self, workers: int | None, progress: bool) -> ScoreSet:
        """Parse the scores and split them."""

    def load(
        self, cache: Path, hashes: FileHashes, workers: int | None = None, progress: bool = True
    ) -> ScoreSet:
        """Give the scores, which are parsed once and then read from a list of notes in ``cache``."""
        path = cache / f"notes-{address_of(self.fingerprint(hashes))}.json"
        with suppress(OSError, ValueError, TypeError, KeyError):  # missing, or damaged: parsed again
            return ScoreSet.from_json(path.read_text(encoding="utf-8"))
        scores = self._read(workers, progress)
        with write_beside(path) as file:
            file.write(scores.to_json().encode(errors="backslashreplace"))
        return scores


def readable_name(text: str) -> str:
    """Turn ``text`` into a file name: letters and digits of any alphabet stay, all else becomes a hyphen.

    A long name is cut at `LONGEST_NAME` bytes of UTF-8 and ends with a hash of the whole.
    """
    composed = unicodedata.normalize("NFC", text)
    name = re.sub(r"[^\w.]+", "-", composed).strip("-._") or "unnamed"
    if len(name.encode()) <= LONGEST_NAME:
        return name
    return f"{name.encode()[:LONGEST_NAME].decode(errors='ignore')}-{stable_hash(name):016x}"


def unique_names(paths: Iterable[Path]) -> list[str]:
    """Give each path its `readable_name`, followed by a number where two would be equal."""
    names: list[str] = []
    taken: set[str] = set()
    for path in paths:
        base = name = readable_name(path.as_posix())
        number = 2
        while name.casefold() in taken:
            name, number = f"{base}-{number}", number + 1
        taken.add(name.casefold())
        names.append(name)
    return names
