"""A prepared corpus on disk: 16-bit WAV per piece and instrument, an index table and a manifest.

::

    <name>-<address>/
        manifest.json                                     what was asked for, with hashes and licence notes
        index.csv                                         one row per audio file (`Item`)
        skipped.csv                                       source, reason: everything that is not in the index
        audio/<split>/<bank>/<instrument>/<piece>.wav     mono, 16 bit: any player opens it
        features/<name>/<split>/<bank>/<instrument>/<piece>.npy

The manifest is written last, so its presence says that the build is complete. WAV and not FLAC, because
a training worker then reads a segment with one seek (measured in benchmarks/data.md).
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from runtime.errors import UserError, nearest
from runtime.paths import is_name, printable

SCHEMA_VERSION = 1
SPLITS = ("train", "val", "test")
TRACKS = ("monophonic", "polyphonic")
DEFAULT_BANK = "default"
PART_MARK = "~"
"""Stands between the name of a recording or score and the number of its part, in piece ids."""
VARIED_MARK = f"{PART_MARK}v"
"""Stands between the name of a score and the number of a rendition that is not as written."""
MANIFEST: dict[str, Any] = {
    "sample_rate": int,
    "address": str,
    "minutes": (int, float),
    "licences": list,
    "notes": list,
}
"""Keys that every manifest has, and the types of their values."""
PREPARE_AGAIN = (
    "delete the corpus's manifest.json and prepare it again with the same options; its audio is kept"
)
WAV_HEADER_BYTES = 44
"""Length of the header of the 16-bit mono WAV files of a corpus."""


class CorpusError(UserError):
    """A corpus, or what is asked of it, is wrong."""


class NoPairsError(CorpusError):
    """Pairs are needed, and no piece of the corpus exists on two instruments, as with recordings."""


def unknown_instrument(name: str, known: Sequence[str], where: str) -> CorpusError:
    """Make the error that names the instruments there are, and the one most like ``name``."""
    return CorpusError(
        f"There is no instrument '{name}' in {where}; it has {', '.join(known)}.{nearest(name, known)}"
    )


class Item(NamedTuple):
    """One audio file of a corpus: one piece on one instrument of one bank."""

    split: str
    track: str
    piece: str
    instrument: str
    bank: str
    n_samples: int
    loudness_db: float
    """Mean A-weighted loudness of the frames above −60 dB, before normalisation, in dB."""

    @property
    def work(self) -> str:
        """The recording or score that the piece is a part of: all parts of a work are in one split."""
        return self.piece.partition(PART_MARK)[0]

    @property
    def is_varied(self) -> bool:
        """Whether this is a further rendition of a piece, in another key and tempo than the score's."""
        return VARIED_MARK in self.piece

    def checked(self) -> Item:
        """Give the item, or raise `CorpusError` where its files would not lie in the corpus."""
        _checked((self.split, self.bank, self.instrument, self.piece))
        return self

    @property
    def stem(self) -> str:
        """Path of the item's files below ``audio/`` or ``features/<name>/``, without suffix."""
        return f"{self.split}/{self.bank}/{self.instrument}/{self.piece}"


@dataclass(frozen=True)
class Corpus:
    """A complete corpus, opened for reading. Opening reads manifest and index, and no audio."""

    root: Path
    manifest: dict[str, Any]
    items: tuple[Item, ...]

    @classmethod
    def open(cls, root: str | Path) -> Corpus:
        """Open the corpus in ``root``.

        Raises:
            CorpusError: there is no complete corpus, or one that is damaged or of another version.
        """
        root = Path(root)
        return cls(root, read_manifest(root / "manifest.json"), tuple(read_index(root / "index.csv")))

    @property
    def sample_rate(self) -> int:
        """Samples a second of every file, in Hz."""
        return int(self.manifest["sample_rate"])

    @property
    def address(self) -> str:
        """The content address: equal for equal requests over equal sources."""
        return str(self.manifest["address"])

    @property
    def loudness_db(self) -> float:
        """The level in dB that its files were brought to, or their mean level where they were left alone."""
        wanted_db = self.manifest["request"]["source"].get("loudness_db")
        if wanted_db is not None:
            return float(wanted_db)
        return sum(item.loudness_db for item in self.items) / len(self.items)

    @cached_property
    def instruments(self) -> tuple[str, ...]:
        """Every instrument, sorted."""
        return tuple(sorted({item.instrument for item in self.items}))

    def select(
        self,
        split: str | None = None,
        track: str | None = None,
        instrument: str | None = None,
        bank: str | None = DEFAULT_BANK,
    ) -> list[Item]:
        """List the items that match every criterion, in the order of the index; ``None`` matches all."""
        wanted = {"split": split, "track": track, "instrument": instrument, "bank": bank}
        criteria = {name: value for name, value in wanted.items() if value is not None}
        return [i for i in self.items if all(getattr(i, name) == value for name, value in criteria.items())]

    def audio_path(self, item: Item) -> Path:
        """Name the WAV file of ``item``."""
        return self.root / "audio" / f"{item.stem}.wav"

    def read(self, item: Item, start: int = 0, n_samples: int | None = None) -> np.ndarray:
        """Read samples ``start … start + n_samples`` of ``item``, float32 in [−1, 1]; fewer at the end."""
        count = item.n_samples - start if n_samples is None else min(n_samples, item.n_samples - start)
        return read_pcm(self.audio_path(item), start, max(count, 0))


