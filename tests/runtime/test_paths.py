"""No path leaves its folder, no link ends a search, and an output that cannot be written is known before."""

import os
from pathlib import Path

import pytest

from runtime.errors import UserError
from runtime.paths import files_below, is_name, path_below, printable, require_writable


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/x", "a/..", "", ".", "out/x", "loop/x", "a\0b"])
def test_a_path_that_leaves_its_folder_is_refused(tmp_path: Path, path: str) -> None:
    folder, outside = tmp_path / "corpus", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (folder / "out").symlink_to(outside)
    (folder / "loop").symlink_to("loop")
    with pytest.raises(UserError, match="does not stay in the folder"):
        path_below(folder, path)


def test_a_path_that_stays_is_joined_also_where_the_folder_itself_is_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk" / "runs").mkdir(parents=True)
    (tmp_path / "runs").symlink_to(tmp_path / "disk" / "runs")
    assert path_below(tmp_path / "runs", "ddsp/run..1") == tmp_path / "runs" / "ddsp" / "run..1"
    assert path_below(tmp_path / "runs", tmp_path / "runs" / "a") == tmp_path / "runs" / "a"


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("a", True), ("скрипка", True), ("a..b", True), ("👩‍🎤 [x]'\"", True), ("é" * 127, True)]
    + [
        (text, False) for text in ("", ".", "..", "a/b", "/a", "a\nb", "a\0", "é" * 128, "\udcff", "a\u2028b")
    ],
)
def test_a_name_is_one_line_and_no_path(text: str, is_one: bool) -> None:
    assert is_name(text) == is_one
    assert printable(text).encode().decode() == printable(text) and "\n" not in printable(text)


def test_a_search_follows_links_passes_over_hidden_files_and_names_what_it_leaves_out(tmp_path: Path) -> None:
    root, other = tmp_path / "root", tmp_path / "other"
    for path in (
        root / "b" / "x.wav",
        root / "a.wav",
        root / "._a.wav",
        root / ".trash" / "y.wav",
        other / "z",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    links: dict[str, str | Path] = {
        "a linked": other,
        "back": root,
        "b/up": root / "b",
        "self": root / "self",
        "gone": "nowhere",
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    os.mkfifo(root / "pipe.wav")
    files, left_out = files_below(root)
    assert [path.relative_to(root).as_posix() for path in files] == ["a linked/z", "a.wav", "b/x.wav"]
    assert {path.relative_to(root).as_posix(): reason for path, reason in left_out} == {
        "back": "a symbolic link to a folder that is searched already",
        "b/up": "a symbolic link to a folder that is searched already",
        "self": "a loop of symbolic links",
        "gone": "a symbolic link to nothing",
        "pipe.wav": "not a regular file",
    }


def test_links_from_folder_to_folder_are_searched_in_no_time(tmp_path: Path) -> None:
    """Thirty folders, each with two links to the next: a billion paths, thirty folders."""
    for number in range(30):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}" / "x.wav").touch()
        for name in ("left", "right"):
            (tmp_path / f"{number}" / name).symlink_to(tmp_path / f"{number + 1}")
    assert len(files_below(tmp_path).files) == 30


def test_an_output_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    names = ("", "file/x.wav", "x" * 300 + ".wav", "new/" + "x" * 300 + "/y.wav")
    for path in (*(tmp_path / name for name in names), Path("/proc/x.wav")):
        with pytest.raises(UserError, match=r"is a folder|cannot be written"):
            require_writable(path)
    require_writable(tmp_path / "new" / "folder" / "x.wav")
    require_writable(tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"], "nothing is made"
