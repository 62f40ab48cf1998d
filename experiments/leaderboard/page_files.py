"""The pictures and sounds of an HTML page, as files beside it."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from runtime.files import write_beside


class PageFiles:
    """The pictures and sounds of a page, in a folder beside it, named by their content.

    Args:
        page: path of the page.
    """

    NAME = re.compile(r"[0-9a-f]{16}\.(png|flac)")

    def __init__(self, page: Path) -> None:
        self.folder = page.with_name(f"{page.stem}_files")
        self._names: set[str] = set()

    def add(self, content: bytes, suffix: str) -> str:
        """Write a file, and give its address relative to the page."""
        name = f"{hashlib.sha256(content).hexdigest()[:16]}.{suffix}"
        if name not in self._names:
            with write_beside(self.folder / name) as file:
                file.write(content)
            self._names.add(name)
        return f"{self.folder.name}/{name}"

    def remove_others(self) -> None:
        """Remove what an earlier page of this name showed and this one does not."""
        for path in self.folder.glob("*"):
            if self.NAME.fullmatch(path.name) and path.name not in self._names:
                path.unlink()
