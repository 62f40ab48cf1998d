"""YAML files of users are read, or refused with one sentence that names the file."""

from pathlib import Path

import pytest

from runtime.errors import UserError
from runtime.yaml_files import read_mapping

BOMB = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 30)
)


def test_a_mapping_is_read_with_its_aliases(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("# nothing\n")
    assert read_mapping(path) == {}
    path.write_text("rate: &rate 1.0e-3\nlr: *rate\nlist: [1, {a: null}]\n")
    assert read_mapping(path) == {"rate": 1e-3, "lr": 1e-3, "list": [1, {"a": None}]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xfe\x00 binary", "no text in UTF-8"),
        (b"a: \x00", "not valid YAML"),
        (b"a: [1, 2", "not valid YAML.*line 2"),
        (b"a: b: c", "not valid YAML.*line 1"),
        (b"- 1\n- 2\n", "no mapping"),
        (b"just words", "no mapping"),
        (b"a: 1\nb:\n  c: 1\n  c: 2\n", "key 'c' 2 times.*line 3"),
        (b"a: &a [*a]\n", "refers to itself"),
        (b"a: &a {b: {c: *a}}\n", "refers to itself"),
        (BOMB.encode(), "more than 100000 values"),
        (b"a: " + b"[" * 5000 + b"]" * 5000, "nested too deeply|not valid YAML"),
        (b"a: !!python/object/apply:os.system [ls]\n", "not valid YAML"),
    ],
)
def test_what_no_config_says_is_one_sentence(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=reason) as error:
        read_mapping(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.yaml cannot be read"):
        read_mapping(tmp_path / "none.yaml")
