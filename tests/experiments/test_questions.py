"""Another program answers the exported test, and is judged as the systems of the suite are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from datamodules.audio.files import read_audio, resampled, write_wav
from experiments import compare, questions
from runtime.errors import UserError
from tests.conftest import ROOT, SIXTH


@pytest.fixture
def exported(workplace: Path) -> Path:
    questions.main(["export", "asked", "--config", str(SIXTH), "--data.init_args.seconds", "0.5"])
    return workplace / "asked"


def asked_in(folder: Path) -> list[dict[str, str]]:
    return json.loads((folder / "questions.json").read_text())["questions"]


def leaderboard(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, float]]:
    capsys.readouterr()
    compare.main(["--format", "json"])
    lines = json.loads(capsys.readouterr().out)
    return {
        line["experiment"]: {name: value["mean"] for name, value in line["metrics"].items()} for line in lines
    }


def test_true_answers_of_any_rate_and_length_are_perfect_and_missing_ones_count(
    exported: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    asked = asked_in(exported)
    assert len(asked) == 4 and asked[0]["id"] == "0000_dull_to_bright"
    for question in asked:
        source, rate = read_audio(exported / question["source"])
        assert (exported / question["reference"]).is_file() and len(source) == rate // 2
        answer = resampled(read_audio(exported / "answers" / f"{question['id']}.wav")[0], rate, 44100)
        longer = np.stack([np.pad(answer, (0, 1000))] * 2)
        write_wav(exported / "outputs" / f"{question['id']}.wav", longer, 44100)
        write_wav(exported / "copies" / f"{question['id']}.wav", source, rate)
    assert questions.main(["score", "asked", "--name", "perfect"]) == 0
    (exported / "copies" / f"{asked[0]['id']}.wav").unlink()
    (exported / "copies" / f"{asked[1]['id']}.wav").write_bytes(b"RIFF")
    copies = ["--outputs", "asked/copies"]
    assert questions.main(["score", "asked", "--name", "copier", *copies]) == 0
    assert f"2 of 4 questions have no usable output, which counts as silence: {asked[0]['id']}" in caplog.text
    systems = leaderboard(capsys)
    assert systems["perfect"]["lsd_mel_db"] < 1.0 < systems["copier"]["lsd_mel_db"]
    tables = [json.loads(path.read_text()) for path in Path("runs/copier").glob("*/test_table.json")]
    assert len(tables[0]["rows"]) == 4


def test_the_program_of_the_page_answers_every_question(workplace: Path) -> None:
    questions.main(["export", "questions", "--config", str(SIXTH), "--data.init_args.seconds", "0.5"])
    page = (ROOT / "docs" / "external-systems.md").read_text(encoding="utf-8")
    exec(page.split("```python\n")[1].split("```")[0], {})
    assert questions.main(["score", "questions", "--name", "envelope"]) == 0
    [table] = Path("runs/envelope").glob("*/test_table.json")
    rows = json.loads(table.read_text())["rows"]
    assert len(rows) == len(asked_in(workplace / "questions"))
    assert all(row["metrics"]["source_lsd_mel_db"] > 0 for row in rows)


def test_files_are_what_the_other_program_can_read(exported: Path) -> None:
    info = soundfile.info(exported / asked_in(exported)[0]["source"])
    assert (info.samplerate, info.channels, info.format) == (16000, 1, "WAV")


def test_mistakes_are_said_before_the_test(exported: Path) -> None:
    with pytest.raises(UserError, match="not empty"):
        questions.main(["export", "asked"])
    with pytest.raises(UserError, match="no folder"):
        questions.main(["score", "asked", "--name", "x", "--outputs", "nowhere"])
    with pytest.raises(UserError, match="name of a folder"):
        questions.main(["score", "asked", "--name", "../x"])
    with pytest.raises(UserError, match="There is no option --sead"):
        questions.main(["score", "asked", "--name", "x", "--sead", "1"])
    Path("empty").mkdir()
    with pytest.raises(UserError, match="no output to any of the 4 questions"):
        questions.main(["score", "asked", "--name", "x", "--outputs", "empty"])
    with pytest.raises(UserError, match="export empty"):
        questions.main(["score", "empty", "--name", "x"])
    (exported / "questions.json").write_text('{"questions": 3}')
    with pytest.raises(UserError, match="export the questions again"):
        questions.main(["score", "asked", "--name", "x"])
