"""Split folders are found in all usual spellings, and what is half sorted is refused."""

from pathlib import Path

import pytest

from datamodules.corpora.corpus import CorpusError
from datamodules.corpora.split_folders import find_split_folders


def folders(root: Path, *names: str) -> list[Path]:
    for name in names:
        (root / name).mkdir()
    return [root / name for name in names]


@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("Train", "Val", "Test"), ("TRAINING", "validation", "evaluation")]
)
def test_every_spelling_is_its_split(tmp_path: Path, names: tuple[str, ...]) -> None:
    found = find_split_folders(tmp_path, folders(tmp_path, *names))
    assert found == dict(zip(("train", "val", "test"), (tmp_path / name for name in names), strict=True))


def test_a_collection_without_splits_has_none(tmp_path: Path) -> None:
    assert find_split_folders(tmp_path, folders(tmp_path, "guitar", "trainer")) == {}


@pytest.mark.parametrize("names", [("train", "bach"), ("val", "Validation")])
def test_a_mixture_is_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(CorpusError, match=str(tmp_path)):
        find_split_folders(tmp_path, folders(tmp_path, *names))


def test_a_file_beside_splits_is_a_mixture(tmp_path: Path) -> None:
    (tmp_path / "loose.mid").touch()
    with pytest.raises(CorpusError, match=r"loose\.mid"):
        find_split_folders(tmp_path, [*folders(tmp_path, "test"), tmp_path / "loose.mid"])
