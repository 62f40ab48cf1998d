"""Compare tested runs: ``python -m experiments.compare`` prints the leaderboard from MLflow.

``--format table`` (default) for the terminal, ``json`` for programs (one document, nothing else on standard
output), ``html`` for ears and eyes: a page with pictures, players and spectrograms, and a folder beside it;
``markdown`` for a page of documentation. ``--against A B`` compares two systems piece by piece.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from callbacks.tracking.mlflow_store import RUNS_PAGE, Unreachable, default_tracking_uri
from runtime.arguments import CommandParser
from runtime.databases import hidden
from runtime.errors import UserError, nearest, run_command
from runtime.files import write_beside
from runtime.messages import say
from runtime.paths import require_writable

if TYPE_CHECKING:
    from experiments.leaderboard.ranking import Ranking
    from experiments.leaderboard.systems import System

DEFAULT_PAGES = {"html": Path("leaderboard.html"), "markdown": Path("leaderboard.md")}


def main(arguments: list[str] | None = None) -> int:
    """Print or write the leaderboard."""
    options = _parser().parse_args(arguments)
    options.output = options.output or DEFAULT_PAGES.get(options.format)
    if options.output:
        require_writable(options.output)
    from experiments.leaderboard.runs import tested_runs
    from experiments.leaderboard.systems import join_runs

    with tempfile.TemporaryDirectory() as folder:
        try:
            runs = tested_runs(options.uri, _tags(options.tag), options.all, Path(folder))
            document = _document(options, join_runs(runs, options.all), Path(folder))
        except Unreachable as error:
            raise UserError(f"The tracking server {hidden(options.uri)} cannot be used: {error}.") from error
    if document:
        _write(document, options.output)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser("python -m experiments.compare", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add(
        "--format",
        choices=["table", "json", "html", "markdown"],
        default="table",
        help="a table in the terminal, JSON for programs, a page to look at and listen to, or a page of "
        "documentation (default: %(default)s)",
    )
    add(
        "--against",
        nargs=2,
        action="append",
        default=[],
        metavar=("A", "B"),
        help="compare two experiments piece by piece, as differences A − B; may be repeated (table and json "
        "then show nothing else)",
    )
    add("--pair", metavar="SOURCE->TARGET", help="show only this pair of instruments")
    add("--tag", action="append", default=[], metavar="NAME=VALUE", help="take only runs with this tag")
    add("--all", action="store_true", help="show every run by itself, without averaging seeds or repetitions")
    add("--output", type=Path, help="the file to write (default for html: leaderboard.html; markdown: .md)")
    add("--uri", default=default_tracking_uri(), help="the MLflow tracking URI (default: %(default)s)")
    return parser


def _tags(pairs: list[str]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise UserError(f"--tag {pair} has no '='; write --tag NAME=VALUE, for example --tag scale=demo.")
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


def _document(options: argparse.Namespace, systems: list[System], folder: Path) -> str:
    """The text to write; empty where it is in the terminal or in a page already."""
    if not systems and options.format != "json":
        say(f"No tested run on {hidden(options.uri)} yet; `python -m experiments.run` says how to start.")
        return ""
    from experiments.leaderboard.differences import system_named

    against = [(system_named(a, systems), system_named(b, systems)) for a, b in options.against]
    if against and options.format in ("table", "json"):
        return _differences(options, against)
    return _leaderboard(options, _rankings(options, systems), against, folder)


def _rankings(options: argparse.Namespace, systems: list[System]) -> list[Ranking]:
    from experiments.leaderboard.ranking import ALL, rankings

    found = rankings(systems)
    if options.pair is None:
        return found
    chosen = [ranking for ranking in found if ranking.pair == options.pair]
    if not chosen:
        pairs = sorted({ranking.pair for ranking in found if ranking.track != ALL})
        raise UserError(f"No run was tested on the pair '{options.pair}'.{nearest(options.pair, pairs)}")
    return chosen


def _leaderboard(
    options: argparse.Namespace, found: list[Ranking], against: list[tuple[System, System]], folder: Path
) -> str:
    if options.format == "json":
        from experiments.leaderboard.ranking import to_json

        return to_json(found)
    if options.format == "html":
        from experiments.leaderboard.html import write_page

        write_page(options.output, found, options.uri, folder, against)
        say(f"Wrote {options.output}; its pictures and sounds are in {options.output.stem}_files/ beside it.")
        return ""
    if options.format == "markdown":
        from experiments.leaderboard.markdown import update_page

        update_page(options.output, found, options.uri, against)
        say(f"Wrote {options.output} and its pictures.")
        return ""
    from experiments.leaderboard.terminal import print_rankings

    print_rankings(found)
    if options.uri.startswith(("http://", "https://")):
        say(f"The runs in MLflow: {hidden(options.uri).rstrip('/')}{RUNS_PAGE}")
    return ""


def _differences(options: argparse.Namespace, against: list[tuple[System, System]]) -> str:
    from experiments.leaderboard import differences

    found = [(*two, differences.compare_systems(*two, options.pair)) for two in against]
    if options.format == "json":
        return differences.to_json(found)
    from experiments.leaderboard.terminal import print_differences

    for ours, theirs, comparisons in found:
        print_differences(ours, theirs, comparisons)
    return ""


def _write(document: str, output: Path | None) -> None:
    if output is None:
        print(document)
        return
    with write_beside(output) as file:
        file.write(f"{document}\n".encode())
    say(f"Wrote {output}.")


if __name__ == "__main__":
    run_command(main)
