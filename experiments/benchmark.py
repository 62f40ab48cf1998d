"""Measure speed and size: ``python -m experiments.benchmark models|data|vocoder|scan|stream``.

``--format table`` (default) for the terminal, ``json`` for programs: one document and nothing else on
standard output. ``--write`` also writes ``benchmarks/<name>.md``, with the command, machine and versions.

`BENCHMARKS` lists the benchmarks, each a module as `experiments.benchmarks.protocol.Benchmark` describes.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.benchmarks import data, models, scan, stream, vocoder
from experiments.benchmarks.protocol import Benchmark, Row
from runtime.arguments import CommandParser
from runtime.errors import run_command

BENCHMARKS: dict[str, Benchmark] = {
    "models": models,
    "data": data,
    "vocoder": vocoder,
    "scan": scan,
    "stream": stream,
}
FOLDER = Path(__file__).parents[1] / "benchmarks"
VERSIONED = ("torch", "lightning", "numpy", "soxr", "midirenderer", "pesto-pitch")
"""The packages whose versions a written page names."""


def main(arguments: Sequence[str]) -> int:
    """Run one benchmark and print or write what it measured."""
    options = _parser().parse_args(arguments)
    benchmark = BENCHMARKS[options.benchmark]
    # Whatever libraries print goes to standard error: standard output belongs to the result.
    with contextlib.redirect_stdout(sys.stderr):
        rows = benchmark.measure(options)
    if options.write:
        path = FOLDER / f"{options.benchmark}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(to_markdown(benchmark, rows, arguments), encoding="utf-8")
        print(f"written to {path}", file=sys.stderr)
    if options.format == "json":
        print(json.dumps(rows, indent=2))
    else:
        print_table(benchmark.TITLE, rows)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser("python -m experiments.benchmark", description="Measure speed and size.")
    commands = parser.add_subparsers(dest="benchmark", required=True)
    for name, benchmark in BENCHMARKS.items():
        command = commands.add_parser(name, help=benchmark.TITLE, description=benchmark.EXPLANATION)
        command.add_argument("--format", choices=["table", "json"], default="table")
        command.add_argument("--write", action="store_true", help=f"also write benchmarks/{name}.md")
        benchmark.add_arguments(command)
    return parser


def print_table(title: str, rows: Sequence[Row]) -> None:
    """Print rows as a table to the terminal."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    for column in _columns(rows):
        table.add_column(column, justify="right" if _is_numeric(rows, column) else "left")
    for row in rows:
        table.add_row(*(_shown(row.get(column)) for column in _columns(rows)))
    Console().print(table)


def to_markdown(benchmark: Benchmark, rows: Sequence[Row], arguments: Sequence[str]) -> str:
    """Write the page of a benchmark: explanation, command, machine, and the table of its rows."""
    columns = _columns(rows)
    table = [columns, ["---"] * len(columns), *([_shown(row.get(c)) for c in columns] for row in rows)]
    lines = [f"| {' | '.join(cells)} |" for cells in table]
    return "\n".join(
        [
            f"# {benchmark.TITLE}\n",
            f"{benchmark.EXPLANATION}\n",
            f"```\npython -m experiments.benchmark {shlex.join(arguments)}\n```\n",
            f"{machine()}\n",
            *lines,
            "",
        ]
    )


def machine() -> str:
    """Describe processor, cores, load, system and versions in one line."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
        model = names[0].partition(":")[2].strip() if names else model
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in VERSIONED)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return (
        f"{model}, {os.cpu_count()} cores, load average at the end {load:.1f}, {platform.system()}, "
        f"Python {platform.python_version()}, {versions}."
    )


def _columns(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _is_numeric(rows: Sequence[Row], column: str) -> bool:
    return any(isinstance(row.get(column), int | float) for row in rows)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.3g}" if isinstance(value, float) and abs(value) < 1000 else f"{value}"


if __name__ == "__main__":
    run_command(lambda: main(sys.argv[1:]))
