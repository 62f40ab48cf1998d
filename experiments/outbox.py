"""Values that a tracking server did not get: ``python -m experiments.outbox`` lists and sends them."""

from __future__ import annotations

import argparse
from pathlib import Path

from callbacks.tracking.mlflow_store import MlflowStore, Unreachable, default_tracking_uri
from callbacks.tracking.outbox import JOURNAL, RUNS_DIR, Journal, deliver
from runtime.errors import UserError, run_command


def main(arguments: list[str] | None = None) -> int:
    """List or send what tracking servers did not get."""
    parser = argparse.ArgumentParser("python -m experiments.outbox", description=main.__doc__)
    parser.add_argument("action", nargs="?", choices=["list", "send"], default="list")
    parser.add_argument("run_dirs", nargs="*", type=Path, help="run folders (default: every one below runs/)")
    parser.add_argument("--uri", default=default_tracking_uri(), help="tracking URI (default: %(default)s)")
    options = parser.parse_args(arguments)
    journals = [journal for journal in _journals(options.run_dirs) if journal.pending(options.uri)]
    if not journals:
        print(f"Nothing to send: {options.uri} has every run.")
    for journal in journals:
        print(f"{journal.run_dir}: {journal.pending(options.uri)} events not on {options.uri}")
        if options.action == "send":
            _send(journal, options.uri)
    return 0


def _journals(run_dirs: list[Path]) -> list[Journal]:
    for run_dir in run_dirs:
        if not (run_dir / JOURNAL).is_file():
            raise UserError(f"{run_dir} is not a run's folder: it has no {JOURNAL}.")
    return [Journal(path) for path in run_dirs or sorted(p.parent for p in Path(RUNS_DIR).rglob(JOURNAL))]


def _send(journal: Journal, uri: str) -> None:
    try:
        deliver(journal, MlflowStore(uri))
    except Unreachable as error:
        raise UserError(f"The tracking server {uri} does not answer ({error}); try again later.") from error
    print("  sent")


if __name__ == "__main__":
    run_command(main)
