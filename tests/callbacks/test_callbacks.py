"""Our callbacks: hooks that exist, pictures that show what sounds, checkpoints that stay what they are."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from callbacks.plots.spectrograms import FLOOR_DB, MAX_FRAMES, save_animation, save_picture, spectrogram_db
from callbacks.run_record import code_version, installed_packages
from callbacks.tracking.system_metrics import SystemMetrics

FILES = sorted(path.stem for path in (Path(__file__).parents[2] / "callbacks").glob("[a-z]*.py"))
CALLBACKS = [
    member
    for file in FILES
    for _, member in inspect.getmembers(importlib.import_module(f"callbacks.{file}"), inspect.isclass)
    if issubclass(member, L.Callback) and member.__module__.startswith("callbacks")
]


@pytest.mark.parametrize("callback", sorted(set(CALLBACKS), key=str), ids=lambda c: c.__name__)
def test_every_hook_is_one_that_lightning_calls(callback: type[L.Callback]) -> None:
    hooks = {name for name in dir(callback) if name.startswith("on_")}
    assert hooks <= set(dir(L.Callback))
    for name in hooks:
        ours, theirs = (list(inspect.signature(getattr(c, name)).parameters) for c in (callback, L.Callback))
        assert ours == theirs, f"{callback.__name__}.{name} takes {ours}, Lightning gives {theirs}"


def test_a_full_scale_sine_is_0_db_at_its_frequency() -> None:
    sample_rate, f0_hz = 16000, 1000.0
    audio = np.sin(2 * np.pi * f0_hz * np.arange(sample_rate) / sample_rate)
    picture = spectrogram_db(audio)
    assert picture.shape[0] == 513
    middle = picture[:, picture.shape[1] // 2]
    assert int(middle.argmax()) == round(f0_hz * 1024 / sample_rate)
    assert middle.max() == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize("n_samples", [0, 1, 10, 1024, 16000])
def test_silence_of_any_length_is_the_floor(n_samples: int) -> None:
    assert (spectrogram_db(np.zeros(n_samples)) == FLOOR_DB).all()


def test_a_picture_is_written_complete(tmp_path: Path) -> None:
    audio = np.sin(np.arange(8000) / 10)
    save_picture(tmp_path / "a" / "b.png", {"source": audio, "output": audio / 2}, 8000, "title")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.png"]
    assert (tmp_path / "a" / "b.png").read_bytes().startswith(b"\x89PNG")


def test_an_animation_shows_the_pictures_in_order(tmp_path: Path) -> None:
    reds = (0, 80, 160, 240)
    for number, red in enumerate(reds):
        Image.new("RGB", (8, 6), (red, 0, 255 - red)).save(tmp_path / f"{number}.png")
    save_animation(tmp_path / "all.gif", sorted(tmp_path.glob("*.png")))
    animation = Image.open(tmp_path / "all.gif")
    seen = [frame.convert("RGB").getpixel((4, 3))[0] for frame in ImageSequence.Iterator(animation)]
    assert len(seen) == len(reds)
    assert seen == sorted(seen)


def test_a_long_training_is_an_animation_of_its_beginning_middle_and_end(tmp_path: Path) -> None:
    for number in range(3 * MAX_FRAMES):
        Image.new("RGB", (4, 4), (2 * number, 0, 0)).save(tmp_path / f"{number:03d}.png")
    save_animation(tmp_path / "all.gif", sorted(tmp_path.glob("*.png")))
    assert Image.open(tmp_path / "all.gif").n_frames == MAX_FRAMES


def test_readings_of_the_machine_are_plausible() -> None:
    reading = SystemMetrics().read(torch.device("cpu"))
    assert 50 < reading["system/memory_mib"] < 1e6
    assert 0 < reading["system/machine_memory_percent"] <= 100


def test_the_record_names_what_is_installed() -> None:
    assert f"torch=={torch.__version__.partition('+')[0]}" in installed_packages()
    assert all(len(value) in (4, 5, 40) for value in code_version().values())
