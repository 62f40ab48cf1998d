"""What ``new`` writes, and which names it takes; test_adding_an_architecture trains it."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.command_line.new_architecture import files, write
from runtime.errors import UserError
from tests.conftest import SIXTH


def test_the_tests_own_architecture_is_what_new_writes() -> None:
    written = files("sixth", "tests.experiments.sixth")
    modules = [path for path in SIXTH.parent.glob("*.py")]
    assert {path.name for path in modules} == {name for name in written if name.endswith(".py")} - {
        "test_sixth.py"
    }
    for path in modules:
        assert path.read_text(encoding="utf-8") == written[path.name]


def test_files_and_classes_have_the_name(tmp_path: Path) -> None:
    write("tone_colour", tmp_path)
    names = {path.name for path in (tmp_path / "tone_colour").iterdir()}
    assert {"tone_colour.yaml", "space.yaml", "test_tone_colour.py", "module.py"} <= names
    assert "class ToneColourModule(" in (tmp_path / "tone_colour" / "module.py").read_text()
    assert "$" not in "".join(path.read_text() for path in (tmp_path / "tone_colour").iterdir())


@pytest.mark.parametrize("name", ["", "My", "1st", "a-b", "../x", "a/b", "class", "a" * 62, "é"])
def test_what_is_no_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no name for a package"):
        write(name, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["ddsp", "copy", "torch", "metrics", "json"])
def test_a_taken_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"'{name}' is taken"):
        write(name, tmp_path)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("work of a week")
    with pytest.raises(UserError, match="is there already"):
        write("mine", tmp_path)
