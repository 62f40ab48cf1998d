"""Folders that are named after splits, in all usual spellings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from datamodules.corpora.corpus import CorpusError

SPELLINGS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
"""Split by the name of a folder in small letters."""


def find_split_folders(root: Path, entries: Iterable[Path]) -> dict[str, Path]:
    """Find the folders that are splits, by split; none where a collection has no splits.

    Args:
        root: the collection.
        entries: what of its first level is used.

    Raises:
        CorpusError: some entries are splits and others are not, or two folders are the same split.
    """
    found: dict[str, Path] = {}
    others = []
    for entry in sorted(entries):
        split = SPELLINGS.get(entry.name.casefold()) if entry.is_dir() else None
        if split is None:
            others.append(entry.name)
        elif split in found:
            raise CorpusError(
                f"{root} has two folders of the split {split}: {found[split].name}, {entry.name}."
            )
        else:
            found[split] = entry
    if found and others:
        names = ", ".join(folder.name for folder in found.values())
        raise CorpusError(
            f"{root} has folders of splits ({names}) with others ({', '.join(others[:5])}): sort everything "
            "into train, val and test, or nothing."
        )
    return found
