"""Files of checkpoints: what was written comes back, and nothing else is opened."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from callbacks.tracking.checkpoint_files import read, save
from runtime.errors import UserError

PARAMETERS = {"sample_rate": 16_000, "instruments": ["flute", "violin"]}


class Bomb:
    """Unpickling it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def written(path: Path, params: Any = PARAMETERS) -> Path:
    content = {"state_dict": {"weight": torch.arange(300.0)}, "hyper_parameters": params}
    with path.open("wb") as file:
        save(content, file)
    return path


def test_what_is_saved_is_read_by_us_and_by_torch(tmp_path: Path) -> None:
    path = written(tmp_path / "a.ckpt")
    for content in (read(path), torch.load(path, weights_only=True)):
        assert torch.equal(content["state_dict"]["weight"], torch.arange(300.0))
        assert content["hyper_parameters"] == PARAMETERS


def test_any_changed_byte_is_noticed(tmp_path: Path) -> None:
    path = written(tmp_path / "a.ckpt")
    content = path.read_bytes()
    edges = [*range(40), *range(len(content) - 120, len(content))]
    for position in [*edges, *np.random.default_rng(0).integers(0, len(content), 200)]:
        flipped = bytearray(content)
        flipped[position] ^= 0x10
        path.write_bytes(flipped)
        with pytest.raises(UserError, match=r"is damaged|is truncated|was not opened"):
            read(path)
    path.write_bytes(content)
    read(path)


def test_a_checkpoint_saved_by_torch_alone_has_check_sums_too(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    torch.save({"state_dict": {"weight": torch.arange(300.0)}, "hyper_parameters": PARAMETERS}, path)
    content = bytearray(path.read_bytes())
    read(path)
    content[content.index(torch.arange(300.0).numpy().tobytes()) + 700] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="is damaged"):
        read(path)


def test_a_truncated_checkpoint_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "half.ckpt")
    for n_bytes in (path.stat().st_size // 2, 0):
        path.write_bytes(path.read_bytes()[:n_bytes])
        with pytest.raises(UserError, match=r"half.ckpt is truncated"):
            read(path)


def test_a_file_is_not_unpacked_to_more_than_its_size(tmp_path: Path) -> None:
    path, n_bytes = tmp_path / "bomb.ckpt", 4 << 30
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(100_000))
    # Its directory announces 4 GiB.
    path.write_bytes(
        content.getvalue().replace((100_000).to_bytes(4, "little"), (n_bytes - 1).to_bytes(4, "little"))
    )
    with pytest.raises(UserError, match="would be unpacked to 4295 MB from 0 MB"):
        read(path)


def test_code_in_a_pickle_does_not_run(tmp_path: Path) -> None:
    proof, path = tmp_path / "it_ran", tmp_path / "bomb.ckpt"
    torch.save({"state_dict": {}, "hyper_parameters": Bomb(proof)}, path)
    with pytest.raises(UserError, match="was not opened, because it could run code"):
        read(path)
    assert not proof.exists()


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ([16_000], "its hyper_parameters are a list"),
        ({"sample_rate": "16 kHz"}, "a sample_rate of '16 kHz'"),
        ({"sample_rate": -1}, "a sample_rate of -1"),
        ({"sample_rate": 16_000, "instruments": "violin"}, "are no list of names"),
        ({"sample_rate": 16_000, "instruments": [1, 2]}, "are no list of names"),
    ],
)
def test_parameters_of_other_types_are_said(tmp_path: Path, params: Any, found: str) -> None:
    with pytest.raises(UserError, match=found):
        read(written(tmp_path / "a.ckpt", params))


def test_a_zip_file_of_something_else_is_said(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.ckpt", "w") as archive:
        archive.writestr("letter.txt", "Dear all")
    with pytest.raises(UserError, match="no checkpoint that torch can read"):
        read(tmp_path / "a.ckpt")
    torch.save([1, 2], tmp_path / "b.ckpt")
    with pytest.raises(UserError, match="has no state_dict"):
        read(tmp_path / "b.ckpt")
