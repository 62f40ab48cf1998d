"""Builds that are interrupted, repeated, damaged, doubled or out of disk."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from datamodules.corpora.building import is_intact
from datamodules.corpora.corpus import Corpus, CorpusError, Item, write_index
from datamodules.corpora.inspection import damaged_files, read_checksums, skipped_reasons
from datamodules.corpora.rendering import RenderedCorpus
from datamodules.scores.midi_folder import MidiFolder
from runtime.errors import UserError
from runtime.files import one_at_a_time
from runtime.hashing import sha256_of
from runtime.workers import DIED
from tests.datamodules.fates import Fates
from tests.datamodules.made_up import tune, write_midi

ROOT = Path(__file__).parents[3]


@pytest.fixture
def midis(tmp_path: Path) -> Path:
    for seed in range(6):
        write_midi(tmp_path / "midi" / f"tune{seed}.mid", tune(seed, n_notes=16))
    return tmp_path / "midi"


@pytest.fixture
def corpora(tmp_path: Path) -> Path:
    return tmp_path / "corpora"


def source(midis: Path, seconds: float = 2.0) -> RenderedCorpus:
    return RenderedCorpus(MidiFolder(midis, seconds=seconds), instruments=["flute", "violin"])


def prepare(midis: Path, corpora: Path, seconds: float = 2.0) -> Corpus:
    return source(midis, seconds).prepare(corpora, 16000, workers=1, progress=False)


def command(midis: Path, corpora: Path, *more: str) -> list[str]:
    program = [
        sys.executable,
        "-m",
        "datamodules.prepare",
        "rendered",
        "--midi",
        str(midis),
        "--seconds",
        "2",
    ]
    return [*program, "--instruments", "flute", "violin", "--corpora-dir", str(corpora), "--quiet", *more]


def state(corpus: Corpus) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in corpus.root.rglob("*.wav")}


def test_the_manifest_says_what_the_corpus_is(midis: Path, corpora: Path) -> None:
    corpus = prepare(midis, corpora)
    manifest = json.loads((corpus.root / "manifest.json").read_text())
    assert corpus.root.name == f"rendered-{manifest['address']}" and manifest["sample_rate"] == 16000
    assert manifest["n_items"] == len(corpus.items) == len(list(corpus.root.rglob("*.wav")))
    assert manifest["minutes"] == pytest.approx(sum(i.n_samples for i in corpus.items) / 16000 / 60, abs=0.01)
    assert any("GPL-2" in sentence for sentence in manifest["licences"])
    assert manifest["request"]["source"]["scores"]["files"]
    sums = read_checksums(corpus.root)
    assert all(sha256_of(corpus.root / path) == digest for path, digest in sums.items())
    assert len(sums) == len(corpus.items)


def test_asking_again_finds_it_and_writes_nothing(midis: Path, corpora: Path) -> None:
    before = state(prepare(midis, corpora))
    again = prepare(midis, corpora)
    assert state(again) == before and len(list(corpora.glob("rendered-*"))) == 1


def test_a_damaged_and_a_missing_file_are_named_and_made_anew_as_they_were(
    midis: Path, corpora: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = prepare(midis, corpora)
    short, gone = (corpus.audio_path(item) for item in corpus.items[:2])
    sums, before = read_checksums(corpus.root), state(corpus)
    short.write_bytes(short.read_bytes()[:100])
    gone.unlink()
    feature = (
        corpus.root / "features" / "loudness" / gone.relative_to(corpus.root / "audio").with_suffix(".npy")
    )
    feature.parent.mkdir(parents=True)
    feature.touch()
    assert not is_intact(corpus.root)
    repaired = prepare(midis, corpora)
    message = capsys.readouterr().err
    assert "2 audio file(s) are damaged or missing" in message and short.name in message
    assert {p: sha256_of(repaired.root / p) for p in sums} == sums
    assert not feature.exists(), "features of the old audio are gone"
    unchanged = [path for path, changed in state(repaired).items() if before[path] == changed]
    assert len(unchanged) == len(before) - 4, "two pieces on two instruments were made again"


def test_verify_finds_a_flipped_bit_that_sizes_do_not_show(midis: Path, corpora: Path) -> None:
    corpus = prepare(midis, corpora)
    path = corpus.audio_path(corpus.items[3])
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    assert is_intact(corpus.root)
    assert list(damaged_files(corpus, workers=1, progress=False)) == [path]


def test_without_a_manifest_a_corpus_is_not_complete_and_building_goes_on(midis: Path, corpora: Path) -> None:
    corpus = prepare(midis, corpora)
    before = state(corpus)
    (corpus.root / "manifest.json").unlink()
    journal = (corpus.root / "journal.jsonl").read_text().splitlines()
    (corpus.root / "journal.jsonl").write_text("\n".join([*journal[:-2], journal[-2][:30]]))
    (corpus.root / "audio" / ".x.wav.partial").touch()
    with pytest.raises(CorpusError, match="is not a complete corpus"):
        Corpus.open(corpus.root)
    resumed = prepare(midis, corpora)
    rewritten = [path for path, changed in state(resumed).items() if before[path] != changed]
    assert len(rewritten) == 4, "the last two jobs, two instruments each"
    assert resumed.items == corpus.items and not list(corpus.root.rglob("*.partial"))


def test_two_prepares_at_once_make_one_corpus(midis: Path, corpora: Path) -> None:
    runs = [
        subprocess.Popen(
            command(midis, corpora), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    outputs = [run.communicate() for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs
    assert len({folder for folder, _ in outputs}) == 1
    corpus = Corpus.open(outputs[0][0].strip())
    journal = (corpus.root / "journal.jsonl").read_text().splitlines()
    assert len(journal) == len({json.loads(line)[0] for line in journal}), "no job ran twice"
    assert len(corpus.items) == 16


def test_the_second_of_two_says_that_it_waits(midis: Path, corpora: Path) -> None:
    root = source(midis).folder(corpora, 16000)
    with one_at_a_time(root):
        waiting = subprocess.Popen(command(midis, corpora), cwd=ROOT, stderr=subprocess.PIPE, text=True)
        assert waiting.stderr is not None
        assert "Another process is preparing" in waiting.stderr.readline()
        assert waiting.poll() is None
    assert waiting.wait() == 0


def test_a_full_disk_is_one_sentence_nothing_is_half_written_and_it_resumes(
    midis: Path, corpora: Path
) -> None:
    """RLIMIT_FSIZE makes writes beyond a size fail as on a full disk, with EFBIG instead of ENOSPC."""

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))  # a file of two seconds has 80 kB

    run = subprocess.run(
        command(midis, corpora, "--workers", "1"),
        cwd=ROOT, capture_output=True, text=True, preexec_fn=little_room,
    )  # fmt: skip
    assert run.returncode == 2 and run.stdout == ""
    assert run.stderr.startswith(f"error: The disk of {corpora} is full") and run.stderr.count("\n") == 1
    assert not list(corpora.rglob("*.wav")) and not list(corpora.rglob("*.partial"))
    assert not list(corpora.rglob("manifest.json"))
    assert len(prepare(midis, corpora).items) == 16


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_disk_that_is_really_full(midis: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", disk], capture_output=True
    ).returncode:
        pytest.skip("cannot mount a tmpfs here")
    try:
        with pytest.raises(CorpusError, match="has 1 MB left and this corpus needs about 1 MB more"):
            prepare(midis, disk)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_ctrl_c_stops_all_workers_and_the_same_command_goes_on(tmp_path: Path, corpora: Path) -> None:
    for seed in range(24):
        write_midi(tmp_path / "midi" / f"tune{seed}.mid", tune(seed, n_notes=40))
    more = ["--workers", "2", "--seconds", "10"]
    run = subprocess.Popen(
        command(tmp_path / "midi", corpora, *more),
        cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    while not list(corpora.rglob("*.wav")):
        assert run.poll() is None
        time.sleep(0.02)
    os.killpg(run.pid, signal.SIGINT)  # what a terminal does: everyone in the group gets it
    _, error = run.communicate(timeout=60)
    assert run.returncode == 130 and error == (
        "Stopped. What is ready is kept: the same command goes on from there.\n"
    ), error
    kept = {path: path.stat().st_mtime_ns for path in corpora.rglob("*.wav")}
    assert 0 < len(kept) < 48 and not list(corpora.rglob("manifest.json"))
    corpus = prepare(tmp_path / "midi", corpora, 10.0)
    again = [path for path, changed in kept.items() if path.stat().st_mtime_ns != changed]
    assert len(again) <= 16, "only what was in the workers' hands when it stopped"
    assert is_intact(corpus.root)


def test_a_corpus_where_nothing_is_usable_leaves_no_folder(tmp_path: Path, corpora: Path) -> None:
    (tmp_path / "midi").mkdir()
    (tmp_path / "midi" / "a.mid").write_bytes(b"MThd nothing")
    with pytest.raises(CorpusError, match=r"no usable audio of flute, violin: skipped a\.mid: not a"):
        prepare(tmp_path / "midi", corpora)
    assert not list(corpora.glob("rendered-*"))


def test_a_job_that_fails_in_any_way_is_a_skipped_row_and_nothing_else(corpora: Path) -> None:
    fates = Fates("a", "broken", "aborts", "leads out", "b")
    corpus = fates.prepare(corpora, 16000, workers=1, progress=False)
    assert [item.piece for item in corpus.items] == ["a", "b"] and is_intact(corpus.root)
    reasons = dict(skipped_reasons(corpus.root))
    assert reasons.pop("broken") == "KeyError: 'what no one expects of a file'"
    assert "not the name of a file" in reasons.pop("leads out")
    assert reasons == {"aborts": DIED}
    assert not list(corpora.rglob("out*")) and not (corpora.parent / "out.wav").exists()


COLUMNS = ",".join(Item._fields)
DAMAGES = [
    *(("manifest.json", content) for content in ("", "[1]", '{"schema_version": 1, "sample_rate": "fast"}')),
    *(("index.csv", content) for content in ("", "a,b\n", f"{COLUMNS}\ntrain,a\n")),
    *(
        ("index.csv", f"{COLUMNS}\n{split},monophonic,{piece},flute,default,{n_samples},-30\n")
        for split, piece, n_samples in (
            ("train", "a", "many"),
            ("train", "../../a", "1"),
            ("/train", "a", "1"),
            ("all", "a", "1"),
            ("train", "a", "-1"),
        )
    ),
]


def test_a_damaged_manifest_or_index_is_a_sentence_and_is_made_anew(corpora: Path) -> None:
    source = Fates("a", "b")
    before = source.prepare(corpora, 16000, workers=1, progress=False)
    for name, content in DAMAGES:
        (before.root / name).write_text(content)
        with pytest.raises(CorpusError, match=rf"^[^\n]*{name}[^\n]*repare [^\n]*$"):
            Corpus.open(before.root)
        assert not is_intact(before.root)
        assert source.prepare(corpora, 16000, workers=1, progress=False).items == before.items


def test_a_folder_of_corpora_that_cannot_be_one_is_a_sentence(corpora: Path) -> None:
    corpora.touch()
    for folder, reason in ((corpora, "it is a file"), (corpora / "below", "Not a directory")):
        with pytest.raises(CorpusError, match=rf"cannot be the folder of corpora \({reason}\)"):
            Fates().prepare(folder, 16000)


@pytest.mark.parametrize("sample_rate", [0, 1, -16000, 10**7, float("nan")])
def test_a_sample_rate_that_no_audio_has_is_a_sentence(corpora: Path, sample_rate: int) -> None:
    with pytest.raises(UserError, match=r"^sample_rate must be a whole number from 1000 to 768000 Hz, not"):
        Fates().prepare(corpora, sample_rate)
    assert not corpora.exists()


def test_a_hundred_thousand_items_open_without_reading_audio(tmp_path: Path) -> None:
    """Each item lasts a day and has no file: what is needed is the index alone."""
    items = (
        Item("train", "monophonic", f"piece{n}", "violin", "default", 10**9, -30.0) for n in range(100_000)
    )
    write_index(tmp_path / "index.csv", list(items))
    manifest = {"schema_version": 1, "sample_rate": 16000, "address": "0", "minutes": 1, "licences": []}
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "notes": []}))
    program = (
        "import resource; from datamodules.corpora.corpus import Corpus;"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        f"corpus = Corpus.open({str(tmp_path)!r});"
        "assert len(corpus.select('train')) == 100_000 and corpus.instruments == ('violin',);"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert float(run.stdout) < 150, "MiB"


def test_what_is_read_is_what_was_rendered(midis: Path, corpora: Path) -> None:
    corpus = prepare(midis, corpora)
    item = corpus.items[0]
    whole = corpus.read(item)
    assert len(whole) == item.n_samples and np.abs(whole).max() > 0.1
    np.testing.assert_array_equal(corpus.read(item, 1000, 500), whole[1000:1500])
    assert len(corpus.read(item, item.n_samples - 10, 500)) == 10
