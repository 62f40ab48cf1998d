import os
from pathlib import Path

import pytest

from runtime.hashing import FileHashes, address_of, stable_hash


def test_the_address_ignores_order_and_nothing_else() -> None:
    assert address_of({"a": 1, "b": [1, 2]}) == address_of({"b": [1, 2], "a": 1})
    assert address_of({"a": 1}) != address_of({"a": 2})
    assert address_of({"a": (1, 2)}) == address_of({"a": [1, 2]}), "a tuple is a list in JSON"


def test_the_hash_of_words_is_the_same_everywhere() -> None:
    assert stable_hash("piece", "violin") == 0x80BEC14AD184ED67


def test_hashes_are_remembered_until_the_file_changes(tmp_path: Path) -> None:
    file, memory = tmp_path / "a.wav", tmp_path / "cache" / "hashes.sqlite"
    file.write_bytes(b"one")
    os.utime(file, ns=(1, 1))
    first = FileHashes(memory).of(file)
    file.write_bytes(b"two")
    os.utime(file, ns=(1, 1))
    assert FileHashes(memory).of(file) == first, "same path, size and time: taken from memory, unread"
    os.utime(file, ns=(2, 2))
    assert FileHashes(memory).of(file) != first
    assert FileHashes(None).of(file) == FileHashes(memory).of(file)


def test_a_folder_hash_knows_names_and_contents(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    before = FileHashes().of_folder(tmp_path, tmp_path.iterdir())
    (tmp_path / "b").rename(tmp_path / "c")
    assert FileHashes().of_folder(tmp_path, tmp_path.iterdir()) != before
    (tmp_path / "c").rename(tmp_path / "b")
    assert FileHashes().of_folder(tmp_path, reversed(sorted(tmp_path.iterdir()))) == before


def test_a_damaged_memory_and_a_name_that_is_no_text_change_no_hash(tmp_path: Path) -> None:
    file, memory = tmp_path / os.fsdecode(b"take \xff.wav"), tmp_path / "hashes.sqlite"
    file.write_bytes(b"one")
    right = FileHashes().of(file)
    assert FileHashes(memory).of(file) == right == FileHashes(memory).of(file)
    memory.write_bytes(b"no database")
    assert FileHashes(memory).of(file) == right


def test_a_file_that_cannot_be_read_has_a_hash_of_its_own_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"one")
    gone = [tmp_path / "gone.wav", tmp_path / "gone too.wav"]
    digests = FileHashes(tmp_path / "hashes.sqlite").of_all([*gone, tmp_path / "a.wav"])
    assert len(set(digests)) == 3 and digests[2] == FileHashes().of(tmp_path / "a.wav")
    with pytest.raises(FileNotFoundError):
        FileHashes().of(gone[0])
