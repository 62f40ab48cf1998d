"""SoundFonts play the right notes, in time, dry, and the same every time."""

import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from datamodules.banks.soundfont import (
    NEIGHBOURS,
    PROGRAMS,
    FluidSynthBank,
    SoundFontBank,
    embedded_soundfont,
)
from datamodules.banks.soundfont_file import programs_in
from datamodules.corpora.corpus import CorpusError
from datamodules.scores.notes import Note
from runtime.hashing import FileHashes

RATE = 16000
SCALE = tuple(Note(n, n + 0.9, 60 + step, 90) for n, step in enumerate((0, 2, 4, 5, 7)))


def midi_pitch(audio: np.ndarray, rate: int) -> float:
    """Pitch from the first peak of the autocorrelation between 150 and 1000 Hz."""
    spectrum = np.abs(np.fft.rfft(audio, 2 * len(audio))) ** 2
    autocorrelation = np.fft.irfft(spectrum)[: len(audio)]
    shortest, longest = rate // 1000, rate // 150
    best = float(autocorrelation[shortest:longest].max())
    k = shortest + int(np.argmax(autocorrelation[shortest:longest] > 0.9 * best))
    while autocorrelation[k + 1] > autocorrelation[k]:
        k += 1
    left, middle, right = autocorrelation[k - 1 : k + 2]
    period = k + 0.5 * (left - right) / (left - 2 * middle + right)
    return float(69 + 12 * np.log2(rate / period / 440))


def pitches_of(audio: np.ndarray, start_s: float = 0.3, end_s: float = 0.7) -> list[float]:
    """Pitch of each note of the scale, between two times after its onset."""
    times = [(int((note.start_s + start_s) * RATE), int((note.start_s + end_s) * RATE)) for note in SCALE]
    return [midi_pitch(audio[start:end], RATE) for start, end in times]


