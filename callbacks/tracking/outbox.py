"""The outbox of a run: everything for MLflow is first written to a file, then sent in order.

A training never waits for a tracking server and never dies with one: `Journal.append` writes one line to
``journal.jsonl`` in the run's folder; a background `Sender` delivers the lines in batches. What a server
did not get stays in the file::

    python -m experiments.outbox            lists the runs with undelivered events
    python -m experiments.outbox send       sends the events of all runs, or of the folders given

Delivery is at least once. MLflow ignores a metric it has already (same key, step, time and value), equal
parameters and tags change nothing, and a run is found again by its ``journal`` tag, so twice does no harm.
"""

from __future__ import annotations

import json
import logging
import threading
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from callbacks.tracking.events import Event, Metrics, Params, RunStarted, StatusChanged, Tags, from_json
from callbacks.tracking.mlflow_store import MlflowStore, Unreachable
from runtime.databases import hidden
from runtime.errors import UserError
from runtime.files import write_beside

JOURNAL = "journal.jsonl"
DELIVERED = "delivered.json"
RUNS_DIR = "runs"
log = logging.getLogger(__name__)


class Entry(NamedTuple):
    """One event of a journal."""

    event: Event
    end: int
    """Offset in bytes at which the next event begins."""


class Delivered(NamedTuple):
    """What one tracking server has of a journal."""

    run_id: str | None
    """The run's id there; ``None`` where the server does not have the run."""
    offset: int
    """Offset in bytes up to which it has everything."""


class Journal:
    """An append-only file of `callbacks.tracking.events`, one a line, and a note of what was delivered.

    Args:
        run_dir: the run's folder; artifact paths in events are relative to it.
    """

    def __init__(self, run_dir: str | Path) -> None:
        self.run_dir = Path(run_dir)
        self.path = self.run_dir / JOURNAL
        self._delivered_path = self.run_dir / DELIVERED

    def append(self, event: Event) -> None:
        """Add an event. The line is complete or ignored: readers stop at the last newline."""
        self.run_dir.mkdir(parents=True, exist_ok=True)
        self._write(f"{event.to_json()}\n")

    def start(self, experiment: str, run_name: str, tags: Mapping[str, str] | None = None) -> None:
        """Add the event that every journal begins with; in a journal that has begun, that the run goes on.

        Args:
            experiment: see `RunStarted`.
            run_name: see `RunStarted`.
            tags: see `RunStarted`.
        """
        if self.path.is_file():
            if not self.path.read_bytes().endswith(b"\n"):  # the process died while writing a line
                self._write("\n")
            self.append(StatusChanged("RUNNING", run_name))
        else:
            self.append(RunStarted(experiment, run_name, uuid.uuid4().hex, dict(tags or {})))

    def _write(self, text: str) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(text)

    def entries(self, offset: int = 0) -> Iterator[Entry]:
        """The complete events from byte ``offset`` on."""
        if not self.path.is_file():
            return
        with self.path.open("rb") as file:
            file.seek(offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                offset += len(line)
                try:
                    event = from_json(line)
                except ValueError:
                    log.warning("%s holds a line that is no event and is left out.", self.path)
                    continue
                yield Entry(event, offset)

    def delivered(self, uri: str) -> Delivered:
        """What the server ``uri`` has."""
        return self._notes().get(hidden(uri), Delivered(None, 0))

    def note_delivered(self, uri: str, run_id: str, offset: int) -> None:
        """Remember that ``uri`` has everything up to ``offset``."""
        notes = self._notes() | {hidden(uri): Delivered(run_id, offset)}
        with write_beside(self._delivered_path) as file:
            content = {server: note._asdict() for server, note in notes.items()}
            file.write(json.dumps(content, indent=1).encode())

    def run_ids(self) -> set[str]:
        """The ids of the run on all servers that have it."""
        return {note.run_id for note in self._notes().values() if note.run_id}

    def _notes(self) -> dict[str, Delivered]:
        """The notes by server; none where the file is damaged: sending everything again changes nothing."""
        try:
            notes = json.loads(self._delivered_path.read_text(encoding="utf-8"))
            return {server: Delivered(note["run_id"], int(note["offset"])) for server, note in notes.items()}
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, KeyError, AttributeError):
            log.warning("%s is damaged: all events count as not sent.", self._delivered_path)
            return {}

    def pending(self, uri: str) -> int:
        """Number of events that ``uri`` does not have yet."""
        return sum(1 for _ in self.entries(self.delivered(uri).offset))


