"""The short help names options that exist, and fits on a screen."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from datamodules.audio.files import write_wav
from experiments.command_line.checking import check
from experiments.command_line.help_page import EXAMPLES, LINES, PURPOSES, page
from experiments.command_line.keys import RANGE_TEST, SECTIONS
from experiments.command_line.resolver import resolve
from experiments.run import main


@pytest.fixture(autouse=True)
def recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folders that the page speaks of."""
    for folder in ("takes", "DIR"):
        write_wav(tmp_path / folder / "guitar" / "a.wav", np.zeros(100), 16000)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("command", PURPOSES)
def test_a_page_is_short_and_its_examples_are_right(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 30 and max(map(len, lines)) <= 120
    for example in EXAMPLES[command]:
        check(resolve(shlex.split(example)), SECTIONS | RANGE_TEST)


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.option)
def test_every_option_of_the_page_exists(line) -> None:
    values = {"N": "1", "SHARE": "0.5", "RATE": "0.5", "NAME": "ddsp", "SCALE": "demo"}
    words = shlex.split(line.option)
    if words[0] in ("--trainer.accelerator", "--trainer.precision"):
        words[1] = re.split(",| ", line.meaning)[0]
    check(resolve(["--config", "ddsp", *(values.get(word, word) for word in words)]), SECTIONS | RANGE_TEST)
    assert all(command in PURPOSES for command in line.commands)
    assert line.option in page(line.commands[0])