@pytest.mark.parametrize("instrument", [name for name in PROGRAMS if name != "string_acoustic"])
def test_every_instrument_plays_the_scale_in_tune_and_in_time(instrument: str) -> None:
    audio = SoundFontBank().render(SCALE, instrument, RATE, 5.0)
    assert audio.shape == (5 * RATE,) and audio.dtype == np.float32
    np.testing.assert_allclose(pitches_of(audio), [note.pitch for note in SCALE], atol=0.35)
    for onset in (round(note.start_s * RATE) for note in SCALE[1:]):
        assert np.abs(audio[onset : onset + RATE // 10]).max() > 2 * np.abs(audio[onset - 10 : onset]).max()


@pytest.mark.parametrize("instrument", [name for name in PROGRAMS if name != "string_acoustic"])
def test_instruments_from_elsewhere_play_the_same_pitches(instrument: str) -> None:
    audio = SoundFontBank().elsewhere().render(SCALE, instrument, RATE, 5.0)
    np.testing.assert_allclose(pitches_of(audio), [note.pitch for note in SCALE], atol=0.35)


def test_strings_speak_slowly_and_still_play_the_scale() -> None:
    audio = SoundFontBank().render(SCALE, "string_acoustic", RATE, 5.0)
    np.testing.assert_allclose(pitches_of(audio), [note.pitch for note in SCALE], atol=0.5)


def test_rendering_is_deterministic_and_dry() -> None:
    bank = SoundFontBank()
    first, again = (bank.render(SCALE[:1], "synth_lead_synthetic", RATE, 3.0) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first[2 * RATE :]).max() < 1e-4, "no reverb a second after the note"


def test_louder_velocities_are_louder() -> None:
    bank = SoundFontBank()
    soft, loud = (bank.render([Note(0, 1, 60, v)], "keyboard_acoustic", RATE, 1.0) for v in (40, 120))
    assert np.sqrt(np.mean(loud**2)) > 2 * np.sqrt(np.mean(soft**2))


def test_other_rates_have_the_same_pitch() -> None:
    audio = SoundFontBank().render([Note(0, 1, 69, 90)], "flute", 44100, 1.0)
    assert audio.shape == (44100,)
    assert midi_pitch(audio[10000:30000], 44100) == pytest.approx(69, abs=0.35)


def test_elsewhere_is_another_program_of_the_same_names() -> None:
    bank = SoundFontBank()
    elsewhere = bank.elsewhere()
    assert elsewhere.instruments == bank.instruments
    assert not set(NEIGHBOURS.values()) & set(PROGRAMS.values()), "never trained on"
    here, there = (b.render(SCALE, "violin", RATE, 5.0) for b in (bank, elsewhere))
    assert np.corrcoef(here, there)[0, 1] < 0.9


def test_a_longer_list_of_programs_and_the_fingerprint() -> None:
    bank = SoundFontBank(programs={"oboe": 68})
    assert "oboe" in bank.instruments
    hashes = FileHashes()
    one, other = (SoundFontBank(programs={"oboe": p}).fingerprint(hashes, ["oboe"]) for p in (68, 69))
    assert one != other and one == bank.fingerprint(hashes, ["oboe"])


def test_an_unknown_instrument_names_the_nearest() -> None:
    with pytest.raises(CorpusError, match="Did you mean 'guitar_acoustic'"):
        SoundFontBank().require(["guitar_acustic"])


def test_bad_soundfonts_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="There is no SoundFont"):
        SoundFontBank(tmp_path / "none.sf2")
    (tmp_path / "text.sf2").write_text("not a SoundFont, honestly")
    with pytest.raises(CorpusError, match="is not a SoundFont 2 file"):
        SoundFontBank(tmp_path / "text.sf2")
    shutil.copy(embedded_soundfont(), tmp_path / "a.sf3")
    with pytest.raises(CorpusError, match="FluidSynthBank"):
        SoundFontBank(tmp_path / "a.sf3")
    with pytest.raises(CorpusError, match="0 to 127"):
        SoundFontBank(programs={"oboe": 128})


def soundfont_with(path: Path, programs: set[int]) -> Path:
    """Write TimGM6mb with the presets of these General MIDI programs alone: the others go to bank 5."""
    content = bytearray(embedded_soundfont().read_bytes())
    start = content.index(b"phdr") + 8
    for record in range(start, start + int.from_bytes(content[start - 4 : start], "little"), 38):
        program, bank = struct.unpack_from("<HH", content, record + 20)
        if bank == 0 and program not in programs:
            struct.pack_into("<H", content, record + 22, 5)
    path.write_bytes(content)
    return path


def test_programs_that_a_soundfont_lacks_are_refused_by_number(tmp_path: Path) -> None:
    """Renderers would play their first preset instead: three instruments with the same bytes."""
    assert programs_in(embedded_soundfont()) == frozenset(range(128))
    bank = SoundFontBank(soundfont_with(tmp_path / "piano.sf2", {0, 2}))
    assert bank.instruments == ("keyboard_acoustic",)
    with pytest.raises(CorpusError, match=r"no preset for General MIDI program 40 \(violin\), 73 \(flute\)"):
        bank.require(["keyboard_acoustic", "violin", "flute"])
    with pytest.raises(CorpusError, match="Did you mean 'keyboard_acoustic'"):
        bank.require(["keyboard_acustic"])
    assert bank.elsewhere().instruments == ("keyboard_acoustic", "piano"), "both have program 2 there"
    assert SoundFontBank(bank.path, {"own": 2}).instruments == ("keyboard_acoustic", "own")


@pytest.mark.parametrize("filling", [b"", b"\0"])
def test_a_chunk_of_odd_length_may_be_filled_up_or_not(tmp_path: Path, filling: bytes) -> None:
    """MuseScore writes compressed samples without filling them up."""
    records = b"".join(
        struct.pack("<20sHHHIII", b"", program, bank, 0, 0, 0, 0)
        for program, bank in ((7, 0), (8, 1), (0, 0))
    )
    presets = b"LIST" + struct.pack("<I", 12 + len(records)) + b"pdta"
    presets += b"phdr" + struct.pack("<I", len(records)) + records
    samples = b"LIST" + struct.pack("<I", 5) + b"sdta" + b"x" + filling
    body = b"sfbk" + samples + presets
    (tmp_path / "odd.sf3").write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    assert programs_in(tmp_path / "odd.sf3") == {7}


@pytest.mark.parametrize("kind", [SoundFontBank, FluidSynthBank])
def test_a_damaged_soundfont_is_refused_before_a_renderer_takes_another(
    tmp_path: Path, kind: type[SoundFontBank], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: program)  # the file is refused before it is played
    whole, damaged = embedded_soundfont().read_bytes(), tmp_path / "damaged.sf2"
    list_size = whole.index(b"pdta") - 4
    for content, reason in {
        whole[:100_000]: "is truncated: 5894284 bytes are missing",
        whole[:11]: "is not a SoundFont 2 file",
        b"RIFF\x04\0\0\0sfbk": "has no list of presets",
        whole.replace(b"phdr", b"phdx", 1): "has no list of presets",
        whole[:list_size] + b"\xff\xff\xff\x7f" + whole[list_size + 4 :]: "is longer than what it is in",
    }.items():
        damaged.write_bytes(content)
        with pytest.raises(CorpusError, match=rf"damaged\.sf2 .*{reason}"):
            kind(damaged)


def test_a_soundfont_that_is_damaged_inside_is_one_sentence(tmp_path: Path) -> None:
    """The zones of the third instrument end beyond the last one: a panic of the library, no exception."""
    content = bytearray(embedded_soundfont().read_bytes())
    fourth = content.index(b"inst") + 8 + 3 * 22
    content[fourth + 20 : fourth + 22] = b"\xff\xff"
    (tmp_path / "damaged.sf2").write_bytes(content)
    with pytest.raises(CorpusError, match=r"damaged\.sf2 cannot be played \(range end index 65535"):
        SoundFontBank(tmp_path / "damaged.sf2").render(SCALE[:1], "violin", RATE, 1.0)


@pytest.mark.skipif(shutil.which("fluidsynth") is not None, reason="FluidSynth is installed")
def test_fluidsynth_missing_is_one_sentence() -> None:
    with pytest.raises(CorpusError, match="which is not installed; install it"):
        FluidSynthBank()


@pytest.mark.skipif(shutil.which("fluidsynth") is None, reason="needs FluidSynth")
def test_fluidsynth_plays_the_scale() -> None:
    audio = FluidSynthBank().render(SCALE, "flute", RATE, 5.0)
    np.testing.assert_allclose(pitches_of(audio), [note.pitch for note in SCALE], atol=0.35)


@pytest.mark.skipif(shutil.which("fluidsynth") is None, reason="needs FluidSynth")
def test_fluidsynth_never_plays_another_soundfont(tmp_path: Path) -> None:
    """A file that is whole by its sizes, and whose samples FluidSynth cannot find."""
    content = bytearray(embedded_soundfont().read_bytes())
    at = content.index(b"shdr")
    content[at : at + 4] = b"shdx"
    (tmp_path / "odd.sf2").write_bytes(content)
    with pytest.raises(CorpusError, match=r"fluidsynth could not play .*odd\.sf2"):
        FluidSynthBank(tmp_path / "odd.sf2").render(SCALE, "violin", RATE, 1.0)
