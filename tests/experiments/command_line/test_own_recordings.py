"""A musician's own recordings, in one short command: README's path, from takes to a transfer."""

import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from datamodules.audio.files import read_audio, write_wav
from datamodules.corpora.corpus import CorpusError
from experiments import run
from experiments.command_line.resolver import ResolvedConfig, resolve
from experiments.transfer import main as transfer
from metrics.evaluation.table import TestTable
from tests.conftest import ROOT

SMALL = ROOT / "tests" / "experiments" / "small" / "small_ddsp.yaml"
FEW_STEPS = [
    *("--trainer.max_steps", "2", "--trainer.enable_progress_bar", "false"),
    *("--data.init_args.batches_per_epoch", "2", "--data.init_args.batch_size", "2"),
    *("--data.init_args.test_clip_s", "1.2", "--data.init_args.prepare_workers", "1"),
]


def melody(seed: int, seconds: float) -> np.ndarray:
    """Notes of a quarter second with three partials."""
    rng = np.random.default_rng(seed)
    n_notes = round(4 * seconds)
    f0_hz = np.repeat(220 * 2 ** (rng.integers(0, 13, n_notes) / 12), 4000)
    phase = 2 * np.pi * np.cumsum(f0_hz) / 16000
    return 0.2 * sum(np.sin(k * phase) / k for k in (1, 2, 3)) * np.tile(np.hanning(4000), n_notes)


@pytest.fixture
def takes(workplace: Path) -> Path:
    for number, name in enumerate(("flute", "guitar")):
        write_wav(workplace / "takes" / name / "one.wav", melody(number, 8.0), 16000)
    return workplace / "takes"


def data_of(resolved: ResolvedConfig) -> dict:
    return resolved.values["data"]["init_args"]


def test_recordings_take_the_place_of_corpus_instruments_and_monitor(takes: Path) -> None:
    resolved = resolve(["--config", "ddsp", "--recordings", "takes", "--target", "guitar"])
    data = data_of(resolved)
    assert data["corpus"] == {
        "class_path": "datamodules.corpora.RecordingsCorpus",
        "init_args": {"root": "takes", "track": "monophonic"},
    }
    assert (data["source_instruments"], data["target_instruments"]) == (None, ["guitar"])
    assert resolved.values["checkpoint"]["monitor"] == "val/mfcc_distance"
    assert data["batch_size"] == 8, "all else is the experiment's"
    other = resolve(["--config", "ddsp", "--recordings", "takes", "--target", "flute"])
    assert resolved.fingerprint != other.fingerprint


def test_an_only_instrument_is_the_target_and_many_are_targets_of_an_experiment_for_many(takes: Path) -> None:
    assert data_of(resolve(["--config", "mambamuse", "--recordings", "takes"]))["target_instruments"] is None
    shutil.rmtree(takes / "flute")
    assert data_of(resolve(["--config=ddsp", "--recordings=takes"]))["target_instruments"] == ["guitar"]


def test_options_win_and_say_what_the_music_is(takes: Path) -> None:
    options = ["--data.init_args.tracks", "[polyphonic]", "--checkpoint.monitor", "val/vocoder_stft"]
    resolved = resolve(["--config", "melgan_style", "--recordings", "takes", "--target", "flute", *options])
    assert data_of(resolved)["corpus"]["init_args"]["track"] == "polyphonic"
    assert resolved.values["checkpoint"]["monitor"] == "val/vocoder_stft"


def test_a_home_folder_is_found_and_a_target_alone_is_that_of_the_corpus(
    takes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(takes.parent))
    resolved = resolve(["--config", "ddsp", "--recordings=~/takes", "--target", "flute"])
    assert data_of(resolved)["corpus"]["init_args"]["root"] == str(takes)
    alone = data_of(resolve(["--config", "ddsp", "--target", "flute"]))
    assert alone["target_instruments"] == ["flute"] and "Rendered" in alone["corpus"]["class_path"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], r"takes has flute, guitar, and this experiment plays one.*--target flute"),
        (["--target", "gitar"], r"no instrument 'gitar' in takes.*Did you mean 'guitar'\?"),
    ],
)
def test_a_target_that_is_not_clear_is_one_sentence(takes: Path, options: list[str], sentence: str) -> None:
    with pytest.raises(CorpusError, match=sentence):
        run.main(["fit", "--config", "ddsp", "--recordings", "takes", *options])


def test_a_folder_without_recordings_is_one_sentence(workplace: Path) -> None:
    with pytest.raises(CorpusError, match="nowhere is not a folder"):
        run.main(["fit", "--config", "ddsp", "--recordings", "nowhere"])


def readme_commands() -> list[list[str]]:
    """The commands of README's paragraph for musicians, as words."""
    paragraph = (ROOT / "README.md").read_text().split("**A musician**")[1].split("```")[1]
    lines = paragraph.replace("\\\n", " ").strip().splitlines()
    return [shlex.split(line, comments=True) for line in lines]


def test_the_readmes_path_of_a_musician(takes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commands as they stand there, on a network of a few weights that learns for two steps."""
    monkeypatch.setenv("HOME", str(takes.parent))
    write_wav("whistle.wav", melody(7, 1.0), 16000)
    fit, play = readme_commands()
    assert fit[:4] == ["python", "-m", "experiments.run", "fit"] and play[2] == "experiments.transfer"
    words = [word.replace("~", str(takes.parent)) for word in fit[3:]]
    run.main([str(SMALL) if word == "ddsp" else word for word in words] + FEW_STEPS)
    [run_dir] = (takes.parent / "runs" / "small_ddsp").iterdir()
    table = TestTable.from_json((run_dir / "test_table.json").read_text())
    own, other = (table.by_group()["monophonic", f"{name}->guitar"] for name in ("guitar", "flute"))
    assert "mr_stft" in own.means(), "the guitar's resynthesis has a truth"
    assert "mr_stft" not in other.means() and "raw_pitch_accuracy" in other.means()
    words = ["small_ddsp" if word == "ddsp" else word.replace("mp3", "wav") for word in play[3:]]
    assert transfer(words) == 0
    assert len(read_audio("guitar.wav")[0]) == 16000


def test_one_instrument_of_real_takes_trains_and_is_tested(shared_data: Path, workplace: Path) -> None:
    folder = workplace / "takes" / "trumpet"
    folder.mkdir(parents=True)
    shutil.copy(shared_data / "phrases" / "trumpet_solo06_sorohanro.flac", folder)
    run.main(["fit", "--config", str(SMALL), "--recordings", "takes", *FEW_STEPS])
    [path] = (workplace / "runs").glob("small_ddsp/*/test_table.json")
    assert [row.pair for row in TestTable.from_json(path.read_text()).rows] == ["trumpet->trumpet"]
