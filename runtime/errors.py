"""Errors that a user can cause end in one sentence and exit code 2, without a traceback."""

from __future__ import annotations

import difflib
import errno
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS}


class UserError(ValueError):
    """Something a user can cause and repair; the message is one sentence (what, where, what to do).

    Every other error that a user can cause inherits from this one (`CorpusError`, `AudioFileError`, …), so
    that commands print its sentence and end without a traceback.
    """


def nearest(name: str, candidates: Iterable[str]) -> str:
    """``" Did you mean 'x'?"`` with the candidate most like ``name``, or an empty string."""
    # Spelling decides first; a candidate that only contains the name comes next ("lstm" for "ddsp_lstm").
    known = sorted(set(candidates))
    matches = difflib.get_close_matches(name, known, n=1, cutoff=0.6) or [c for c in known if name in c]
    return f" Did you mean '{matches[0]}'?" if matches else ""


def is_meant_for_users(error: BaseException) -> bool:
    """Whether ``error`` is a `UserError` or says that a disk is full or forbidden."""
    return isinstance(error, UserError) or (isinstance(error, OSError) and error.errno in DISK_ERRORS)


def users_error(error: BaseException | None) -> BaseException | None:
    """``error``, or what caused it (the parser wraps what a class raises), if that is meant for users."""
    while error is not None and not is_meant_for_users(error):
        error = error.__cause__
    return error


@contextmanager
def one_sentence_errors() -> Iterator[None]:
    """End the process with one sentence on standard error for whatever a user can cause."""
    try:
        yield
    except Exception as error:
        if (cause := users_error(error)) is None:
            raise
        print(f"error: {cause}", file=sys.stderr)
        sys.exit(2)


def run_command(command: Callable[[], int | None]) -> None:
    """Run a command line entry and exit with its code."""
    with one_sentence_errors():
        sys.exit(command() or 0)
