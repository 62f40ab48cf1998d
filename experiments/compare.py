"""Compare tested runs: ``python -m experiments.compare`` prints the leaderboard from MLflow.

``--format table`` (default) for the terminal, ``json`` for programs (one document, nothing else on standard
output), ``html`` for ears and eyes: a page with players and spectrograms, also stored in MLflow.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from datamodules.atomic_files import write_beside
from experiments.errors import UserError, run_command
from experiments.mlflow_store import Unreachable, default_tracking_uri

if TYPE_CHECKING:
    from experiments import leaderboard

DEFAULT_PAGE = Path("leaderboard.html")


def main(arguments: list[str] | None = None) -> int:
    """Print or write the leaderboard."""
    options = _parser().parse_args(arguments)
    from experiments import leaderboard

    with tempfile.TemporaryDirectory() as folder:
        try:
            runs = leaderboard.tested_runs(options.uri, _tags(options.tag), options.all, Path(folder))
            document = _document(options, leaderboard.lines(runs), Path(folder))
        except Unreachable as error:
            raise UserError(f"The tracking server {options.uri} does not answer: {error}.") from error
    if document:
        _deliver(document, options.output)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m experiments.compare", description=__doc__.split("\n")[0])
    parser.add_argument("--format", choices=["table", "json", "html"], default="table")
    parser.add_argument(
        "--tag", action="append", default=[], metavar="NAME=VALUE", help="only runs with this tag"
    )
    parser.add_argument("--all", action="store_true", help="repetitions too, not only the latest of each run")
    parser.add_argument("--output", type=Path, help=f"write to this file (html: default {DEFAULT_PAGE})")
    parser.add_argument("--uri", default=default_tracking_uri(), help="tracking URI (default: %(default)s)")
    return parser


def _tags(pairs: list[str]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise UserError(f"--tag {pair} has no '='; write --tag NAME=VALUE, for example --tag scale=demo.")
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


def _document(options: argparse.Namespace, found: list[leaderboard.Line], folder: Path) -> str:
    """The text to deliver; the table goes to the terminal by itself."""
    if options.format == "json":
        from experiments import leaderboard

        return leaderboard.to_json(found)
    if not found:
        print(
            f"No tested run on {options.uri} yet; `python -m experiments.run` says how to start.",
            file=sys.stderr,
        )
        return ""
    if options.format == "html":
        return _page(options, found, folder)
    from experiments.leaderboard_table import print_table

    print_table(found)
    return ""


def _page(options: argparse.Namespace, found: list[leaderboard.Line], folder: Path) -> str:
    from experiments.leaderboard_page import page, store

    options.output = options.output or DEFAULT_PAGE
    text = page(found, options.uri, folder)
    store(text, options.uri, folder)
    return text


def _deliver(document: str, output: Path | None) -> None:
    if output is None:
        print(document)
        return
    with write_beside(output) as file:
        file.write(f"{document}\n".encode())
    print(f"Wrote {output}", file=sys.stderr)


if __name__ == "__main__":
    run_command(main)
