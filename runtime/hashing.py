"""Hashes that are the same on every machine: of files, of requests and of words."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping
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
        """Give the hash of a file."""
        return self.of_all([Path(path)])[0]

    def of_all(self, paths: Iterable[Path]) -> list[str]:
        """Give the hashes of many files, in their order."""
        resolved = [path.resolve() for path in paths]
        states = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in resolved]
        known = self._recall()
        digests = [known.get(state) or sha256_of(Path(state[0])) for state in states]
        self._remember({s: d for s, d in zip(states, digests, strict=True) if s not in known})
        return digests

    def of_folder(self, root: Path, paths: Iterable[Path]) -> str:
        """Give one hash of the names (below ``root``) and the contents of files."""
        ordered = sorted(paths)
        lines = zip(
            (path.relative_to(root).as_posix() for path in ordered), self.of_all(ordered), strict=True
        )
        return hashlib.sha256(json.dumps(list(lines)).encode()).hexdigest()

    def _recall(self) -> dict[tuple[str, int, int], str]:
        if self.memory is None or not self.memory.is_file():
            return {}
        with sqlite3.connect(self.memory, timeout=60) as database:
            rows = database.execute("SELECT path, size, changed_ns, digest FROM hashes").fetchall()
        database.close()
        return {(path, size, changed_ns): digest for path, size, changed_ns, digest in rows}

    def _remember(self, digests: Mapping[tuple[str, int, int], str]) -> None:
        if self.memory is None or not digests:
            return
        self.memory.parent.mkdir(parents=True, exist_ok=True)
        with sqlite3.connect(self.memory, timeout=60) as database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS hashes "
                "(path TEXT PRIMARY KEY, size INT, changed_ns INT, digest TEXT)"
            )
            rows = [(*state, digest) for state, digest in digests.items()]
            database.executemany("INSERT OR REPLACE INTO hashes VALUES (?, ?, ?, ?)", rows)
        database.close()
