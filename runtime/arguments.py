"""Options of commands: numbers within their ranges, and parsers that say a mistake in one sentence."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from typing import Any, NoReturn

from runtime.errors import UserError, nearest

BLAMED = re.compile(r"^argument (?:[^:]*/)?(?P<option>[\w-]+): ")
"""How argparse begins a message about one option."""
MISTAKES = {
    "expected one argument": "needs a value",
    "expected at least one argument": "needs a value",
    "ignored explicit argument": "takes no value, and was given",
    "invalid choice:": "has no choice",
}
"""What argparse says of an option, and the words that make a sentence with the option's name before them."""


class CommandParser(argparse.ArgumentParser):
    """A parser that ends the command with one sentence at a mistake, and that knows no abbreviations."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        """Print the sentence for argparse's ``message`` and exit with code 2."""
        self.exit(2, f"error: {self._sentence(message)}\n")

    def _sentence(self, message: str) -> str:
        sentence = BLAMED.sub(r"\g<option> ", message)
        for theirs, ours in MISTAKES.items():
            sentence = sentence.replace(theirs, ours)
        unknown = re.search(r"^unrecognized arguments: (\S+)", message)
        if unknown is None:
            return f"{sentence}."
        return f"There is no option {unknown[1]}.{nearest(unknown[1].partition('=')[0], self._all_options())}"

    def _all_options(self) -> set[str]:
        """Names of the options of this parser and of those of its commands."""
        parsers = [self]
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                parsers += action.choices.values()
        return {name for parser in parsers for name in parser._option_string_actions if name[:2] == "--"}


class Number:
    """A range of numbers: the type of an option, which argparse calls with the text of the value, or a check.

    Args:
        kind: ``int`` or ``float``.
        wanted: what the value must be, to follow "must be".
        allows: tells whether a number, which is finite, is in the range.
    """

    def __init__(self, kind: type[int] | type[float], wanted: str, allows: Callable[[float], bool]) -> None:
        self.kind, self.wanted, self.allows = kind, wanted, allows

    def __call__(self, text: str) -> float:
        """Read the number; `argparse.ArgumentTypeError` says what it must be."""
        try:
            value = self.kind(text)
        except ValueError:
            value = math.nan
        if not self._holds(value):
            raise argparse.ArgumentTypeError(f"must be {self.wanted}, not {text}")
        return value

    def require(self, value: float, name: str) -> None:
        """Raise `UserError`, which names the parameter, where a value is out of the range."""
        if not self._holds(value):
            raise UserError(f"{name} must be {self.wanted}, not {value}.")

    def _holds(self, value: float) -> bool:
        try:
            return math.isfinite(value) and self.allows(value)
        except (TypeError, OverflowError):  # no number, or an integer larger than any float
            return False


finite_float = Number(float, "a finite number", lambda value: True)
positive_float = Number(float, "a positive number", lambda value: value > 0)
positive_int = Number(int, "a positive whole number", lambda value: value > 0)
natural_int = Number(int, "a whole number, 0 or more", lambda value: value >= 0)


def int_within(lowest: int, highest: int, unit: str = "") -> Number:
    """Make the range of the whole numbers from ``lowest`` to ``highest``."""
    wanted = f"a whole number from {lowest} to {highest} {unit}".strip()
    return Number(int, wanted, lambda value: lowest <= value <= highest)


def float_within(lowest: float, highest: float) -> Number:
    """Make the range of the numbers from ``lowest`` to ``highest``."""
    return Number(float, f"a number from {lowest:g} to {highest:g}", lambda value: lowest <= value <= highest)


fraction = float_within(0, 1)
sample_rate_hz = int_within(1_000, 768_000, "Hz")
"""The rates that recordings have."""
