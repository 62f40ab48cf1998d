"""Files of checkpoints: written with their own hash, read without running code in them.

A checkpoint is a ZIP file whose entries are not compressed, as `torch.save` writes it. The comment at its end
holds the hash of all before it, so that it goes wherever the file goes. `torch.load` pays no attention to it.
"""

from __future__ import annotations

import hashlib
import struct
import zipfile
from pathlib import Path
from typing import IO, Any

import torch

from runtime.errors import UserError

SEAL = b"sha256:"
WEIGHTS_ONLY_FAILED = "Weights only load failed"
"""How torch begins its message about a file that holds more than plain data; it goes on with the type."""
_LENGTH_FIELD = struct.Struct("<H")
"""The length of the comment, with which a ZIP file without comment ends."""
_BLOCK_BYTES = 1 << 20


class _Hashed:
    """A file that hashes what is written to it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, content: bytes) -> int:
        self.digest.update(content)
        return self._file.write(content)

    def flush(self) -> None:
        self._file.flush()


def save(content: dict[str, Any], file: IO[bytes]) -> None:
    """Write a checkpoint, and its hash as the comment of the ZIP file."""
    hashed = _Hashed(file)
    torch.save(content, hashed)  # type: ignore[arg-type]  # it writes and flushes, and no more
    comment = SEAL + hashed.digest.hexdigest().encode()
    file.seek(-_LENGTH_FIELD.size, 2)
    file.write(_LENGTH_FIELD.pack(len(comment)) + comment)


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint of the suite onto the CPU. No code in the file can run.

    Raises:
        UserError: missing, truncated, changed since it was written, with anything but plain data in it, or
            not a checkpoint of the suite.
    """
    if not path.is_file():
        raise UserError(f"There is no checkpoint {path}; give a run's folder or name, or a .ckpt file.")
    _require_unchanged(path)
    content = _plain_data(path)
    if not isinstance(content, dict) or "state_dict" not in content or "hyper_parameters" not in content:
        raise UserError(
            f"{path} is not a checkpoint of this suite: it has no state_dict and hyper_parameters."
        )
    _require_proper_parameters(path, content["hyper_parameters"])
    return content


def _require_unchanged(path: Path) -> None:
    """Compare the hash; where there is none, the check sums of the ZIP file. Nothing is unpacked."""
    damaged = UserError(f"{path} is damaged: its content is not what was written; copy it again.")
    try:
        if not zipfile.is_zipfile(path):
            raise UserError(
                f"{path} is truncated or no checkpoint ({path.stat().st_size} bytes, no end); copy it again."
            )
        with zipfile.ZipFile(path) as archive:
            entries, comment = archive.infolist(), archive.comment
            stored = sum(entry.file_size for entry in entries)
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries) or (
                stored > path.stat().st_size
            ):
                raise UserError(
                    f"{path} was not written by this suite and was not opened: it would be unpacked to "
                    f"{stored / 1e6:.0f} MB from {path.stat().st_size / 1e6:.0f} MB."
                )
            if not comment and archive.testzip() is not None:
                raise damaged
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, EOFError) as error:
        if isinstance(error, UserError):
            raise
        raise damaged from error
    if comment and not _is_sealed(path, comment):
        raise damaged


def _is_sealed(path: Path, comment: bytes) -> bool:
    """Whether the comment holds the hash that `save` has put there: of all before it, its length being 0."""
    digest, left = hashlib.sha256(), path.stat().st_size - len(comment) - _LENGTH_FIELD.size
    with path.open("rb") as file:
        while block := file.read(min(_BLOCK_BYTES, left)):
            digest.update(block)
            left -= len(block)
        n_bytes = file.read(_LENGTH_FIELD.size)
    digest.update(bytes(_LENGTH_FIELD.size))
    return n_bytes == _LENGTH_FIELD.pack(len(comment)) and comment == SEAL + digest.hexdigest().encode()


def _plain_data(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch has no types of its own for these
        if WEIGHTS_ONLY_FAILED in str(error):
            raise UserError(
                f"{path} holds more than plain data and was not opened, because it could run code: "
                f"{reason(error)}; use checkpoints of `python -m experiments.run` only."
            ) from error
        raise UserError(
            f"{path} is no checkpoint that torch can read: {reason(error)}; copy it again."
        ) from error


def _require_proper_parameters(path: Path, params: Any) -> None:
    """Check the types of what every module has."""
    if not isinstance(params, dict):
        raise UserError(
            f"{path} is not a checkpoint of this suite: its hyper_parameters are a {type(params).__name__}, "
            "not names with values."
        )
    rate, instruments = params.get("sample_rate", 1), params.get("instruments", [])
    if type(rate) is not int or rate <= 0:
        raise UserError(f"{path} states a sample_rate of {rate!r}, which is no number of Hz; copy it again.")
    if not isinstance(instruments, list | tuple) or not all(isinstance(name, str) for name in instruments):
        raise UserError(
            f"{path} states instruments {instruments!r}, which are no list of names; copy it again."
        )


def reason(error: Exception) -> str:
    """Give the first line of an error's message, without the advice of its library."""
    return (
        str(error).splitlines()[0].split("Please file an issue")[0].strip(" .")[:200] or type(error).__name__
    )
