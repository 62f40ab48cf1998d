"""The test as files: questions for another program, whose outputs are judged in the same test."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from datamodules.audio.files import write_wav
from datamodules.batch import TransferBatch
from metrics.evaluation.analyses import audio_address
from runtime.errors import UserError
from runtime.files import write_beside
from runtime.paths import path_below

LIST = "questions.json"
SOURCES, REFERENCES, ANSWERS = "sources", "references", "answers"
"""Folders of a set of questions. The answers are the targets, which no system may see."""


class Question(NamedTuple):
    """One transfer that is asked for: play the notes of ``source`` with the timbre of ``reference``."""

    id: str
    """Name of the output's file, without suffix."""
    source: str
    """Path of the source below the folder of the questions."""
    reference: str
    """Path of the reference there."""
    track: str
    """``monophonic`` or ``polyphonic``."""
    source_instrument: str
    target_instrument: str
    address: str
    """Hash of the samples of source and reference, by which a test finds the question."""


class Questions(NamedTuple):
    """A list of questions with the test that they are from."""

    options: tuple[str, ...]
    """Command line of the test, such as ``--config mambamuse``."""
    sample_rate: int
    """Of all files, in Hz."""
    questions: tuple[Question, ...]

    @classmethod
    def read(cls, folder: Path) -> Questions:
        """Read the list in ``folder``.

        Raises:
            UserError: there is none, or it is damaged.
        """
        path = folder / LIST
        try:
            content = json.loads(path.read_bytes())
            questions = tuple(Question(**question) for question in content["questions"])
            return cls(tuple(content["options"]), int(content["sample_rate"]), questions)
        except FileNotFoundError:
            raise UserError(
                f"{folder} holds no {LIST}; write it with `python -m experiments.questions export {folder}`."
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} cannot be read ({error}); export the questions again.") from None

    def write(self, folder: Path) -> None:
        """Write the list into ``folder``."""
        content: dict[str, Any] = {
            **self._asdict(),
            "questions": [question._asdict() for question in self.questions],
        }
        with write_beside(folder / LIST) as file:
            file.write(json.dumps(content, ensure_ascii=False, indent=1).encode())


def write_questions(
    folder: Path, batch: TransferBatch, first: int, instruments: Sequence[str], sample_rate: int
) -> list[Question]:
    """Write the files of a batch of the test below ``folder``, numbered from ``first``."""
    written = []
    for index in range(len(batch.source)):
        source_instrument, target_instrument = (
            instruments[int(ids[index])] for ids in (batch.source_instrument, batch.target_instrument)
        )
        name = f"{first + index:04d}_{source_instrument}_to_{target_instrument}"
        files = {SOURCES: batch.source, REFERENCES: batch.reference, ANSWERS: batch.target}
        for kind, audio in files.items():
            if audio is not None:
                write_wav(path_below(folder, f"{kind}/{name}.wav"), _samples(audio, index), sample_rate)
        written.append(
            Question(
                id=name,
                source=f"{SOURCES}/{name}.wav",
                reference=f"{REFERENCES}/{name}.wav",
                track=batch.track[index],
                source_instrument=source_instrument,
                target_instrument=target_instrument,
                address=question_address(batch, index, sample_rate),
            )
        )
    return written


def question_address(batch: TransferBatch, index: int, sample_rate: int) -> str:
    """The hash by which the question of an example is found again: of its source and its reference."""
    sides = [_samples(side, index) for side in (batch.source, batch.reference)]
    return audio_address(np.concatenate(sides), sample_rate)


def _samples(audio: Tensor, index: int) -> np.ndarray:
    return audio[index].detach().cpu().float().numpy()
