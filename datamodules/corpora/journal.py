"""What a build has done so far, one line a job: the memory that makes it resumable and repairable."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from datamodules.corpora.corpus import Item
from datamodules.scores.source import Skipped
from runtime.files import write_beside


class Built(NamedTuple):
    """The outcome of a job, or of several."""

    items: tuple[Item, ...] = ()
    digests: tuple[str, ...] = ()
    """SHA-256 of each item's file."""
    skipped: tuple[Skipped, ...] = ()


class Journal:
    """``journal.jsonl`` of a corpus. A line is appended when a job's files are all written.

    Args:
        root: folder of the corpus; made if it does not exist.
    """

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.path = root / "journal.jsonl"
        self._done: dict[str, Built] = {}
        for line in self.path.read_text(encoding="utf-8").splitlines() if self.path.is_file() else ():
            try:
                name, items, digests, skipped = json.loads(line)
            except ValueError:
                continue  # cut short by a full disk or a killed process: that job runs again
            self._done[name] = Built(
                tuple(Item(*item) for item in items), tuple(digests), tuple(Skipped(*row) for row in skipped)
            )

    def holds(self, name: str) -> bool:
        """Whether a job is done."""
        return name in self._done

    def add(self, name: str, built: Built) -> None:
        """Note that a job is done."""
        self._done[name] = built
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([name, *built], ensure_ascii=False) + "\n")

    def of(self, names: Iterable[str]) -> Built:
        """The outcomes of several jobs together."""
        outcomes = [self._done[name] for name in names]
        return Built(
            tuple(item for outcome in outcomes for item in outcome.items),
            tuple(digest for outcome in outcomes for digest in outcome.digests),
            tuple(row for outcome in outcomes for row in outcome.skipped),
        )

    def drop_damaged(self, is_good: Callable[[Item], bool]) -> list[Item]:
        """Forget the jobs that have an item which is not good, and give those items."""
        damaged = {
            name: [item for item in built.items if not is_good(item)] for name, built in self._done.items()
        }
        damaged = {name: items for name, items in damaged.items() if items}
        self._done = {name: built for name, built in self._done.items() if name not in damaged}
        # Rewritten even if nothing was dropped: a last line cut short must not swallow the next one.
        with write_beside(self.path) as file:
            for name, built in self._done.items():
                file.write((json.dumps([name, *built], ensure_ascii=False) + "\n").encode())
        return [item for items in damaged.values() for item in items]