def deliver(journal: Journal, store: MlflowStore) -> None:
    """Send every undelivered event of ``journal``, in order.

    Raises:
        Unreachable: the server did not answer; what it has already is noted.
    """
    from filelock import FileLock

    with FileLock(journal.run_dir / "journal.lock"):
        run_id, offset = journal.delivered(store.uri)
        if run_id is None or not store.has_run(run_id):
            run_id, offset = None, 0
        for batch in batches(journal.entries(offset)):
            if run_id is None:
                run_id = store.open_run(_start_of(journal, batch[0].event))
            store.send(run_id, [entry.event for entry in batch], journal.run_dir)
            journal.note_delivered(store.uri, run_id, batch[-1].end)


def _start_of(journal: Journal, first: Event) -> RunStarted:
    if not isinstance(first, RunStarted):
        raise UserError(f"{journal.path} does not begin with the start of a run and cannot be sent.")
    return first


def batches(entries: Iterator[Entry], limit: int = 500) -> Iterator[list[Entry]]:
    """Group events: at most ``limit`` of `Metrics`, `Params` and `Tags` at once, every other one alone."""
    group: list[Entry] = []
    for entry in entries:
        alone = not isinstance(entry.event, Metrics | Params | Tags)
        if group and (alone or len(group) == limit):
            yield group
            group = []
        group.append(entry)
        if alone:
            yield group
            group = []
    if group:
        yield group


class Sender(threading.Thread):
    """Delivers a journal in the background while a run lasts.

    Args:
        journal: what to send.
        uri: MLflow tracking URI.
        every_s: seconds from one delivery to the next, so that values travel in batches.
        retry_s: seconds to the next delivery while the server does not answer.
    """

    def __init__(self, journal: Journal, uri: str, every_s: float = 2.0, retry_s: float = 5.0) -> None:
        super().__init__(name="outbox", daemon=True)
        self._journal = journal
        self._store = MlflowStore(uri)
        self._every_s, self._retry_s = every_s, retry_s
        self._closing = threading.Event()
        self._reachable = True

    def run(self) -> None:
        """Deliver until closed; the last delivery comes after closing."""
        while True:
            last = self._closing.is_set()
            delivered = self._deliver()
            if last:
                return
            self._closing.wait(self._every_s if delivered else self._retry_s)

    def close(self, within_s: float | None = None) -> None:
        """Deliver what remains, or say where it is kept. Returns when that is decided, or ``within_s``."""
        self._closing.set()
        self.join(within_s)
        if self._journal.pending(self._store.uri):
            log.warning(
                "The tracking server %s does not have everything; it is kept in %s and "
                "`python -m experiments.outbox send %s` sends it.",
                hidden(self._store.uri),
                self._journal.path,
                self._journal.run_dir,
            )

    def _deliver(self) -> bool:
        try:
            deliver(self._journal, self._store)
        except Unreachable as error:
            if self._reachable:
                self._say_unreachable(error)
            self._reachable = False
            return False
        if not self._reachable:
            log.warning("The tracking server %s is back and has everything so far.", hidden(self._store.uri))
        self._reachable = True
        return True

    def _say_unreachable(self, error: Unreachable) -> None:
        log.warning(
            "The tracking server %s does not answer (%s): the run goes on, its values are kept in %s and "
            "sent when it is back.",
            hidden(self._store.uri),
            error,
            self._journal.path,
        )
