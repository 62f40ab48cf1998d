"""Building of corpora that are found again, resumed, repaired, and never built twice at once."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

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
from runtime.arguments import positive_int, sample_rate_hz
from runtime.errors import DISK_FULL
from runtime.files import one_at_a_time, write_beside
from runtime.hashing import FileHashes, address_of
from runtime.messages import say
from runtime.workers import run_jobs

BUILDER_VERSION = 1
"""Part of every address; raised when equal requests would give other audio than before."""


class BuildJob(ABC):
    """A part of a build that one process does alone: a piece on its instruments, or a recording."""

    name: str
    """Unique within the corpus."""

    @abstractmethod
    def run(self, root: Path) -> Built:
        """Write the audio files of this job below ``root``, with `write_item`.

        An error of any kind costs this job and nothing else: its reason is reported with `skipped`.
        """


@dataclass(frozen=True)
class BuildPlan:
    """All jobs of a build, and what is known before they run."""

    jobs: Sequence[BuildJob]
    skipped: Sequence[Skipped]
    """What is left out before anything is built."""
    n_bytes: int
    """Space on the disk that the audio will need, about."""
    notes: Sequence[str] = ()
    """Sentences a user should know about the result: printed after building, and kept in the manifest."""


class CorpusSource(ABC):
    """A description from which a corpus is built: `prepare` finds the corpus, or builds it."""

    name: str
    """First part of the name of the corpus's folder."""
    has_pairs: ClassVar[bool] = True
    """Whether the same piece may be played on several instruments."""

    @property
    @abstractmethod
    def instruments(self) -> tuple[str, ...]:
        """Every instrument of the corpus, sorted; known before it is built."""

    @abstractmethod
    def describe(self, hashes: FileHashes) -> dict[str, Any]:
        """Describe all that decides the audio but its sample rate, as JSON with hashes of source files."""

    @abstractmethod
    def plan(
        self, sample_rate: int, cache: Path, hashes: FileHashes, workers: int | None, progress: bool
    ) -> BuildPlan:
        """List everything that is to be built.

        Args:
            sample_rate: in Hz.
            cache: folder in which what is costly to find out may be kept.
            hashes: gives the hashes of source files.
            workers: processes; ``None`` is one a core.
            progress: show progress bars.
        """

    @abstractmethod
    def licences(self) -> list[str]:
        """Name the terms under which the corpus may be used, in sentences for people."""

    def request(self, sample_rate: int, hashes: FileHashes | None = None) -> dict[str, Any]:
        """Make what the content address is computed from: equal requests share a corpus."""
        versions = {"schema": SCHEMA_VERSION, "builder": BUILDER_VERSION}
        return {**versions, "sample_rate": sample_rate, "source": self.describe(hashes or FileHashes())}

    def folder(self, corpora_dir: str | Path, sample_rate: int) -> Path:
        """Name the folder in which `prepare` puts the corpus."""
        return (
            Path(corpora_dir) / f"{self.name}-{address_of(self.request(sample_rate, _hashes(corpora_dir)))}"
        )

    def prepare(
        self, corpora_dir: str | Path, sample_rate: int, workers: int | None = None, progress: bool = True
    ) -> Corpus:
        """Find the corpus, or build what is missing of it.

        Args:
            corpora_dir: the folder that holds corpora.
            sample_rate: in Hz.
            workers: processes; ``None`` is one a core.
            progress: show progress bars.

        Raises:
            UserError: the request or its sources are wrong, or the disk is full.
        """
        sample_rate_hz.require(sample_rate, "sample_rate")
        if workers is not None:
            positive_int.require(workers, "workers")
        with _clear_errors(Path(corpora_dir)):
            _make_folder(Path(corpora_dir))
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
        running = run_jobs(_RunBelow(root), jobs, f"Building {root.name}", workers, progress, _given_up)
        for job, built in running:
            journal.add(job.name, built)
        self._finish(root, sample_rate, journal.of([job.name for job in plan.jobs]), plan)
        for note in plan.notes:
            say(f"Note: {note}")

    def _finish(self, root: Path, sample_rate: int, built: Built, plan: BuildPlan) -> None:
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
            text = json.dumps(manifest, indent=2, ensure_ascii=False)
            file.write(text.encode(errors="backslashreplace"))

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
class _RunBelow:
    """Runs jobs below one folder; a class and no closure, because it travels to other processes."""

    root: Path

    def __call__(self, job: BuildJob) -> Built:
        return job.run(self.root)


def _given_up(job: BuildJob, reason: str) -> Built:
    return Built(skipped=(Skipped(job.name, reason),))


def write_item(root: Path, item: Item, audio: Any, sample_rate: int) -> str:
    """Write the audio of ``item``, delete features of an older version, and return the file's SHA-256."""
    content = wav_bytes(audio, sample_rate)
    with write_beside(root / "audio" / f"{item.checked().stem}.wav") as file:
        file.write(content)
    for stale in (root / "features").glob(f"*/{_escaped(item.stem)}.npy"):
        stale.unlink()
    return hashlib.sha256(content).hexdigest()


def _escaped(stem: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in stem)


def file_bytes(item: Item) -> int:
    """Compute the size of the WAV file of ``item`` in bytes."""
    return WAV_HEADER_BYTES + 2 * item.n_samples


def has_its_size(root: Path, item: Item) -> bool:
    """Tell whether the file of ``item`` exists in its full size, without reading audio."""
    try:
        # One call, without a Path: with 100,000 items this line is most of what a start costs.
        status = os.stat(f"{root}/audio/{item.stem}.wav")
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == file_bytes(item)


def is_intact(root: Path) -> bool:
    """Tell whether ``root`` is a complete corpus whose files all have their full size."""
    try:
        corpus = Corpus.open(root)
    except CorpusError:
        return False
    return all(has_its_size(root, item) for item in corpus.items)


def write_skipped(path: Path, skipped: Sequence[Skipped]) -> None:
    """Write ``skipped.csv``: what is not in the corpus, and why."""
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file)
        writer.writerow(Skipped._fields)
        writer.writerows(skipped)


def write_checksums(path: Path, built: Built) -> None:
    """Write ``checksums.sha256`` in the format of ``sha256sum``."""
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


def _make_folder(corpora_dir: Path) -> None:
    try:
        corpora_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "it is a file" if os.path.isfile(corpora_dir) else error.strerror
        raise CorpusError(
            f"{corpora_dir} cannot be the folder of corpora ({reason}); choose another one (--corpora-dir)."
        ) from None


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
        if error.filename is None:
            raise
        raise CorpusError(
            f"{error.filename} cannot be used ({error.strerror}); choose another folder."
        ) from error
