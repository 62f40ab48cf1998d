"""Errors that a user can cause: a command ends with one sentence and exit code 2, without a traceback."""

from __future__ import annotations

import difflib
import errno
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Codes of `OSError` that say that there is no room on a disk."""
DISK_ERRORS = DISK_FULL | {errno.EACCES, errno.EROFS, errno.ENAMETOOLONG, errno.ENOTDIR, errno.ELOOP}
"""Codes of `OSError` that say that a disk is full or may not be written to, or that a path leads nowhere."""


class UserError(ValueError):
    """An error that a user can cause and repair; its message is one sentence: what, where, what to do.

    Every other such error inherits from this one, so that commands print its sentence and no traceback.
    """


def nearest(name: str, candidates: Iterable[str]) -> str:
    """Ask ``" Did you mean 'x'?"`` with the candidate most like ``name``; an empty string if none is."""
    # Spelling decides first; next come candidates that contain the name, as "ddsp_lstm" contains "lstm".
    known = sorted(set(candidates))
    matches = difflib.get_close_matches(name, known, n=1, cutoff=0.6) or [c for c in known if name in c]
    return f" Did you mean '{matches[0]}'?" if matches else ""


def is_meant_for_users(error: BaseException) -> bool:
    """Tell whether ``error`` is a `UserError`, or says that a disk is full or may not be written to."""
    return isinstance(error, UserError) or (isinstance(error, OSError) and error.errno in DISK_ERRORS)


def users_error(error: BaseException | None) -> BaseException | None:
    """Find the error that is meant for users: ``error``, or a cause of it, as parsers wrap errors."""
    while error is not None and not is_meant_for_users(error):
        error = error.__cause__
    return error


@contextmanager
def one_sentence_errors() -> Iterator[None]:
    """End the process with one sentence on standard error at an error that is meant for users."""
    try:
        yield
    except Exception as error:
        if (cause := users_error(error)) is None:
            raise
        print(f"error: {cause}", file=sys.stderr)
        sys.exit(2)


def run_command(command: Callable[[], int | None]) -> None:
    """Run the main function of a command and exit with its code; see `one_sentence_errors`."""
    with one_sentence_errors():
        sys.exit(command() or 0)
