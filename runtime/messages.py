"""What a program tells its user besides results and errors."""

from __future__ import annotations

import sys


def say(sentence: str) -> None:
    """Print a sentence on standard error at once: standard output is for results."""
    print(sentence, file=sys.stderr, flush=True)