def read_pcm(path: Path, start: int = 0, n_samples: int = -1) -> np.ndarray:
    """Read ``n_samples`` samples from ``start`` of a corpus's WAV file, float32; −1 reads to the end."""
    pcm = np.fromfile(path, dtype="<i2", count=n_samples, offset=WAV_HEADER_BYTES + 2 * start)
    return np.multiply(pcm, np.float32(1 / 32768), dtype=np.float32)  # one pass, one allocation


def read_manifest(path: Path) -> dict[str, Any]:
    """Read ``manifest.json``."""
    if not path.is_file():
        raise CorpusError(
            f"{path.parent} is not a complete corpus: it has no manifest.json. "
            "Build it with `python -m datamodules.prepare` (an interrupted build resumes)."
        )
    try:
        manifest = json.loads(path.read_bytes())
    except (ValueError, RecursionError):  # no JSON, no UTF-8, or too deep
        manifest = None
    if not isinstance(manifest, dict):
        raise CorpusError(f"{path} is empty or damaged; {PREPARE_AGAIN}.")
    if manifest.get("schema_version") != SCHEMA_VERSION:
        raise CorpusError(
            f"{path} has schema version {manifest.get('schema_version')}, this program reads "
            f"{SCHEMA_VERSION}. Delete {path.parent} and prepare it again."
        )
    for key, kind in MANIFEST.items():
        if not isinstance(manifest.get(key), kind) or (key == "sample_rate" and manifest[key] <= 0):
            raise CorpusError(f"{path} is damaged: its '{key}' is missing or wrong; {PREPARE_AGAIN}.")
    return manifest


def read_index(path: Path) -> Iterator[Item]:
    """Read the items in ``index.csv``."""
    places = set[tuple[str, ...]]()
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.reader(file)
            if next(rows) != list(Item._fields):
                raise ValueError
            for row in rows:
                split, track, piece, instrument, bank, n_samples, loudness_db = row
                # Few places have many items, and a check of each takes longer than reading the row.
                if (place := (split, bank, instrument)) not in places:
                    places.add(_checked(place))
                _checked((piece,))
                length, level_db = int(n_samples), float(loudness_db)
                if split not in SPLITS or length < 0 or not math.isfinite(level_db):
                    raise ValueError
                yield Item(split, track, piece, instrument, bank, length, level_db)
    except CorpusError as error:
        raise CorpusError(f"{path}, line {rows.line_num}: {error} {PREPARE_AGAIN.capitalize()}.") from None
    except (ValueError, StopIteration, csv.Error):
        raise CorpusError(f"{path} is damaged in line {rows.line_num}; {PREPARE_AGAIN}.") from None
    except OSError as error:
        raise CorpusError(f"{path} cannot be read ({error.strerror}); {PREPARE_AGAIN}.") from None


def _checked(names: tuple[str, ...]) -> tuple[str, ...]:
    """Give back the parts of an item's path, or raise `CorpusError` where one would lead somewhere else."""
    for name in names:
        if not is_name(name):
            raise CorpusError(f"A corpus cannot hold '{printable(name)}': it is not the name of a file.")
    return names


def write_index(path: Path, items: Sequence[Item]) -> None:
    """Write ``index.csv``, sorted, so that equal corpora have equal indices."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(Item._fields)
        writer.writerows(sorted(items))
