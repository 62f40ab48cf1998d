"""Hashes that are the same on every machine: of files, of requests and of words."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any


def address_of(request: Mapping[str, Any]) -> str:
    """Give a request, as JSON, sixteen hex digits: equal for equal ones, whatever the order of their keys."""
    canonical = json.dumps(request, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def stable_hash(*words: str) -> int:
    """Give words a number below 2⁶⁴ that is the same on every machine and in every process."""
    return int.from_bytes(hashlib.sha256("\0".join(words).encode()).digest()[:8], "big")


def sha256_of(path: Path) -> str:
    """Hash the content of a file: SHA-256, as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class FileHashes:
    """SHA-256 of files, remembered by path, size and time of change, so that a large folder is read once.

    Args:
        memory: SQLite file of the hashes, shared by any number of processes; ``None`` remembers nothing.
    """

    def __init__(self, memory: Path | None = None) -> None:
        self.memory = memory

    def of(self, path: str | Path) -> str:
        """Give the hash of a file; raises `OSError` where it cannot be read."""
        with Path(path).open("rb"):
            return self.of_all([Path(path)])[0]

    def of_all(self, paths: Iterable[Path]) -> list[str]:
        """Give the hashes of many files, in their order; of one that cannot be read, of its path."""
        known = self._recall()
        digests: list[str] = []
        new: dict[tuple[str, int, int], str] = {}
        for path in (path.resolve() for path in paths):
            try:
                status = path.stat()
                # Names may hold bytes that are no UTF-8, which no database takes.
                name = str(path).encode(errors="backslashreplace").decode()
                state = (name, status.st_size, status.st_mtime_ns)
                if state not in known:
                    known[state] = new[state] = sha256_of(path)
                digests.append(known[state])
            except OSError:
                digests.append(hashlib.sha256(os.fsencode(path)).hexdigest())
        self._remember(new)
        return digests

    def of_folder(self, root: Path, paths: Iterable[Path]) -> str:
        """Give one hash of the names (below ``root``) and the contents of files."""
        ordered = sorted(paths)
        lines = zip(
            (path.relative_to(root).as_posix() for path in ordered), self.of_all(ordered), strict=True
        )
        return hashlib.sha256(json.dumps(list(lines)).encode()).hexdigest()

    # A memory that is damaged or cannot be written costs time, and nothing else.

    def _recall(self) -> dict[tuple[str, int, int], str]:
        if self.memory is None or not self.memory.is_file():
            return {}
        with suppress(sqlite3.Error), closing(sqlite3.connect(self.memory, timeout=60)) as database:
            rows = database.execute("SELECT path, size, changed_ns, digest FROM hashes").fetchall()
            return {(path, size, changed_ns): digest for path, size, changed_ns, digest in rows}
        return {}

    def _remember(self, digests: Mapping[tuple[str, int, int], str]) -> None:
        if self.memory is None or not digests:
            return
        with suppress(OSError):
            self.memory.parent.mkdir(parents=True, exist_ok=True)
        with suppress(sqlite3.Error), closing(sqlite3.connect(self.memory, timeout=60)) as database, database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS hashes "
                "(path TEXT PRIMARY KEY, size INT, changed_ns INT, digest TEXT)"
            )
            rows = [(*state, digest) for state, digest in digests.items()]
            database.executemany("INSERT OR REPLACE INTO hashes VALUES (?, ?, ?, ?)", rows)
