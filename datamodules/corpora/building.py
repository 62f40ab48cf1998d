"""Build a corpus so that it is found again, resumed, repaired, and never built twice at once."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datamodules.audio.files import wav_bytes
from datamodules.corpora.corpus import (
    SCHEMA_VERSION,
    WAV_HEADER_BYTES,
    Corpus,
    CorpusError,
    Item,
    write_index,
)
from datamodules.corpora.journal import Built, Journal
from datamodules.scores.source import Skipped
from runtime.files import one_at_a_time, write_beside
from runtime.hashing import FileHashes, address_of
from runtime.messages import say
from runtime.workers import run_jobs

BUILDER_VERSION = 1
"""Raised when the same request would give other audio than before: old corpora are then no longer found."""
DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Job(ABC):
    """A part of a build that one process does alone: a piece on its instruments, or a recording."""

    name: str
    """Unique within the corpus."""

    @abstractmethod
    def run(self, root: Path) -> Built:
        """Write the audio files of this job below ``root`` (see `write_item`)."""


@dataclass(frozen=True)
class Plan:
    """What is to be built."""

    jobs: Sequence[Job]
    skipped: Sequence[Skipped]
    n_bytes: int
    """How much disk it will need, about."""
    notes: Sequence[str] = ()
    """What a user should know about the result; said when it is built, and in the manifest."""


class CorpusSource(ABC):
    """Describes a corpus: audio for instruments, from somewhere. `prepare` builds it, or finds it."""

    name: str
    """First part of the folder's name."""

    @property
    @abstractmethod
    def instruments(self) -> tuple[str, ...]:
        """Every instrument, sorted; known before building."""

    @abstractmethod
    def describe(self, hashes: FileHashes) -> dict[str, Any]:
        """All that decides the audio besides the sample rate, as JSON, with the hashes of source files."""

    @abstractmethod
    def plan(
        self, sample_rate: int, cache: Path, hashes: FileHashes, workers: int | None, progress: bool
    ) -> Plan:
        """Everything to be built."""

    @abstractmethod
    def licences(self) -> list[str]:
        """Under which terms the corpus may be used, for people."""

    def request(self, sample_rate: int, hashes: FileHashes | None = None) -> dict[str, Any]:
        """What the content address is made of: equal requests share a corpus."""
        versions = {"schema": SCHEMA_VERSION, "builder": BUILDER_VERSION}
        return {**versions, "sample_rate": sample_rate, "source": self.describe(hashes or FileHashes())}

    def folder(self, corpora_dir: str | Path, sample_rate: int) -> Path:
        """Where `prepare` puts the corpus."""
        return (
            Path(corpora_dir) / f"{self.name}-{address_of(self.request(sample_rate, _hashes(corpora_dir)))}"
        )

    def prepare(
        self, corpora_dir: str | Path, sample_rate: int, workers: int | None = None, progress: bool = True
    ) -> Corpus:
        """Build the corpus, or what is missing of it, or find it complete.

        Args:
            corpora_dir: the folder that holds corpora.
            sample_rate: in Hz.
            workers: processes; ``None`` is one a core.
            progress: show progress bars.

        Raises:
            CorpusError: the request or its sources are wrong, or the disk is full; the message says what to
                do.
        """
        with _clear_errors(Path(corpora_dir)):
            Path(corpora_dir).mkdir(parents=True, exist_ok=True)
            root = self.folder(corpora_dir, sample_rate)
            if not is_intact(root):
                with one_at_a_time(root):
                    if not is_intact(root):
                        self._build(root, sample_rate, workers, progress)
            return Corpus.open(root)

    def _build(self, root: Path, sample_rate: int, workers: int | None, progress: bool) -> None:
        hashes = _hashes(root.parent)
        plan = self.plan(sample_rate, root.parent / ".cache", hashes, workers, progress)
        journal = Journal(root)
        _announce_damage(root, journal)
        (root / "manifest.json").unlink(missing_ok=True)
        jobs = [job for job in plan.jobs if not journal.holds(job.name)]
        _require_space(root, plan.n_bytes * len(jobs) // max(1, len(plan.jobs)))
        for leftover in root.rglob(".*.partial"):
            leftover.unlink()
        running = run_jobs(_Run(root), jobs, f"Building {root.name}", workers, progress)
        for job, built in running:
            journal.add(job.name, built)
        self._finish(root, sample_rate, journal.of([job.name for job in plan.jobs]), plan)
        for note in plan.notes:
            say(f"Note: {note}")

    def _finish(self, root: Path, sample_rate: int, built: Built, plan: Plan) -> None:
        skipped = sorted({*plan.skipped, *built.skipped})
        self._require_every_instrument(root, built, skipped)
        write_index(root / "index.csv", built.items)
        write_skipped(root / "skipped.csv", skipped)
        write_checksums(root / "checksums.sha256", built)
        request = self.request(sample_rate, _hashes(root.parent))
        manifest = {
            "schema_version": SCHEMA_VERSION,
            "address": address_of(request),
            "sample_rate": sample_rate,
            "instruments": list(self.instruments),
            "n_items": len(built.items),
            "n_skipped": len(skipped),
            "minutes": round(sum(item.n_samples for item in built.items) / sample_rate / 60, 2),
            "licences": self.licences(),
            "notes": list(plan.notes),
            "request": request,
        }
        with write_beside(root / "manifest.json") as file:
            file.write(json.dumps(manifest, indent=2, ensure_ascii=False).encode())

    def _require_every_instrument(self, root: Path, built: Built, skipped: Sequence[Skipped]) -> None:
        silent = sorted(set(self.instruments) - {item.instrument for item in built.items})
        if silent:
            shutil.rmtree(root)
            examples = "; ".join(f"{row.source}: {row.reason}" for row in skipped[:3])
            more = f" and {len(skipped) - 3} more" if len(skipped) > 3 else ""
            raise CorpusError(
                f"There is no usable audio of {', '.join(silent)}: skipped {examples or 'nothing'}{more}."
            )


def _hashes(corpora_dir: str | Path) -> FileHashes:
    return FileHashes(Path(corpora_dir) / ".cache" / "hashes.sqlite")


@dataclass(frozen=True)
class _Run:
    """Runs a job in a worker: a class, because it has to pickle."""

    root: Path

    def __call__(self, job: Job) -> Built:
        return job.run(self.root)


def write_item(root: Path, item: Item, audio: Any, sample_rate: int) -> str:
    """Write the audio of ``item``, drop features made from an older version, and return its SHA-256."""
    content = wav_bytes(audio, sample_rate)
    with write_beside(root / "audio" / f"{item.stem}.wav") as file:
        file.write(content)
    for stale in (root / "features").glob(f"*/{_escaped(item.stem)}.npy"):
        stale.unlink()
    return hashlib.sha256(content).hexdigest()


def _escaped(stem: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in stem)


def file_bytes(item: Item) -> int:
    """Size of the WAV file of ``item``."""
    return WAV_HEADER_BYTES + 2 * item.n_samples


def has_its_size(root: Path, item: Item) -> bool:
    """Whether the file of ``item`` is there with its size: a check that reads no audio."""
    try:
        # One call and no Path: a corpus may have 100,000 items, and this is most of what a start costs.
        status = os.stat(f"{root}/audio/{item.stem}.wav")
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == file_bytes(item)


def is_intact(root: Path) -> bool:
    """Whether ``root`` is a complete corpus with all its files in their sizes."""
    if not (root / "manifest.json").is_file():
        return False
    corpus = Corpus.open(root)
    return all(has_its_size(root, item) for item in corpus.items)


def write_skipped(path: Path, skipped: Sequence[Skipped]) -> None:
    """Write ``skipped.csv``."""
    import csv

    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(Skipped._fields)
        writer.writerows(skipped)


def write_checksums(path: Path, built: Built) -> None:
    """Write ``checksums.sha256``, which ``sha256sum --check`` understands too."""
    rows = sorted(
        f"{digest}  audio/{item.stem}.wav\n" for item, digest in zip(built.items, built.digests, strict=True)
    )
    path.write_text("".join(rows), encoding="utf-8")


def _announce_damage(root: Path, journal: Journal) -> None:
    damaged = journal.drop_damaged(lambda item: has_its_size(root, item))
    if damaged and (root / "manifest.json").is_file():
        names = ", ".join(f"{item.stem}.wav" for item in damaged[:3]) + (" …" if len(damaged) > 3 else "")
        say(f"{root}: {len(damaged)} audio file(s) are damaged or missing and are made again: {names}")


def _require_space(root: Path, n_bytes: int) -> None:
    free = shutil.disk_usage(root.parent).free
    if n_bytes > free:
        raise CorpusError(
            f"The disk of {root.parent} has {free / 1e6:.0f} MB left and this corpus needs about "
            f"{n_bytes / 1e6:.0f} MB more; free some space or choose another folder (--corpora-dir)."
        )


@contextmanager
def _clear_errors(corpora_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            raise CorpusError(
                f"The disk of {corpora_dir} is full ({error.strerror}); free some space and run the same "
                "command again: what is ready is kept and the build goes on from there."
            ) from None
        if isinstance(error, PermissionError) or error.errno == errno.EROFS:
            raise CorpusError(
                f"{error.filename or corpora_dir} cannot be used ({error.strerror}); choose another folder."
            ) from None
        raise
    except BrokenProcessPool:
        raise CorpusError(
            "A worker process was killed, perhaps for lack of memory; run the same command again with fewer "
            "workers (--workers 1): what is ready is kept."
        ) from None
