"""A system that is not of this suite: its outputs are files, which go through the same test."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from datamodules.audio.files import AUDIO_SUFFIXES, AudioFileError, read_audio
from datamodules.batch import TransferBatch
from lightning_modules.transfer_module import TimbreTransferModule
from metrics.evaluation.questions import Questions, question_address
from runtime.errors import UserError

log = logging.getLogger(__name__)

N_NAMED = 5
"""Questions without a usable output that are named; the others are counted."""


class ExternalSystem(TimbreTransferModule):
    """Gives the outputs of another program to the questions that were exported for it.

    An output may have any sample rate and number of channels. One that is longer than its source is cut, a
    shorter one is continued with silence. A question without a usable output is answered with silence, and
    counts: ``missing_outputs`` is the share of them.

    Args:
        sample_rate: see `TimbreTransferModule`.
        instruments: see `TimbreTransferModule`.
        questions: folder of the questions.
        outputs: folder of the outputs, each named by its question's id.

    Raises:
        UserError: there are no questions, or no outputs.
    """

    def __init__(
        self, sample_rate: int, instruments: Sequence[str] = (), questions: str = "", outputs: str = ""
    ) -> None:
        super().__init__(sample_rate, instruments)
        asked = Questions.read(Path(questions))
        self._ids = {question.address: question.id for question in asked.questions}
        self._questions, self._outputs = Path(questions), outputs_to(asked, Path(outputs))
        self._missing: list[str] = []

    def configure_optimizers(self) -> None:
        """The program was trained elsewhere."""

    def on_test_epoch_start(self) -> None:
        """Start an empty test in which no output is missing."""
        super().on_test_epoch_start()
        self._missing.clear()

    def transfer_batch(self, batch: TransferBatch) -> Tensor:
        """Read the outputs to the questions of a batch: ``(B, T)``."""
        return torch.stack([self._output(batch, index) for index in range(len(batch.source))])

    def measures(self, batch: TransferBatch, preds: Tensor) -> Mapping[str, Tensor]:
        """Measure the share of outputs that are missing."""
        missing = [self._id(batch, index) in self._missing for index in range(len(batch.source))]
        return {"missing_outputs": torch.tensor(missing, dtype=torch.float32).mean()}

    def on_test_epoch_end(self) -> None:
        """Log the test, and name what is missing."""
        super().on_test_epoch_end()
        if self._missing:
            others = f" and {len(self._missing) - N_NAMED} others" * (len(self._missing) > N_NAMED)
            log.warning(
                "%d of %d questions have no usable output, which counts as silence: %s%s.",
                *(len(self._missing), len(self._ids), ", ".join(self._missing[:N_NAMED]), others),
            )

    def _id(self, batch: TransferBatch, index: int) -> str:
        found = self._ids.get(question_address(batch, index, self.sample_rate))
        if found is None:
            raise UserError(
                f"{self._questions} has no question for {batch.piece[index]}, so its questions are from "
                "another test than this one; export them again."
            )
        return found

    def _output(self, batch: TransferBatch, index: int) -> Tensor:
        name, length = self._id(batch, index), batch.source.shape[-1]
        try:
            if name not in self._outputs:
                raise AudioFileError("there is no such file")
            audio, _ = read_audio(self._outputs[name], self.sample_rate)
        except AudioFileError as error:
            log.debug("No output for %s: %s", name, error)
            self._missing.append(name)
            audio = np.zeros(0, dtype=np.float32)
        padded = np.pad(audio[:length], (0, max(0, length - len(audio))))
        return torch.from_numpy(padded).to(batch.source)


def outputs_to(asked: Questions, folder: Path) -> dict[str, Path]:
    """Find the audio files of a folder by their names without suffix.

    Raises:
        UserError: there is no folder, or no output to any of the questions.
    """
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}; give the one with the program's outputs (--outputs).")
    found = {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in AUDIO_SUFFIXES}
    ids = [question.id for question in asked.questions]
    if not set(ids) & set(found):
        raise UserError(
            f"{folder} has no output to any of the {len(ids)} questions; an output is named like its "
            f"question, as in {ids[0]}.wav."
        )
    return found
