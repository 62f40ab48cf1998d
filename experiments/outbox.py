"""List what a tracking server did not get of the runs, or send it: ``python -m experiments.outbox send``."""

from __future__ import annotations

import argparse
from pathlib import Path

from callbacks.tracking.mlflow_store import MlflowStore, Unreachable, default_tracking_uri
from callbacks.tracking.outbox import JOURNAL, RUNS_DIR, Journal, deliver
from runtime.arguments import CommandParser
from runtime.databases import hidden
from runtime.errors import UserError, run_command
from runtime.messages import say


def main(arguments: list[str] | None = None) -> int:
    """List or send what a tracking server did not get."""
    options = _parser().parse_intermixed_args(arguments)
    journals = [journal for journal in _journals(options.run_dirs) if journal.pending(options.uri)]
    server, all_sent = hidden(options.uri), True
    if not journals:
        print(f"Nothing to send: {server} has every run.")
    for journal in journals:
        print(f"{journal.run_dir}: {journal.pending(options.uri)} events not on {server}", flush=True)
        if options.action == "send":
            all_sent &= _send(journal, options.uri)
    return 0 if all_sent else 1


def _parser() -> argparse.ArgumentParser:
    description = __doc__.partition(":")[0] + "."
    parser = CommandParser("python -m experiments.outbox", description=description)
    add = parser.add_argument
    add(
        "action",
        nargs="?",
        choices=["list", "send"],
        default="list",
        help="list the runs with events that the server did not get, or send these (default: list)",
    )
    add("run_dirs", nargs="*", type=Path, help=f"folders of runs (default: every one below {RUNS_DIR}/)")
    add("--uri", default=default_tracking_uri(), help="the MLflow tracking URI (default: %(default)s)")
    return parser


def _journals(run_dirs: list[Path]) -> list[Journal]:
    for run_dir in run_dirs:
        if not (run_dir / JOURNAL).is_file():
            raise UserError(f"{run_dir} is not a run's folder: it has no {JOURNAL}.")
    return [Journal(path) for path in run_dirs or sorted(p.parent for p in Path(RUNS_DIR).rglob(JOURNAL))]


def _send(journal: Journal, uri: str) -> bool:
    """Send a run; a damaged one is named, and the others are sent all the same."""
    try:
        deliver(journal, MlflowStore(uri))
    except UserError as error:
        say(f"  not sent: {error}")
        return False
    except Unreachable as error:
        raise UserError(f"The tracking server {hidden(uri)} cannot be used: {error}.") from error
    print("  sent")
    return True


if __name__ == "__main__":
    run_command(main)
