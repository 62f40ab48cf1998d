"""The transfer command on files of every kind, with the sixth architecture's checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from experiments import transfer
from lightning_modules.transfer_module import TimbreTransferModule
from runtime.errors import UserError
from tests.conftest import Trained
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
    monkeypatch.setattr(transfer.Player, "_transfer", lambda self, audio: 8 * audio)
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
        ((source, tmp_path / "out.wav", *2 * ("--reference", str(source))), "SixthModule plays what one"),
    ]
    for arguments, sentence in mistakes:
        with pytest.raises(UserError, match=sentence):
            run(trained, *arguments)
    assert not list(tmp_path.glob("out*"))


@dataclass
class Knobs:
    shift: float = 0.0
    octaves: bool = True


def test_options_set_the_modules_adaptation() -> None:
    module = TimbreTransferModule(16000)
    module.adaptation = Knobs()
    transfer.set_options(module, ["shift=-2.5", "octaves=false"])
    assert module.adaptation == Knobs(-2.5, False)
    with pytest.raises(UserError, match="Did you mean 'shift'"):
        transfer.set_options(module, ["shfit=1"])
    with pytest.raises(UserError, match="must be a float"):
        transfer.set_options(module, ["shift=much"])


class LoudAs(TimbreTransferModule):
    """As loud as its references are on average."""

    averages_references = True

    def transfer(self, source, reference=None, target_instrument=None):
        return source * torch.stack([one.abs().amax(-1, keepdim=True) for one in reference]).mean(0)


def test_several_references_of_other_lengths_reach_the_module() -> None:
    references = [np.full(length, gain, dtype=np.float32) for length, gain in ((50, 0.2), (900, 0.6))]
    player = transfer.Player(LoudAs(16000), references)
    np.testing.assert_allclose(player.transfer(np.ones((2, 300), dtype=np.float32)), 0.4, rtol=1e-6)


def test_fades_of_an_identity_give_back_the_audio() -> None:
    audio = torch.randn(2, 1000).numpy()
    joined = transfer.cross_faded(lambda part: part, audio, chunk=300, overlap=100)
    np.testing.assert_allclose(joined, audio, atol=1e-5)
