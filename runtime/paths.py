"""Paths of users: those that stay in their folder, searches through folders, outputs that can be written."""

from __future__ import annotations

import errno
import os
import re
import stat
import tempfile
from collections import deque
from pathlib import Path
from typing import NamedTuple

from runtime.errors import UserError

LONGEST_NAME = 255
"""Most bytes of a file's name on the file systems in use."""
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters, line separators, and bytes of a file's name that are no UTF-8."""


def is_name(text: str) -> bool:
    """Tell whether ``text`` can be the name of one file or folder: no path, and one line."""
    if text in ("", ".", "..") or "/" in text or os.sep in text or UNPRINTABLE.search(text):
        return False
    return len(text.encode()) <= LONGEST_NAME


def printable(name: str) -> str:
    """Put a hyphen in the place of everything in a file's name that a line of UTF-8 text cannot hold."""
    return UNPRINTABLE.sub("-", name)


def path_below(folder: Path, path: str | Path) -> Path:
    """Join a path that an index, a manifest or an option names with the folder that it must not leave.

    Args:
        folder: where the path must stay.
        path: relative to ``folder``; an absolute one has to lie in it.

    Raises:
        UserError: the path leads out of the folder: it is absolute, has ``..``, or passes through a link.
    """
    joined = folder / path
    try:
        stays = ".." not in Path(path).parts and joined.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # a loop of links, too long a name, a null character
        stays = False
    if not stays or joined == folder:
        raise UserError(f"The path '{printable(str(path))}' does not stay in the folder {folder}.")
    return joined


class Search(NamedTuple):
    """What a folder holds."""

    files: list[Path]
    """Every regular file that is not hidden, sorted."""
    left_out: list[tuple[Path, str]]
    """What could not be searched or read, and why."""


def files_below(folder: Path) -> Search:
    """Find every file at any depth.

    Hidden files and folders, such as macOS's ``._take.wav``, are passed over. Links are followed, and each
    folder is searched once, so that links which lead back into it end nothing.
    """
    files: list[Path] = []
    left_out: list[tuple[Path, str]] = []
    searched: set[tuple[int, int]] = set()
    folders, linked = deque([folder]), deque[Path]()
    while folders or linked:  # links last: a folder is found by its own name before it is found by a link
        here = (folders or linked).popleft()
        try:
            status = here.stat()
            if (identity := (status.st_dev, status.st_ino)) in searched:
                left_out.append((here, "a symbolic link to a folder that is searched already"))
                continue
            searched.add(identity)
            entries = [entry for entry in os.scandir(here) if not entry.name.startswith(".")]
        except OSError as error:
            left_out.append((here, f"a folder that cannot be read ({error.strerror})"))
            continue
        for entry in sorted(entries, key=lambda entry: entry.name):
            path = here / entry.name
            try:
                mode = entry.stat().st_mode
            except OSError as error:
                loop = error.errno == errno.ELOOP
                left_out.append((path, "a loop of symbolic links" if loop else "a symbolic link to nothing"))
                continue
            if stat.S_ISDIR(mode):
                (linked if entry.is_symlink() else folders).append(path)
            elif stat.S_ISREG(mode):
                files.append(path)
            else:
                left_out.append((path, "not a regular file"))
    return Search(sorted(files), sorted(left_out))


def require_writable(path: Path) -> None:
    """Raise `UserError` where a file could not be written, before there is anything to write."""
    try:
        if path.is_dir():
            raise UserError(f"{path} is a folder; give the name of a file.")
        if too_long := [part for part in path.parts if len(os.fsencode(part)) > LONGEST_NAME]:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), too_long[0])
        folder = next(parent for parent in path.absolute().parents if parent.exists())
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); choose another place.") from None
