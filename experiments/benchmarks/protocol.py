"""What every benchmark provides to the command."""

from __future__ import annotations

import argparse
from typing import Any, Protocol

Row = dict[str, Any]
"""One measurement: values by the name of their column."""


class Benchmark(Protocol):
    """A module of this package that measures one thing."""

    TITLE: str
    """The heading of its table, and its line in the command's help."""
    EXPLANATION: str
    """How the figures are measured and what the columns mean."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the options of the benchmark."""

    def measure(self, options: argparse.Namespace) -> list[Row]:
        """Measure, and return the rows of the table."""
