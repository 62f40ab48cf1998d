"""The command: the same corpora as from Python, readable output, one JSON document, one-sentence errors."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from datamodules.audio.files import write_wav
from datamodules.corpora.recordings import RecordingsCorpus
from datamodules.corpora.rendering import RenderedCorpus
from datamodules.prepare import main
from datamodules.scores.embedded import EmbeddedScores
from datamodules.scores.midi_folder import MidiFolder
from tests.datamodules.corpora.test_recordings import take
from tests.datamodules.made_up import tune, write_midi

ROOT = Path(__file__).parents[2]


@pytest.fixture
def rendered(tmp_path: Path) -> list[str]:
    for seed in range(3):
        write_midi(tmp_path / "midi" / f"tune{seed}.mid", tune(seed, n_notes=8))
    options = ["--midi", str(tmp_path / "midi"), "--instruments", "flute", "violin", "--seconds", "2"]
    return ["rendered", *options, "--corpora-dir", str(tmp_path / "corpora"), "--workers", "1"]


def test_the_command_and_a_data_module_lead_to_the_same_folder(
    rendered: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*rendered, "--quiet"]) == 0
    source = RenderedCorpus(MidiFolder(tmp_path / "midi", seconds=2.0), instruments=["violin", "flute"])
    assert capsys.readouterr().out.strip() == str(source.folder(tmp_path / "corpora", 16000))
    write_wav(tmp_path / "in" / "flute" / "a.wav", take(0), 16000)
    assert (
        main(["recordings", str(tmp_path / "in"), "--corpora-dir", str(tmp_path / "corpora"), "--quiet"]) == 0
    )
    expected = RecordingsCorpus(tmp_path / "in").folder(tmp_path / "corpora", 16000)
    assert capsys.readouterr().out.strip() == str(expected)


def test_the_tiny_corpus_of_the_tests_is_what_the_command_finds(
    tiny_corpora_dir: Path, tiny_corpus: object, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["guitar_acoustic", "keyboard_acoustic", "synth_lead_synthetic", "violin"]
    options = ["--size", "tiny", "--instruments", *names, "--corpora-dir", str(tiny_corpora_dir), "--quiet"]
    assert main(["rendered", *options]) == 0
    source = RenderedCorpus(EmbeddedScores("tiny"), instruments=names)
    assert capsys.readouterr().out.strip() == str(source.folder(tiny_corpora_dir, 16000))


def test_inspect_shows_and_prints_one_json_document(
    rendered: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([*rendered, "--quiet"])
    folder = capsys.readouterr().out.strip()
    assert main(["inspect", folder, "--format", "json"]) == 0
    (document,) = json.loads(capsys.readouterr().out)
    assert document["folder"] == folder and document["sample_rate"] == 16000
    assert sum(group["pieces"] for group in document["groups"]) == document["n_items"] == 8
    assert {group["bank"] for group in document["groups"] if group["split"] != "test"} == {"default"}
    assert main(["inspect", "--corpora-dir", str(tmp_path / "corpora")]) == 0
    shown = capsys.readouterr().out
    assert "violin" in shown and "GPL-2" in shown


def test_verify_names_damage_and_discarding_lets_the_next_build_repair_it(
    rendered: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    main([*rendered, "--quiet"])
    folder = Path(capsys.readouterr().out.strip())
    assert main(["verify", str(folder)]) == 0
    assert "8 of 8 files are intact" in capsys.readouterr().out
    damaged = next(folder.rglob("*.wav"))
    damaged.write_bytes(damaged.read_bytes()[:-2] + b"\x7f\x7f")
    assert main(["verify", str(folder), "--discard"]) == 1
    assert f"damaged or missing: {damaged}" in capsys.readouterr().out
    assert main([*rendered, "--quiet"]) == 0
    assert main(["verify", str(folder)]) == 0


def corrupted(corpus: Path, old: str, new: str) -> None:
    index = corpus / "index.csv"
    text = index.read_text()
    assert old in text
    index.write_text(text.replace(old, new))


def test_nothing_outside_a_corpus_is_deleted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(2):
        write_wav(tmp_path / "in" / "flute" / f"{number}.wav", take(number), 16000)
    command = ["recordings", str(tmp_path / "in"), "--corpora-dir", str(tmp_path / "corpora"), "--quiet"]
    assert main(command) == 0
    corpus = Path(capsys.readouterr().out.strip())
    precious = tmp_path / "precious" / "flute-0.wav"
    precious.parent.mkdir()
    for name in (precious, tmp_path / "precious.wav"):
        name.write_bytes(b"the only copy")
    index = (corpus / "index.csv").read_text()
    for wrong in ("../../../../../../precious", str(tmp_path / "precious"), ".."):
        corrupted(corpus, "flute-0", wrong)
        assert main(["verify", "--discard", str(corpus)]) == 2
        assert "index.csv, line" in capsys.readouterr().err
        (corpus / "index.csv").write_text(index)
    [folder] = {path.parent for path in corpus.rglob("flute-0*.wav")}
    shutil.move(folder, tmp_path / "moved")
    folder.symlink_to(precious.parent)
    assert main(["verify", "--discard", str(corpus)]) == 2
    assert "does not stay in the folder" in capsys.readouterr().err
    assert precious.read_bytes() == (tmp_path / "precious.wav").read_bytes() == b"the only copy"
    assert main(command) == 0, "prepare repairs it"


def test_one_damaged_corpus_does_not_hide_the_others(
    rendered: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([*rendered, "--quiet"])
    corpus = Path(capsys.readouterr().out.strip())
    (corpus.parent / "empty").mkdir()
    (corpus.parent / "empty" / "manifest.json").touch()
    for command in ("inspect", "verify"):
        assert main([command, "--corpora-dir", str(corpus.parent)]) == 2
        shown = capsys.readouterr()
        assert corpus.name in shown.out
        assert shown.err.startswith(f"error: {corpus.parent / 'empty' / 'manifest.json'} is empty or damaged")
    for name, command in {"skipped.csv": "inspect", "checksums.sha256": "verify"}.items():
        content = (corpus / name).read_bytes()
        for damage in (b"", b"\xff", b"a,b,c\n1,2,3\n"):
            (corpus / name).write_bytes(damage)
            code = main([command, str(corpus)])
            error = capsys.readouterr().err
            assert (code, name in error) in ((2, True), (0, False)) and error.count("\n") <= 1
        (corpus / name).write_bytes(content)
    assert len(list(corpus.rglob("*.wav"))) == 8


@pytest.mark.parametrize(
    ("option", "bad", "wanted"),
    [
        *(("--sample-rate", bad, "a whole number from 1000 to 768000 Hz") for bad in ("0", "1", "-1", "nan")),
        *(("--seconds", bad, "a positive number") for bad in ("-3", "0", "nan", "inf")),
        *((option, "0", "a positive whole number") for option in ("--excerpts", "--renditions", "--workers")),
        *((option, "-1", "a whole number, 0 or more") for option in ("--preset", "--seed")),
        *((option, "nan", "a number from 0.1 to 10") for option in ("--playback-speed", "--duration-rate")),
    ],
)
def test_an_option_out_of_its_range_is_named_before_the_work(
    option: str, bad: str, wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["rendered", f"{option}={bad}"])
    assert capsys.readouterr().err == f"error: {option} must be {wanted}, not {bad}.\n"


@pytest.mark.parametrize("bad", ["nan", "0", "-1", "inf"])
def test_a_part_has_a_length(bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["recordings", "in", "--part-s", bad])
    assert "--part-s must be a positive number" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["rendered", "--instruments", "guitar_acustic"], "Did you mean 'guitar_acoustic'?"),
        (["rendered", "--size", "huge"], "has no size 'huge'"),
        (["rendered", "--midi", "nowhere"], "nowhere is not a folder"),
        (["rendered", "--midi", "x", "--size", "tiny"], "--midi replaces; give one"),
        (["rendered", "--nsynth", "nowhere"], "There is no folder nowhere"),
        (["rendered", "--soundfont", "nowhere.sf2"], "There is no SoundFont nowhere.sf2"),
        (["recordings", "nowhere"], "nowhere is not a folder"),
        (["rendered", "--corpora-dir", "file"], "file cannot be the folder of corpora (it is a file)"),
        (["rendered", "--corpora-dir", "x" * 300], "cannot be the folder of corpora (File name too long)"),
        (["rendered", "--quality", "bright"], "--preset and --quality are for NSynth"),
        (["rendered", "--nsynth", "x", "--fluidsynth"], "--nsynth takes the place of a SoundFont"),
        (["inspect", "x" * 300], "File name too long"),
        (["inspect", "--corpora-dir", "file"], "file holds no complete corpus"),
        (["inspect", "--map", "file/map.png", "nowhere"], "file/map.png cannot be written"),
        (["inspect", "--map", "map.png"], "--map draws one corpus: name its folder"),
        (["inspect", "file"], "file is not a complete corpus"),
        (["inspect", "nowhere"], "nowhere is not a complete corpus"),
        (["inspect", "--corpora-dir", "nowhere"], "nowhere holds no complete corpus"),
    ],
)
def test_what_a_user_can_cause_is_one_sentence(
    arguments: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith("error: ") and sentence in shown.err
    assert shown.err.count("\n") == 1


def test_help_teaches_and_imports_nothing_heavy() -> None:
    program = (
        "import sys; from datamodules.prepare import parser; text = parser().format_help();"
        "assert 'recordings ~/takes' in text;"
        "assert not {'numpy', 'torch', 'lightning', 'music21', 'rich', 'soundfile'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
