"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def write_beside(path: str | Path) -> Iterator[IO[bytes]]:
    """Write to a temporary file in the folder of ``path``; rename it when complete, remove it on errors."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # "." and ".partial": never listed as audio, and recognisable when a killed process left one behind.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
