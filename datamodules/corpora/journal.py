"""The journal of a build: a line for each job that is done, so that a build can be resumed and repaired."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from datamodules.corpora.corpus import Item
from datamodules.scores.source import Skipped
from runtime.files import write_beside

JOURNAL = "journal.jsonl"
"""The file that tells that a folder is a corpus, finished or not."""


class Built(NamedTuple):
    """What one job has built, or several have."""

    items: tuple[Item, ...] = ()
    digests: tuple[str, ...] = ()
    """SHA-256 of each item's file."""
    skipped: tuple[Skipped, ...] = ()


class Journal:
    """The file ``journal.jsonl`` of a corpus; a line is appended when all files of a job are written.

    Args:
        root: folder of the corpus; it is made where it does not exist.
    """

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.path = root / JOURNAL
        self._done: dict[str, Built] = {}
        text = self.path.read_text(encoding="utf-8", errors="replace") if self.path.is_file() else ""
        for line in text.split("\n"):
            try:
                name, items, digests, skipped = json.loads(line)
                self._done[name] = Built(
                    tuple(Item(*item).checked() for item in items),
                    tuple(digests),
                    tuple(Skipped(*row) for row in skipped),
                )
            except (ValueError, TypeError):
                continue  # cut short by a full disk or a killed process, or changed: that job runs again

    def holds(self, name: str) -> bool:
        """Tell whether the job of this name is done."""
        return name in self._done

    def add(self, name: str, built: Built) -> None:
        """Note that the job of this name is done."""
        self._done[name] = built
        with self.path.open("ab") as file:
            file.write(_line(name, built))

    def of(self, names: Iterable[str]) -> Built:
        """Join what the jobs of these names have built."""
        outcomes = [self._done[name] for name in names]
        return Built(
            tuple(item for outcome in outcomes for item in outcome.items),
            tuple(digest for outcome in outcomes for digest in outcome.digests),
            tuple(row for outcome in outcomes for row in outcome.skipped),
        )

    def drop_damaged(self, is_good: Callable[[Item], bool]) -> list[Item]:
        """Forget every job that has an item which is not good, and return those items."""
        damaged = {
            name: [item for item in built.items if not is_good(item)] for name, built in self._done.items()
        }
        damaged = {name: items for name, items in damaged.items() if items}
        self._done = {name: built for name, built in self._done.items() if name not in damaged}
        # Rewritten even if nothing was dropped: otherwise the next line would be appended to one cut short.
        with write_beside(self.path) as file:
            for name, built in self._done.items():
                file.write(_line(name, built))
        return [item for items in damaged.values() for item in items]


def _line(name: str, built: Built) -> bytes:
    # A byte of a file's name that is no UTF-8 becomes an escape of JSON.
    return (json.dumps([name, *built], ensure_ascii=False) + "\n").encode(errors="backslashreplace")
