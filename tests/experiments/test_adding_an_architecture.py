"""docs/adding-an-architecture.md, followed to the last command in a folder outside the suite."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import soundfile

from datamodules.corpora.corpus import Corpus
from metrics.evaluation.table import TestTable
from tests.conftest import ROOT, TINY_INSTRUMENTS, working_in

PAGE = (ROOT / "docs" / "adding-an-architecture.md").read_text(encoding="utf-8")
PACKAGE = "sixth"


def block(heading: str, language: str) -> str:
    """The first code block below a heading of the page."""
    below = PAGE.split(f"\n## {heading}")[1]
    found = re.search(rf"```{language}\n(.*?)```", below, re.DOTALL)
    assert found, f"no block under '{heading}'"
    return found[1]


NEW = re.findall(r"^python -m experiments.run new .*", PAGE, re.MULTILINE)[0]
COMMANDS = [line.partition("#")[0].strip() for line in block("6. See it", "").splitlines()]


def small(corpora: Path) -> list[str]:
    """Options for little music and few batches; everything else is as on the page."""
    data = {
        "corpora_dir": str(corpora),
        "corpus.init_args.scores.init_args.size": "tiny",
        "corpus.init_args.instruments": f"[{', '.join(TINY_INSTRUMENTS)}]",
        "source_instruments": "[keyboard_acoustic]",
        "target_instruments": "[violin]",
        **{"batch_size": 2, "batches_per_epoch": 4, "segment_s": 0.5},
        **{"val_clips": 2, "val_clip_s": 1.0, "test_clip_s": 1.0, "test_pieces": 1},
    }
    options = {f"data.init_args.{key}": value for key, value in data.items()} | {"trainer.max_epochs": 2}
    return [word for key, value in options.items() for word in (f"--{key}", str(value))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_corpus: Corpus) -> Iterator[Path]:
    """A newcomer's own folder, with what the page's first command writes into it, and a recording."""
    root = tmp_path_factory.mktemp("newcomer")
    item = tiny_corpus.select("test", instrument="keyboard_acoustic")[0]
    shutil.copy(tiny_corpus.audio_path(item), root / "a.wav")
    sys.path.insert(0, str(root))
    with working_in(root):
        assert run(NEW, Path()) == 0
        yield root
    sys.path.remove(str(root))


def run(command: str, corpora: Path) -> int:
    """As in a shell; in this process where the command needs no others, since imports take their time."""
    shortened = command.replace("--trials 8", "--trials 2").replace("1500steps", "8steps")
    _, _, module, *arguments = shlex.split(shortened)
    if module in ("experiments.run", "sweeps.run") and arguments[0] != "new":
        arguments += small(corpora)
    if "--trainer.devices" not in arguments and module != "pytest":
        return import_module(module).main(arguments)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-m", module, *arguments], env=environment, check=False).returncode


def tables(folder: Path) -> list[TestTable]:
    """Of every test so far of the new architecture."""
    return [TestTable.from_json(path.read_text()) for path in folder.glob("runs/sixth/*/test_table.json")]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_is_true_to_the_last_command(
    folder: Path, tiny_corpora_dir: Path, command: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(command, tiny_corpora_dir) == 0
    if "experiments.compare" in command:
        assert PACKAGE in capfd.readouterr().out


def test_the_files_are_those_of_the_page(folder: Path) -> None:
    assert (folder / PACKAGE / "sixth.yaml").read_text() == block("3. The experiment", "yaml")
    assert (folder / PACKAGE / "space.yaml").read_text() == block("4. The search space", "yaml")
    listed = re.findall(r"^    ([\w.]+)  ", block("1. A package", ""), re.MULTILINE)
    assert {path.name for path in (folder / PACKAGE).glob("*.*")} - {"__init__.py"} == set(listed)


def test_what_the_commands_left(folder: Path) -> None:
    asked_one, asked_two = ({row.key for row in table.rows} for table in tables(folder))
    assert asked_one == asked_two  # one process and two were judged by the same clips
    assert len(list(folder.glob("runs/sweeps/*/sixth_demo_*.yaml"))) == 1
    lengths = [soundfile.info(folder / name).frames for name in ("a.wav", "b.wav")]
    assert lengths[0] == lengths[1]
