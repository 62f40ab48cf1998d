"""The transfer command on files of every kind, with the sixth architecture's checkpoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from experiments import transfer
from runtime.errors import UserError
from tests.conftest import Trained
from tests.experiments.sixth.module import SixthModule
from tests.experiments.tones import tone


def note(sample_rate: int = 16000, seconds: float = 1.0) -> np.ndarray:
    return tone("dull", 330.0, seconds, sample_rate).numpy()


def run(trained: Trained, source: Path, output: Path, *more: str) -> int:
    arguments = [
        "--checkpoint",
        str(trained.run_dir),
        "--trust",
        "tests.experiments",
        "--instrument",
        "bright",
    ]
    return transfer.main([*arguments, "--input", str(source), "--output", str(output), *more])


def test_a_file_keeps_its_length_and_gets_the_models_rate(trained: Trained, tmp_path: Path) -> None:
    source, output = tmp_path / "my ノート.wav", tmp_path / "out" / "bright.wav"
    soundfile.write(source, note(44100), 44100)
    assert run(trained, source, output, "--picture") == 0
    audio, rate = soundfile.read(output)
    assert rate == 16000
    assert len(audio) == 16000
    assert np.abs(audio).max() > 0.05
    assert output.with_suffix(".png").stat().st_size > 5000


@pytest.mark.parametrize("rate", [8000, 96000])
def test_the_result_can_have_another_rate(trained: Trained, tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "in.wav", note(rate), rate, subtype="PCM_24")
    assert run(trained, tmp_path / "in.wav", tmp_path / "out.wav", "--sample-rate", str(rate)) == 0
    info = soundfile.info(tmp_path / "out.wav")
    assert (info.samplerate, info.frames) == (rate, rate)


def test_channels_are_mixed_or_kept_as_asked(trained: Trained, tmp_path: Path) -> None:
    left, silence = note(), np.zeros(16000, dtype=np.float32)
    surround = np.stack([left, *[silence] * 5], axis=1)
    soundfile.write(tmp_path / "in.wav", surround, 16000)
    run(trained, tmp_path / "in.wav", tmp_path / "each.wav", "--channels", "each")
    run(trained, tmp_path / "in.wav", tmp_path / "mix.wav")
    each, _ = soundfile.read(tmp_path / "each.wav")
    mix, _ = soundfile.read(tmp_path / "mix.wav")
    assert each.shape == (16000, 6)
    assert np.abs(each[:, 1:]).max() == 0
    np.testing.assert_allclose(mix, each[:, 0] / 6, atol=2e-4)


@pytest.mark.parametrize("audio", [np.zeros(16000), np.ones(10) * 0.1], ids=["all zeros", "10 samples"])
def test_odd_audio_is_transferred(trained: Trained, tmp_path: Path, audio: np.ndarray) -> None:
    soundfile.write(tmp_path / "in.wav", audio, 16000)
    assert run(trained, tmp_path / "in.wav", tmp_path / "out.wav") == 0
    assert soundfile.info(tmp_path / "out.wav").frames == len(audio)


def test_chunks_join_without_a_seam(trained: Trained, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "in.wav", note(seconds=7.3), 16000)
    run(trained, tmp_path / "in.wav", tmp_path / "whole.wav")
    run(trained, tmp_path / "in.wav", tmp_path / "chunks.wav", "--chunk-s", "2.5")
    whole, chunks = (soundfile.read(tmp_path / f"{name}.wav")[0] for name in ("whole", "chunks"))
    # A filter of 33 taps sees zeros beyond a chunk's ends: only there, faded out, may they differ.
    assert np.abs(whole - chunks)[100:-100].max() < 2e-3


def test_a_folder_goes_on_past_bad_files_and_reports_them(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    soundfile.write(folder / "a.wav", note(), 16000)
    soundfile.write(folder / "a.flac", note(), 16000)
    soundfile.write(folder / "deep" / "b.wav", note(), 16000)
    (folder / "text.wav").write_text("I am a text.")
    (folder / "empty.wav").touch()
    assert run(trained, folder, tmp_path / "out") == 1
    written = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.wav")}
    assert written == {"a.wav.wav", "a.flac.wav", "deep/b.wav"}
    errors = capsys.readouterr().err
    assert errors.count("error: ") == 2
    assert "text.wav" in errors
    assert "empty.wav" in errors
    assert "Wrote 3 of 5" in errors


def test_what_is_too_loud_is_made_quieter_and_said(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SixthModule, "transfer", lambda self, source, *_: 8 * source)
    soundfile.write(tmp_path / "in.wav", note(), 16000)
    run(trained, tmp_path / "in.wav", tmp_path / "out.wav")
    assert "over full scale" in capsys.readouterr().err
    assert np.abs(soundfile.read(tmp_path / "out.wav")[0]).max() == pytest.approx(1, abs=1e-3)


def test_mistakes_end_in_one_sentence(trained: Trained, tmp_path: Path) -> None:
    source = tmp_path / "in.wav"
    soundfile.write(source, note(), 16000)
    (tmp_path / "nothing").mkdir()
    (tmp_path / "cut.wav").write_bytes(source.read_bytes()[:20000])
    mistakes = [
        ((tmp_path / "missing.wav", tmp_path / "out.wav"), "does not exist"),
        ((tmp_path / "nothing", tmp_path / "out"), "no audio file"),
        ((tmp_path, tmp_path / "out.wav"), "must be one too"),
        ((source, source), "would replace its source"),
        ((source, tmp_path / "out.mp3"), "no .wav file"),
        ((tmp_path / "cut.wav", tmp_path / "out.wav"), "truncated"),
        ((source, tmp_path / "out.wav", "--instrument", "brihgt"), "Did you mean 'bright'"),
        ((source, tmp_path / "out.wav", "--option", "pitch=2"), "has no option 'pitch'"),
        ((source, tmp_path / "out.wav", "--device", "gpu"), r"no device 'gpu' here; there is cpu"),
        ((source, tmp_path / "out.wav", "--device", "cuda:99"), "no device 'cuda:99' here"),
        ((source, source / "out.wav"), "cannot be written"),
        ((source, tmp_path / ("a" * 300 + ".wav")), "cannot be written .*too long"),
        ((source, tmp_path / ("out/" + "a" * 300 + "/b.wav")), "cannot be written .*too long"),
        ((source, Path("/proc/out.wav")), "cannot be written"),
        ((tmp_path, Path("/proc/out")), "cannot be written"),
    ]
    for arguments, sentence in mistakes:
        with pytest.raises(UserError, match=sentence):
            run(trained, *arguments)
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("--chunk-s", value) for value in ("-1", "nan", "inf", "0.001", "long")),
        *(("--sample-rate", value) for value in ("0", "1", "-16000", "16k")),
    ],
)
def test_a_number_out_of_its_range_is_said(
    option: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--checkpoint", "none", "--input", str(tmp_path), "--output", str(tmp_path / "out"))
    with pytest.raises(SystemExit):
        transfer.main([*arguments, f"{option}={value}"])
    error = capsys.readouterr().err
    assert error.startswith(f"error: {option} must be ")
    assert error.endswith(f", not {value}.\n")


def test_options_are_listed_without_files(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--checkpoint", str(trained.run_dir), "--trust", "tests.experiments"]
    assert transfer.main([*asked, "--option", "?"]) == 0
    assert capsys.readouterr().out == "SixthModule has no options.\n"
    with pytest.raises(SystemExit):
        transfer.main(asked)
    assert "--input and --output are needed" in capsys.readouterr().err


def test_no_output_replaces_any_source(tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / name, note(), 16000)
    (tmp_path / "hard.wav").hardlink_to(tmp_path / "a.wav")
    (tmp_path / "soft.wav").symlink_to(tmp_path / "a.wav")
    for output in ("hard.wav", "soft.wav"):
        with pytest.raises(UserError, match="would replace its source"):
            transfer.find_recordings(tmp_path / "a.wav", tmp_path / output)
    with pytest.raises(UserError, match="would replace its source"):
        transfer.find_recordings(tmp_path, tmp_path)


def test_a_folder_is_searched_as_a_corpus_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "in"
    for name in ("a.wav", "._a.wav", ".hidden/b.wav", "deep/c.wav", "notes.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, note(), 16000, format="WAV")
    (folder / "deep" / "loop").symlink_to(folder)
    (folder / "self.wav").symlink_to(folder / "self.wav")
    (folder / "gone.wav").symlink_to(folder / "nothing.wav")
    found = transfer.find_recordings(folder, tmp_path / "out")
    assert [str(one.output.relative_to(tmp_path / "out")) for one in found] == ["a.wav", "deep/c.wav"]
    left_out = capsys.readouterr().err
    assert left_out.count("is left out") == 3
    assert all(name in left_out for name in ("deep/loop", "self.wav", "gone.wav"))


def test_silence_is_warned_of(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "in.wav", np.zeros(16000), 16000)
    run(trained, tmp_path / "in.wav", tmp_path / "out.wav")
    assert "in.wav is silent, and so is its transfer" in capsys.readouterr().err
    monkeypatch.setattr(SixthModule, "transfer", lambda self, source, *_: 0 * source)
    soundfile.write(tmp_path / "in.wav", note(), 16000)
    run(trained, tmp_path / "in.wav", tmp_path / "out.wav", "--reference", str(tmp_path / "in.wav"))
    warnings = capsys.readouterr().err
    assert "is silent, and its source is not" in warnings
    assert "SixthModule takes no reference" in warnings


def refuse_short_ones(self: SixthModule, source: torch.Tensor, *_: object) -> torch.Tensor:
    """A fault of a model: torch, and no user, raises the ValueError."""
    return source * torch.distributions.Normal(0.0, float(source.shape[-1] > 8000)).mean


def test_a_fault_keeps_its_traceback_and_the_others_go_on(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SixthModule, "transfer", refuse_short_ones)
    for name, seconds in (("in/long", 1.0), ("in/short", 0.25), ("in/text", 0)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / f"{name}.wav", note(seconds=seconds), 16000)
    (tmp_path / "in" / "text.wav").write_text("I am a text.")
    for source, output, log in (("in", "out", "out/short.log"), ("in/short.wav", "alone.wav", "alone.log")):
        assert run(trained, tmp_path / source, tmp_path / output) == 1
        error = capsys.readouterr().err
        assert "short.wav could not be transferred: ValueError: Expected parameter scale" in error
        assert f"the traceback is in {tmp_path / log}" in error
        assert "in refuse_short_ones" in (tmp_path / log).read_text()
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == ["long.wav", "short.log"]
    with pytest.raises(ValueError, match="Expected parameter scale") as caught:
        run(trained, tmp_path / "in", tmp_path / "debug", "--debug")
    assert not isinstance(caught.value, UserError)
