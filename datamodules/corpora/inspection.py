"""Inspect a complete corpus: what it holds, and whether every file is still what was written."""

from __future__ import annotations

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

from datamodules.corpora.building import has_its_size
from datamodules.corpora.characteristics import Characteristics
from datamodules.corpora.corpus import PREPARE_AGAIN, SPLITS, Corpus, CorpusError, Item
from datamodules.features.spectrum_statistics import deviations_db
from runtime.hashing import sha256_of
from runtime.paths import printable
from runtime.workers import run_jobs

IN_ONE_PROCESS = 500
"""Fewer files are read in less time than it takes to start workers."""


class Group(NamedTuple):
    """The files of one split, track, instrument and bank: a row of the overview."""

    split: str
    track: str
    instrument: str
    bank: str
    pieces: int
    minutes: float
    loudness_db: float
    """Mean A-weighted level before levels were made equal, in dB re full scale."""


def overview(corpus: Corpus) -> list[Group]:
    """Count pieces and minutes by split, track, instrument and bank."""
    groups: dict[tuple[str, str, str, str], list[Item]] = defaultdict(list)
    for item in corpus.items:
        groups[item.split, item.track, item.instrument, item.bank].append(item)
    ordered = sorted(groups.items(), key=lambda group: (SPLITS.index(group[0][0]), group[0][1:]))
    return [_group(corpus.sample_rate, key, items) for key, items in ordered]


def _group(sample_rate: int, key: tuple[str, str, str, str], items: list[Item]) -> Group:
    minutes = sum(item.n_samples for item in items) / sample_rate / 60
    loudness_db = sum(item.loudness_db for item in items) / len(items)
    return Group(*key, len(items), round(minutes, 2), round(loudness_db, 1))


def skipped_reasons(root: Path) -> list[tuple[str, str]]:
    """Read ``skipped.csv``: source and reason of everything that is not in the corpus."""
    path = root / "skipped.csv"
    with _damage_said(path), path.open(newline="", encoding="utf-8") as file:
        return [(source, reason) for source, reason in list(csv.reader(file))[1:]]


def description(corpus: Corpus, characteristics: Mapping[tuple[str, str], Characteristics]) -> dict[str, Any]:
    """Collect all that the command ``inspect`` shows, as JSON.

    Args:
        corpus: an open corpus.
        characteristics: means by split and instrument; empty where the files were not measured.
    """
    manifest = {key: value for key, value in corpus.manifest.items() if key != "request"}
    groups = [group._asdict() for group in overview(corpus)]
    skipped = [{"source": source, "reason": reason} for source, reason in skipped_reasons(corpus.root)]
    found = {"folder": str(corpus.root), **manifest, "groups": groups, "skipped": skipped}
    found["statistics"] = _deviations_db(corpus.root)
    if characteristics:
        found["characteristics"] = [
            {"split": split, "instrument": instrument, **means._asdict()}
            for (split, instrument), means in characteristics.items()
        ]
    return found


def damaged_files(corpus: Corpus, workers: int | None = None, progress: bool = True) -> Iterator[Path]:
    """Find audio files that are missing or hold other bytes than were written; every byte is read."""
    checksums = read_checksums(corpus.root)
    if missing := [item for item in corpus.items if f"audio/{item.stem}.wav" not in checksums]:
        n_items = len(corpus.items)
        raise CorpusError(
            f"{corpus.root / 'checksums.sha256'} lacks {len(missing)} of {n_items} files; {PREPARE_AGAIN}."
        )
    for item in corpus.items:
        if not has_its_size(corpus.root, item):
            yield corpus.audio_path(item)
    workers = workers or (1 if len(corpus.items) < IN_ONE_PROCESS else None)
    whole = [corpus.audio_path(item) for item in corpus.items if has_its_size(corpus.root, item)]
    for path, digest in run_jobs(_digest, whole, "Checking", workers, progress):
        if checksums.get(path.relative_to(corpus.root).as_posix()) != digest:
            yield path


def _digest(path: Path) -> str:
    """Hash a file; one that cannot be read has no digest, and counts as damaged."""
    try:
        return sha256_of(path)
    except OSError:
        return ""


def read_checksums(root: Path) -> dict[str, str]:
    """Read ``checksums.sha256``: from the path below ``root`` to the SHA-256."""
    path = root / "checksums.sha256"
    with _damage_said(path):
        lines = path.read_text(encoding="utf-8").split("\n")
    return {path: digest for digest, _, path in (line.partition("  ") for line in lines if line)}


def _deviations_db(root: Path) -> dict[str, dict[str, float]]:
    try:
        return deviations_db(root)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        raise CorpusError(
            f"A file in {root / 'statistics'} is damaged; delete the folder: it is measured and made anew."
        ) from None


@contextmanager
def _damage_said(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, csv.Error) as error:
        raise CorpusError(
            f"{path} is missing or damaged ({type(error).__name__}); {PREPARE_AGAIN}."
        ) from None


def print_overview(corpus: Corpus) -> None:
    """Print what a corpus holds, for people."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    rate, minutes = corpus.sample_rate, corpus.manifest["minutes"]
    table = Table(
        title=f"{escape(corpus.root.name)}: {len(corpus.items)} files, {minutes} min, {rate} Hz",
        caption="pieces · minutes",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    rows: dict[tuple[str, str, str], dict[str, Group]] = defaultdict(dict)
    for group in overview(corpus):
        rows[group.track, group.instrument, group.bank][group.split] = group
    for name in ("track", "instrument", "bank"):
        table.add_column(name, no_wrap=True)
    for name in SPLITS:
        table.add_column(name, justify="right", no_wrap=True)
    for key, splits in sorted(rows.items(), key=lambda row: (row[0][0], row[0][2], row[0][1])):
        cells = [splits.get(split) for split in SPLITS]
        table.add_row(*map(escape, key), *(f"{g.pieces} · {g.minutes:.1f}" if g else "" for g in cells))
    console = Console()
    console.print(table)
    for sentence in (*corpus.manifest["licences"], *corpus.manifest["notes"]):
        console.print(f"• {sentence}", highlight=False, markup=False)
    for name, levels in _deviations_db(corpus.root).items():
        described = ", ".join(f"{instrument} {level_db:.1f}" for instrument, level_db in levels.items())
        console.print(f"• {name}, deviation of bins in dB: {described}", highlight=False, markup=False)
    skipped = skipped_reasons(corpus.root)
    if skipped:
        console.print(
            f"{len(skipped)} skipped, see {corpus.root / 'skipped.csv'}:",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
        for kind, count in Counter(_kind(reason) for _, reason in skipped).most_common(8):
            console.print(f"  {count:5d} × {printable(kind)}", highlight=False, markup=False)


def print_characteristics(characteristics: Mapping[tuple[str, str], Characteristics]) -> None:
    """Print a table of the means over the files of each split and instrument."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="What the files are like (means)", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("split", "instrument", *Characteristics._fields):
        table.add_column(name, justify="left" if name in ("split", "instrument") else "right")
    for key in sorted(characteristics, key=lambda key: (SPLITS.index(key[0]), key[1])):
        table.add_row(*map(escape, key), *(f"{value:.3g}" for value in characteristics[key]))
    Console().print(table)


def _kind(reason: str) -> str:
    """Strip a reason of what is particular to one file, so that equal reasons can be counted."""
    return re.sub(r"\d[\d.,]*", "…", reason.partition(":")[0].partition("(")[0]).strip()[:90]
